//! Writes on a condition, on servers that keep conditions, take no notice of them or refuse them.

use std::sync::Arc;

use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
    aws::{AmazonS3Builder, S3ConditionalPut},
    path::Path,
};
use presswork::artifact::Storage;

use super::server::client;
use crate::servers::s3::{Conditioned, Fault, Matching, Operation, S3Server};

const ALL: [Conditioned; 5] = [
    Conditioned::Kept,
    Conditioned::Ignored,
    Conditioned::Invalid,
    Conditioned::NotAllowed,
    Conditioned::NotImplemented,
];

/// A storage as the program opens it, told of every fault at once.
fn opened(builder: AmazonS3Builder) -> Arc<dyn ObjectStore> {
    let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let s3 = Arc::new(builder.with_retry(never).build().unwrap());
    Storage::new(s3.clone(), s3).with_conditions_tried().objects().clone()
}

/// What an object says and which version that is.
async fn version(objects: &Arc<dyn ObjectStore>, key: &Path) -> (u64, UpdateVersion) {
    let got = objects.get(key).await.unwrap();
    let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
    let text = got.bytes().await.unwrap();
    (String::from_utf8(text.into()).unwrap().parse().unwrap(), version)
}

fn replacing(version: UpdateVersion) -> PutOptions {
    PutMode::Update(version).into()
}

/// Makes an object, replaces it, and is refused both again.
async fn one_after_another(objects: &Arc<dyn ObjectStore>, key: &Path, what: &str) {
    let create = async |text: &'static str| {
        objects.put_opts(key, PutPayload::from(text), PutMode::Create.into()).await
    };
    create("1").await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let twice = create("2").await.unwrap_err();
    assert!(matches!(twice, Error::AlreadyExists { .. }), "{what}: {twice}");
    let (_, first) = version(objects, key).await;
    objects.put_opts(key, "3".into(), replacing(first.clone())).await.unwrap();
    let late = objects.put_opts(key, "4".into(), replacing(first)).await.unwrap_err();
    assert!(matches!(late, Error::Precondition { .. }), "{what}: {late}");
    let (number, third) = version(objects, key).await;
    assert_eq!(number, 3, "{what}");
    objects.delete(key).await.unwrap();
    let gone = objects.put_opts(key, "5".into(), replacing(third)).await.unwrap_err();
    assert!(matches!(gone, Error::Precondition { .. }), "{what}: {gone}");
    assert!(objects.head(key).await.is_err(), "{what}: nothing comes back");
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_not_written_over_whatever_the_server_makes_of_conditions() {
    let key = Path::from("acme/projects/novel/book.json");
    for conditioned in ALL {
        let server = S3Server::start();
        server.condition(conditioned);
        one_after_another(&opened(client(&server)), &key, &format!("{conditioned:?}")).await;
    }
    let server = S3Server::start();
    let off = client(&server).with_conditional_put(S3ConditionalPut::Disabled);
    one_after_another(&opened(off), &key, "off").await;
    assert_eq!(server.objects(), [], "who says that there are none is spared the trial");
}

#[tokio::test]
async fn a_server_is_tried_out_once() {
    for conditioned in ALL {
        let server = S3Server::start();
        server.condition(conditioned);
        let (objects, key) = (opened(client(&server)), Path::from("count"));
        objects.put(&key, "1".into()).await.unwrap();
        let puts = || server.figures().arrived(Operation::Put);
        let replace = async || {
            let (number, seen) = version(&objects, &key).await;
            objects.put_opts(&key, (number + 1).to_string().into(), replacing(seen)).await.unwrap();
        };
        let before = puts();
        replace().await;
        assert!(puts() - before <= 7, "{conditioned:?}: {} writes for the first", puts() - before);
        for _ in 0..3 {
            let before = puts();
            replace().await;
            assert_eq!(puts() - before, 1, "{conditioned:?}");
        }
        assert_eq!(version(&objects, &key).await.0, 5, "{conditioned:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tasks_that_change_an_object_at_once_none_loses_its_change_with_or_without_conditions() {
    for conditioned in [Conditioned::Kept, Conditioned::Ignored] {
        let server = S3Server::start();
        server.condition(conditioned);
        let (objects, key) = (opened(client(&server)), Path::from("count"));
        objects.put(&key, "0".into()).await.unwrap();
        for task in (0..12).map(|_| tokio::spawn(add_one(objects.clone(), key.clone()))).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(version(&objects, &key).await.0, 12, "{conditioned:?}");
    }
}

/// Counts on from what an object says, however often somebody else is faster.
async fn add_one(objects: Arc<dyn ObjectStore>, key: Path) {
    loop {
        let (number, seen) = version(&objects, &key).await;
        let next = (number + 1).to_string().into();
        match objects.put_opts(&key, next, replacing(seen)).await {
            Ok(_) => return,
            Err(Error::Precondition { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn of_a_trial_that_failed_nothing_is_learnt() {
    let (server, key) = (S3Server::start(), Path::from("a"));
    let mark = || Matching::operation(Operation::Put).key(".presswork/");
    let create = |objects: Arc<dyn ObjectStore>| {
        let key = key.clone();
        async move { objects.put_opts(&key, "1".into(), PutMode::Create.into()).await }
    };
    // In the middle of a trial; and where it refuses everything, not the condition alone.
    for (conditioned, nth) in [(Conditioned::Kept, 2), (Conditioned::NotAllowed, 2)] {
        server.condition(conditioned);
        let objects = opened(client(&server));
        server.break_one(mark(), nth, Fault::InternalError);
        assert!(create(objects.clone()).await.is_err(), "{conditioned:?}");
        server.condition(Conditioned::Kept);
        create(objects.clone()).await.unwrap();
        let before = server.figures().arrived(Operation::Head);
        assert!(matches!(create(objects.clone()).await, Err(Error::AlreadyExists { .. })));
        assert_eq!(server.figures().arrived(Operation::Head), before, "the server keeps it by itself");
        objects.delete(&key).await.unwrap();
    }
    // A refusal that passes, on a server that takes no notice of conditions: the next one finds out.
    server.condition(Conditioned::Ignored);
    let objects = opened(client(&server));
    server.break_one(mark(), 1, Fault::AccessDenied);
    create(objects.clone()).await.unwrap();
    assert!(matches!(create(objects.clone()).await, Err(Error::AlreadyExists { .. })));
    objects.delete(&key).await.unwrap();
    server.condition(Conditioned::Kept);
    // Who may not try relies on the server.
    let objects = opened(client(&server));
    server.break_many(mark(), 1, u32::MAX, Fault::AccessDenied);
    create(objects.clone()).await.unwrap();
    assert!(matches!(create(objects).await, Err(Error::AlreadyExists { .. })));
}
