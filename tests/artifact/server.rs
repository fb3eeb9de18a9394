//! The S3 server of the tests does what S3 does, and breaks what it is told to break: what every test over it rests on.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
    UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder},
    multipart::{MultipartStore as _, PartId},
    path::Path,
};

use crate::servers::s3::{
    ACCESS_KEY, BUCKET, Fault, Matching, Moment, Operation, S3Server, SECRET_KEY, UploadState,
};

/// Somebody else's client, to be told more.
pub(crate) fn client(server: &S3Server) -> AmazonS3Builder {
    // The one TLS provider of this program; that another test has named it before is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
}

/// A client that tells of every fault at once.
fn frank(server: &S3Server) -> AmazonS3 {
    let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    client(server).with_retry(never).build().unwrap()
}

fn part(byte: u8) -> PutPayload {
    PutPayload::from(vec![byte; 5 << 20])
}

#[tokio::test]
async fn objects_are_put_read_in_ranges_listed_and_removed() {
    let server = S3Server::start();
    let store = frank(&server);
    let keys = ["acme/a", "acme/ü ß/b%2F", "other/c"].map(Path::from);
    for key in &keys {
        store.put(key, PutPayload::from_static(b"0123456789")).await.unwrap();
    }
    assert_eq!(store.get_range(&keys[1], 3..6).await.unwrap(), "345");
    assert_eq!(store.head(&keys[0]).await.unwrap().size, 10);
    let below: Vec<_> = store.list(Some(&Path::from("acme"))).try_collect().await.unwrap();
    assert_eq!(below.len(), 2);
    let folders = store.list_with_delimiter(None).await.unwrap().common_prefixes;
    assert_eq!(folders, ["acme", "other"].map(Path::from));
    let removed = store.delete_stream(futures_util::stream::iter(keys.map(Ok)).boxed());
    assert_eq!(removed.try_collect::<Vec<_>>().await.unwrap().len(), 3);
    assert_eq!(server.objects(), []);
    assert!(matches!(store.get(&Path::from("acme/a")).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn who_has_no_key_is_sent_away() {
    let server = S3Server::start();
    frank(&server).put(&Path::from("a"), PutPayload::from_static(b"1")).await.unwrap();
    for store in [
        client(&server).with_skip_signature(true).build().unwrap(),
        client(&server).with_secret_access_key("another").build().unwrap(),
    ] {
        assert!(store.get(&Path::from("a")).await.is_err());
    }
}

#[tokio::test]
async fn parts_become_an_object_and_each_is_counted() {
    let server = S3Server::start();
    let (store, key) = (frank(&server), Path::from("acme/large"));
    let id = store.create_multipart(&key).await.unwrap();
    let mut parts = Vec::new();
    for (place, byte) in [b'a', b'b'].into_iter().enumerate() {
        parts.push(store.put_part(&key, &id, place, part(byte)).await.unwrap());
    }
    store.put_part(&key, &id, 1, part(b'c')).await.unwrap();
    let figures = server.figures();
    assert_eq!((figures.parts_stored(), figures.parts_stored_twice(), figures.parts_sent_again()), (3, 1, 1));
    assert_eq!(figures.uploads(UploadState::Open), 1);
    assert_eq!(server.objects(), [], "nothing is seen before it is whole");

    let refused = store.complete_multipart(&key, &id, parts.clone()).await;
    assert!(refused.is_err(), "the second part has been replaced: its ETag is another");
    parts[1] = store.put_part(&key, &id, 1, part(b'b')).await.unwrap();
    store.complete_multipart(&key, &id, parts.clone()).await.unwrap();
    assert_eq!(server.objects(), [(key.to_string(), 10 << 20)]);
    assert_eq!(server.object(key.as_ref())[5 << 20], b'b');
    assert_eq!(server.figures().uploads(UploadState::Completed), 1);
    assert!(store.complete_multipart(&key, &id, parts).await.is_err(), "it is gone");
}

#[tokio::test]
async fn small_parts_in_the_middle_are_refused_and_an_abort_leaves_nothing() {
    let server = S3Server::start();
    let (store, key) = (frank(&server), Path::from("small"));
    let id = store.create_multipart(&key).await.unwrap();
    let mut parts: Vec<PartId> = Vec::new();
    for place in 0..2 {
        let payload = PutPayload::from_static(b"too small");
        parts.push(store.put_part(&key, &id, place, payload).await.unwrap());
    }
    assert!(store.complete_multipart(&key, &id, parts).await.is_err());
    store.abort_multipart(&key, &id).await.unwrap();
    assert_eq!(server.figures().uploads(UploadState::Aborted), 1);
    assert!(store.put_part(&key, &id, 0, part(b'x')).await.is_err());
    let left = std::fs::read_dir(server.file("").parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "the bucket alone");
}

#[tokio::test]
async fn each_fault_is_met_by_the_request_it_is_meant_for_and_by_no_other() {
    let server = S3Server::start();
    let (store, key) = (frank(&server), Path::from("a"));
    let put = || Matching::operation(Operation::Put);
    let faults = [
        (Fault::InternalError, false),
        (Fault::SlowDown, false),
        (Fault::AccessDenied, false),
        (Fault::CutRequest(100_000), false),
        (Fault::LoseAnswer, true),
    ];
    for (fault, is_done) in faults {
        server.break_one(put(), 2, fault);
        for (round, is_well) in [true, false, true].into_iter().enumerate() {
            let text = Bytes::from(format!("{fault:?} {round} {}", " ".repeat(300_000)));
            let answer = store.put(&key, PutPayload::from(text.clone())).await;
            assert_eq!(answer.is_ok(), is_well, "{fault:?} {round}: {answer:?}");
            assert_eq!(server.object("a") == text, is_well || is_done, "{fault:?} {round}");
        }
    }
    server.break_one(Matching::operation(Operation::Get), 1, Fault::CutAnswer);
    assert!(store.get(&key).await.unwrap().bytes().await.is_err());
    assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap(), server.object("a"));

    server.break_one(put(), 1, Fault::Silence);
    let hasty = ClientOptions::new().with_timeout(Duration::from_millis(300)).with_allow_http(true);
    let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let hasty = client(&server).with_client_options(hasty).with_retry(never).build().unwrap();
    assert!(hasty.put(&key, PutPayload::from_static(b"in vain")).await.is_err());
    assert_ne!(server.object("a"), b"in vain");
}

#[tokio::test]
async fn a_request_is_held_at_the_moment_that_was_asked_for() {
    let server = S3Server::start();
    let (store, key) = (frank(&server), Path::from("a"));
    let put = || Matching::operation(Operation::Put).key("a");
    let moments = [
        (Moment::Arrived, false),
        (Moment::Body(70_000), false),
        (Moment::Whole, false),
        (Moment::Done, true),
    ];
    for (round, (moment, is_done)) in moments.into_iter().enumerate() {
        for goes_on in [false, true] {
            let text = Bytes::from(format!("{round} {goes_on} {}", " ".repeat(200_000)));
            let gate = server.hold(put(), 1, moment);
            let (store, key, payload) = (store.clone(), key.clone(), PutPayload::from(text.clone()));
            let putting = tokio::spawn(async move { store.put(&key, payload).await });
            gate.reached().await;
            assert_eq!(server.objects().len() == 1 && server.object("a") == text, is_done, "{moment:?}");
            if goes_on {
                gate.open()
            } else {
                gate.cut()
            }
            assert_eq!(putting.await.unwrap().is_ok(), goes_on, "{moment:?}");
            assert_eq!(server.object_or_nothing("a") == text, goes_on || is_done, "{moment:?}");
        }
    }
}

#[tokio::test]
async fn an_object_is_replaced_on_the_condition_that_it_is_the_one_that_was_read() {
    let server = S3Server::start();
    let (store, key) = (frank(&server), Path::from("acme/projects/p/book.json"));
    let put = async |text: &'static str, mode: PutMode| {
        store.put_opts(&key, PutPayload::from_static(text.as_bytes()), mode.into()).await
    };
    put("1", PutMode::Create).await.unwrap();
    assert!(matches!(put("2", PutMode::Create).await, Err(Error::AlreadyExists { .. })));
    let first: UpdateVersion = {
        let meta = store.head(&key).await.unwrap();
        UpdateVersion { e_tag: meta.e_tag, version: meta.version }
    };
    put("3", PutMode::Update(first.clone())).await.unwrap();
    assert!(matches!(put("4", PutMode::Update(first)).await, Err(Error::Precondition { .. })));
    assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap(), "3");
}
