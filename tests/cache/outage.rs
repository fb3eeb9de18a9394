//! Real servers that are killed and started again.

use std::time::Duration;

use presswork::{
    cache::{CacheOptions, Reach},
    domain::ManualClock,
    store::breaker::Health,
};

use super::world::{acme, clock, get, load, on, options, put, until};
use crate::servers::RedisServer;

/// Asks until the cache has found the server again and hears of the others.
async fn until_back(cache: &presswork::cache::Cache, clock: &ManualClock) {
    until(|| async {
        clock.advance(options().pause);
        get(&acme(cache), "probe").await;
        cache.health() == Health::Well
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_goes_on_alone_while_redis_is_away_and_the_fleet_is_back_without_a_restart() {
    let (mut server, clock) = (RedisServer::start_durable(), clock());
    let here = on(&server.url(), "pw", &clock, options()).await;
    let there = on(&server.url(), "pw", &clock, options()).await;
    let (mine, theirs) = (acme(&here), acme(&there));
    put(&mine, "before", "value").await;
    assert_eq!(get(&theirs, "before").await.unwrap(), "value");

    server.kill();
    assert_eq!(load(&mine, "during", "here's").await, "here's");
    assert_eq!(load(&mine, "during", "again").await, "here's");
    assert_eq!(get(&mine, "before").await.unwrap(), "value");
    assert!(matches!(here.health(), Health::Away { .. }));
    assert_eq!(mine.invalidate(&"before".parse().unwrap()).await, Reach::Here);
    assert_eq!(get(&mine, "before").await, None);

    server.restart();
    until_back(&here, &clock).await;
    until_back(&there, &clock).await;
    // The invalidation of the outage is told to the fleet before anything is read from it.
    until(|| async { get(&theirs, "before").await.is_none() }).await;
    assert_eq!(get(&mine, "before").await, None);
    assert_eq!(load(&mine, "after", "value").await, "value");
    until(|| async { get(&theirs, "after").await.is_some() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_may_have_missed_an_invalidation_drops_its_memory() {
    let (server, clock) = (RedisServer::start(), clock());
    let here = on(&server.url(), "pw", &clock, options()).await;
    let there = on(&server.url(), "pw", &clock, options()).await;
    put(&acme(&here), "k", "old").await;
    assert_eq!(get(&acme(&there), "k").await.unwrap(), "old");
    // Nobody hears any more; then what is shared is gone without a word.
    let admin = presswork::store::redis::Redis::connect(&server.url()).await.unwrap();
    admin.command(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await.unwrap();
    admin.command(&redis::cmd("FLUSHALL")).await.unwrap();
    until(|| async { get(&acme(&there), "k").await.is_none() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_does_not_hang_the_callers() {
    let (server, clock) = (RedisServer::start(), clock());
    let hurried = CacheOptions { patience: Duration::from_millis(50), ..options() };
    let cache = on(&server.url(), "pw", &clock, hurried).await;
    server.freeze();
    let acme = acme(&cache);
    let calls = async {
        for n in 0..100 {
            assert_eq!(load(&acme, &n.to_string(), "value").await, "value");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), calls).await.unwrap();
    assert!(matches!(cache.health(), Health::Away { .. }));
    assert_eq!(get(&acme, "99").await.unwrap(), "value");
}
