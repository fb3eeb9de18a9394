//! What [`Records`] promises, one function a promise, for every engine. Each uses collections of its own, so they may
//! share a store; the clock is the engine's.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use presswork::{
    domain::{Clock as _, ManualClock},
    store::{Expect, MOST_KEY_BYTES, MOST_VALUE_BYTES, RecordPage, Records, StoreError},
};

fn json(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn put(records: &dyn Records, collection: &str, key: &str, expect: Expect) -> Result<u64, StoreError> {
    records.put(collection, key, json("{}"), expect, None).await
}

fn keys(page: &RecordPage) -> Vec<&str> {
    page.items.iter().map(|record| record.key.as_str()).collect()
}

/// A document is read as it was written.
pub(crate) async fn a_document_is_read_as_it_was_written(records: &dyn Records, clock: &ManualClock) {
    let collection = "as-written";
    assert_eq!(records.get(collection, "k").await.unwrap(), None);
    let (value, end) =
        (Bytes::from((0..=255).collect::<Vec<u8>>()), clock.now().after(Duration::from_secs(60)));
    let version = records.put(collection, "k", value.clone(), Expect::Nothing, Some(end)).await.unwrap();
    let record = records.get(collection, "k").await.unwrap().unwrap();
    assert_eq!((record.key.as_str(), record.version, version), ("k", 1, 1));
    assert_eq!((&record.value, record.expires_at), (&value, Some(end)));
    let empty = Bytes::new();
    assert_eq!(records.put(collection, "k", empty.clone(), Expect::Anything, None).await.unwrap(), 2);
    let record = records.get(collection, "k").await.unwrap().unwrap();
    assert_eq!((record.version, record.value, record.expires_at), (2, empty, None));
}

/// Collections do not see each other's documents.
pub(crate) async fn collections_are_apart(records: &dyn Records, _clock: &ManualClock) {
    put(records, "apart-1", "k", Expect::Nothing).await.unwrap();
    put(records, "apart-2", "k", Expect::Nothing).await.unwrap();
    assert!(records.delete("apart-1", "k", Expect::Anything).await.unwrap());
    assert!(records.get("apart-2", "k").await.unwrap().is_some());
    assert!(records.list("apart", "", None, 10).await.unwrap().items.is_empty());
    assert!(records.list("apart-1", "", None, 10).await.unwrap().items.is_empty());
}

/// A write happens only where its expectation holds, and a conflict names the version that is there.
pub(crate) async fn a_write_happens_only_where_its_expectation_holds(
    records: &dyn Records,
    _clock: &ManualClock,
) {
    let collection = "expectations";
    let absent = put(records, collection, "k", Expect::Version(1)).await;
    assert!(matches!(absent, Err(StoreError::Conflict { found: None, .. })), "{absent:?}");
    assert_eq!(put(records, collection, "k", Expect::Nothing).await.unwrap(), 1);
    assert_eq!(put(records, collection, "k", Expect::Version(1)).await.unwrap(), 2);
    assert_eq!(put(records, collection, "k", Expect::Anything).await.unwrap(), 3);
    for expect in [Expect::Nothing, Expect::Version(2), Expect::Version(4)] {
        let refused = records.put(collection, "k", json("[]"), expect, None).await;
        assert!(matches!(refused, Err(StoreError::Conflict { found: Some(3), .. })), "{refused:?}");
    }
    let record = records.get(collection, "k").await.unwrap().unwrap();
    assert_eq!((record.version, record.value), (3, json("{}")));
}

/// A removal happens only where its expectation holds, and says whether something was there.
pub(crate) async fn a_removal_happens_only_where_its_expectation_holds(
    records: &dyn Records,
    _clock: &ManualClock,
) {
    let collection = "removals";
    assert!(!records.delete(collection, "k", Expect::Anything).await.unwrap());
    assert!(!records.delete(collection, "k", Expect::Nothing).await.unwrap());
    let absent = records.delete(collection, "k", Expect::Version(1)).await;
    assert!(matches!(absent, Err(StoreError::Conflict { found: None, .. })), "{absent:?}");
    put(records, collection, "k", Expect::Nothing).await.unwrap();
    for expect in [Expect::Nothing, Expect::Version(2)] {
        let refused = records.delete(collection, "k", expect).await;
        assert!(matches!(refused, Err(StoreError::Conflict { found: Some(1), .. })), "{refused:?}");
    }
    assert!(records.delete(collection, "k", Expect::Version(1)).await.unwrap());
    assert_eq!(records.get(collection, "k").await.unwrap(), None);
    assert_eq!(put(records, collection, "k", Expect::Nothing).await.unwrap(), 1);
}

/// Of many who write on the same expectation one gets through.
pub(crate) async fn one_of_many_rivals_gets_through(records: &dyn Records, _clock: &ManualClock) {
    let rivals = || put(records, "rivals", "k", Expect::Nothing);
    let (a, b, c, d) = tokio::join!(rivals(), rivals(), rivals(), rivals());
    assert_eq!([a, b, c, d].iter().filter(|result| result.is_ok()).count(), 1);
}

/// What has expired is never seen again, before and after it has been swept.
pub(crate) async fn what_has_expired_is_never_seen_again(records: &dyn Records, clock: &ManualClock) {
    let collection = "expiry";
    for (key, seconds) in [("short", 10), ("long", 20), ("replaced", 10)] {
        let end = clock.now().after(Duration::from_secs(seconds));
        records.put(collection, key, json("{}"), Expect::Nothing, Some(end)).await.unwrap();
    }
    put(records, collection, "ever", Expect::Nothing).await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(records.get(collection, "short").await.unwrap(), None);
    assert_eq!(keys(&records.list(collection, "", None, 10).await.unwrap()), ["ever", "long"]);
    assert!(!records.delete(collection, "short", Expect::Anything).await.unwrap());
    assert_eq!(put(records, collection, "replaced", Expect::Nothing).await.unwrap(), 1);
    while records.sweep().await.unwrap() > 0 {}
    assert_eq!(keys(&records.list(collection, "", None, 10).await.unwrap()), ["ever", "long", "replaced"]);
    clock.advance(Duration::from_secs(10));
    assert_eq!(keys(&records.list(collection, "", None, 10).await.unwrap()), ["ever", "replaced"]);
}

/// A listing goes through all keys with a prefix, in the order of their bytes, page by page.
pub(crate) async fn a_listing_goes_through_a_prefix_page_by_page(
    records: &dyn Records,
    _clock: &ManualClock,
) {
    let collection = "listing";
    let within = ["a/", "a/%", "a/*", "a/1", "a/2", "a/[", "a/_", "a/é", "a/鯨", "a/\u{10ffff}"];
    for key in within.iter().rev().chain(&["a", "a.", "a0", "A/1", "b", "é"]) {
        put(records, collection, key, Expect::Nothing).await.unwrap();
    }
    for most in [1, 3, 10, 1_000] {
        let (mut listed, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = records.list(collection, "a/", after.as_deref(), most).await.unwrap();
            assert!(page.items.len() <= most);
            listed.extend(page.items.into_iter().map(|record| record.key));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, within, "in pages of {most}");
    }
    let behind = records.list(collection, "a/", Some("a/2"), 2).await.unwrap();
    assert_eq!(keys(&behind), ["a/[", "a/_"]);
    assert!(records.list(collection, "a/", Some("b"), 10).await.unwrap().items.is_empty());
    // What wildcards mean elsewhere, they do not mean here.
    assert_eq!(keys(&records.list(collection, "a/%", None, 10).await.unwrap()), ["a/%"]);
    assert_eq!(keys(&records.list(collection, "a/*", None, 10).await.unwrap()), ["a/*"]);
}

/// Keys and documents up to the bounds are kept, beyond them refused.
pub(crate) async fn what_is_out_of_bounds_is_refused(records: &dyn Records, _clock: &ManualClock) {
    let collection = "bounds";
    let longest = "k".repeat(MOST_KEY_BYTES);
    let largest = Bytes::from(vec![b'x'; MOST_VALUE_BYTES]);
    records.put(collection, &longest, largest.clone(), Expect::Nothing, None).await.unwrap();
    assert_eq!(records.get(collection, &longest).await.unwrap().unwrap().value, largest);
    let too_large = Bytes::from(vec![b'x'; MOST_VALUE_BYTES + 1]);
    let refused = records.put(collection, "k", too_large, Expect::Anything, None).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    for key in ["", "a\0b", "a\nb", "a\u{7f}", "\u{85}", &"é".repeat(MOST_KEY_BYTES / 2 + 1)] {
        let refused = put(records, collection, key, Expect::Anything).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{key:?}: {refused:?}");
        let refused = records.get(collection, key).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{key:?}: {refused:?}");
        let refused = records.delete(collection, key, Expect::Anything).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{key:?}: {refused:?}");
        let refused = put(records, key, "k", Expect::Anything).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "collection {key:?}: {refused:?}");
    }
    assert_eq!(records.get(collection, "k").await.unwrap(), None);
}
