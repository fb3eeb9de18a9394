//! Two processes' caches on one Redis: one function a promise, for every kind of Redis.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use presswork::cache::{CacheOptions, Reach};
use redis::cmd;
use tokio::{sync::Notify, task::JoinSet};

use super::world::{LONG, Two, acme, get, key, load, options, put, until};

pub(crate) async fn what_one_process_has_loaded_the_other_finds(two: impl AsyncFn(CacheOptions) -> Two) {
    let (here, there, _) = two(options()).await;
    assert_eq!(load(&acme(&here), "k", "value").await, "value");
    assert_eq!(load(&acme(&there), "k", "another").await, "value");
    assert_eq!(get(&acme(&there), "k").await.unwrap(), "value");
    let statistics = there.statistics();
    assert_eq!((statistics.shared_hits, statistics.memory_hits, statistics.loads), (1, 1, 0));
}

pub(crate) async fn of_many_who_ask_in_two_processes_one_loads(two: impl AsyncFn(CacheOptions) -> Two) {
    let (here, there, _) = two(options()).await;
    let (loads, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut callers = JoinSet::new();
    for n in 0..40 {
        let cache = acme(if n % 2 == 0 { &here } else { &there });
        let (loads, open) = (loads.clone(), open.clone());
        callers.spawn(async move {
            let load = || async {
                loads.fetch_add(1, SeqCst);
                open.notified().await;
                Ok::<_, Infallible>(Bytes::from_static(b"value"))
            };
            cache.get_or_load(&key("k"), LONG, load).await.unwrap()
        });
    }
    until(|| async { loads.load(SeqCst) > 0 && here.loading() + there.loading() == 2 }).await;
    open.notify_one();
    assert!(callers.join_all().await.iter().all(|value| value == "value"));
    assert_eq!(loads.load(SeqCst), 1);
    assert_eq!(here.statistics().loads + there.statistics().loads, 1);
}

pub(crate) async fn a_loader_that_gives_up_hands_over_to_another_process(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    let (here, there, _) = two(options()).await;
    let started = Arc::new(Notify::new());
    let (cache, begun) = (acme(&here), started.clone());
    let hanging = tokio::spawn(async move {
        let load = || async {
            begun.notify_one();
            std::future::pending::<Result<Bytes, Infallible>>().await
        };
        cache.get_or_load(&key("k"), LONG, load).await
    });
    started.notified().await;
    let cache = acme(&there);
    let waiting = tokio::spawn(async move { load(&cache, "k", "there's").await });
    until(|| async { there.loading() == 1 }).await;
    hanging.abort();
    assert_eq!(waiting.await.unwrap(), "there's");
}

pub(crate) async fn a_loader_that_has_crashed_delays_others_no_longer_than_its_right_holds(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    let (here, _, redis) = two(options()).await;
    // What a crashed process leaves behind.
    let lock = format!("{{{}:cache:acme}}:l:k", redis.namespace());
    redis.command(cmd("SET").arg(&lock).arg("a crashed one's").arg("PX").arg(300)).await.unwrap();
    assert_eq!(load(&acme(&here), "k", "value").await, "value");
    // One that would never end is given an end.
    let short = CacheOptions { hold: Duration::from_millis(300), ..options() };
    let (here, _, redis) = two(short).await;
    let lock = format!("{{{}:cache:acme}}:l:k", redis.namespace());
    redis.command(cmd("SET").arg(&lock).arg("nobody's")).await.unwrap();
    assert_eq!(load(&acme(&here), "k", "value").await, "value");
}

pub(crate) async fn the_right_to_load_is_kept_for_as_long_as_the_load_takes(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    // Long enough that a busy machine does not end it.
    let short = CacheOptions { hold: Duration::from_secs(6), ..options() };
    let (here, there, redis) = two(short).await;
    let (open, started) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (cache, opened, begun) = (acme(&here), open.clone(), started.clone());
    let loading = tokio::spawn(async move {
        let load = || async {
            begun.notify_one();
            opened.notified().await;
            Ok::<_, Infallible>(Bytes::from_static(b"here's"))
        };
        cache.get_or_load(&key("k"), LONG, load).await.unwrap()
    });
    started.notified().await;
    let cache = acme(&there);
    let waiting = tokio::spawn(async move { load(&cache, "k", "there's").await });
    // The time that it has left goes down, but for a renewal.
    let lock = format!("{{{}:cache:acme}}:l:k", redis.namespace());
    let left = || async {
        let left = redis.command(cmd("PTTL").arg(&lock)).await.unwrap();
        redis::from_redis_value::<i64>(left).unwrap()
    };
    for _ in 0..2 {
        let least = AtomicI64::new(left().await);
        until(|| async {
            let left = left().await;
            left > least.fetch_min(left, SeqCst)
        })
        .await;
    }
    open.notify_one();
    assert_eq!(loading.await.unwrap(), "here's");
    assert_eq!(waiting.await.unwrap(), "here's");
    assert_eq!(there.statistics().loads, 0);
}

pub(crate) async fn an_invalidation_reaches_the_other_process_memory_and_what_is_shared(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    let (here, there, redis) = two(options()).await;
    let (mine, theirs) = (acme(&here), acme(&there));
    let other = there.tenant(&"other".parse().unwrap());
    for name in ["chapter:1", "chapter:2", "chapters", "ch[a]pter:?"] {
        put(&mine, name, "old").await;
        assert_eq!(get(&theirs, name).await.unwrap(), "old");
        put(&other, name, "other's").await;
    }
    assert_eq!(mine.invalidate(&"chapter:*".parse().unwrap()).await, Reach::Everywhere);
    // In Redis at once; in the other's memory as soon as it hears of it.
    for name in ["chapter:1", "chapter:2"] {
        assert_eq!(get(&mine, name).await, None);
        until(|| async { get(&theirs, name).await.is_none() }).await;
    }
    assert_eq!(get(&theirs, "chapters").await.unwrap(), "old");
    assert_eq!(mine.invalidate(&(&key("ch[a]pter:?")).into()).await, Reach::Everywhere);
    until(|| async { get(&theirs, "ch[a]pter:?").await.is_none() }).await;
    assert_eq!(get(&theirs, "chapters").await.unwrap(), "old");
    mine.invalidate(&"*".parse().unwrap()).await;
    until(|| async { get(&theirs, "chapters").await.is_none() }).await;
    for name in ["chapter:1", "chapter:2", "chapters", "ch[a]pter:?"] {
        assert_eq!(get(&other, name).await.unwrap(), "other's");
    }
    let left =
        redis.command(cmd("ZCARD").arg(format!("{{{}:cache:acme}}:i", redis.namespace()))).await.unwrap();
    assert_eq!(left, redis::Value::Int(0));
}

pub(crate) async fn a_large_invalidation_goes_batch_by_batch(two: impl AsyncFn(CacheOptions) -> Two) {
    let (here, there, _) = two(options()).await;
    let mine = acme(&here);
    for n in 0..1_500 {
        put(&mine, &format!("{}:{n}", if n % 3 == 0 { "keep" } else { "drop" }), "x").await;
    }
    mine.invalidate(&"drop:*".parse().unwrap()).await;
    for n in 0..1_500 {
        let name = format!("{}:{n}", if n % 3 == 0 { "keep" } else { "drop" });
        assert_eq!(get(&acme(&there), &name).await.is_some(), n % 3 == 0, "{name}");
    }
}

pub(crate) async fn what_another_process_invalidates_during_a_load_is_not_shared(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    let (here, there, _) = two(options()).await;
    let (mine, theirs) = (acme(&here), acme(&there));
    let during = || async {
        theirs.invalidate(&"k*".parse().unwrap()).await;
        Ok::<_, Infallible>(Bytes::from_static(b"old"))
    };
    assert_eq!(mine.get_or_load(&key("k"), LONG, during).await.unwrap(), "old");
    assert_eq!(get(&theirs, "k").await, None);
    assert_eq!(get(&mine, "k").await, None);
}

pub(crate) async fn tenants_never_see_each_other_in_redis_either(two: impl AsyncFn(CacheOptions) -> Two) {
    let (here, there, _) = two(options()).await;
    let other = there.tenant(&"other".parse().unwrap());
    for name in ["k", "other:k", "}:v:k", "{other}", "v:k", "acme"] {
        put(&acme(&here), name, "acme's").await;
        assert_eq!(get(&other, name).await, None, "{name}");
    }
}

pub(crate) async fn a_poisoned_value_is_a_miss(two: impl AsyncFn(CacheOptions) -> Two) {
    let (here, there, redis) = two(options()).await;
    let (mine, tag) = (acme(&here), format!("{{{}:cache:acme}}", redis.namespace()));
    put(&mine, "real", "value").await;
    // Nonsense, another type, and a real entry in another's place.
    let copy = || {
        let mut copy = cmd("COPY");
        copy.arg(format!("{tag}:v:real")).arg(format!("{tag}:v:k")).arg("REPLACE");
        copy
    };
    let set = |value: &'static str| {
        let mut set = cmd("SET");
        set.arg(format!("{tag}:v:k")).arg(value).arg("PX").arg(100_000);
        set
    };
    let mut list = cmd("LPUSH");
    list.arg(format!("{tag}:v:k")).arg("x");
    let mut spoilt_index = cmd("SET");
    spoilt_index.arg(format!("{tag}:i")).arg("x");
    let mut spoilt_generation = cmd("SET");
    spoilt_generation.arg(format!("{tag}:g")).arg("x");
    for (n, spoil) in
        [set(""), set("nonsense"), set("PWC1nonsense"), list, copy(), spoilt_index, spoilt_generation]
            .into_iter()
            .enumerate()
    {
        mine.invalidate(&(&key("k")).into()).await;
        redis.command(&spoil).await.unwrap();
        assert_eq!(get(&acme(&there), "k").await, None, "{n}");
        redis.command(&spoil).await.unwrap();
        assert_eq!(load(&mine, "k", "value").await, "value", "{n}");
        assert_eq!(get(&mine, "k").await.unwrap(), "value", "{n}");
    }
    assert!(here.statistics().errors + there.statistics().errors > 0);
}

pub(crate) async fn what_the_fleet_shares_is_bounded_and_ends_by_itself(
    two: impl AsyncFn(CacheOptions) -> Two,
) {
    let small = CacheOptions { most_shared_entries: 20, most_shared_value: 1_000, ..options() };
    let (here, there, redis) = two(small).await;
    let mine = acme(&here);
    for n in 0..200 {
        put(&mine, &n.to_string(), "x").await;
    }
    mine.put(&key("large"), &Bytes::from(vec![0; 1_001]), LONG).await;
    assert!(mine.get(&key("large")).await.is_some());
    assert!(acme(&there).get(&key("large")).await.is_none());
    let pattern = format!("{{{}:cache:acme}}:*", redis.namespace());
    let keys = redis.command(cmd("KEYS").arg(pattern)).await.unwrap();
    let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
    assert_eq!(keys.len(), 21, "{keys:?}");
    for key in keys {
        let left = redis.command(cmd("PTTL").arg(&key)).await.unwrap();
        let left: i64 = redis::from_redis_value(left).unwrap();
        assert!((1..=3_600_000).contains(&left), "{key}: {left} ms");
    }
}
