//! Another server takes over as the master, under load.
//!
//! What this can promise: replication of Redis is asynchronous, also in a fail-over that an operator asks for
//! (`SENTINEL FAILOVER` does not stop the old master's clients first). What the old master had answered and not yet passed on is
//! gone: a settlement lost so makes its job run again, and a claim lost so is made again with the same epoch. So what is asserted is this: every job that was accepted and
//! then known to be replicated (`WAIT 1` on the same connection) is there and completed; nobody is left waiting; the fleet
//! goes on by itself; nothing is left behind.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use presswork::{
    domain::{JobId, State},
    queue::{Queue as _, redis::RedisQueue},
    store::redis::Redis,
};
use redis::{FromRedisValue as _, cmd};
use tokio_util::sync::CancellationToken;

use super::{EXPORT, job, load::Load, nothing_is_left, rest, tenant, until};
use crate::servers::{RedisSentinel, fresh_namespace, process::comes_true, redis::SENTINELS_MASTER};

/// Jobs that are known to be on both servers.
type Kept = Arc<Mutex<BTreeSet<JobId>>>;

/// Enqueues jobs, and notes those that have reached the replica.
async fn enqueue_surely(redis: Redis, kept: Kept, closing: CancellationToken) {
    let queue = RedisQueue::new(redis.clone(), None);
    let number = async |command: &redis::Cmd| {
        let answer = redis.command(command).await.ok()?;
        i64::from_redis_value(answer).ok()
    };
    while !closing.is_cancelled() {
        let new = job(&tenant(9), &EXPORT, b"{}");
        let id = new.id;
        // Another connection would know nothing of what this one has written, and promise it all the same.
        let before = number(cmd("CLIENT").arg("ID")).await;
        let accepted = queue.enqueue(vec![new]).await.is_ok_and(|answers| answers[0].is_ok());
        let replicas = number(cmd("WAIT").arg(1).arg(500)).await;
        let after = number(cmd("CLIENT").arg("ID")).await;
        if accepted && replicas >= Some(1) && before.is_some() && before == after {
            kept.lock().unwrap().insert(id);
        } else {
            rest().await;
        }
    }
}

/// Has another server take over in the middle of load.
async fn goes_on(mut break_it: impl FnMut(&mut RedisSentinel)) {
    let (mut sentinel, namespace) = (tokio::task::block_in_place(RedisSentinel::start), fresh_namespace());
    let load = Load::start(&sentinel.url(), &namespace, 1, 2).await;
    let (kept, closing) = (Kept::default(), CancellationToken::new());
    let redis = Redis::connect_with(&sentinel.url(), &namespace, 1).await.unwrap();
    let sure = tokio::spawn(enqueue_surely(redis, kept.clone(), closing.clone()));
    let count = || kept.lock().unwrap().len();
    until("jobs are on both servers", async || count() >= 50).await;
    load.answered(300).await;

    let old = sentinel.master();
    tokio::task::block_in_place(|| break_it(&mut sentinel));
    assert_ne!(sentinel.master(), old);
    load.answered(500).await;
    closing.cancel();
    sure.await.unwrap();

    let book = load.finish_what_is_there().await;
    assert!(book.failures > 0, "nobody noticed");
    let queue = load.queue().await;
    let kept: Vec<JobId> = kept.lock().unwrap().iter().copied().collect();
    for (found, id) in queue.inspect(&tenant(9), &kept).await.unwrap().into_iter().zip(&kept) {
        assert_eq!(found.map(|job| job.state), Some(State::Completed), "{id} was on both servers");
    }
    let port = sentinel.servers[sentinel.master()].port();
    nothing_is_left(&queue, &[port], &namespace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fail_over_that_was_asked_for_the_fleet_goes_on_by_itself() {
    goes_on(|sentinel| {
        let old = sentinel.master();
        let asked =
            || sentinel.sentinels[0].command(&format!("SENTINEL FAILOVER {SENTINELS_MASTER}")) == "+OK";
        assert!(comes_true(asked), "the sentinels refuse");
        assert!(comes_true(|| sentinel.master() != old), "no fail-over");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_masters_death_the_fleet_goes_on_by_itself() {
    goes_on(RedisSentinel::fail_over).await;
}
