//! Records on Redis: each world a namespace of its own on one server; and what only this engine has to keep.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use presswork::{
    domain::{Clock as _, ManualClock},
    store::{
        Expect, Records as _, StoreError,
        redis::{Redis, RedisRecords},
    },
};
use redis::{FromRedisValue, cmd};

use super::queue::World;
use crate::servers::{RedisServer, fresh_namespace, shared_cluster, shared_redis};

/// Records in a new namespace.
pub(crate) struct RecordsWorld {
    pub(crate) records: RedisRecords,
    pub(crate) clock: Arc<ManualClock>,
    redis: Redis,
}

/// Records in a new namespace.
pub(crate) async fn world() -> RecordsWorld {
    world_on(shared_redis().await)
}

/// The same on a cluster.
pub(crate) async fn world_on_a_cluster() -> RecordsWorld {
    world_on(shared_cluster().await)
}

fn world_on(redis: Redis) -> RecordsWorld {
    let clock = World::clock();
    RecordsWorld { records: RedisRecords::new(redis.clone(), Some(clock.clone())), clock, redis }
}

/// Schedules in a new namespace; their jobs go into a file.
pub(crate) async fn schedules_world() -> super::schedules::World {
    let world = super::sqlite::schedules_world().await;
    let records = RedisRecords::new(shared_redis().await, Some(world.clock.clone()));
    super::schedules::World { records: Arc::new(records), ..world }
}

impl RecordsWorld {
    async fn put_for(&self, collection: &str, key: &str, time: Duration) {
        let end = Some(self.clock.now().after(time));
        self.records.put(collection, key, Bytes::from_static(b"{}"), Expect::Anything, end).await.unwrap();
    }

    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        T::from_redis_value(self.redis.command(command).await.unwrap()).unwrap()
    }

    /// The keys of the namespace but for the list of collections to sweep.
    async fn keys(&self) -> Vec<String> {
        let mut keys = cmd("KEYS");
        keys.arg(format!("{{{}:records:*", self.redis.namespace()));
        self.ask(&keys).await
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn nothing_is_left_of_what_has_expired_and_was_swept() {
    let world = world().await;
    for n in 0..600 {
        world.put_for("a", &format!("{n:03}"), SECOND).await;
        world.put_for("b}", &format!("{n:03}"), SECOND).await;
    }
    world.clock.advance(SECOND);
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(world.records.sweep().await.unwrap());
    }
    assert_eq!(swept, [500, 500, 200, 0]);
    assert!(world.keys().await.is_empty());
}

#[tokio::test]
async fn writes_clear_away_what_nobody_sweeps() {
    let world = world().await;
    for n in 0..8 {
        world.put_for("c", &n.to_string(), SECOND).await;
    }
    world.clock.advance(SECOND);
    for key in ["x", "y"] {
        world.records.put("c", key, Bytes::new(), Expect::Nothing, None).await.unwrap();
    }
    let mut count = cmd("ZCARD");
    count.arg(format!("{{{}:records:c}}:keys", world.redis.namespace()));
    assert_eq!(world.ask::<usize>(&count).await, 2);
}

#[tokio::test]
async fn a_page_of_large_or_expired_documents_ends_early_and_goes_on() {
    let world = world().await;
    let large = Bytes::from(vec![7; presswork::store::MOST_VALUE_BYTES]);
    for n in 0..6 {
        world.records.put("c", &format!("z{n}"), large.clone(), Expect::Nothing, None).await.unwrap();
    }
    let page = world.records.list("c", "", None, 10).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (4, Some("z3")));
    let rest = world.records.list("c", "", Some("z3"), 10).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (2, None));

    for n in 0..5_100 {
        world.put_for("c", &format!("{n:04}"), SECOND).await;
    }
    world.clock.advance(SECOND);
    let empty = world.records.list("c", "", None, 1).await.unwrap();
    assert_eq!((empty.items.len(), empty.next.as_deref()), (0, Some("4999")));
    let page = world.records.list("c", "", Some("4999"), 1).await.unwrap();
    assert_eq!((page.items[0].key.as_str(), page.next.as_deref()), ("z0", Some("z0")));
}

#[tokio::test]
async fn without_a_clock_the_time_of_the_server_counts() {
    let redis = shared_redis().await;
    let records = RedisRecords::new(redis.clone(), None);
    let now: (i64, i64) =
        FromRedisValue::from_redis_value(redis.command(&cmd("TIME")).await.unwrap()).unwrap();
    let now = presswork::domain::Timestamp::from_micros(now.0 * 1_000_000 + now.1);
    let hour = Duration::from_secs(3_600);
    // In this order: a write clears away what has expired before it.
    for (key, end) in [("future", now.after(hour)), ("past", now)] {
        records.put("c", key, Bytes::new(), Expect::Nothing, Some(end)).await.unwrap();
    }
    assert_eq!(records.get("c", "past").await.unwrap(), None);
    assert!(records.get("c", "future").await.unwrap().is_some());
    assert_eq!(records.sweep().await.unwrap(), 1);
}

/// Scripts are sent again, and the sweep finds its collections again.
#[tokio::test]
async fn a_server_that_was_emptied_is_used_on() {
    let server = RedisServer::start();
    let world = world_on(Redis::connect_with(&server.url(), &fresh_namespace(), 1).await.unwrap());
    world.put_for("c", "k", SECOND).await;
    for command in ["FLUSHALL", "SCRIPT FLUSH"] {
        assert_eq!(server.ask(command).unwrap(), "+OK");
    }
    assert_eq!(world.records.get("c", "k").await.unwrap(), None);
    world.put_for("c", "k", SECOND).await;
    world.clock.advance(SECOND);
    assert_eq!(world.records.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn a_planted_document_is_named_corrupt_and_its_neighbours_are_read() {
    let world = world().await;
    world.records.put("c", "fine", Bytes::from_static(b"1"), Expect::Nothing, None).await.unwrap();
    let mut plant = cmd("HSET");
    plant.arg(format!("{{{}:records:c}}:documents", world.redis.namespace())).arg("k").arg("hunter2");
    world.ask::<i64>(&plant).await;
    let mut known = cmd("ZADD");
    known.arg(format!("{{{}:records:c}}:keys", world.redis.namespace())).arg(0).arg("k");
    world.ask::<i64>(&known).await;
    let error = world.records.get("c", "k").await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(!error.to_string().contains("hunter2"));
    assert!(world.records.get("c", "fine").await.unwrap().is_some());
    // It hides no other, and can be removed or written over by who takes anything.
    let listed = world.records.list("c", "", None, 10).await.unwrap();
    assert_eq!(listed.items.iter().map(|record| record.key.as_str()).collect::<Vec<_>>(), ["fine"]);
    for expect in [Expect::Nothing, Expect::Version(1)] {
        let refused = world.records.delete("c", "k", expect).await;
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    }
    assert!(world.records.delete("c", "k", Expect::Anything).await.unwrap());
    world.ask::<i64>(&plant).await;
    assert_eq!(world.records.put("c", "k", Bytes::new(), Expect::Anything, None).await.unwrap(), 1);
}
