//! Reading and control on Redis: over shards, in long lanes, beside jobs that somebody has spoilt.

use std::collections::BTreeSet;

use presswork::{
    domain::{JobId, KindLimits, State, TenantId, TenantLimits},
    queue::{Constraint, Cursor, Filter, QueueError, Scope},
};

use super::{Fleet, problem, stored};
use crate::conformance::queue::world::{EXPORT, IMPORT, World, dead, retry, tenant};

/// So many tenants that each of a few shards has some.
fn tenants() -> Vec<TenantId> {
    (0..20).map(|number| tenant(&format!("tenant-{number}"))).collect()
}

async fn one_job_of_each(world: &World, tenants: &[TenantId]) {
    for whose in tenants {
        world.exports(whose, 1).await;
    }
}

#[tokio::test]
async fn a_spoilt_job_hides_no_other_and_is_named_when_it_is_looked_at() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let world = &fleet.world;
    let ids = world.exports(&acme, 5).await;
    let retried = world.claim_one().await;
    world.settle(&retried.lease, retry(world.in_seconds(60))).await;
    fleet.send("HSET", "job:acme", &[&stored(ids[1]), b"nonsense"]).await;
    fleet.send("HSET", "job:acme", &[&stored(ids[3]), b""]).await;
    fleet.send("HSET", "run:acme", &[&stored(ids[0]), b"\xc1"]).await;

    for filter in [Filter::default(), Filter { state: None, kind: Some(EXPORT) }] {
        let listed: Vec<JobId> = world.list(&acme, &filter, 2).await.iter().map(|job| job.id).collect();
        assert_eq!(listed, [ids[4], ids[2]], "{filter:?}");
    }
    for spoilt in [ids[0], ids[1], ids[3]] {
        let error = world.queue.inspect(&acme, &[ids[2], spoilt]).await.unwrap_err();
        assert!(matches!(&error, QueueError::Corrupt(what) if what.contains(&spoilt.to_string())), "{error}");
        assert!(world.queue.why(&acme, spoilt).await.is_err());
    }
    assert_eq!(world.state(&acme, ids[2]).await, State::Waiting);
    assert_eq!(world.queue.stats(None).await.unwrap().lanes.len(), 1);
}

#[tokio::test]
async fn a_pause_holds_on_every_shard_until_it_is_lifted() {
    let (fleet, tenants) = (Fleet::of(4).await, tenants());
    let world = &fleet.world;
    one_job_of_each(world, &tenants).await;
    let scopes = [Scope::Everything, Scope::Kind(EXPORT), Scope::Tenant(tenants[0].clone())];
    for scope in &scopes {
        world.queue.pause(scope).await.unwrap();
    }
    let mut paused = world.queue.paused().await.unwrap();
    paused.sort();
    assert_eq!(paused, [Scope::Everything, scopes[2].clone(), scopes[1].clone()]);
    assert_eq!(world.claim(100).await.len(), 0);
    world.queue.resume(&scopes[0]).await.unwrap();
    assert_eq!(world.claim(100).await.len(), 0);
    world.queue.resume(&scopes[1]).await.unwrap();
    assert_eq!(all_claims(world).await.len(), 19);
    world.queue.resume(&scopes[2]).await.unwrap();
    assert_eq!(all_claims(world).await, [tenants[0].clone()].into());
    assert_eq!(world.queue.paused().await.unwrap(), []);
}

/// Claims until there is nothing more; whose jobs it got.
async fn all_claims(world: &World) -> BTreeSet<TenantId> {
    let mut whose = BTreeSet::new();
    loop {
        let claims = world.claim(100).await;
        if claims.is_empty() {
            return whose;
        }
        whose.extend(claims.into_iter().map(|claim| claim.job.tenant));
    }
}

#[tokio::test]
async fn a_kinds_cap_is_shared_by_the_shards_and_never_exceeded() {
    let (fleet, tenants) = (Fleet::of(4).await, tenants());
    let world = &fleet.world;
    one_job_of_each(world, &tenants).await;
    let set = async |most| world.queue.set_kind_limits(&EXPORT, KindLimits { max_running: most }).await;
    let refused = problem(set(Some(3)).await);
    assert!(refused.contains('3') && refused.contains('4'), "{refused}");
    assert_eq!(world.queue.kind_limits(&EXPORT).await.unwrap(), KindLimits::default());
    set(Some(6)).await.unwrap();
    assert_eq!(world.queue.kind_limits(&EXPORT).await.unwrap(), KindLimits { max_running: Some(6) });
    assert_eq!(all_claims(world).await.len(), 6, "each shard has more jobs than its share");
    let held = tenants.iter();
    let mut told = BTreeSet::new();
    for whose in held {
        let waiting = Filter { state: Some(State::Waiting), kind: None };
        for job in world.list(whose, &waiting, 10).await {
            told.insert(format!("{:?}", world.queue.why(whose, job.id).await.unwrap().unwrap().constraint));
        }
    }
    let whole = format!("{:?}", Constraint::KindRunning { limit: 6 });
    assert_eq!(told, [whole].into(), "the cap that was set, not a shard's share");
    set(Some(0)).await.unwrap();
    assert_eq!(all_claims(world).await.len(), 0);
    set(None).await.unwrap();
    assert_eq!(all_claims(world).await.len(), 14);
}

#[tokio::test]
async fn statistics_count_the_lanes_of_all_shards() {
    let (fleet, tenants) = (Fleet::of(4).await, tenants());
    let world = &fleet.world;
    one_job_of_each(world, &tenants).await;
    world.many(&tenants[7], &IMPORT, 2).await;
    let stats = world.queue.stats(None).await.unwrap();
    assert_eq!((stats.lanes.len(), stats.count(State::Waiting)), (21, 22));
    assert!(stats.lanes.is_sorted_by_key(|lane| (lane.tenant.clone(), lane.kind.clone())));
    let of_one = world.queue.stats(Some(&tenants[7])).await.unwrap();
    assert_eq!((of_one.lanes.len(), of_one.count(State::Waiting)), (2, 3));
}

#[tokio::test]
async fn a_listing_of_one_state_goes_through_many_jobs_of_others() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let world = &fleet.world;
    let mut failed = Vec::new();
    for _ in 0..3 {
        world.exports(&acme, 1).await;
        let claim = world.claim_one().await;
        world.settle(&claim.lease, dead()).await;
        failed.insert(0, claim.job.id);
        // More than one script looks at.
        for _ in 0..2 {
            world.many(&acme, &IMPORT, 400).await;
        }
    }
    let filter = |state, kind| Filter { state: Some(state), kind };
    let ids = async |filter: Filter, most| -> Vec<JobId> {
        world.list(&acme, &filter, most).await.iter().map(|job| job.id).collect()
    };
    for most in [1, 2, 1_000] {
        assert_eq!(ids(filter(State::Dead, None), most).await, failed, "pages of {most}");
    }
    assert_eq!(ids(filter(State::Dead, Some(IMPORT)), 10).await, []);
    assert_eq!(ids(filter(State::Cancelled, None), 10).await, []);
    assert_eq!(ids(filter(State::Waiting, Some(IMPORT)), 1_000).await.len(), 2_400);
    let page = world.queue.list(&acme, &filter(State::Dead, None), None, 3).await.unwrap();
    assert_eq!((page.items.len(), page.next), (3, None), "a full page at the end has no cursor");
    for text in ["", "x", "-1", "1.5", "99999999999999999999999"] {
        let cursor = Cursor(text.to_owned());
        let answer = world.queue.list(&acme, &Filter::default(), Some(&cursor), 3).await;
        assert!(matches!(answer, Err(QueueError::Invalid(_))), "{text}");
    }
}

#[tokio::test]
async fn a_page_ends_where_its_jobs_are_large() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let world = &fleet.world;
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let mut job = world.job(&acme, &EXPORT);
        job.payload.bytes = vec![b'1'; 256 << 10].into();
        ids.insert(world.submit(job).await);
    }
    let page = world.queue.list(&acme, &Filter::default(), None, 1_000).await.unwrap();
    let held: usize = page.items.iter().map(|job| job.payload.bytes.len()).sum();
    assert!((8 << 20..9 << 20).contains(&held), "{held} bytes");
    assert!(page.next.is_some());
    let all: BTreeSet<_> =
        world.list(&acme, &Filter::default(), 1_000).await.iter().map(|job| job.id).collect();
    assert_eq!(all, ids);
}

#[tokio::test]
async fn who_stands_at_the_end_of_a_long_lane_is_told_how_many_go_first() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let world = &fleet.world;
    world.limit(&acme, TenantLimits { max_waiting: None, ..TenantLimits::default() }).await;
    let first = world.exports(&acme, 3).await;
    // More than one look from either end finds; they need not be jobs.
    let fillers: Vec<[u8; 16]> = (0_u128..5_000).map(|number| number.to_be_bytes()).collect();
    let fillers: Vec<&[u8]> = fillers.iter().map(<[u8; 16]>::as_slice).collect();
    for _ in 0..30 {
        fleet.send("RPUSH", "lane:export:acme:2", &fillers).await;
    }
    let last = world.exports(&acme, 1).await[0];
    let ahead = async |id| world.queue.why(&acme, id).await.unwrap().unwrap().ahead;
    assert_eq!((ahead(first[2]).await, ahead(last).await), (2, 150_003));
}
