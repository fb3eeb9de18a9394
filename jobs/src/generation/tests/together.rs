//! Single steps of one project at once, and those that crashed while others went on.

use std::{sync::Mutex, time::Duration};

use futures_util::future::join_all;
use object_store::memory::InMemory;
use presswork::{
    domain::{Failure, JobId, SeededRandom, Timestamp},
    testing::START as NOW,
};

use super::{
    server::{Server, novelist},
    *,
};
use crate::{
    generation::steps::{Continuation, Rewrite, WriteChapter, WriteOutline},
    watched::{Ends, Touch, Watched},
};

const BRIEF: &str = r#"{"title": "At Once", "chapters": 4, "words": 60, "premise": "Of many."}"#;

/// A project that is planned, and nothing more.
async fn planned(server: &Server) -> Arc<dyn ObjectStore> {
    planned_on(server, Arc::new(InMemory::new())).await
}

async fn planned_on(server: &Server, storage: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    let brief: Value = serde_json::from_str(BRIEF).unwrap();
    let outline = payload::<WriteOutline>(json!({"project": "p", "model": "m", "brief": brief}));
    let ran = server.job(outline).on_storage(storage.clone()).seed(100).run().await.unwrap();
    assert!(ran.result.is_ok(), "{:?}", ran.result);
    storage
}

fn chapter() -> WriteChapter {
    payload(json!({"project": "p", "model": "m"}))
}

/// One attempt of a job of its own, going on from what was saved.
async fn attempt<K: presswork::worker::Kind>(
    server: &Server,
    storage: &Arc<dyn ObjectStore>,
    (seed, number): (u64, u32),
    payload: K,
    checkpoint: Option<&Value>,
) -> Ran {
    let job = server.job(payload).on_storage(storage.clone()).seed(seed).attempt(number);
    match checkpoint {
        Some(checkpoint) => job.from_checkpoint(checkpoint).run().await.unwrap(),
        None => job.run().await.unwrap(),
    }
}

/// The first lines of a book's chapters.
async fn titles(storage: &Arc<dyn ObjectStore>) -> Vec<String> {
    let chapters = chapters(storage, "p").await;
    chapters.iter().map(|text| text.lines().next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn several_jobs_that_write_the_next_chapter_at_once_write_one_behind_the_other() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage = planned(&server).await;
    let mut left: Vec<u64> = vec![1, 2, 3, 4];
    for round in 1.. {
        let ran =
            join_all(left.iter().map(|seed| attempt(&server, &storage, (*seed, round), chapter(), None)));
        let mut waiting = Vec::new();
        for (seed, ran) in left.iter().zip(ran.await) {
            match ran.result {
                Ok(result) => assert_eq!(result["warnings"], json!([])),
                Err(Failure::Snooze { .. }) => waiting.push(*seed),
                Err(failure) => panic!("{failure}"),
            }
        }
        assert!(waiting.len() < left.len(), "one of them gets on");
        left = waiting;
        if left.is_empty() {
            break;
        }
    }
    assert_eq!(titles(&storage).await, ["# Title 1", "# Title 2", "# Title 3", "# Title 4"]);
    assert_eq!(server.asked().len(), 5, "a plan, and each chapter once");
    assert!(is_nobodys_turn(&storage).await);
}

/// Where it is written down whose turn it is.
fn place_of_turn() -> object_store::path::Path {
    key(["test", "projects", "p", "next-chapter.json"])
}

/// Whether nobody has the turn, and nobody waits for it.
async fn is_nobodys_turn(storage: &Arc<dyn ObjectStore>) -> bool {
    let bytes = storage.get(&place_of_turn()).await.unwrap().bytes().await.unwrap();
    let line: Value = serde_json::from_slice(&bytes).unwrap();
    line["by"] == "" && line.get("waiting").is_none()
}

#[tokio::test]
async fn jobs_that_bring_plans_of_their_own_write_in_the_order_in_which_they_were_made() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage = planned(&server).await;
    let mut seeds: Vec<u64> = (1..=5).collect();
    seeds.sort_by_key(|seed| JobId::new(NOW, &SeededRandom::new(*seed)).to_string());
    let own = |seed: &u64| -> WriteChapter {
        payload(json!({"project": "p", "model": "m", "title": format!("By {seed}"), "plan": "All is well."}))
    };
    let held = json!({"by": "job_of_another", "until": NOW.after(Duration::from_secs(100))});
    storage.put(&place_of_turn(), held.to_string().into()).await.unwrap();
    // The last one comes first, each time.
    for seed in seeds.iter().rev() {
        let waits = attempt(&server, &storage, (*seed, 1), own(seed), None).await;
        assert!(matches!(waits.result, Err(Failure::Snooze { .. })), "{:?}", waits.result);
    }
    let bytes = storage.get(&place_of_turn()).await.unwrap().bytes().await.unwrap();
    let mut line: Value = serde_json::from_slice(&bytes).unwrap();
    line["until"] = json!(NOW);
    storage.put(&place_of_turn(), line.to_string().into()).await.unwrap();
    for (round, next) in (2..).zip(&seeds) {
        for seed in seeds[round as usize - 2..].iter().rev() {
            let ran = attempt(&server, &storage, (*seed, round), own(seed), None).await;
            assert_eq!(ran.result.is_ok(), seed == next, "{seed}, {next}: {:?}", ran.result);
        }
    }
    let wanted: Vec<String> = seeds.iter().map(|seed| format!("# By {seed}")).collect();
    assert_eq!(titles(&storage).await, wanted);
    assert!(is_nobodys_turn(&storage).await);
}

#[tokio::test]
async fn a_job_that_waits_reads_no_more_than_whose_turn_it_is() {
    let server = Server::new(|question, _| novelist(question)).await;
    let reads: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = reads.clone();
    let storage = Watched::by(move |touch, file| {
        if touch == Touch::Read {
            told.lock().unwrap().push(file.to_owned());
        }
        Ends::Well
    });
    let storage = planned_on(&server, Arc::new(storage)).await;
    attempt(&server, &storage, (9, 1), chapter(), None).await;
    let held = json!({"by": "job_of_another", "until": NOW.after(Duration::from_secs(100))});
    storage.put(&place_of_turn(), held.to_string().into()).await.unwrap();
    let mut third = chapter();
    third.chapter = Some(3);
    for payload in [chapter(), third] {
        for epoch in [1, 2] {
            reads.lock().unwrap().clear();
            let waits = attempt(&server, &storage, (1, epoch), payload.clone(), None).await;
            assert!(matches!(waits.result, Err(Failure::Snooze { .. })), "{:?}", waits.result);
            assert_eq!(*reads.lock().unwrap(), ["test/projects/p/next-chapter.json"], "attempt {epoch}");
        }
    }
}

#[tokio::test]
async fn an_attempt_whose_chapter_is_no_text_costs_one_although_the_plan_is_kept() {
    // What is left of an answer that was cut in its first word.
    let server = Server::new(|question, _| match &question.text {
        text if text.contains("Write chapter 1") => super::server::Reply::Cut("# The Title\n\nWor".into()),
        text if text.contains("Go on with") => super::server::Reply::Says(String::new()),
        _ => novelist(question),
    })
    .await;
    for revision in [false, true] {
        let mut order = generate(1);
        order.revision = revision;
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let ran = attempt(&server, &storage, (1, 1), order, None).await;
        let Err(Failure::Retry { reason, .. }) = &ran.result else { panic!("{:?}", ran.result) };
        assert!(reason.as_str().contains("the model wrote no text"), "{reason}");
        let left = files(&storage, "p").await.into_iter().find(|file| file.contains("drafts/"));
        assert_eq!(left, None, "a draft of no use would be found by each attempt");
    }
}

#[tokio::test]
async fn an_attempt_that_crashed_behind_its_writing_knows_its_chapter_whatever_others_did_with_it() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage = planned(&server).await;
    let first = attempt(&server, &storage, (1, 1), chapter(), None).await;
    let checkpoint = first.checkpoint::<Value>().unwrap();
    attempt(&server, &storage, (2, 1), chapter(), None).await;
    let rewrite: Rewrite =
        payload(json!({"project": "p", "model": "m", "chapter": 1, "instruction": "Make it rain."}));
    attempt(&server, &storage, (3, 1), rewrite, None).await;
    let (before, asked) = (chapters(&storage, "p").await, server.asked().len());
    let again = attempt(&server, &storage, (1, 2), chapter(), Some(&checkpoint)).await;
    assert_eq!((&result(&again)["chapter"], &result(&again)["title"]), (&json!(1), &json!("Title 1")));
    assert_eq!((chapters(&storage, "p").await, server.asked().len()), (before, asked));
}

#[tokio::test]
async fn an_attempt_that_crashed_before_its_writing_puts_what_it_has_written_behind_what_others_did() {
    let server = Server::new(|question, _| novelist(question)).await;
    // What it saved is the same wherever it is taken from.
    let elsewhere = planned(&server).await;
    let crashed = attempt(&server, &elsewhere, (1, 1), chapter(), None).await;
    let checkpoint = crashed.checkpoint::<Value>().unwrap();
    let storage = planned(&server).await;
    for seed in 2..6 {
        attempt(&server, &storage, (seed, 1), chapter(), None).await;
    }
    let asked = server.asked().len();
    let again = attempt(&server, &storage, (1, 2), chapter(), Some(&checkpoint)).await;
    assert_eq!((&result(&again)["chapter"], &result(&again)["title"]), (&json!(5), &json!("Title 1")));
    assert!(result(&again)["warnings"][0].as_str().unwrap().contains("written as chapter 1"));
    assert_eq!(titles(&storage).await.last().unwrap(), "# Title 1");
    assert_eq!((titles(&storage).await.len(), server.asked().len()), (5, asked));
}

#[tokio::test]
async fn a_job_that_died_with_its_turn_keeps_the_others_waiting_for_some_minutes_only() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage = planned(&server).await;
    let held = |until: Timestamp| json!({"by": "job_of_a_dead_worker", "until": until}).to_string();
    let place = place_of_turn();
    storage.put(&place, held(NOW.after(Duration::from_secs(100))).into()).await.unwrap();
    let waits = attempt(&server, &storage, (1, 1), chapter(), None).await;
    let Err(Failure::Snooze { wait, reason }) = waits.result else { panic!("{:?}", waits.result) };
    assert!(wait.as_secs() < 10 && reason.as_str().contains("another job is writing"), "{wait:?} {reason}");
    // One that is over, and one by a clock that is a day ahead.
    for (seed, until) in [(2, NOW), (3, NOW.after(Duration::from_secs(86_400)))] {
        storage.put(&place, held(until).into()).await.unwrap();
        let goes_on = attempt(&server, &storage, (seed, 1), chapter(), None).await;
        assert_eq!(result(&goes_on)["chapter"], json!(seed - 1));
    }
}

#[tokio::test]
async fn what_is_no_text_is_asked_for_anew_by_the_next_attempt() {
    // A heading, which a chapter has already, is no text.
    let server = Server::new(|question, before| match before {
        1..=3 => super::server::Reply::Says("# The Title\n\n<br>\n".into()),
        _ => novelist(question),
    })
    .await;
    let storage = planned(&server).await;
    let first = attempt(&server, &storage, (1, 1), chapter(), None).await;
    let Err(Failure::Retry { reason, .. }) = &first.result else { panic!("{:?}", first.result) };
    assert!(reason.as_str().contains("wrote no text"), "{reason}");
    let checkpoint = first.checkpoint::<Value>().unwrap();
    assert_eq!(checkpoint["bill"]["total"]["calls"], json!(3));
    let second = attempt(&server, &storage, (1, 2), chapter(), Some(&checkpoint)).await;
    assert_eq!(result(&second)["chapter"], json!(1));
    // One that an earlier version has kept is dropped.
    let kept = json!({"bill": {}, "answer": {"here": "# The Title\n"}, "chosen": {"index": 1, "planned": {"title": "B"}}});
    let ran = attempt(&server, &storage, (2, 1), chapter(), Some(&kept)).await;
    assert!(matches!(ran.result, Err(Failure::Retry { .. })), "{:?}", ran.result);
    assert!(ran.checkpoint::<Value>().unwrap().get("answer").is_none());
}

#[tokio::test]
async fn a_book_whose_draft_is_no_text_is_drafted_anew() {
    let server = Server::new(|question, _| novelist(question)).await;
    let mut order = generate(1);
    order.revision = true;
    // The server is away for the revision: what is left is the draft.
    let broken = Server::new(|question, _| match novelist(question) {
        _ if question.text.contains("Revise chapter") => super::server::Reply::Fails(500),
        reply => reply,
    })
    .await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let ran = attempt(&broken, &storage, (1, 1), order.clone(), None).await;
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    let draft = files(&storage, "p").await.into_iter().find(|file| file.contains("drafts/")).unwrap();
    let empty = "# The Title\n".into();
    storage
        .put(
            &key(["test", "projects", "p"])
                .parts()
                .chain(object_store::path::Path::from(draft).parts())
                .collect(),
            empty,
        )
        .await
        .unwrap();
    let hollow = Server::new(|question, _| match novelist(question) {
        _ if question.text.contains("Revise chapter") => super::server::Reply::Says("# T\n".into()),
        reply => reply,
    })
    .await;
    let ran = attempt(&hollow, &storage, (1, 2), order.clone(), Some(&checkpoint)).await;
    assert!(ran.result.is_err(), "{:?}", ran.result);
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    let ran = attempt(&server, &storage, (1, 3), order, Some(&checkpoint)).await;
    assert_eq!(result(&ran)["chapters"], json!(1));
    assert!(chapters(&storage, "p").await[0].contains("revision 1"));
}

#[tokio::test]
async fn a_continuation_that_crashed_goes_on_with_the_chapter_that_was_the_last_one_then() {
    let server = Server::new(|question, _| novelist(question)).await;
    let goes_on = || payload::<Continuation>(json!({"project": "p", "model": "m", "words": 50}));
    let elsewhere = planned(&server).await;
    attempt(&server, &elsewhere, (1, 1), chapter(), None).await;
    let crashed = attempt(&server, &elsewhere, (2, 1), goes_on(), None).await;
    let checkpoint = crashed.checkpoint::<Value>().unwrap();
    let storage = planned(&server).await;
    for seed in [1, 3] {
        attempt(&server, &storage, (seed, 1), chapter(), None).await;
    }
    let again = attempt(&server, &storage, (2, 2), goes_on(), Some(&checkpoint)).await;
    assert_eq!(result(&again)["chapter"], json!(1), "{:?}", again.result);
    let written = chapters(&storage, "p").await;
    assert!(written[0].contains("This is what comes next.") && !written[1].contains("what comes next"));
}
