//! Why a job does not run: the one thing that holds it up, and when it may start.

use presswork::{
    domain::{KindLimits, LaneLimits, NewBatch, NewJob, Priority, Rate, State, TenantLimits},
    queue::{Constraint, Scope, Why},
};

use super::world::{EXPORT, IMPORT, World, dead, done, retry, tenant};

pub(crate) async fn a_job_that_runs_or_has_ended_is_held_up_by_nothing(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    world.claim(2).await;
    world.cancel(&acme, ids[2]).await;
    for (id, state) in [(ids[0], State::Running), (ids[2], State::Cancelled)] {
        let nothing = Why { state, constraint: Constraint::Nothing, ahead: 0, estimate: None };
        assert_eq!(world.why(&acme, id).await, nothing);
    }
    assert_eq!(world.queue.why(&acme, world.new_id()).await.unwrap(), None);
    assert_eq!(world.queue.why(&tenant("mallory"), ids[0]).await.unwrap(), None);
}

pub(crate) async fn a_time_that_has_not_come_is_told(world: &World) {
    let acme = tenant("acme");
    let until = world.in_seconds(60);
    let delayed = world.submit(NewJob { run_at: Some(until), ..world.job(&acme, &EXPORT) }).await;
    let failed = world.exports(&acme, 1).await[0];
    world.end_next(failed, retry(until)).await;
    let after = vec![delayed];
    let both = world.submit(NewJob { run_at: Some(until), after, ..world.job(&acme, &EXPORT) }).await;
    for (id, state) in [(delayed, State::Scheduled), (failed, State::Retrying), (both, State::Blocked)] {
        let constraint = Constraint::Time { until };
        let told = Why { state, constraint, ahead: 0, estimate: Some(until) };
        assert_eq!(world.why(&acme, id).await, told);
    }
    world.advance(60);
    let why = world.why(&acme, both).await;
    assert_eq!(why.constraint, Constraint::Jobs { first: Some(delayed), left: 1 }, "then the next one");
}

pub(crate) async fn jobs_that_have_not_completed_are_told(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    let last = NewJob { after: ids.clone(), ..world.job(&acme, &EXPORT) };
    let last = world.submit(last).await;
    world.end_next(ids[0], done()).await;
    world.end_next(ids[1], dead()).await;
    let why = world.why(&acme, last).await;
    let Constraint::Jobs { first: Some(first), left: 2 } = why.constraint else { panic!("{why:?}") };
    assert!(ids[1..].contains(&first));
    assert_eq!((why.state, why.ahead, why.estimate), (State::Blocked, 0, None));
}

pub(crate) async fn a_batch_that_has_not_ended_is_told(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 3);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    let one = NewJob { batch: Some(batch), ..world.job(&acme, &EXPORT) };
    let one = world.submit(one).await;
    let left = async || match world.why(&acme, callback).await.constraint {
        Constraint::Batch { batch: told, left } if told == batch => left,
        other => panic!("{other:?}"),
    };
    assert_eq!(left().await, 3, "also those that are still to come");
    world.end_next(one, done()).await;
    assert_eq!(left().await, 2);
    // A batch without a callback holds nobody up.
    let open = world.open_batch(NewBatch { callback: None, ..world.batch(&acme, 2) }).await;
    let member = NewJob { batch: Some(open), ..world.job(&acme, &EXPORT) };
    let member = world.submit(member).await;
    assert_eq!(world.why(&acme, member).await.constraint, Constraint::Turn);
}

pub(crate) async fn what_holds_a_lane_up_is_told_widest_first(world: &World) {
    let acme = tenant("acme");
    let lane = LaneLimits { max_running: Some(1), rate: Some(Rate::per_minute(60, 1)) };
    let limits =
        TenantLimits { max_running: Some(1), kinds: [(EXPORT, lane)].into(), ..TenantLimits::default() };
    world.limit(&acme, limits).await;
    world.queue.set_kind_limits(&EXPORT, KindLimits { max_running: Some(1) }).await.unwrap();
    let id = world.exports(&acme, 2).await[1];
    let running = world.claim_one().await;
    let scopes = [Scope::Everything, Scope::Tenant(acme.clone()), Scope::Kind(EXPORT)];
    for scope in &scopes {
        world.queue.pause(scope).await.unwrap();
    }
    let told = async || world.why(&acme, id).await.constraint;
    for scope in scopes {
        assert_eq!(told().await, Constraint::Paused { scope: scope.clone() });
        world.queue.resume(&scope).await.unwrap();
    }
    assert_eq!(told().await, Constraint::TenantRunning { limit: 1 });
    let wider = TenantLimits { kinds: [(EXPORT, lane)].into(), ..TenantLimits::default() };
    world.limit(&acme, wider).await;
    assert_eq!(told().await, Constraint::LaneRunning { limit: 1 });
    let rate_only = LaneLimits { max_running: None, ..lane };
    world.limit(&acme, TenantLimits { kinds: [(EXPORT, rate_only)].into(), ..TenantLimits::default() }).await;
    assert_eq!(told().await, Constraint::KindRunning { limit: 1 });
    world.finish(&[running]).await;
    let until = world.in_seconds(1);
    assert_eq!(told().await, Constraint::Rate { until });
    world.advance(1);
    assert_eq!(told().await, Constraint::Turn);
}

pub(crate) async fn the_next_token_and_those_ahead_make_the_estimate(world: &World) {
    let acme = tenant("acme");
    let lane = LaneLimits { rate: Some(Rate::per_minute(6, 2)), max_running: None };
    world.limit(&acme, TenantLimits { kinds: [(EXPORT, lane)].into(), ..TenantLimits::default() }).await;
    let ids = world.exports(&acme, 5).await;
    assert_eq!(world.claim(9).await.len(), 2);
    world.advance(4);
    for (ahead, id) in ids[2..].iter().enumerate() {
        let why = world.why(&acme, *id).await;
        assert_eq!(why.constraint, Constraint::Rate { until: world.in_seconds(6) });
        assert_eq!(why.ahead, ahead as u64);
        assert_eq!(why.estimate, Some(world.in_seconds(6 + 10 * ahead as u64)));
    }
}

pub(crate) async fn jobs_of_the_lane_that_go_first_are_counted(world: &World) {
    let acme = tenant("acme");
    // Of another tenant, of another kind: none of its lane.
    world.exports(&tenant("bolt"), 3).await;
    world.many(&acme, &IMPORT, 3).await;
    let normal = world.exports(&acme, 3).await;
    let low = world.submit(world.job_of(&acme, Priority::Low)).await;
    let urgent = world.submit(world.job_of(&acme, Priority::Urgent)).await;
    let ahead = async |id| {
        let why = world.why(&acme, id).await;
        assert_eq!((why.state, why.constraint), (State::Waiting, Constraint::Turn));
        why.ahead
    };
    assert_eq!(ahead(urgent).await, 0);
    for (place, id) in normal.iter().enumerate() {
        assert_eq!(ahead(*id).await, place as u64 + 1);
    }
    assert_eq!(ahead(low).await, 4);
    world.cancel(&acme, normal[1]).await;
    assert_eq!((ahead(normal[2]).await, ahead(low).await), (2, 3));
}

pub(crate) async fn the_pace_of_a_lane_makes_the_estimate(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 9).await;
    let estimate = async |id| world.why(&acme, id).await.estimate;
    assert_eq!(estimate(ids[0]).await, None, "nothing is known of it");
    for _ in 0..3 {
        assert_eq!(world.claim(1).await.len(), 1);
        world.advance(5);
    }
    for (ahead, id) in ids[3..].iter().enumerate() {
        assert_eq!(estimate(*id).await, Some(world.in_seconds(5 * (ahead as u64 + 1))));
    }
}
