//! The way to Redis: what it is like when servers die, hang, move, and ask for certificates and passwords.

mod channels;
mod cluster;
mod findings;
mod outages;
mod pops;
mod progress;
mod secrets;

use presswork::store::redis::{Redis, Script};
use redis::{RedisError, Value, cmd};

use crate::servers::{RedisServer, fresh_namespace};

/// A namespace of its own on a server.
async fn redis(server: &RedisServer) -> Redis {
    Redis::connect_with(&server.url(), &fresh_namespace(), 1).await.unwrap()
}

async fn set(redis: &Redis, key: &str, value: &str) -> Result<Value, RedisError> {
    redis.command(cmd("SET").arg(key).arg(value)).await
}

async fn get(redis: &Redis, key: &str) -> String {
    match redis.command(cmd("GET").arg(key)).await.unwrap() {
        Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Counts up `<key>:count` and answers the number.
fn counting() -> Script {
    Script::new("count", &["return redis.call('INCR', KEYS[1] .. ':count')"])
}

/// Tries until it works; the store's own deadlines bound each try.
async fn until_it_works<T, F: Future<Output = Result<T, RedisError>>>(mut work: impl FnMut() -> F) -> T {
    let deadline = std::time::Instant::now() + crate::servers::READY_WITHIN;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}
