//! One function a promise of [`Limiter`], for every engine.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{Random as _, Rate, SeededRandom, SystemRandom},
    limits::{Bucket, Limiter, MemoryLimiter, Reservation, Reserved, Settlement},
};
use tokio::task::JoinSet;

use super::worlds::{World, bucket, rate};

const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn passes(limiter: &dyn Limiter, bucket: &Bucket, rate: Rate, cost: u32) -> bool {
    limiter.take(bucket, rate, cost).await.unwrap().allowed
}

async fn reserve(world: &World, bucket: &Bucket, rate: Rate, estimate: u32, hold: Duration) -> Reservation {
    match world.here.reserve(bucket, rate, estimate, hold).await.unwrap() {
        Reserved::Granted { reservation, .. } => reservation,
        Reserved::Denied(decision) => panic!("{decision:?}"),
    }
}

async fn remaining(world: &World, bucket: &Bucket, rate: Rate) -> u32 {
    world.there.level(bucket, rate).await.unwrap().remaining
}

pub(crate) async fn a_burst_is_exact_however_many_take_at_once(world: &World) {
    let (bucket, rate) = (bucket("many", "x"), rate("10/min:25"));
    let mut takers = JoinSet::new();
    for n in 0..100 {
        let limiter = if n % 2 == 0 { world.here.clone() } else { world.there.clone() };
        let bucket = bucket.clone();
        takers.spawn(async move { limiter.take(&bucket, rate, 1).await.unwrap() });
    }
    let answers = takers.join_all().await;
    // Those who ask at the same time may be answered by one call: each as if he had asked alone.
    let passed = answers.iter().filter(|answer| answer.allowed);
    let mut left: Vec<u32> = passed.map(|answer| answer.remaining).collect();
    left.sort_unstable();
    assert_eq!(left, (0..25).collect::<Vec<_>>());
    for refused in answers.iter().filter(|answer| !answer.allowed) {
        assert_eq!((refused.remaining, refused.retry_after), (0, seconds(6)));
    }
}

pub(crate) async fn in_an_hour_no_more_than_the_rate_and_a_burst_passes(world: &World) {
    let (bucket, rate) = (bucket("hour", "x"), rate("10/min:5"));
    let mut passed = 0;
    // Every seven seconds and a bit, so that takers and tokens don't march in step; greedy each time.
    let turns = 3_600_000 / 7_300;
    for turn in 0..turns {
        let limiter = if turn % 2 == 0 { &world.here } else { &world.there };
        while passes(&**limiter, &bucket, rate, 1).await {
            passed += 1;
        }
        world.clock.advance(Duration::from_millis(7_300));
    }
    assert!((598..=605).contains(&passed), "{passed}");
}

pub(crate) async fn a_cost_above_the_burst_waits_for_a_full_bucket_and_leaves_a_debt(world: &World) {
    let (bucket, rate) = (bucket("dear", "x"), rate("1/s:2"));
    assert!(passes(&*world.here, &bucket, rate, 1).await);
    let refused = world.here.take(&bucket, rate, 10).await.unwrap();
    assert_eq!((refused.allowed, refused.retry_after), (false, seconds(1)));
    world.clock.advance(seconds(1));
    assert!(passes(&*world.here, &bucket, rate, 10).await);
    world.clock.advance(seconds(8));
    assert_eq!(remaining(world, &bucket, rate).await, 0);
    world.clock.advance(seconds(1));
    assert_eq!(remaining(world, &bucket, rate).await, 1);
}

pub(crate) async fn a_decision_tells_what_a_client_needs(world: &World) {
    let (bucket, rate) = (bucket("headers", "x"), rate("60/min:10"));
    let taken = world.here.take(&bucket, rate, 4).await.unwrap();
    assert_eq!((taken.allowed, taken.limit, taken.remaining), (true, 10, 6));
    assert_eq!((taken.retry_after, taken.reset, taken.parked), (Duration::ZERO, seconds(4), None));
    let refused = world.there.take(&bucket, rate, 9).await.unwrap();
    assert_eq!((refused.allowed, refused.limit, refused.remaining), (false, 10, 6));
    assert_eq!((refused.retry_after, refused.reset, refused.parked), (seconds(3), seconds(4), None));
    let seen = world.there.level(&bucket, rate).await.unwrap();
    assert_eq!((seen.allowed, seen.remaining, seen.reset), (true, 6, seconds(4)));
}

pub(crate) async fn buckets_are_apart(world: &World) {
    let rate = rate("1/h:1");
    for (scope, resource) in [("a", "x"), ("b", "x"), ("a", "y")] {
        assert!(passes(&*world.here, &bucket(scope, resource), rate, 1).await);
        assert!(!passes(&*world.there, &bucket(scope, resource), rate, 1).await);
    }
}

pub(crate) async fn a_changed_rate_is_in_force_at_once(world: &World) {
    let bucket = bucket("changed", "x");
    assert!(passes(&*world.here, &bucket, rate("1/d:1"), 1).await);
    let refused = world.here.take(&bucket, rate("10/s:1"), 1).await.unwrap();
    assert_eq!(refused.retry_after, Duration::from_millis(100));
    world.clock.advance(refused.retry_after);
    assert!(passes(&*world.there, &bucket, rate("10/s:1"), 1).await);
}

pub(crate) async fn a_settlement_gives_back_what_was_not_needed(world: &World) {
    let (bucket, rate) = (bucket("back", "x"), rate("60/min:100"));
    let reservation = reserve(world, &bucket, rate, 80, HOUR).await;
    assert_eq!(remaining(world, &bucket, rate).await, 20);
    assert_eq!(world.there.settle(&reservation, 30).await.unwrap(), Settlement::Settled);
    assert_eq!(remaining(world, &bucket, rate).await, 70);
}

pub(crate) async fn a_settlement_takes_what_was_too_little(world: &World) {
    let (bucket, rate) = (bucket("more", "x"), rate("60/min:100"));
    let reservation = reserve(world, &bucket, rate, 80, HOUR).await;
    assert_eq!(world.here.settle(&reservation, 110).await.unwrap(), Settlement::Settled);
    let refused = world.there.take(&bucket, rate, 1).await.unwrap();
    assert_eq!((refused.remaining, refused.retry_after), (0, seconds(11)));
}

pub(crate) async fn a_reservation_is_settled_once(world: &World) {
    let (bucket, rate) = (bucket("once", "x"), rate("60/min:100"));
    let reservation = reserve(world, &bucket, rate, 80, HOUR).await;
    // Another one open, so that the bucket has something to remember.
    reserve(world, &bucket, rate, 1, HOUR).await;
    assert_eq!(world.here.settle(&reservation, 30).await.unwrap(), Settlement::Settled);
    for actual in [0, 30, 1_000] {
        assert_eq!(world.there.settle(&reservation, actual).await.unwrap(), Settlement::Gone);
    }
    assert_eq!(remaining(world, &bucket, rate).await, 69);
}

pub(crate) async fn a_reservation_that_is_never_settled_expires_and_counts_as_the_estimate(world: &World) {
    let (bucket, rate) = (bucket("expires", "x"), rate("60/min:100"));
    let reservation = reserve(world, &bucket, rate, 80, seconds(10)).await;
    world.clock.advance(seconds(10));
    assert_eq!(world.here.settle(&reservation, 0).await.unwrap(), Settlement::Gone);
    assert_eq!(remaining(world, &bucket, rate).await, 30);
}

pub(crate) async fn what_would_have_been_spilled_does_not_come_back(world: &World) {
    let (bucket, rate) = (bucket("spilled", "x"), rate("60/min:10"));
    let first = reserve(world, &bucket, rate, 5, HOUR).await;
    // Full again; without the reservation it would have been full all the time.
    world.clock.advance(seconds(5));
    assert!(passes(&*world.here, &bucket, rate, 10).await);
    assert_eq!(world.here.settle(&first, 0).await.unwrap(), Settlement::Settled);
    assert_eq!(remaining(world, &bucket, rate).await, 0);
}

/// A long random course on the engine and on the rule in memory, side by side.
pub(crate) async fn every_engine_answers_as_the_rule_does(world: &World) {
    let random = SeededRandom::new(11);
    let rule = MemoryLimiter::new(world.clock.clone(), Arc::new(SystemRandom));
    let bucket = bucket("course", "x");
    let rates = [rate("5/s:20"), rate("7/s:20"), rate("3/min:4")];
    let mut open: Vec<(Reservation, Reservation)> = Vec::new();
    for turn in 0..600 {
        world.clock.advance(Duration::from_micros(random.below(900_000)));
        let rate = rates[usize::from(turn > 300) + usize::from(turn > 450)];
        let cost = u32::try_from(random.below(12)).unwrap();
        match random.below(8) {
            0 | 1 => {
                let (one, other) = (world.here.take(&bucket, rate, cost), rule.take(&bucket, rate, cost));
                assert_eq!(one.await.unwrap(), other.await.unwrap(), "turn {turn}");
            }
            2..5 => {
                let hold = Duration::from_secs(random.below(20));
                let one = world.there.reserve(&bucket, rate, cost, hold).await.unwrap();
                let other = rule.reserve(&bucket, rate, cost, hold).await.unwrap();
                assert_eq!(one.decision(), other.decision(), "turn {turn}");
                if let (
                    Reserved::Granted { reservation: one, .. },
                    Reserved::Granted { reservation: other, .. },
                ) = (one, other)
                {
                    open.push((one, other));
                }
            }
            5 | 6 if !open.is_empty() => {
                let which = usize::try_from(random.below(open.len() as u64)).unwrap();
                let (one, other) = open.remove(which);
                let (one, other) = (world.here.settle(&one, cost), rule.settle(&other, cost));
                assert_eq!(one.await.unwrap(), other.await.unwrap(), "turn {turn}");
            }
            _ => {
                let (one, other) = (world.there.level(&bucket, rate), rule.level(&bucket, rate));
                assert_eq!(one.await.unwrap(), other.await.unwrap(), "turn {turn}");
            }
        }
    }
}

pub(crate) async fn a_park_holds_elsewhere_at_once_and_until_its_time(world: &World) {
    let (parked, other, rate) = (bucket("a", "model:key"), bucket("b", "model:key"), rate("10/s:10"));
    assert_eq!(world.there.parked(&parked).await.unwrap(), None);
    world.here.park(&parked, seconds(60)).await.unwrap();
    // The later time wins.
    world.there.park(&parked, seconds(30)).await.unwrap();
    for limiter in [&world.there, &world.here] {
        assert_eq!(limiter.parked(&parked).await.unwrap(), Some(seconds(60)));
        let refused = limiter.take(&parked, rate, 1).await.unwrap();
        assert_eq!(
            (refused.allowed, refused.retry_after, refused.parked),
            (false, seconds(60), Some(seconds(60)))
        );
        let refused = limiter.reserve(&parked, rate, 1, HOUR).await.unwrap();
        assert!(matches!(refused, Reserved::Denied(_)), "{refused:?}");
        assert_eq!(limiter.level(&parked, rate).await.unwrap().parked, Some(seconds(60)));
        assert!(passes(&**limiter, &other, rate, 1).await);
    }
    world.clock.advance(seconds(60) - Duration::from_micros(1));
    assert!(!passes(&*world.there, &parked, rate, 1).await);
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(world.there.parked(&parked).await.unwrap(), None);
    assert!(passes(&*world.there, &parked, rate, 10).await, "a refused call has taken tokens");
}

pub(crate) async fn what_is_answered_is_counted(world: &World) {
    let (counted, rate) = (bucket("counted", "counted"), rate("1/h:2"));
    for _ in 0..3 {
        world.here.take(&counted, rate, 1).await.unwrap();
    }
    world.here.park(&counted, HOUR).await.unwrap();
    world.here.reserve(&counted, rate, 1, HOUR).await.unwrap();
    let all = world.here.statistics();
    let found = all.iter().find(|one| one.resource.as_str() == "counted").unwrap();
    assert_eq!((found.allowed, found.denied, found.parked), (2, 1, 1));
    assert_eq!((found.level, found.limit), (0, 2));
}
