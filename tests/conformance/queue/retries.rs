//! What is tried again, when, and how often.

use std::time::Duration;

use presswork::{
    domain::{NewJob, State, Verdict},
    queue::Settled,
};

use super::world::{EXPORT, World, retry, tenant};

pub(crate) async fn a_retry_runs_at_its_time_and_not_before(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    let at = world.in_seconds(10);
    assert_eq!(world.settle(&lease, retry(at)).await, Settled::Now(State::Retrying));
    assert_eq!(world.inspect(&acme, id).await.run_at, at);
    world.clock.advance(Duration::from_millis(9_999));
    assert_eq!(world.claim_ids(1).await, []);
    world.clock.advance(Duration::from_millis(1));
    let again = world.claim_one().await;
    assert_eq!((again.job.id, again.job.attempt), (id, 2));
}

pub(crate) async fn attempts_are_counted_and_the_last_failure_is_dead(world: &World) {
    let acme = tenant("acme");
    let id = world.submit(NewJob { max_attempts: 3, ..world.job(&acme, &EXPORT) }).await;
    for attempt in 1..=3 {
        let claim = world.claim_one().await;
        assert_eq!(claim.job.attempt, attempt);
        let state = if attempt < 3 { State::Retrying } else { State::Dead };
        assert_eq!(world.settle(&claim.lease, retry(world.in_seconds(1))).await, Settled::Now(state));
        world.advance(1);
    }
    assert_eq!(world.claim_ids(1).await, []);
    let job = world.inspect(&acme, id).await;
    assert_eq!((job.state, job.attempt), (State::Dead, 3));
    assert_eq!(job.reason.unwrap().as_str(), "the model is overloaded");
}

pub(crate) async fn a_snooze_costs_no_attempt(world: &World) {
    let acme = tenant("acme");
    let id = world.submit(NewJob { max_attempts: 1, ..world.job(&acme, &EXPORT) }).await;
    for _ in 0..4 {
        let claim = world.claim_one().await;
        assert_eq!(claim.job.attempt, 1);
        let until = world.in_seconds(5);
        assert_eq!(
            world.settle(&claim.lease, Verdict::Snooze { until }).await,
            Settled::Now(State::Scheduled)
        );
        let job = world.inspect(&acme, id).await;
        assert_eq!((job.attempt, job.run_at), (0, until));
        assert_eq!(world.claim_ids(1).await, []);
        world.advance(5);
    }
    world.finish(&[world.claim_one().await]).await;
}

pub(crate) async fn a_retry_that_is_due_at_once_may_be_claimed_at_once(world: &World) {
    let id = world.exports(&tenant("acme"), 1).await[0];
    let first = world.claim_one().await.lease;
    assert_eq!(world.settle(&first, retry(world.now())).await, Settled::Now(State::Retrying));
    let second = world.claim_one().await;
    assert_eq!((second.job.id, second.job.attempt), (id, 2));
    let hand_back = Verdict::Snooze { until: world.now() };
    assert_eq!(world.settle(&second.lease, hand_back).await, Settled::Now(State::Scheduled));
    assert_eq!(world.claim_ids(1).await, [id]);
}
