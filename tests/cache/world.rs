//! Caches to try.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use presswork::{
    cache::{Cache, CacheKey, CacheOptions, TenantCache},
    domain::{ManualClock, SystemRandom, Timestamp},
    store::redis::Redis,
};

/// How long tests let entries live.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);

/// How long a test waits for something that must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_795_312_058_000)))
}

/// Patient, for a busy machine.
pub(crate) fn options() -> CacheOptions {
    CacheOptions { patience: DEADLINE, ..CacheOptions::default() }
}

pub(crate) fn in_memory(clock: &Arc<ManualClock>) -> Cache {
    Cache::in_memory(options(), clock.clone(), Arc::new(SystemRandom))
}

/// A process' cache on a server, which hears of the others.
pub(crate) async fn on(url: &str, namespace: &str, clock: &Arc<ManualClock>, options: CacheOptions) -> Cache {
    let redis = Redis::connect_with(url, namespace, 1).await.unwrap();
    let cache = Cache::shared(redis, options, clock.clone(), Arc::new(SystemRandom));
    tokio::time::timeout(DEADLINE, cache.hearing()).await.unwrap();
    cache
}

/// Two processes' caches, and a way to what they share.
pub(crate) type Two = (Cache, Cache, Redis);

/// Two processes' caches on the shared server, in a namespace of their own.
pub(crate) async fn two(options: CacheOptions) -> Two {
    two_on(&crate::servers::shared_server().url(), options).await
}

/// The same on the shared cluster.
pub(crate) async fn two_on_a_cluster(options: CacheOptions) -> Two {
    two_on(&crate::servers::shared_cluster_server().url(), options).await
}

async fn two_on(url: &str, options: CacheOptions) -> Two {
    let (clock, namespace) = (clock(), crate::servers::fresh_namespace());
    let here = on(url, &namespace, &clock, options.clone()).await;
    let there = on(url, &namespace, &clock, options).await;
    (here, there, Redis::connect_with(url, &namespace, 1).await.unwrap())
}

pub(crate) fn key(text: &str) -> CacheKey {
    text.parse().unwrap()
}

pub(crate) fn acme(cache: &Cache) -> TenantCache {
    cache.tenant(&"acme".parse().unwrap())
}

pub(crate) async fn put(cache: &TenantCache, name: &str, value: &'static str) {
    cache.put(&key(name), &Bytes::from_static(value.as_bytes()), LONG).await;
}

pub(crate) async fn get(cache: &TenantCache, name: &str) -> Option<String> {
    cache.get(&key(name)).await.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Loads an entry that must not be there: the value that comes back.
pub(crate) async fn load(cache: &TenantCache, name: &str, value: &'static str) -> Bytes {
    let value = Bytes::from_static(value.as_bytes());
    cache.get_or_load(&key(name), LONG, || async { Ok::<_, Infallible>(value) }).await.unwrap()
}

/// Ends once it holds; other processes' doings are looked for, with a deadline.
pub(crate) async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    crate::servers::process::until("it comes", async || holds().await).await;
}
