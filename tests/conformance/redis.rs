//! The fleet's engine: each world a namespace of its own on one server.

use std::sync::Arc;

use presswork::{progress::redis::RedisProgress, queue::redis::RedisQueue, store::redis::Redis};

use super::{jobs::ProgressWorld, queue::World};
use crate::servers::{fresh_namespace, shared_cluster, shared_cluster_server, shared_redis, shared_server};

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
    let mut world = World::new(Arc::new(queue), clock, ());
    world.has_kind_caps = false;
    world
}

/// A world on the cluster, its shards on all nodes.
pub(crate) async fn world_on_a_cluster() -> World {
    let clock = World::clock();
    let queue = RedisQueue::new(shared_cluster().await, Some(clock.clone()));
    let mut world = World::new(Arc::new(queue), clock, ());
    world.has_kind_caps = false;
    world
}

/// Progress in a namespace of its own.
pub(crate) async fn progress_world() -> ProgressWorld {
    progress_on(&shared_server().url(), 1).await
}

/// The same on the cluster.
pub(crate) async fn progress_world_on_a_cluster() -> ProgressWorld {
    progress_on(&shared_cluster_server().url(), 3).await
}

/// Progress in a namespace of its own, wherever a URL leads.
pub(crate) async fn progress_on(url: &str, shards: u16) -> ProgressWorld {
    progress_in(url, &fresh_namespace(), shards).await
}

/// Progress in this namespace.
pub(crate) async fn progress_in(url: &str, namespace: &str, shards: u16) -> ProgressWorld {
    let clock = World::clock();
    let here = Redis::connect_with(url, namespace, shards).await.unwrap();
    let there = Redis::connect_with(url, namespace, shards).await.unwrap();
    let queue = RedisQueue::new(here.clone(), Some(clock.clone()));
    let bus = |redis| Arc::new(RedisProgress::new(redis, Some(clock.clone())));
    ProgressWorld::new(bus(here), bus(there), Arc::new(queue), clock.clone(), ())
}
