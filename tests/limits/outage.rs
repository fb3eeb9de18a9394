//! Real servers that are killed, frozen and started again, and keys that somebody has spoilt.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{Clock as _, SystemRandom},
    limits::{FallbackLimiter, Health, Limiter, RedisLimiter, Reserved, Settlement},
    store::redis::Redis,
};

use super::worlds::{PATIENT, bucket, clock, rate};
use crate::servers::{RedisServer, shared_redis};

const SECOND: Duration = Duration::from_secs(1);

async fn limiter(
    server: &RedisServer,
    clock: &Arc<presswork::domain::ManualClock>,
    patience: Duration,
) -> FallbackLimiter {
    let redis = Redis::connect(&server.url()).await.unwrap();
    let shared = RedisLimiter::new(redis, Arc::new(SystemRandom)).with_clock(clock.clone());
    FallbackLimiter::with_patience(Arc::new(shared), clock.clone(), Arc::new(SystemRandom), patience)
}

/// Takes nothing until the limiter has found the server again; a deadline ends a test that waits in vain.
async fn until_back(limiter: &FallbackLimiter, clock: &presswork::domain::ManualClock) {
    let back = async {
        while limiter.health() != Health::Well {
            clock.advance(SECOND);
            limiter.level(&bucket("probe", "probe"), rate("1/s")).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_go_on_in_memory_while_redis_is_away_and_return_without_a_restart() {
    let (mut server, clock) = (RedisServer::start_durable(), clock());
    let limiter = limiter(&server, &clock, PATIENT).await;
    let (asked, parked, rate) = (bucket("a", "x"), bucket("a", "parked"), rate("1/h:3"));
    let Reserved::Granted { reservation, .. } =
        limiter.reserve(&asked, rate, 3, 24 * 3_600 * SECOND).await.unwrap()
    else {
        panic!("not granted")
    };
    limiter.park(&parked, 24 * 3_600 * SECOND).await.unwrap();
    assert_eq!(limiter.health(), Health::Well);

    server.kill();
    let since = clock.now();
    let passed = |_| async { limiter.take(&asked, rate, 1).await.unwrap().allowed };
    let mut passing = 0;
    for n in 0..5 {
        passing += usize::from(passed(n).await);
    }
    assert_eq!(passing, 3, "memory lets the burst through and no more");
    assert!(matches!(limiter.health(), Health::Away { since: found, .. } if found == since));
    assert!(!limiter.take(&parked, rate, 1).await.unwrap().allowed, "a park that was seen holds");
    assert_eq!(limiter.settle(&reservation, 0).await.unwrap(), Settlement::Gone);
    let missed = bucket("a", "missed");
    limiter.park(&missed, 24 * 3_600 * SECOND).await.unwrap();

    server.restart();
    until_back(&limiter, &clock).await;
    assert!(!limiter.take(&asked, rate, 1).await.unwrap().allowed, "what the fleet has taken counts again");
    let fleet = Redis::connect(&server.url()).await.unwrap();
    let fleet = RedisLimiter::new(fleet, Arc::new(SystemRandom)).with_clock(clock.clone());
    assert!(fleet.parked(&missed).await.unwrap().is_some(), "a park of the outage is told to the fleet");
    assert!(fleet.parked(&parked).await.unwrap().is_some());
    assert_eq!(limiter.settle(&reservation, 0).await.unwrap(), Settlement::Settled);
    assert!(fleet.take(&asked, rate, 3).await.unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_one_call_its_patience() {
    let (server, clock) = (RedisServer::start(), clock());
    let limiter = limiter(&server, &clock, Duration::from_millis(50)).await;
    server.freeze();
    let (bucket, rate) = (bucket("a", "x"), rate("1/h:1000"));
    // A hundred calls with a patience each would take five seconds; the runtime's own clock says how many did.
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        for _ in 0..100 {
            assert!(limiter.take(&bucket, rate, 1).await.unwrap().allowed);
        }
    });
    waited.await.unwrap();
    let Health::Away { cause, .. } = limiter.health() else { panic!("well") };
    assert_eq!(cause, "no answer within 50ms");
    assert_eq!(limiter.level(&bucket, rate).await.unwrap().remaining, 900);
}

#[tokio::test]
async fn a_spoilt_key_is_a_full_bucket_and_harms_no_other() {
    let redis = shared_redis().await;
    let limiter = RedisLimiter::new(redis.clone(), Arc::new(SystemRandom));
    let rate = rate("1/h:2");
    for (n, spoil) in ["SET", "LPUSH", "SET"].into_iter().enumerate() {
        let tenant: presswork::domain::TenantId = format!("spoilt-{n}").parse().unwrap();
        let bucket = presswork::limits::Bucket::new(&tenant, &"x".parse().unwrap());
        let key = format!("{{{}:limits:{tenant}}}:x", redis.namespace());
        for key in [key.clone(), format!("{key}!park")] {
            redis.command(redis::cmd(spoil).arg(&key).arg("\u{0} nonsense 1 2 3:")).await.unwrap();
        }
        assert!(limiter.take(&bucket, rate, 2).await.unwrap().allowed, "{spoil}");
        assert!(!limiter.take(&bucket, rate, 1).await.unwrap().allowed, "{spoil}");
        assert_eq!(limiter.parked(&bucket).await.unwrap(), None);
    }
}

/// By the server's clock: a bucket's key ends when the bucket is full again, an open reservation's with its time.
#[tokio::test]
async fn every_key_ends_by_itself() {
    let redis = shared_redis().await;
    let limiter = RedisLimiter::new(redis.clone(), Arc::new(SystemRandom));
    let tenant: presswork::domain::TenantId = "acme".parse().unwrap();
    let bucket = presswork::limits::Bucket::new(&tenant, &"x".parse().unwrap());
    limiter.reserve(&bucket, rate("60/min:60"), 30, 20 * SECOND).await.unwrap();
    limiter.park(&bucket, 10 * SECOND).await.unwrap();
    let pattern = format!("{{{}:limits:acme}}:*", redis.namespace());
    let keys = redis.command(redis::cmd("KEYS").arg(pattern)).await.unwrap();
    let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        let left = redis.command(redis::cmd("PTTL").arg(&key)).await.unwrap();
        let left: i64 = redis::from_redis_value(left).unwrap();
        assert!((1..=30_000).contains(&left), "{key}: {left} ms");
    }
}
