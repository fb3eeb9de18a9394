//! Waiting without polling: it may end early, it never misses what follows. A law that is broken here hangs, and the
//! runner's limit ends it.

use std::future::Future;

use presswork::{
    domain::{JobId, NewJob, TenantLimits},
    queue::Scope,
};

use super::world::{EXPORT, World, dead, done, retry, tenant};

/// A worker that waits until it gets an export.
async fn work(world: &World) -> JobId {
    loop {
        world.queue.wait(&[EXPORT]).await.unwrap();
        if let Some(claim) = world.claim(1).await.pop() {
            return claim.job.id;
        }
    }
}

/// Lets the worker begin to wait, then does something that gives it a job.
async fn work_while(world: &World, something: impl Future<Output = ()>) -> JobId {
    let after_a_while = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        something.await;
    };
    tokio::join!(work(world), after_a_while).0
}

pub(crate) async fn waiting_ends_at_once_where_there_is_work(world: &World) {
    let id = world.exports(&tenant("acme"), 1).await[0];
    assert_eq!(work(world).await, id);
}

pub(crate) async fn waiting_ends_at_once_where_a_delay_is_over(world: &World) {
    let acme = tenant("acme");
    let at = world.in_seconds(60);
    let id = world.submit(NewJob { run_at: Some(at), ..world.job(&acme, &EXPORT) }).await;
    world.advance(60);
    assert_eq!(work(world).await, id);
}

pub(crate) async fn an_arrival_ends_the_waiting(world: &World) {
    let acme = tenant("acme");
    for _ in 0..5 {
        let job = world.job(&acme, &EXPORT);
        let id = job.id;
        let arrival = async {
            world.submit(job).await;
        };
        assert_eq!(work_while(world, arrival).await, id);
    }
}

pub(crate) async fn every_waiting_worker_gets_its_job(world: &World) {
    let acme = tenant("acme");
    let arrivals = async {
        for _ in 0..6 {
            tokio::task::yield_now().await;
            world.exports(&acme, 1).await;
        }
    };
    let workers = futures_util::future::join_all((0..6).map(|_| work(world)));
    let (mut got, ()) = tokio::join!(workers, arrivals);
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 6);
}

pub(crate) async fn a_freed_cap_ends_the_waiting(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_running: Some(1), ..TenantLimits::default() }).await;
    let ids = world.exports(&acme, 2).await;
    let first = world.claim_one().await;
    let settled = async {
        world.settle(&first.lease, done()).await;
    };
    assert_eq!(work_while(world, settled).await, ids[1]);
}

pub(crate) async fn resuming_ends_the_waiting(world: &World) {
    let id = world.exports(&tenant("acme"), 1).await[0];
    world.queue.pause(&Scope::Everything).await.unwrap();
    let resumed = async { world.queue.resume(&Scope::Everything).await.unwrap() };
    assert_eq!(work_while(world, resumed).await, id);
}

pub(crate) async fn a_retry_that_is_due_ends_the_waiting(world: &World) {
    let id = world.exports(&tenant("acme"), 1).await[0];
    let claim = world.claim_one().await;
    let retried = async {
        world.settle(&claim.lease, retry(world.now())).await;
    };
    assert_eq!(work_while(world, retried).await, id);
}

pub(crate) async fn a_requeue_ends_the_waiting(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    world.settle(&world.claim_one().await.lease, dead()).await;
    let requeued = async { drop(world.queue.requeue(&acme, &[id]).await.unwrap()) };
    assert_eq!(work_while(world, requeued).await, id);
}

pub(crate) async fn a_completion_that_unblocks_ends_the_waiting(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await;
    let claim = world.claim_one().await;
    let last = world.submit(NewJob { after: first, ..world.job(&acme, &EXPORT) }).await;
    assert_eq!(work_while(world, world.finish(&[claim])).await, last);
}

pub(crate) async fn the_end_of_a_batch_ends_the_waiting(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 1);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = Some(world.open_batch(new).await);
    world.submit(NewJob { batch, ..world.job(&acme, &EXPORT) }).await;
    let claim = world.claim_one().await;
    assert_eq!(work_while(world, world.finish(&[claim])).await, callback);
}
