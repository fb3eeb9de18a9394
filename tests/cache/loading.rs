//! Who loads, within a process.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use presswork::cache::{Cache, CacheStatistics, Warmed};
use tokio::{sync::Notify, task::JoinSet};

use super::world::{LONG, acme, clock, get, in_memory, key, load, options, put, until};

#[tokio::test]
async fn of_many_who_ask_at_one_time_one_loads() {
    let cache = in_memory(&clock());
    let (loads, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, loads, open) = (acme(&cache), loads.clone(), open.clone());
        callers.spawn(async move {
            let load = || async {
                loads.fetch_add(1, SeqCst);
                open.notified().await;
                Ok::<_, Infallible>(Bytes::from_static(b"value"))
            };
            cache.get_or_load(&key("k"), LONG, load).await.unwrap()
        });
    }
    until(|| async { loads.load(SeqCst) > 0 }).await;
    open.notify_one();
    assert!(callers.join_all().await.iter().all(|value| value == "value"));
    assert_eq!(loads.load(SeqCst), 1);
    let CacheStatistics { loads, misses, memory_hits, joined, entries, .. } = cache.statistics();
    assert_eq!((loads, misses, memory_hits + joined, entries), (1, 1, 99, 1));
    assert_eq!(cache.loading(), 0);
}

#[tokio::test]
async fn a_loader_that_fails_or_is_dropped_or_panics_hands_over_to_the_next() {
    let cache = in_memory(&clock());
    let started = Arc::new(Notify::new());
    let caller = |cache: presswork::cache::TenantCache, how: &'static str, started: Arc<Notify>| async move {
        let load = || async {
            started.notify_one();
            match how {
                "hangs" => std::future::pending().await,
                "panics" => panic!("on purpose"),
                "fails" => Err("failed"),
                value => Ok(Bytes::from_static(value.as_bytes())),
            }
        };
        cache.get_or_load(&key("k"), LONG, load).await
    };
    let hanging = tokio::spawn(caller(acme(&cache), "hangs", started.clone()));
    started.notified().await;
    let others: Vec<_> = ["fails", "panics", "value", "other"]
        .map(|how| (how, tokio::spawn(caller(acme(&cache), how, started.clone()))))
        .into();
    // They stand in line before the first one is dropped.
    until(|| async {
        tokio::task::yield_now().await;
        cache.loading() == 1
    })
    .await;
    hanging.abort();
    for (how, caller) in others {
        match how {
            "fails" => assert_eq!(caller.await.unwrap(), Err("failed")),
            "panics" => assert!(caller.await.unwrap_err().is_panic()),
            _ => assert_eq!(caller.await.unwrap().unwrap(), "value"),
        }
    }
    let CacheStatistics { loads, failed_loads, .. } = cache.statistics();
    assert_eq!((loads, failed_loads, cache.loading()), (1, 3, 0));
}

#[tokio::test]
async fn an_entry_lives_as_long_as_it_was_given() {
    let clock = clock();
    let cache = in_memory(&clock);
    let acme = acme(&cache);
    put(&acme, "k", "one").await;
    clock.advance(LONG - Duration::from_micros(1));
    assert_eq!(get(&acme, "k").await.unwrap(), "one");
    clock.advance(Duration::from_micros(1));
    assert_eq!(get(&acme, "k").await, None);
    assert_eq!(load(&acme, "k", "two").await, "two");
    // Nothing lives for ever.
    acme.put(&key("k"), &Bytes::from_static(b"x"), Duration::MAX).await;
    clock.advance(options().longest_life);
    assert_eq!(get(&acme, "k").await, None);
}

#[tokio::test]
async fn what_is_invalidated_while_it_is_loaded_is_not_kept() {
    let cache = in_memory(&clock());
    let acme = acme(&cache);
    let during = || async {
        acme.invalidate(&"chapter:*".parse().unwrap()).await;
        // Who comes now must not be given what is being loaded, nor wait for it.
        assert_eq!(load(&acme, "chapter:1", "new").await, "new");
        Ok::<_, Infallible>(Bytes::from_static(b"old"))
    };
    let value = acme.get_or_load(&key("chapter:1"), LONG, during).await.unwrap();
    assert_eq!(value, "old");
    assert_ne!(get(&acme, "chapter:1").await.as_deref(), Some("old"));
}

#[tokio::test]
async fn a_warm_up_loads_what_is_missing_so_many_at_a_time() {
    let cache = in_memory(&clock());
    let acme = acme(&cache);
    put(&acme, "0", "there").await;
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let keys = (0..20).map(|n| key(&n.to_string()));
    let load = |key: presswork::cache::CacheKey| {
        let (now, most) = (&now, &most);
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, SeqCst);
            if key.as_str() == "7" { Err("no chapter 7") } else { Ok(Bytes::from(key.to_string())) }
        }
    };
    let warmed = acme.warm(keys, LONG, 4, load).await;
    assert_eq!(warmed, Warmed { present: 1, loaded: 18, failed: 1 });
    assert_eq!(most.load(SeqCst), 4);
    assert_eq!(get(&acme, "19").await.unwrap(), "19");
}

#[tokio::test]
async fn tenants_never_see_each_other() {
    let cache: Cache = in_memory(&clock());
    let (one, other) = (acme(&cache), cache.tenant(&"other".parse().unwrap()));
    for name in ["k", "other:k", "../other/k", "other", "}other{", "acme"] {
        put(&one, name, "acme's").await;
        assert_eq!(get(&other, name).await, None, "{name}");
        assert_eq!(load(&other, name, "other's").await, "other's", "{name}");
        other.invalidate(&"*".parse().unwrap()).await;
        assert_eq!(get(&one, name).await.unwrap(), "acme's", "{name}");
    }
}
