//! The artifact pipeline on an S3 server that fails: what is passed over is as if it had not been; what stays is told,
//! after a bounded number of tries, and nothing of it is seen.

use std::{sync::Arc, time::Duration};

use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use presswork::{
    artifact::{ArtifactError, ArtifactStore, PART_BYTES, Storage},
    domain::{ArtifactPointer, Encoding},
};

use crate::{
    content, job, options, read,
    server::client,
    servers::s3::{Fault, Matching, Moment, Operation, S3Server},
    tenant,
};

/// How often a request is tried again.
const RETRIES: usize = 3;

/// The artifacts on an S3 server, by a client of little patience.
fn store(server: &S3Server) -> ArtifactStore {
    let (init_backoff, max_backoff) = (Duration::from_millis(1), Duration::from_millis(5));
    let retries = RetryConfig {
        backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
        max_retries: RETRIES,
        retry_timeout: Duration::from_secs(60),
    };
    let hasty = ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(2));
    let s3 = Arc::new(client(server).with_retry(retries).with_client_options(hasty).build().unwrap());
    ArtifactStore::new(Storage::new(s3.clone(), s3))
}

async fn write(store: &ArtifactStore, epoch: u64, plain: &[u8]) -> Result<ArtifactPointer, ArtifactError> {
    let name = "x".parse().unwrap();
    let mut writer = store.create(&tenant(), job(), epoch, &name, options(Encoding::None)).await?;
    for piece in plain.chunks(100_003) {
        writer.write(piece).await?;
    }
    writer.finish().await
}

/// What each step of a large artifact asks of the storage; the last one is its manifest.
const STEPS: [Operation; 4] =
    [Operation::CreateUpload, Operation::UploadPart, Operation::CompleteUpload, Operation::Put];

#[tokio::test]
async fn one_fault_at_any_step_changes_nothing() {
    let (server, plain) = (S3Server::start(), content(2 * PART_BYTES + 99));
    let store = store(&server);
    let faults = [
        Fault::InternalError,
        Fault::SlowDown,
        Fault::CutRequest(40),
        Fault::CutAnswer,
        Fault::LoseAnswer,
        Fault::Silence,
    ];
    let mut epoch = 0;
    for operation in STEPS {
        for fault in faults {
            epoch += 1;
            server.break_one(Matching::operation(operation), 1, fault);
            let mut pointer = write(&store, epoch, &plain).await;
            if (operation, fault) == (Operation::CreateUpload, Fault::CutAnswer) {
                // `object_store` does not ask again for an answer whose head was well. The job's next attempt does.
                assert!(matches!(pointer, Err(ArtifactError::Storage { .. })), "{pointer:?}");
                pointer = write(&store, epoch, &plain).await;
            }
            let pointer = pointer.unwrap_or_else(|error| panic!("{operation:?} {fault:?}: {error}"));
            assert!(read(&store, &pointer).await.unwrap() == plain, "{operation:?} {fault:?}");
            let manifest = store.manifest(&pointer).await.unwrap();
            assert_eq!(server.object(&manifest.object).len(), plain.len(), "{operation:?} {fault:?}");
            server.behave();
        }
    }
}

#[tokio::test]
async fn a_small_artifact_gets_over_a_lost_answer_too() {
    let server = S3Server::start();
    let store = store(&server);
    for (epoch, fault) in (1..).zip([Fault::LoseAnswer, Fault::CutAnswer, Fault::InternalError]) {
        server.break_one(Matching::operation(Operation::Put), 1, fault);
        let pointer = write(&store, epoch, b"small").await.unwrap();
        assert_eq!(read(&store, &pointer).await.unwrap(), b"small");
    }
}

#[tokio::test]
async fn a_fault_that_stays_is_told_after_a_bounded_number_of_tries_and_nothing_is_seen() {
    let (server, plain) = (S3Server::start(), content(3 * PART_BYTES));
    let store = store(&server);
    let mut epoch = 0;
    for operation in STEPS {
        for fault in [Fault::InternalError, Fault::SlowDown, Fault::AccessDenied, Fault::CutRequest(40)] {
            epoch += 1;
            let before = server.figures().arrived(operation);
            server.break_many(Matching::operation(operation), 1, u32::MAX, fault);
            let error = write(&store, epoch, &plain).await.unwrap_err();
            assert!(matches!(error, ArtifactError::Storage { .. }), "{operation:?} {fault:?}: {error}");
            let tries = server.figures().arrived(operation) - before;
            // Two parts may be on their way.
            assert!(tries as usize <= 2 * (RETRIES + 1), "{operation:?} {fault:?}: {tries} tries");
            let manifests = server.objects().into_iter().filter(|(key, _)| key.contains(".manifests"));
            assert_eq!(manifests.count(), 0, "{operation:?} {fault:?}");
            server.behave();
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_while_an_artifact_is_read_is_asked_for_again() {
    let (server, plain) = (S3Server::start(), content(PART_BYTES));
    let store = store(&server);
    let pointer = write(&store, 1, &plain).await.unwrap();
    // The first is the manifest.
    for nth in [1, 2] {
        server.break_one(Matching::operation(Operation::Get), nth, Fault::CutAnswer);
        let read = read(&store, &pointer).await;
        assert!(read.is_ok_and(|read| read == plain), "request {nth}");
        server.behave();
    }
}

#[tokio::test]
async fn parts_go_up_side_by_side_and_never_more_than_the_memory_holds() {
    let (server, plain) = (S3Server::start(), content(6 * PART_BYTES));
    let store = store(&server);
    // Held until another one is on its way as well.
    let first = server.hold(Matching::operation(Operation::UploadPart).part(1), 1, Moment::Done);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { write(&store, 1, &plain).await }
    });
    server.until("two parts on their way", |figures| figures.most_parts_at_once >= 2).await;
    first.open();
    writing.await.unwrap().unwrap();
    assert_eq!(server.figures().most_parts_at_once, 2);
}
