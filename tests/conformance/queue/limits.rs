//! Laws 4 and 6: tokens, caps and pauses, checked and taken in the step that claims; what they hold back costs
//! nobody else anything.

use std::time::Duration;

use presswork::{
    domain::{KindLimits, LaneLimits, Rate, TenantId, TenantLimits},
    queue::{QueueError, Scope},
};

use super::world::{EXPORT, IMPORT, LEASE, World, done, retry, tenant};

fn lane(limits: LaneLimits) -> TenantLimits {
    TenantLimits { kinds: [(EXPORT, limits)].into(), ..TenantLimits::default() }
}

fn rated(rate: Rate) -> TenantLimits {
    lane(LaneLimits { rate: Some(rate), ..LaneLimits::default() })
}

/// Claims exports and imports of all tenants; how many each tenant got.
async fn counts(world: &World, tenants: &[&TenantId]) -> Vec<usize> {
    let claims = world.claim_as("w1", &[EXPORT, IMPORT], 1_000).await;
    tenants.iter().map(|one| claims.iter().filter(|claim| claim.job.tenant == **one).count()).collect()
}

pub(crate) async fn a_bucket_lets_its_burst_through_and_then_keeps_the_rate(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, rated(Rate::per_minute(60, 5))).await;
    world.exports(&acme, 100).await;
    assert_eq!(world.claim(100).await.len(), 5, "the burst");
    assert_eq!(world.claim(100).await.len(), 0);
    world.clock.advance(Duration::from_millis(999));
    assert_eq!(world.claim(100).await.len(), 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.claim(100).await.len(), 1, "one a second");
    world.advance(3);
    assert_eq!(world.claim(2).await.len(), 2);
    assert_eq!(world.claim(100).await.len(), 1, "what was not asked for is still there");
    world.advance(25);
    assert_eq!(world.claim(100).await.len(), 5, "never more than the burst");
}

pub(crate) async fn a_faster_rate_forgets_what_the_slower_one_had_lent(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 20).await;
    world.limit(&acme, rated(Rate::per_minute(1, 10))).await;
    assert_eq!(world.claim(100).await.len(), 10);
    // Ten minutes are owed; at one a second and two at once, never more than two seconds.
    world.limit(&acme, rated(Rate::per_second(1, 2))).await;
    assert_eq!(world.claim(100).await.len(), 0);
    world.advance(1);
    assert_eq!(world.claim(100).await.len(), 1);
    // Nor is the time between the change and the next claim.
    let bolt = tenant("bolt");
    world.exports(&bolt, 20).await;
    world.limit(&bolt, rated(Rate::per_minute(1, 9))).await;
    world.queue.pause(&Scope::Tenant(acme)).await.unwrap();
    assert_eq!(world.claim(100).await.len(), 9);
    world.limit(&bolt, rated(Rate::per_second(1, 2))).await;
    world.advance(2);
    assert_eq!(world.claim(100).await.len(), 2);
}

pub(crate) async fn a_claim_that_gets_nothing_takes_no_token(world: &World) {
    let acme = tenant("acme");
    let limits = LaneLimits { rate: Some(Rate::per_minute(1, 2)), max_running: Some(1) };
    world.limit(&acme, lane(limits)).await;
    assert_eq!(world.claim(5).await.len(), 0, "nothing is there");
    world.exports(&acme, 5).await;
    let first = world.claim_one().await;
    // The cap holds the lane back: trying takes no token.
    for _ in 0..5 {
        assert_eq!(world.claim(5).await.len(), 0);
    }
    world.finish(&[first]).await;
    world.finish(&[world.claim_one().await]).await;
    assert_eq!(world.claim(5).await.len(), 0, "both tokens are taken");
}

pub(crate) async fn a_throttled_lane_does_not_block_others(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.limit(&acme, rated(Rate::per_minute(1, 1))).await;
    world.exports(&acme, 50).await;
    world.many(&acme, &IMPORT, 3).await;
    world.exports(&bolt, 50).await;
    assert_eq!(counts(world, &[&acme, &bolt]).await, [1 + 3, 50]);
}

pub(crate) async fn a_tenant_cap_holds_over_all_its_kinds(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.limit(&acme, TenantLimits { max_running: Some(3), ..TenantLimits::default() }).await;
    for whose in [&acme, &bolt] {
        world.exports(whose, 5).await;
        world.many(whose, &IMPORT, 5).await;
    }
    let claims = world.claim_as("w1", &[EXPORT, IMPORT], 100).await;
    let of_acme: Vec<_> = claims.iter().filter(|claim| claim.job.tenant == acme).collect();
    assert_eq!((of_acme.len(), claims.len()), (3, 3 + 10));
    assert_eq!(counts(world, &[&acme]).await, [0]);
    // Settled in whatever way, a place is free.
    world.settle(&of_acme[0].lease, done()).await;
    world.settle(&of_acme[1].lease, retry(world.in_seconds(600))).await;
    assert_eq!(counts(world, &[&acme]).await, [2]);
}

pub(crate) async fn a_lane_cap_holds_for_its_lane_only(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.limit(&acme, lane(LaneLimits { max_running: Some(2), ..LaneLimits::default() })).await;
    for whose in [&acme, &bolt] {
        world.exports(whose, 5).await;
        world.many(whose, &IMPORT, 5).await;
    }
    let exports = world.claim(100).await;
    assert_eq!(exports.len(), 2 + 5);
    assert_eq!(counts(world, &[&acme, &bolt]).await, [5, 5]);
    let of_acme = exports.iter().find(|claim| claim.job.tenant == acme).unwrap();
    world.settle(&of_acme.lease, done()).await;
    assert_eq!(counts(world, &[&acme]).await, [1]);
}

pub(crate) async fn a_kind_cap_holds_over_all_tenants(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.queue.set_kind_limits(&EXPORT, KindLimits { max_running: Some(4) }).await.unwrap();
    for whose in [&acme, &bolt] {
        world.exports(whose, 10).await;
        world.many(whose, &IMPORT, 2).await;
    }
    let exports = world.claim(100).await;
    assert_eq!(exports.len(), 4);
    assert_eq!(counts(world, &[&acme, &bolt]).await, [2, 2], "imports are not held back");
    world.finish(&exports[..1]).await;
    assert_eq!(world.claim(100).await.len(), 1);
    world.queue.set_kind_limits(&EXPORT, KindLimits::default()).await.unwrap();
    assert_eq!(world.claim(100).await.len(), 15);
}

pub(crate) async fn a_lapse_frees_the_caps(world: &World) {
    let acme = tenant("acme");
    let limits = lane(LaneLimits { max_running: Some(2), ..LaneLimits::default() });
    world.limit(&acme, TenantLimits { max_running: Some(2), ..limits }).await;
    world.queue.set_kind_limits(&EXPORT, KindLimits { max_running: Some(2) }).await.unwrap();
    world.exports(&acme, 3).await;
    let first = world.claim_ids(9).await;
    assert_eq!((first.len(), world.claim(9).await.len()), (2, 0));
    world.clock.advance(LEASE);
    assert_eq!(world.claim_ids(9).await, first);
}

pub(crate) async fn a_lapse_in_one_kind_frees_the_tenant_cap_for_another(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_running: Some(1), ..TenantLimits::default() }).await;
    world.many(&acme, &IMPORT, 1).await;
    let exports = world.exports(&acme, 1).await;
    assert_eq!(world.claim_as("w2", &[IMPORT], 1).await.len(), 1);
    assert_eq!(world.claim_ids(1).await, []);
    // Every worker of imports is gone, so nobody claims that kind any more.
    world.clock.advance(LEASE);
    assert_eq!(world.claim_ids(1).await, exports);
}

pub(crate) async fn caps_hold_when_many_workers_claim_at_once(world: &World) {
    let acme = tenant("acme");
    let limits = lane(LaneLimits { rate: Some(Rate::per_minute(1, 10)), ..LaneLimits::default() });
    world.limit(&acme, TenantLimits { max_running: Some(7), ..limits }).await;
    world.exports(&acme, 100).await;
    let batches = futures_util::future::join_all((0..16).map(|_| world.claim(5))).await;
    let claims: Vec<_> = batches.into_iter().flatten().collect();
    assert_eq!(claims.len(), 7, "the cap");
    world.finish(&claims).await;
    let batches = futures_util::future::join_all((0..16).map(|_| world.claim(5))).await;
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 3, "the tokens that are left");
}

pub(crate) async fn limits_changed_at_run_time_hold_from_the_next_claim(world: &World) {
    let acme = tenant("acme");
    let cap = |most| TenantLimits { max_running: Some(most), ..TenantLimits::default() };
    world.exports(&acme, 100).await;
    world.limit(&acme, cap(0)).await;
    assert_eq!(world.claim(100).await.len(), 0);
    world.limit(&acme, cap(3)).await;
    let claims = world.claim(100).await;
    assert_eq!(claims.len(), 3);
    // Below what runs: nothing is taken away, nothing starts.
    world.limit(&acme, cap(2)).await;
    world.finish(&claims[..1]).await;
    assert_eq!(world.claim(100).await.len(), 0);
    world.limit(&acme, rated(Rate::per_minute(1, 4))).await;
    assert_eq!(world.claim(100).await.len(), 4);
    world.queue.set_tenant_limits(&acme, None).await.unwrap();
    assert_eq!(world.claim(100).await.len(), 93);
}

pub(crate) async fn limits_read_back_as_set_and_fall_back_to_the_defaults(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    let limits = TenantLimits {
        weight: 7,
        max_running: Some(9),
        max_waiting: None,
        max_waiting_bytes: Some(1),
        ..rated(Rate::per_second(3, 4))
    };
    world.limit(&acme, limits.clone()).await;
    assert_eq!(world.queue.tenant_limits(&acme).await.unwrap(), limits);
    assert_eq!(world.queue.tenant_limits(&bolt).await.unwrap(), TenantLimits::default());
    for weight in [0, 1_001] {
        let wrong = TenantLimits { weight, ..TenantLimits::default() };
        let answer = world.queue.set_tenant_limits(&acme, Some(wrong)).await;
        assert!(matches!(answer, Err(QueueError::Invalid(_))), "weight {weight}: {answer:?}");
    }
    assert_eq!(world.queue.tenant_limits(&acme).await.unwrap(), limits);
    world.queue.set_tenant_limits(&acme, None).await.unwrap();
    assert_eq!(world.queue.tenant_limits(&acme).await.unwrap(), TenantLimits::default());
}

/// Two tenants with two exports and two imports each.
async fn two_by_two(world: &World) -> [TenantId; 2] {
    let both = [tenant("acme"), tenant("bolt")];
    for whose in &both {
        world.exports(whose, 2).await;
        world.many(whose, &IMPORT, 2).await;
    }
    both
}

pub(crate) async fn a_pause_of_a_tenant_stops_its_jobs_only(world: &World) {
    let [acme, bolt] = two_by_two(world).await;
    let scope = Scope::Tenant(acme.clone());
    world.queue.pause(&scope).await.unwrap();
    world.queue.pause(&scope).await.unwrap();
    assert_eq!(world.queue.paused().await.unwrap(), std::slice::from_ref(&scope));
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 4]);
    world.queue.resume(&scope).await.unwrap();
    assert_eq!(world.queue.paused().await.unwrap(), []);
    assert_eq!(counts(world, &[&acme, &bolt]).await, [4, 0]);
}

pub(crate) async fn a_pause_of_a_kind_stops_its_jobs_only(world: &World) {
    let [acme, bolt] = two_by_two(world).await;
    let scope = Scope::Kind(IMPORT);
    world.queue.pause(&scope).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [2, 2]);
    // What arrives during the pause waits as well, also of a tenant not seen before.
    let carl = tenant("carl");
    world.many(&carl, &IMPORT, 1).await;
    assert_eq!(counts(world, &[&acme, &bolt, &carl]).await, [0, 0, 0]);
    world.queue.resume(&scope).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt, &carl]).await, [2, 2, 1]);
}

pub(crate) async fn a_pause_of_everything_stops_everything(world: &World) {
    let [acme, bolt] = two_by_two(world).await;
    world.queue.pause(&Scope::Everything).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 0]);
    world.exports(&acme, 1).await;
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 0]);
    world.queue.resume(&Scope::Everything).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [5, 4]);
}

pub(crate) async fn nested_pauses_end_one_by_one(world: &World) {
    let [acme, bolt] = two_by_two(world).await;
    let scopes = [Scope::Everything, Scope::Tenant(acme.clone()), Scope::Kind(EXPORT)];
    for scope in &scopes {
        world.queue.pause(scope).await.unwrap();
    }
    let mut paused = world.queue.paused().await.unwrap();
    paused.sort();
    let mut expected = scopes.to_vec();
    expected.sort();
    assert_eq!(paused, expected);
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 0]);
    world.queue.resume(&scopes[0]).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 2], "only bolt's imports are free");
    world.queue.resume(&scopes[2]).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [0, 2], "only bolt's exports are free");
    world.queue.resume(&scopes[1]).await.unwrap();
    assert_eq!(counts(world, &[&acme, &bolt]).await, [4, 0]);
}

pub(crate) async fn what_runs_goes_on_during_a_pause(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 1).await;
    let claim = world.claim_one().await;
    world.queue.pause(&Scope::Everything).await.unwrap();
    world.finish(&[claim]).await;
}
