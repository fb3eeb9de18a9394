//! What breaks around a fleet: servers, connections, workers, stored values. In each case no job is lost, none is settled
//! twice, and once all is over nothing is left in the server but what is listed in [`STAYS`].

mod child;
mod failover;
mod full;
mod load;
mod migration;
mod planted;
mod replies;
mod restarts;
mod workers;

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{
        JobId, KindName, NewJob, Payload, State, SystemRandom, TenantId, Timestamp,
        clock::{Clock as _, SystemClock},
    },
    queue::{Queue, Retention, redis::RedisQueue},
    store::redis::Redis,
};
use tokio::time::{Instant, sleep};

use crate::servers::{READY_WITHIN, process::until};

const EXPORT: KindName = KindName::literal("export");

/// The last parts of keys that stay for ever: three numbers a shard.
const STAYS: [&str; 3] = ["sequence", "turn", "claims"];

fn tenant(number: u64) -> TenantId {
    format!("tenant-{number}").parse().unwrap()
}

/// A job by the clock of this machine.
fn job(whose: &TenantId, kind: &KindName, payload: &[u8]) -> NewJob {
    let id = JobId::new(SystemClock.now(), &SystemRandom);
    let payload = Payload { version: 1, bytes: payload.to_vec().into() };
    NewJob::new(id, whose.clone(), kind.clone(), payload)
}

/// A queue as a process of its own has it, by the server's clock.
async fn queue(url: &str, namespace: &str, shards: u16) -> Arc<RedisQueue> {
    Arc::new(RedisQueue::new(Redis::connect_with(url, namespace, shards).await.unwrap(), None))
}

/// What a client does that has met an error, or whoever looks at other processes: rests, and tries again.
async fn rest() {
    sleep(Duration::from_millis(10)).await;
}

/// How many jobs have not ended; nothing where the server is away.
async fn unfinished(queue: &RedisQueue) -> Option<u64> {
    let stats = queue.stats(None).await.ok()?;
    Some(State::ALL.into_iter().filter(|state| !state.is_final()).map(|state| stats.count(state)).sum())
}

/// Sends one command to the server at a port.
async fn send<T: redis::FromRedisValue>(port: u16, command: &redis::Cmd) -> T {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// All keys of a namespace on these servers, but for those that stay.
async fn keys(ports: &[u16], namespace: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for port in ports {
        let some: Vec<Vec<u8>> = send(*port, redis::cmd("KEYS").arg(format!("{{{namespace}:*"))).await;
        keys.extend(some.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
    }
    keys.retain(|key| !STAYS.iter().any(|stays| key.ends_with(&format!("}}:{stays}"))));
    keys.sort();
    keys
}

/// Removes all that has ended; then nothing may be left.
async fn nothing_is_left(queue: &RedisQueue, ports: &[u16], namespace: &str) {
    assert_eq!(unfinished(queue).await, Some(0));
    let retention = Retention::before(Timestamp::from_micros(1 << 53));
    until("the sweep has nothing to do", async || queue.sweep(&retention).await.unwrap().removed == 0).await;
    let mut left = Vec::new();
    // Who has waited and stopped takes itself off in the background; who was killed is taken off in some seconds.
    let parts = [":asleep:", ":wake:", ":timer:"];
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        left = keys(ports, namespace).await;
        if !left.iter().any(|key| parts.iter().any(|part| key.contains(part))) {
            break;
        }
        rest().await;
    }
    assert_eq!(left, [""; 0], "left behind");
    assert!(queue.stats(None).await.unwrap().lanes.is_empty());
}
