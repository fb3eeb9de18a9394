//! Law 5: between tenants of a kind, service is proportional to weight over any busy period, in cost units, within
//! one quantum; and who was idle has no credit for it.

use presswork::domain::{LaneLimits, NewJob, Rate, TenantId, TenantLimits};

use super::world::{EXPORT, QUANTUM, World, tenant};

/// One of two tenants that both have work all the time.
struct Rival {
    tenant: TenantId,
    weight: u32,
    cost: u32,
    served: u32,
}

/// Two rivals with so much work that it outlasts the test.
async fn rivals(
    world: &World,
    (weight, cost): (u32, u32),
    (other_weight, other_cost): (u32, u32),
) -> [Rival; 2] {
    let rival = |name, weight, cost| Rival { tenant: tenant(name), weight, cost, served: 0 };
    let both = [rival("acme", weight, cost), rival("bolt", other_weight, other_cost)];
    for Rival { tenant, weight, cost, .. } in &both {
        world.weigh(tenant, *weight).await;
        let jobs = (0..400).map(|_| NewJob { cost: *cost, ..world.job(tenant, &EXPORT) }).collect();
        assert!(world.enqueue(jobs).await.iter().all(Result::is_ok));
    }
    both
}

/// Claims `rounds` times `most` jobs, ends them, and after each claim holds the service against the ideal.
async fn serve_fairly(world: &World, both: &mut [Rival; 2], rounds: usize, most: usize) {
    for round in 0..rounds {
        let claims = world.claim(most).await;
        assert_eq!(claims.len(), most, "there is work enough");
        for claim in &claims {
            let rival = both.iter_mut().find(|rival| rival.tenant == claim.job.tenant).unwrap();
            rival.served += claim.job.cost;
        }
        world.finish(&claims).await;
        let [a, b] = &*both;
        let total = f64::from(a.served + b.served);
        let ideal = total * f64::from(a.weight) / f64::from(a.weight + b.weight);
        let quantum = f64::from(QUANTUM * a.cost.max(b.cost));
        let off = (f64::from(a.served) - ideal).abs();
        assert!(
            off <= quantum,
            "round {round} of {most}: {} units for weight {}, {} for weight {}: {off} off the ideal",
            a.served,
            a.weight,
            b.served,
            b.weight
        );
    }
}

pub(crate) async fn equal_tenants_are_served_equally(world: &World) {
    let mut both = rivals(world, (1, 1), (1, 1)).await;
    serve_fairly(world, &mut both, 30, 20).await;
}

pub(crate) async fn twice_the_weight_is_twice_the_service(world: &World) {
    let mut both = rivals(world, (2, 1), (1, 1)).await;
    serve_fairly(world, &mut both, 25, 20).await;
}

pub(crate) async fn five_times_the_weight_is_five_times_the_service(world: &World) {
    let mut both = rivals(world, (1, 1), (5, 1)).await;
    serve_fairly(world, &mut both, 20, 20).await;
}

pub(crate) async fn service_is_counted_in_cost_units(world: &World) {
    // Jobs of 10 against jobs of 1 at the same weight: ten times as many of the small ones start.
    let mut both = rivals(world, (1, 10), (1, 1)).await;
    serve_fairly(world, &mut both, 20, 20).await;
}

pub(crate) async fn single_claims_are_as_fair_as_batches(world: &World) {
    let mut both = rivals(world, (2, 3), (1, 1)).await;
    serve_fairly(world, &mut both, 100, 1).await;
}

pub(crate) async fn a_weight_changed_at_run_time_counts_from_the_next_claim(world: &World) {
    let mut both = rivals(world, (1, 1), (1, 1)).await;
    serve_fairly(world, &mut both, 5, 20).await;
    world.weigh(&tenant("bolt"), 3).await;
    let (mut to_bolt, mut to_acme) = (0, 0);
    for _ in 0..10 {
        let (bolts, acmes) = share(world, &both[1].tenant, 20).await;
        (to_bolt, to_acme) = (to_bolt + bolts, to_acme + acmes);
    }
    // A quantum for the new ideal, and one for what was owed at the old weight.
    assert!(to_bolt.abs_diff(150) <= 2 * QUANTUM, "bolt {to_bolt}, acme {to_acme}");
}

/// How many of the next `most` jobs go to each.
async fn share(world: &World, one: &TenantId, most: usize) -> (u32, u32) {
    let claims = world.claim(most).await;
    world.finish(&claims).await;
    let ones = claims.iter().filter(|claim| claim.job.tenant == *one).count();
    (u32::try_from(ones).unwrap(), u32::try_from(claims.len() - ones).unwrap())
}

pub(crate) async fn an_idle_tenant_has_no_credit(world: &World) {
    let (busy, idle) = (tenant("busy"), tenant("idle"));
    world.exports(&idle, 1).await;
    world.exports(&busy, 600).await;
    // `idle` is served once, then stays away while `busy` is served.
    for _ in 0..20 {
        share(world, &idle, 20).await;
    }
    world.exports(&idle, 200).await;
    let (mut to_idle, mut to_busy) = (0, 0);
    for _ in 0..8 {
        let (idles, busies) = share(world, &idle, 20).await;
        (to_idle, to_busy) = (to_idle + idles, to_busy + busies);
        assert!(to_idle.abs_diff(to_busy) <= 2 * QUANTUM, "idle {to_idle}, busy {to_busy}");
    }
}

pub(crate) async fn a_throttled_tenant_has_no_credit(world: &World) {
    let (busy, slow) = (tenant("busy"), tenant("slow"));
    let rate = LaneLimits { rate: Some(Rate::per_minute(1, 1)), ..LaneLimits::default() };
    let limits = TenantLimits { kinds: [(EXPORT, rate)].into(), ..TenantLimits::default() };
    world.limit(&slow, limits).await;
    world.exports(&slow, 200).await;
    world.exports(&busy, 600).await;
    for _ in 0..20 {
        share(world, &slow, 20).await;
    }
    world.limit(&slow, TenantLimits::default()).await;
    let (mut to_slow, mut to_busy) = (0, 0);
    for _ in 0..8 {
        let (slows, busies) = share(world, &slow, 20).await;
        (to_slow, to_busy) = (to_slow + slows, to_busy + busies);
        assert!(to_slow.abs_diff(to_busy) <= 2 * QUANTUM, "slow {to_slow}, busy {to_busy}");
    }
}

pub(crate) async fn a_flood_delays_another_tenant_by_no_more_than_a_quantum(world: &World) {
    let (flood, small) = (tenant("flood"), tenant("small"));
    for _ in 0..5 {
        world.exports(&flood, 1_000).await;
    }
    // The flood is being served when the small one comes.
    let before = world.claim(20).await;
    world.finish(&before).await;
    let ids = world.exports(&small, 3).await;
    let mut waited = 0;
    let mut got = Vec::new();
    while got.len() < ids.len() {
        let claims = world.claim(1).await;
        match &claims[..] {
            [claim] if claim.job.tenant == small => got.push(claim.job.id),
            _ => waited += 1,
        }
        world.finish(&claims).await;
        assert!(waited <= 2 * QUANTUM, "{waited} jobs of the flood went before, {} got through", got.len());
    }
    assert_eq!(got, ids);
}
