//! How idle workers sleep, and that none sleeps through an arrival.
//!
//! A waiter looks and lies down in one script (`lua/await.lua`), so nothing comes in between; then it blocks on a list of
//! its own. Whoever makes a lane ready takes one sleeper of the kind off and pushes to its list; a claim that leaves something
//! wakes the next: an arrival never wakes the fleet. One sleeper of a kind keeps the time of what time will bring. A waiter
//! that goes away passes on what it had (`lua/leave.lua`); should it die, the others look again within [`LONGEST`].
//!
//! With several shards a waiter lies down on each, and any of them wakes it.
//!
//! Owns: sleepers. Must not know: how jobs are claimed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::{
    future::try_join_all,
    stream::{FuturesUnordered, StreamExt as _},
};

use super::{RedisQueue, answer::Answer, queue_error, scripts};
use crate::{
    domain::{KindName, Random as _, SystemRandom},
    queue::QueueError,
    store::redis::Redis,
};

/// A look at least so often, whatever is heard.
const LONGEST: Duration = Duration::from_secs(5);
/// Timers are no finer.
const SHORTEST: Duration = Duration::from_millis(1);

/// Names for the waiters of one queue.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Tells the process apart.
    own: u64,
    last: AtomicU64,
}

impl Waiters {
    pub(super) fn new() -> Self {
        let mut own = [0; 8];
        SystemRandom.fill(&mut own);
        Self { own: u64::from_be_bytes(own), last: AtomicU64::new(0) }
    }

    fn name(&self) -> String {
        format!("{:016x}-{}", self.own, self.last.fetch_add(1, Ordering::Relaxed))
    }
}

/// Waits until a claim of these kinds may get something.
pub(super) async fn wait(queue: &RedisQueue, kinds: &[KindName]) -> Result<(), QueueError> {
    let mut kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let waiter = queue.waiters.name();
    let sleeper = format!("{waiter} {}", kinds.join(" "));
    let mut bed =
        Bed { redis: &queue.redis, sleeper: &sleeper, kinds: &kinds, shards: queue.shards(), is_empty: true };
    loop {
        bed.is_empty = false;
        let Some(nap) = lie_down(queue, &sleeper, &kinds).await? else {
            // On a shard without work it may still lie.
            bed.is_empty = queue.shards() == 1;
            return Ok(());
        };
        if sleep(queue, &waiter, nap).await? {
            bed.is_empty = queue.shards() == 1;
            return Ok(());
        }
    }
}

/// Looks on every shard and lies down there; how long, or nothing where there is work already.
async fn lie_down(queue: &RedisQueue, sleeper: &str, kinds: &[&str]) -> Result<Option<Duration>, QueueError> {
    let mut arguments = queue.arguments();
    arguments.push(sleeper.as_bytes().to_vec());
    arguments.push(LONGEST.as_micros().to_string().into_bytes());
    arguments.extend(kinds.iter().map(|kind| kind.as_bytes().to_vec()));
    let arguments = &arguments[..];
    let looks =
        (0..queue.shards()).map(|shard| queue.run("look for jobs", &scripts::AWAIT, shard, arguments));
    let mut nap = LONGEST;
    for answer in try_join_all(looks).await? {
        let mut answer = Answer::of(answer)?;
        if answer.flag() {
            return Ok(None);
        }
        let micros = answer.number().and_then(|micros| u64::try_from(micros).ok());
        nap = nap.min(micros.map_or(LONGEST, Duration::from_micros));
    }
    Ok(Some(nap.max(SHORTEST)))
}

/// Blocks until some shard wakes the waiter; whether one did.
async fn sleep(queue: &RedisQueue, waiter: &str, nap: Duration) -> Result<bool, QueueError> {
    let mut beds: FuturesUnordered<_> = (0..queue.shards())
        .map(|shard| {
            let list = format!("{}:wake:{waiter}", queue.tag(shard));
            async move { queue.redis.pop_blocking(list.as_bytes(), nap.as_secs_f64()).await }
        })
        .collect();
    while let Some(popped) = beds.next().await {
        if popped.map_err(|error| queue_error("wait for jobs", error))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a waiter lies: dropped, it has left, or leaves in the background.
struct Bed<'a> {
    redis: &'a Redis,
    sleeper: &'a str,
    kinds: &'a [&'a str],
    shards: u16,
    is_empty: bool,
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_empty {
            return;
        }
        let mut arguments = vec![Vec::new(), self.sleeper.as_bytes().to_vec()];
        arguments.extend(self.kinds.iter().map(|kind| kind.as_bytes().to_vec()));
        let (redis, shards) = (self.redis.clone(), self.shards);
        runtime.spawn(async move {
            for shard in 0..shards {
                let tag = super::keys::tag(redis.namespace(), shard);
                // Should it fail, the others look again in a few seconds.
                drop(redis.run(&scripts::LEAVE, tag.as_bytes(), &arguments).await);
            }
        });
    }
}
