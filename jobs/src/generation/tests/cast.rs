//! What the next chapter needs is brought while one is being written.

use std::{
    sync::{Condvar, Mutex},
    time::Duration,
};

use super::{
    server::{Reply, Server, novelist},
    *,
};
use crate::watched::{Ends, Touch, Watched};

/// Which files were read, in order; somebody may wait for one.
#[derive(Debug, Default)]
struct Reads {
    files: Mutex<Vec<String>>,
    news: Condvar,
}

impl Reads {
    /// A storage that tells what is read.
    fn of_a_storage() -> (Arc<Self>, Arc<dyn ObjectStore>) {
        let reads = Arc::new(Self::default());
        let told = reads.clone();
        let storage = Watched::by(move |touch, file| {
            if touch == Touch::Read {
                told.files.lock().unwrap().push(file.to_owned());
                told.news.notify_all();
            }
            Ends::Well
        });
        (reads, Arc::new(storage))
    }

    fn count(&self, file: &str) -> usize {
        self.files.lock().unwrap().iter().filter(|read| read.ends_with(file)).count()
    }

    /// Whether a file was read before too long.
    fn wait_for(&self, file: &str) -> bool {
        let is_missing = |files: &mut Vec<String>| !files.iter().any(|read| read.ends_with(file));
        let most = Duration::from_secs(10);
        !self.news.wait_timeout_while(self.files.lock().unwrap(), most, is_missing).unwrap().1.timed_out()
    }
}

/// The plan is there already, and nobody's sheet is in this process' cache: as after a worker that was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_the_next_chapter_is_read_while_one_is_being_written_and_not_again() {
    let (reads, storage) = Reads::of_a_storage();
    for (id, name) in [("ann", "Ann"), ("bob", "Bob")] {
        character(&storage, json!({"id": id, "name": name, "role": format!("the one called {name}")})).await;
    }
    let plan = |question: &super::server::Question| match novelist(question) {
        Reply::Says(text) => text.replace("Plan 2 of Ann.", "Plan 2 of Bob."),
        reply => panic!("{reply:?}"),
    };
    let away = Server::new(move |question, _| match plan(question) {
        text if text.contains("Plan 1 of") => Reply::Says(text),
        _ => Reply::Fails(500),
    })
    .await;
    let mut order = generate(2);
    order.brief.characters = vec!["Ann".into(), "Bob".into()];
    let ran = away.job(order.clone()).on_storage(storage.clone()).run().await.unwrap();
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    reads.files.lock().unwrap().clear();

    let (watched, was_brought) = (reads.clone(), Arc::new(Mutex::new(None)));
    let seen = was_brought.clone();
    let server = Server::new(move |question, _| {
        if question.text.contains("Write chapter 1") {
            // The first chapter's answer comes when the second one's sheet was read.
            *seen.lock().unwrap() = Some(watched.wait_for("characters/bob.json"));
        }
        novelist(question)
    })
    .await;
    let again = server.job(order).on_storage(storage).attempt(2).from_checkpoint(&checkpoint);
    let ran = again.run().await.unwrap();
    assert_eq!(result(&ran)["chapters"], json!(2));
    assert_eq!(*was_brought.lock().unwrap(), Some(true), "the sheet was read while the chapter was written");
    let second =
        server.asked().into_iter().find(|question| question.text.contains("Write chapter 2")).unwrap();
    assert!(second.text.contains("the one called Bob") && !second.text.contains("the one called Ann"));
    assert_eq!((reads.count("characters/ann.json"), reads.count("characters/bob.json")), (1, 1));
}
