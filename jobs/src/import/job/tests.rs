//! The end of an import, where a book is published or is not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, prefix::PrefixStore};
use presswork::{domain::Failure, testing::Inline, worker::Kind as _};
use serde_json::json;

use super::Import;
use crate::{
    book::project::ProjectReader,
    watched::{Ends, Touch, Watched},
};

/// A storage where the first time that `book.json` is written ends so.
fn stumbling(next: Ends) -> Arc<dyn ObjectStore> {
    let is_first = AtomicBool::new(true);
    Arc::new(Watched::by(move |touch, key| {
        let is_book = touch == Touch::Write && key.ends_with("/book.json");
        if is_book && is_first.swap(false, Ordering::Relaxed) { next } else { Ends::Well }
    }))
}

/// The failure of an import of this text, and the storage after it.
async fn import(text: &'static str, next: Ends) -> (Failure, Arc<dyn ObjectStore>) {
    let storage = stumbling(next);
    storage.put(&"test/files/a.md".into(), PutPayload::from_static(text.as_bytes())).await.unwrap();
    let payload: Import = serde_json::from_value(json!({
        "project": "p", "source": [{ "name": "a.md", "key": "files/a.md" }],
    }))
    .unwrap();
    let ran = Inline::new(payload).on_storage(storage.clone()).run().await.unwrap();
    (ran.result.unwrap_err(), storage)
}

async fn files(storage: &Arc<dyn ObjectStore>) -> usize {
    let below = storage.list(Some(&"test/projects/p".into()));
    below.try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn a_book_whose_publishing_was_not_answered_is_whole_where_it_was_published() {
    let (failure, storage) = import("# One\n\nText.\n", Ends::Unheard).await;
    assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    let reader = ProjectReader::open(Arc::new(PrefixStore::new(storage, "test/projects/p"))).await.unwrap();
    assert_eq!(reader.chapter(reader.book().chapters.get(0).unwrap()).await.unwrap(), "# One\n\nText.\n");
}

#[tokio::test]
async fn what_was_brought_stays_where_nobody_knows_and_goes_where_it_is_no_book() {
    let (failure, storage) = import("# One\n\nText.\n", Ends::Fails).await;
    assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    assert_eq!(files(&storage).await, 1);
    let (failure, storage) = import("---\ncover: none.png\n---\n", Ends::Fails).await;
    assert!(matches!(failure, Failure::Fatal { .. }), "{failure}");
    assert_eq!(files(&storage).await, 0);
}

#[test]
fn what_a_title_page_can_not_say_is_refused_before_there_is_a_job() {
    let good = json!({ "project": "p", "source": [{ "name": "a.md", "key": "files/a.md" }] });
    let check = |field: &str, said: serde_json::Value| {
        let mut payload = good.clone();
        payload[field] = said;
        serde_json::from_value::<Import>(payload).unwrap().check()
    };
    for (field, said, problem) in [
        ("title", json!(" "), "the title is empty"),
        ("title", json!("a\nb"), "control characters"),
        ("title", json!("x".repeat(601)), "601 characters"),
        ("authors", json!(["Ann", ""]), "an author's name is empty"),
        ("authors", json!(["x\u{7}"]), "control characters"),
        ("authors", json!(vec!["x"; 101]), "at most 100"),
        ("language", json!("English, mostly"), "is no language"),
        ("language", json!(""), "is no language"),
    ] {
        let refused = check(field, said).unwrap_err();
        assert!(refused.contains(problem), "{field}: {refused}");
    }
    for (field, said) in
        [("title", json!("“Ünusual” 日本")), ("authors", json!(["Ann"])), ("language", json!("de-AT"))]
    {
        assert_eq!(check(field, said), Ok(()));
    }
}
