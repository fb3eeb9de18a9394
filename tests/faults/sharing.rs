//! Two handles on one file, each with threads of its own, as two processes have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier, Mutex},
};

use presswork::{
    domain::{JobId, State},
    queue::{Enqueued, Queue, Settled},
    store::sqlite::Database,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::conformance::queue::world::done;

const BATCHES: usize = 40;
const BATCH: usize = 5;

/// Enqueues batches, the first job of each under a key that the other process uses too; the ids that were accepted.
async fn produce(queue: Arc<SqliteQueue>) -> Vec<JobId> {
    let mut accepted = Vec::new();
    for batch in 0..BATCHES {
        let mut jobs: Vec<NewJob> = (0..BATCH).map(|_| job()).collect();
        jobs[0].idempotency_key = Some(format!("batch-{batch}").parse().unwrap());
        for answer in queue.enqueue(jobs).await.unwrap() {
            if let Enqueued::Accepted(id) = answer.unwrap() {
                accepted.push(id);
            }
        }
    }
    accepted
}

/// Claims and finishes until told that everything is done; counts how often each job was claimed.
async fn work(
    queue: Arc<SqliteQueue>,
    claimed: Arc<Mutex<BTreeMap<JobId, u32>>>,
    finished: CancellationToken,
) {
    let kinds = [EXPORT];
    while !finished.is_cancelled() {
        let claims = queue.claim(&worker(), &ask(7)).await.unwrap();
        for claim in &claims {
            *claimed.lock().unwrap().entry(claim.job.id).or_default() += 1;
        }
        if claims.is_empty() {
            tokio::select! {
                waited = queue.wait(&kinds) => waited.unwrap(),
                () = finished.cancelled() => return,
            }
            continue;
        }
        let settlements = claims.into_iter().map(|claim| (claim.lease, done())).collect();
        for settled in queue.settle(settlements).await.unwrap() {
            assert_eq!(settled, Settled::Now(State::Completed));
        }
        let expected = 2 * BATCHES * BATCH - BATCHES;
        if queue.stats(None).await.unwrap().count(State::Completed) == expected as u64 {
            finished.cancel();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_enqueue_and_claim_at_once_lose_no_job_and_run_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let queues = [Arc::new(queue(folder.path())), Arc::new(queue(folder.path()))];
    let (claimed, finished) = (Arc::<Mutex<BTreeMap<JobId, u32>>>::default(), CancellationToken::new());
    let mut producers = Vec::new();
    let mut workers = Vec::new();
    for queue in &queues {
        producers.push(tokio::spawn(produce(queue.clone())));
        for _ in 0..2 {
            workers.push(tokio::spawn(work(queue.clone(), claimed.clone(), finished.clone())));
        }
    }
    let mut accepted = Vec::new();
    for producer in producers {
        accepted.extend(producer.await.unwrap());
    }
    for worker in workers {
        worker.await.unwrap();
    }
    accepted.sort();
    let claimed = claimed.lock().unwrap();
    // Of two that brought the same key, one was accepted: the numbers fit only then.
    assert_eq!(accepted.len(), 2 * BATCHES * BATCH - BATCHES);
    assert_eq!(claimed.keys().copied().collect::<Vec<_>>(), accepted);
    assert!(claimed.values().all(|times| *times == 1), "{claimed:?}");
}

#[test]
fn processes_that_open_a_new_file_at_once_all_get_it() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let (count, together) = (4, Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| {
                    together.wait();
                    let _opened: Arc<Database> = database(folder.path());
                });
            }
        });
    }
}
