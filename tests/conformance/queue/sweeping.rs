//! Law 8: nothing grows without bound.

use presswork::{
    domain::{Checkpoint, NewJob, State, Timestamp},
    queue::{Enqueued, Filter, Renewal, Retention, Stats, Swept},
};

use super::world::{EXPORT, LEASE, World, dead, retry, tenant};

pub(crate) async fn a_sweep_removes_what_ended_before_and_nothing_else(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 5).await;
    let claims = world.claim(4).await;
    world.finish(&claims[..1]).await;
    world.settle(&claims[1].lease, dead()).await;
    world.settle(&claims[2].lease, retry(world.in_seconds(1))).await;
    world.queue.cancel(&acme, &ids[4..]).await.unwrap();
    // One more that ends later.
    world.advance(10);
    let later = world.exports(&acme, 1).await[0];
    world.queue.cancel(&acme, &[later]).await.unwrap();

    let end = world.now();
    world.advance(1);
    assert_eq!(world.sweep(end.before(std::time::Duration::from_secs(10))).await, 0, "not before its end");
    assert_eq!(world.sweep(end).await, 3);
    for gone in [ids[0], ids[1], ids[4]] {
        assert_eq!(world.look(&acme, gone).await, None);
    }
    let left: Vec<State> =
        world.list(&acme, &Filter::default(), 10).await.iter().map(|job| job.state).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(world.state(&acme, ids[3]).await, State::Running);
    assert_eq!(world.state(&acme, later).await, State::Cancelled);
    assert!(!world.state(&acme, ids[2]).await.is_final());
    assert_eq!(world.queue.stats(None).await.unwrap().count(State::Completed), 0);
}

pub(crate) async fn a_sweep_frees_the_key_and_the_id(world: &World) {
    let acme = tenant("acme");
    let job = NewJob { idempotency_key: Some("k".parse().unwrap()), ..world.job(&acme, &EXPORT) };
    let id = world.submit(job.clone()).await;
    let claim = world.claim_one().await;
    let checkpoint = Some(Checkpoint(b"old".as_slice().into()));
    let renewal = Renewal { lease: claim.lease.clone(), lease_for: LEASE, checkpoint };
    world.queue.renew(vec![renewal]).await.unwrap();
    world.finish(&[claim]).await;
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 1);
    assert_eq!(world.queue.stats(None).await.unwrap(), Stats::default(), "nothing is left");
    assert_eq!(world.enqueue(vec![job]).await, [Ok(Enqueued::Accepted(id))]);
    let fresh = world.inspect(&acme, id).await;
    assert_eq!((fresh.state, fresh.attempt, fresh.checkpoint), (State::Waiting, 0, None));
}

pub(crate) async fn a_sweep_returns_lapsed_leases(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 2).await;
    world.submit(NewJob { max_attempts: 1, ..world.job(&acme, &EXPORT) }).await;
    world.claim(3).await;
    assert_eq!(world.queue.sweep(&Retention::before(Timestamp::EPOCH)).await.unwrap(), Swept::default());
    world.clock.advance(LEASE);
    let swept = world.queue.sweep(&Retention::before(Timestamp::EPOCH)).await.unwrap();
    assert_eq!(swept, Swept { lapsed: 3, removed: 0 });
    assert_eq!(world.queue.sweep(&Retention::before(Timestamp::EPOCH)).await.unwrap(), Swept::default());
    let stats = world.queue.stats(None).await.unwrap();
    assert_eq!((stats.count(State::Waiting), stats.count(State::Dead)), (2, 1));
    assert_eq!(world.claim_ids(9).await, ids);
}

pub(crate) async fn a_large_sweep_ends_after_bounded_batches(world: &World) {
    let acme = tenant("acme");
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.extend(world.exports(&acme, 500).await);
    }
    for some in ids.chunks(500) {
        world.queue.cancel(&acme, some).await.unwrap();
    }
    world.advance(1);
    let first = world.queue.sweep(&Retention::before(world.now())).await.unwrap();
    assert!((1..3_000).contains(&first.removed), "a part of them in one call: {first:?}");
    assert_eq!(first.removed + world.sweep(world.now()).await, 3_000);
    assert_eq!(world.queue.stats(None).await.unwrap(), Stats::default());
}

pub(crate) async fn of_each_tenant_those_that_ended_last_are_kept(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    let few = world.exports(&bolt, 2).await;
    world.queue.cancel(&bolt, &few).await.unwrap();
    let ids = world.exports(&acme, 6).await;
    // Who ends last is not who came last, and how it ended does not matter.
    let order = [ids[3], ids[0], ids[5], ids[1], ids[4]];
    for id in order {
        world.advance(1);
        world.cancel(&acme, id).await;
    }
    world.requeue(&acme, order[4]).await;
    world.advance(1);
    world.cancel(&acme, order[4]).await;
    let retention = Retention { finished_before: Timestamp::EPOCH, most_finished: Some(2) };
    assert_eq!(world.sweep_all(&retention).await, 3);
    for gone in &order[..3] {
        assert_eq!(world.look(&acme, *gone).await, None);
    }
    for kept in &order[3..] {
        assert_eq!(world.state(&acme, *kept).await, State::Cancelled);
    }
    assert_eq!(world.state(&acme, ids[2]).await, State::Waiting);
    assert_eq!(world.list(&bolt, &Filter::default(), 10).await.len(), 2, "each tenant for itself");
    let none = Retention { finished_before: Timestamp::EPOCH, most_finished: Some(0) };
    assert_eq!(world.sweep_all(&none).await, 4);
    let stats = world.queue.stats(None).await.unwrap();
    assert_eq!((stats.count(State::Cancelled), stats.count(State::Waiting)), (0, 1));
}

pub(crate) async fn age_counts_also_where_the_number_does_not(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    world.queue.cancel(&acme, &ids[..2]).await.unwrap();
    world.advance(10);
    world.cancel(&acme, ids[2]).await;
    let retention = Retention { finished_before: world.now(), most_finished: Some(100) };
    assert_eq!(world.sweep_all(&retention).await, 2);
    assert_eq!(world.state(&acme, ids[2]).await, State::Cancelled);
}

pub(crate) async fn a_large_sweep_by_number_ends_after_bounded_batches(world: &World) {
    let acme = tenant("acme");
    for _ in 0..5 {
        let ids = world.exports(&acme, 500).await;
        world.queue.cancel(&acme, &ids).await.unwrap();
        world.advance(1);
    }
    let last = world.exports(&acme, 1).await[0];
    world.cancel(&acme, last).await;
    let retention = Retention { finished_before: Timestamp::EPOCH, most_finished: Some(1) };
    let first = world.queue.sweep(&retention).await.unwrap();
    assert!((1..2_500).contains(&first.removed), "a part of them in one call: {first:?}");
    assert_eq!(first.removed + world.sweep_all(&retention).await, 2_500);
    assert_eq!(world.state(&acme, last).await, State::Cancelled);
}
