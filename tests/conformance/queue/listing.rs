//! What people see: inspecting, listing, counting.

use std::collections::{BTreeMap, BTreeSet};

use presswork::{
    domain::{JobId, KindName, NewJob, State, TenantId, Timestamp},
    queue::{Filter, Stats},
};

use super::world::{EXPORT, IMPORT, World, dead, retry, tenant};

/// Jobs accepted a second apart; newest first.
async fn one_by_one(world: &World, whose: &TenantId, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        world.advance(1);
        ids.insert(0, world.submit(world.job(whose, &EXPORT)).await);
    }
    ids
}

pub(crate) async fn a_listing_is_newest_first_and_whole(world: &World) {
    let acme = tenant("acme");
    let ids = one_by_one(world, &acme, 25).await;
    one_by_one(world, &tenant("bolt"), 3).await;
    for page in [1, 10, 25, 1_000] {
        let listed = world.list(&acme, &Filter::default(), page).await;
        assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), ids, "pages of {page}");
    }
    let known = world.queue.inspect(&acme, &ids).await.unwrap();
    let listed: Vec<_> = world.list(&acme, &Filter::default(), 7).await.into_iter().map(Some).collect();
    assert_eq!(listed, known, "a listing tells what inspecting tells");
    assert_eq!(world.list(&tenant("carl"), &Filter::default(), 10).await, []);
}

pub(crate) async fn jobs_that_came_together_are_listed_and_go_one_by_one(world: &World) {
    let acme = tenant("acme");
    // More than an engine may keep together, and some that came alone.
    let mut ids = world.exports(&acme, 150).await;
    ids.extend(one_by_one(world, &acme, 1).await);
    ids.extend(world.exports(&acme, 3).await);
    let claims = world.claim(1_000).await;
    let (mut gone, mut stay) = (Vec::new(), Vec::new());
    for (place, claim) in claims.iter().enumerate() {
        if place % 5 == 2 { &mut stay } else { &mut gone }.push(claim.clone());
    }
    for (ended, left) in [(gone, stay.clone()), (stay, Vec::new())] {
        world.finish(&ended).await;
        world.advance(1);
        assert_eq!(world.sweep(world.now()).await, ended.len());
        let whole: Vec<_> =
            world.list(&acme, &Filter::default(), 1_000).await.iter().map(|job| job.id).collect();
        ids.retain(|id| left.iter().any(|claim| claim.job.id == *id));
        assert_eq!(BTreeSet::from_iter(&whole), BTreeSet::from_iter(&ids), "all that are left, and no other");
        assert_eq!(whole.len(), left.len(), "each once");
        for page in [1, 7, 64] {
            let listed = world.list(&acme, &Filter::default(), page).await;
            assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), whole, "pages of {page}");
        }
    }
}

pub(crate) async fn a_cursor_is_stable_under_arrivals(world: &World) {
    let acme = tenant("acme");
    let ids = one_by_one(world, &acme, 10).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.queue.list(&acme, &Filter::default(), cursor.as_ref(), 3).await.unwrap();
        seen.extend(page.items.iter().map(|job| job.id));
        one_by_one(world, &acme, 2).await;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ids, "each once, none of those that came later");
}

pub(crate) async fn filters_choose_by_state_and_kind(world: &World) {
    let acme = tenant("acme");
    let exports = one_by_one(world, &acme, 4).await;
    let imports = world.many(&acme, &IMPORT, 3).await;
    let done = world.claim_one().await;
    world.finish(std::slice::from_ref(&done)).await;
    let ids = async |filter: Filter| -> Vec<JobId> {
        world.list(&acme, &filter, 2).await.iter().map(|job| job.id).collect()
    };
    let waiting = Some(State::Waiting);
    assert_eq!(ids(Filter { state: Some(State::Completed), kind: None }).await, [done.job.id]);
    assert_eq!(ids(Filter { state: None, kind: Some(EXPORT) }).await, exports);
    assert_eq!(ids(Filter { state: waiting, kind: Some(EXPORT) }).await, exports[..3]);
    assert_eq!(ids(Filter { state: waiting, kind: None }).await.len(), 6);
    assert_eq!(ids(Filter { state: waiting, kind: Some(IMPORT) }).await.len(), imports.len());
    assert_eq!(ids(Filter { state: Some(State::Dead), kind: Some(EXPORT) }).await, []);
}

pub(crate) async fn inspecting_answers_in_the_order_asked(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    let asked = [ids[2], world.new_id(), ids[0], ids[2]];
    let answers = world.queue.inspect(&acme, &asked).await.unwrap();
    let answered: Vec<_> = answers.iter().map(|job| job.as_ref().map(|job| job.id)).collect();
    assert_eq!(answered, [Some(ids[2]), None, Some(ids[0]), Some(ids[2])]);
}

/// The truth by listing: how many jobs of each lane are in each state, and the earliest that waits.
type Truth = BTreeMap<(TenantId, KindName), (BTreeMap<State, u64>, Option<Timestamp>)>;

async fn truth(world: &World, tenants: &[TenantId]) -> Truth {
    let mut truth = Truth::new();
    for whose in tenants {
        for job in world.list(whose, &Filter::default(), 100).await {
            let (states, oldest) = truth.entry((job.tenant, job.kind)).or_default();
            *states.entry(job.state).or_default() += 1;
            if job.state == State::Waiting {
                *oldest = Some(oldest.map_or(job.run_at, |oldest| oldest.min(job.run_at)));
            }
        }
    }
    truth
}

/// The statistics agree with what a listing of these tenants shows.
pub(crate) async fn check_statistics(world: &World, tenants: &[TenantId], stats: Stats) {
    let truth = truth(world, tenants).await;
    let lanes: Vec<_> = stats.lanes.iter().map(|lane| (lane.tenant.clone(), lane.kind.clone())).collect();
    assert_eq!(lanes, truth.keys().cloned().collect::<Vec<_>>(), "a lane once, by tenant, then kind");
    for (lane, (states, oldest)) in stats.lanes.into_iter().zip(truth.values()) {
        let counted: BTreeMap<State, u64> = lane.jobs.iter().copied().collect();
        assert_eq!(counted.len(), lane.jobs.len(), "a state once");
        assert_eq!((&counted, &lane.oldest_waiting), (states, oldest), "{} {}", lane.tenant, lane.kind);
    }
}

pub(crate) async fn statistics_agree_with_the_truth(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    let both = [acme.clone(), bolt.clone()];
    assert_eq!(world.queue.stats(None).await.unwrap(), Stats::default());
    one_by_one(world, &acme, 6).await;
    world.many(&acme, &IMPORT, 2).await;
    world.exports(&bolt, 3).await;
    let delayed = NewJob { run_at: Some(world.in_seconds(600)), ..world.job(&bolt, &EXPORT) };
    world.submit(delayed).await;
    let claims = world.claim(5).await;
    world.finish(&claims[..1]).await;
    world.settle(&claims[1].lease, dead()).await;
    world.settle(&claims[2].lease, retry(world.in_seconds(600))).await;

    let all = world.queue.stats(None).await.unwrap();
    assert_eq!((all.count(State::Running), all.count(State::Completed)), (2, 1));
    assert_eq!((all.count(State::Dead), all.count(State::Retrying)), (1, 1));
    assert_eq!((all.count(State::Scheduled), all.count(State::Waiting)), (1, 6));
    check_statistics(world, &both, all).await;
    let of_acme = world.queue.stats(Some(&acme)).await.unwrap();
    check_statistics(world, &both[..1], of_acme).await;
}
