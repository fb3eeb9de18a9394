//! The whole kind, on a storage in memory and on a disk: what is stored, what is told, what happens the second time.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, memory::InMemory,
    prefix::PrefixStore,
};
use presswork::{
    domain::{EventBody, Failure, State},
    testing::{Inline, Ran, TestEngine},
    worker::Registry,
};
use serde_json::{Value, json};

use super::{store::Through, *};
use crate::book::Character;

/// A storage with a file that was uploaded.
async fn uploaded(name: &str, bytes: impl Into<Vec<u8>>) -> Arc<dyn ObjectStore> {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    upload(&storage, name, bytes).await;
    storage
}

/// Reads all of a file, as its content and name say it; how many items there are.
pub(in crate::import) fn read_all(name: &str, bytes: &[u8]) -> Result<usize, crate::book::BookError> {
    let (_file, source) = crate::import::tests::file(name, bytes);
    let how = items::How::of(&payload(name, json!({})), &source)?;
    let (mut items, mut count) = (items::Items::open(&source, &how)?, 0);
    while items.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn upload(storage: &Arc<dyn ObjectStore>, name: &str, bytes: impl Into<Vec<u8>>) {
    storage.put(&format!("test/files/{name}").into(), PutPayload::from(bytes.into())).await.unwrap();
}

fn payload(name: &str, more: Value) -> ImportCharacters {
    let mut payload =
        json!({ "project": "odyssey", "source": { "name": name, "key": format!("files/{name}") } });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(payload).unwrap()
}

async fn run(storage: &Arc<dyn ObjectStore>, payload: ImportCharacters) -> Ran {
    Inline::new(payload).on_storage(storage.clone()).run().await.unwrap()
}

fn told(ran: &Ran) -> BroughtCharacters {
    serde_json::from_value(ran.result.clone().unwrap()).unwrap()
}

fn counts(ran: &Ran) -> [u64; 6] {
    let told = told(ran);
    [told.items, told.created, told.replaced, told.unchanged, told.kept, told.failed]
}

fn characters(storage: &Arc<dyn ObjectStore>) -> Characters {
    Characters::of(Arc::new(PrefixStore::new(storage.clone(), "test/projects/odyssey")))
}

async fn all(storage: &Arc<dyn ObjectStore>) -> Vec<Character> {
    characters(storage).all().try_collect().await.unwrap()
}

async fn names(storage: &Arc<dyn ObjectStore>) -> Vec<String> {
    all(storage).await.into_iter().map(|one| one.name).collect()
}

#[tokio::test]
async fn a_table_is_stored_and_what_is_wrong_is_told_with_its_line() {
    let table = "id;name;Haar\nodysseus;Odysseus;rot\n;nobody;\npenelope;Penelope;'=grau\n";
    let storage = uploaded("cast.csv", table).await;
    let ran = run(&storage, payload("cast.csv", json!({}))).await;
    assert_eq!(counts(&ran), [3, 2, 0, 0, 0, 1]);
    let report = told(&ran);
    assert_eq!((report.failures[0].line, report.failures[0].item), (3, 2));
    assert_eq!(
        (report.delimiter, report.format, report.charset.as_str()),
        (Some(Sign(b';')), Form::Csv, "UTF-8")
    );
    assert_eq!(report.columns["Haar"], "Haar");
    let stored = all(&storage).await;
    assert_eq!((stored[0].name.as_str(), &stored[1].extra["Haar"]), ("Odysseus", &json!("=grau")));
    assert!(
        ran.events
            .iter()
            .any(|event| matches!(event, EventBody::Progress(one) if one.done == 3 && one.total == 3))
    );
}

#[tokio::test]
async fn the_same_file_again_changes_nothing_and_another_one_replaces_only_where_that_is_said() {
    let storage = uploaded("cast.csv", "id,name\na,A\nb,B\n").await;
    let cast = |more| payload("cast.csv", more);
    assert_eq!(counts(&run(&storage, cast(json!({}))).await), [2, 2, 0, 0, 0, 0]);
    assert_eq!(counts(&run(&storage, cast(json!({ "replace": true }))).await), [2, 0, 0, 2, 0, 0]);
    upload(&storage, "cast.csv", "id,name\na,A\nb,Other\nc,C\n").await;
    let ran = run(&storage, cast(json!({}))).await;
    assert_eq!(counts(&ran), [3, 1, 0, 1, 1, 0]);
    assert_eq!(told(&ran).kept_first, [Place { line: 3, id: "b".to_owned() }]);
    assert_eq!(names(&storage).await, ["A", "B", "C"]);
    assert_eq!(counts(&run(&storage, cast(json!({ "replace": true }))).await), [3, 0, 1, 2, 0, 0]);
    assert_eq!(names(&storage).await, ["A", "Other", "C"]);
}

#[tokio::test]
async fn beyond_the_threshold_nothing_is_stored_and_the_reason_tells_the_lines() {
    let lines = "{\"id\":\"a\",\"name\":\"A\"}\n7\n{\"id\":\"b\",\"name\":\"B\"}\n{\"id\":\"c\"}\n";
    let storage = uploaded("cast.jsonl", lines).await;
    for (most, is_done) in
        [(json!(1), false), (json!("49.9%"), false), (json!(2), true), (json!("50%"), true)]
    {
        let ran = run(&storage, payload("cast.jsonl", json!({ "max_failures": most }))).await;
        assert_eq!(ran.result.is_ok(), is_done, "{most}");
        if let Err(failure) = ran.result {
            let reason = failure.to_string();
            assert!(matches!(failure, Failure::Fatal(_)), "{reason}");
            for said in ["2 of 4", "line 2", "line 4", "Nothing was stored"] {
                assert!(reason.contains(said), "{said}: {reason}");
            }
            assert!(all(&storage).await.is_empty());
        }
    }
    for (name, content) in [("none.json", "[]"), ("bad.json", "[1,2]")] {
        upload(&storage, name, content).await;
        let refused =
            run(&storage, payload(name, json!({ "max_failures": "100%" }))).await.result.unwrap_err();
        assert!(matches!(refused, Failure::Fatal(_)), "{refused}");
    }
}

#[tokio::test]
async fn many_failures_are_an_artifact_and_the_first_are_in_the_result() {
    let lines: String = (0..500)
        .map(|n| if n % 2 == 0 { format!("{{\"id\":\"c{n}\",\"name\":\"N\"}}\n") } else { "{}\n".to_owned() })
        .collect();
    let storage = uploaded("cast.jsonl", lines).await;
    let ran = run(&storage, payload("cast.jsonl", json!({}))).await;
    assert_eq!(counts(&ran), [500, 250, 0, 0, 0, 250]);
    let report = told(&ran);
    assert_eq!(
        (report.failures.len(), report.failures_file.as_ref().unwrap().as_str()),
        (100, "failures.jsonl")
    );
    let written = ran.text("failures.jsonl").unwrap();
    let written: Vec<ItemFailure> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((written.len(), &written[..100]), (250, report.failures.as_slice()));
    assert!(written.iter().enumerate().all(|(place, one)| one.line == 2 * place as u64 + 2));
}

#[tokio::test]
async fn new_ones_count_towards_the_tenants_limit_and_the_next_import_waits_for_its_debt() {
    let world = TestEngine::new(Registry::new().register::<ImportCharacters>());
    let table: String =
        ["id,name\n".to_owned()].into_iter().chain((0..2_000).map(|n| format!("c{n},N{n}\n"))).collect();
    upload(&world.engine().storage, "cast.csv", table).await;
    upload(&world.engine().storage, "one.csv", "id,name\nx,X\n").await;
    let first = world.enqueue(&payload("cast.csv", json!({}))).await;
    let attempts = world.drain().await;
    assert_eq!((attempts.len(), world.job(first).await.state), (1, State::Completed));
    let (begun, second) = (world.engine().clock.now(), world.enqueue(&payload("one.csv", json!({}))).await);
    let attempts = world.drain().await;
    assert!(matches!(attempts[0].failure, Some(Failure::Snooze { .. })), "{attempts:?}");
    let job = world.job(second).await;
    assert_eq!((job.state, job.attempt), (State::Completed, 1), "waiting cost no attempt");
    // Not 39 minutes, as 2,000 would take: 451 at 50 a minute.
    let waited = world.engine().clock.now().since(begun).as_secs();
    assert!((530..700).contains(&waited), "{waited} s");
    // What changes nothing counts for nothing.
    let again = world.enqueue(&payload("one.csv", json!({}))).await;
    world.drain().await;
    assert_eq!(world.job(again).await.state, State::Completed);
}

#[tokio::test]
async fn a_later_attempt_goes_on_behind_the_last_batch_and_only_of_the_same_file() {
    let table: String =
        ["id,name\n".to_owned()].into_iter().chain((0..10).map(|n| format!("c{n},N{n}\n"))).collect();
    let storage = uploaded("cast.csv", table.clone()).await;
    let through =
        Through { checksum: crc32fast::hash(table.as_bytes()), items: 4, created: 4, ..Through::default() };
    let cast = payload("cast.csv", json!({ "batch_size": 3 }));
    let again = Inline::new(cast.clone()).attempt(2).on_storage(storage.clone()).from_checkpoint(&through);
    let ran = again.run().await.unwrap();
    assert_eq!(counts(&ran), [10, 10, 0, 0, 0, 0]);
    assert_eq!(names(&storage).await, ["N4", "N5", "N6", "N7", "N8", "N9"]);
    assert_eq!(ran.checkpoint::<Through>().unwrap().items, 10);
    let other = Through { checksum: 1, ..through };
    let again = Inline::new(cast).attempt(2).on_storage(storage.clone()).from_checkpoint(&other);
    assert_eq!(counts(&again.run().await.unwrap()), [10, 4, 0, 6, 0, 0]);
    assert_eq!(all(&storage).await.len(), 10);
}

#[tokio::test]
async fn a_hundred_thousand_go_through_in_one_job_on_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let rows = (0..100_000).map(|n| format!("c{n:06},\"Number, {n}\",minor,\"a; b\"\r\n"));
    let table: String = ["id,name,role,aliases\r\n".to_owned()].into_iter().chain(rows).collect();
    upload(&storage, "cast.csv", table).await;
    let ran = run(&storage, payload("cast.csv", json!({ "batch_size": 1000 }))).await;
    assert_eq!(counts(&ran), [100_000, 100_000, 0, 0, 0, 0]);
    let stored = std::fs::read_dir(folder.path().join("test/projects/odyssey/characters")).unwrap();
    assert_eq!(stored.count(), 100_000);
    let last = characters(&storage).get(&"c099999".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((last.name.as_str(), last.aliases.len()), ("Number, 99999", 2));
}
