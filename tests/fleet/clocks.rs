//! Workers whose clocks are wrong.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{Clock as _, ManualClock, State, Timestamp, Verdict, WorkerId},
    queue::{Ask, Queue as _, redis::RedisQueue},
    store::redis::Redis,
};

use crate::{
    conformance::queue::world::{EXPORT, LEASE, World, retry, tenant},
    servers::shared_redis,
};

const HOUR: Duration = Duration::from_secs(3_600);

async fn server_time(redis: &Redis) -> Timestamp {
    let time = redis.command(&redis::cmd("TIME")).await.unwrap();
    let (seconds, micros): (i64, i64) = redis::from_redis_value(time).unwrap();
    Timestamp::from_micros(seconds * 1_000_000 + micros)
}

/// Years ahead, and years behind.
#[tokio::test]
async fn a_worker_whose_clock_is_wrong_puts_jobs_off_by_the_right_time() {
    for wrong in ["2050-01-01T00:00:00Z", "2000-01-01T00:00:00Z"] {
        let redis = shared_redis().await;
        let own = Arc::new(ManualClock::at(wrong.parse().unwrap()));
        let queue = Arc::new(RedisQueue::new(redis.clone(), None).with_own_clock(own.clone()));
        let (world, acme) = (World::new(queue.clone(), World::clock(), ()), tenant("acme"));
        let ids = world.exports(&acme, 2).await;
        let ask = Ask { kinds: vec![EXPORT], most: 2, lease: LEASE };
        let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
        let later = own.now().after(HOUR);
        let verdicts = [retry(later), Verdict::Snooze { until: own.now() }];
        let settlements: Vec<_> =
            claims.iter().zip(verdicts).map(|(claim, verdict)| (claim.lease.clone(), verdict)).collect();
        let before = server_time(&redis).await;
        let settled = queue.settle(settlements.clone()).await.unwrap();
        let after = server_time(&redis).await;
        assert_eq!(queue.settle(settlements).await.unwrap(), settled, "repeated, it is answered as it was");
        let job = world.inspect(&acme, ids[0]).await;
        assert_eq!(job.state, State::Retrying);
        assert!((before.after(HOUR)..=after.after(HOUR)).contains(&job.run_at), "{} {before}", job.run_at);
        // Handed back: at once.
        let again = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
        assert_eq!(again.iter().map(|claim| claim.job.id).collect::<Vec<_>>(), ids[1..]);
    }
}
