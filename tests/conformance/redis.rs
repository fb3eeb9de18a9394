//! The fleet's engine: each world a namespace of its own on one server.

use std::sync::Arc;

use presswork::{queue::redis::RedisQueue, store::redis::Redis};

use super::queue::World;
use crate::servers::{fresh_namespace, shared_redis, shared_server};

/// A world in a namespace of its own.
pub(crate) async fn world() -> World {
    let clock = World::clock();
    let queue = RedisQueue::new(shared_redis().await, Some(clock.clone()));
    World::new(Arc::new(queue), clock, ())
}

/// The same, in three shards.
pub(crate) async fn world_of_three_shards() -> World {
    let clock = World::clock();
    let redis = Redis::connect_with(&shared_server().url(), &fresh_namespace(), 3).await.unwrap();
    let queue = RedisQueue::new(redis, Some(clock.clone()));
    World::new(Arc::new(queue), clock, ())
}
