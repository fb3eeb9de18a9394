//! What only a fleet's engine has: shards, and values that somebody has spoilt.

mod clocks;
mod reading;
mod spoilt;

use std::sync::Arc;

use presswork::{
    domain::JobId,
    queue::{QueueError, redis::RedisQueue},
    store::redis::Redis,
};

use crate::{
    conformance::queue::World,
    servers::{fresh_namespace, shared_server},
};

/// A world on Redis, and the way past its queue.
pub(crate) struct Fleet {
    pub(crate) world: World,
    redis: Redis,
}

impl Fleet {
    /// An empty one with so many shards.
    pub(crate) async fn of(shards: u16) -> Self {
        let redis = Redis::connect_with(&shared_server().url(), &fresh_namespace(), shards).await.unwrap();
        let clock = World::clock();
        let queue = RedisQueue::new(redis.clone(), Some(clock.clone()));
        Self { world: World::new(Arc::new(queue), clock, ()), redis }
    }

    /// Sends a command about a key of the first shard.
    pub(crate) async fn send(&self, command: &str, key: &str, arguments: &[&[u8]]) {
        let mut sent = redis::cmd(command);
        sent.arg(format!("{{{}:0}}:{key}", self.redis.namespace()));
        for argument in arguments {
            sent.arg(argument);
        }
        self.redis.command(&sent).await.unwrap();
    }
}

/// A job's id as it is stored.
pub(crate) fn stored(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// What an operation was refused or failed with, in words.
pub(crate) fn problem<T>(answer: Result<T, QueueError>) -> String {
    answer.err().expect("it went well").to_string()
}
