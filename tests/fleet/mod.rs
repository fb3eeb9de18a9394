//! What only a fleet's engine has: shards, and values that somebody has spoilt.

mod bounds;
mod clocks;
mod losses;
mod reading;
mod sleepers;
mod spoilt;

use std::sync::Arc;

use presswork::{
    domain::JobId,
    queue::{QueueError, redis::RedisQueue},
    store::redis::Redis,
};

use crate::{
    conformance::queue::World,
    servers::{RedisServer, fresh_namespace, shared_server},
};

/// A world on Redis, and the way past its queue.
pub(crate) struct Fleet {
    pub(crate) world: World,
    redis: Redis,
}

impl Fleet {
    /// An empty one with so many shards.
    pub(crate) async fn of(shards: u16) -> Self {
        Self::on(shared_server(), shards).await
    }

    /// The same on a server of one's own.
    pub(crate) async fn on(server: &RedisServer, shards: u16) -> Self {
        Self::through(&server.url(), shards).await
    }

    /// The same by a way of one's own.
    pub(crate) async fn through(url: &str, shards: u16) -> Self {
        let redis = Redis::connect_with(url, &fresh_namespace(), shards).await.unwrap();
        let clock = World::clock();
        let queue = RedisQueue::new(redis.clone(), Some(clock.clone()));
        Self { world: World::new(Arc::new(queue), clock, ()), redis }
    }

    /// Sends a command about a key of the first shard.
    pub(crate) async fn send(&self, command: &str, key: &str, arguments: &[&[u8]]) {
        self.ask(command, key, arguments).await;
    }

    /// The same; what the server answers.
    pub(crate) async fn ask(&self, command: &str, key: &str, arguments: &[&[u8]]) -> redis::Value {
        let mut sent = redis::cmd(command);
        sent.arg(format!("{{{}:0}}:{key}", self.redis.namespace()));
        for argument in arguments {
            sent.arg(argument);
        }
        self.redis.command(&sent).await.unwrap()
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
