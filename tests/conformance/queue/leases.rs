//! Laws 2 and 3: one live lease a job, fenced by its epoch; what lapses comes back.

use std::{collections::BTreeSet, time::Duration};

use presswork::{
    domain::{Checkpoint, NewJob, State, WorkerId},
    queue::{Ask, Claim, Lease, Renewal, Settled, Standing},
};

use super::world::{EXPORT, LEASE, World, dead, done, retry, tenant};

async fn renew(world: &World, lease: &Lease, checkpoint: Option<&'static [u8]>) -> Standing {
    let checkpoint = checkpoint.map(|bytes| Checkpoint(bytes.into()));
    let renewal = Renewal { lease: lease.clone(), lease_for: LEASE, checkpoint };
    let standings = world.queue.renew(vec![renewal]).await.unwrap();
    assert_eq!(standings.len(), 1, "one answer a renewal");
    standings[0]
}

pub(crate) async fn a_job_is_claimed_once(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let Claim { lease, until, job } = world.claim_one().await;
    assert_eq!((&lease.tenant, lease.job, lease.epoch), (&acme, id, 1));
    assert_eq!(until, world.now().after(LEASE));
    assert_eq!((job.state, job.attempt, job.epoch), (State::Running, 1, 1));
    assert_eq!((job.started_at, job.lease_until), (Some(world.now()), Some(until)));
    assert_eq!(job.worker, Some(WorkerId::new("w1")));
    assert_eq!(world.inspect(&acme, id).await, job);
    assert_eq!(world.claim_ids(9).await, []);
}

pub(crate) async fn workers_that_claim_at_once_never_share_a_job(world: &World) {
    world.exports(&tenant("acme"), 60).await;
    world.exports(&tenant("bolt"), 60).await;
    let batches = futures_util::future::join_all((0..20).map(|_| world.claim(7))).await;
    let claims: Vec<Claim> = batches.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = claims.iter().map(|claim| claim.job.id).collect();
    assert_eq!((claims.len(), distinct.len()), (120, 120));
}

pub(crate) async fn a_lapsed_lease_is_claimed_again_in_its_place(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    let first = world.claim_one().await;
    world.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(world.claim_ids(1).await, [ids[1]], "the lease still holds");
    world.clock.advance(Duration::from_millis(1));
    let again = world.claim_one().await;
    assert_eq!(again.job.id, first.job.id, "before the third, which came later");
    assert!(again.lease.epoch > first.lease.epoch);
    assert_eq!(again.job.attempt, 2, "the attempt that died counts");
    assert_eq!(world.claim_ids(9).await, [ids[2]]);
}

pub(crate) async fn a_lapse_on_the_last_attempt_makes_the_job_dead(world: &World) {
    let acme = tenant("acme");
    let id = world.submit(NewJob { max_attempts: 2, ..world.job(&acme, &EXPORT) }).await;
    for attempt in 1..=2 {
        assert_eq!(world.claim_one().await.job.attempt, attempt);
        world.clock.advance(LEASE);
    }
    assert_eq!(world.claim_ids(1).await, []);
    let job = world.inspect(&acme, id).await;
    assert_eq!((job.state, job.attempt), (State::Dead, 2));
    assert!(job.finished_at.is_some() && job.reason.is_some(), "people are told why: {job:?}");
}

pub(crate) async fn a_lapse_after_a_request_to_cancel_makes_the_job_cancelled(world: &World) {
    let acme = tenant("acme");
    for max_attempts in [1, 5] {
        let id = world.submit(NewJob { max_attempts, ..world.job(&acme, &EXPORT) }).await;
        world.claim_one().await;
        world.queue.cancel(&acme, &[id]).await.unwrap();
        world.clock.advance(LEASE);
        assert_eq!(world.claim_ids(1).await, []);
        assert_eq!(world.state(&acme, id).await, State::Cancelled, "{max_attempts} attempts");
    }
}

pub(crate) async fn an_old_epoch_can_neither_renew_nor_settle(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let zombie = world.claim_one().await.lease;
    world.clock.advance(LEASE);
    let owner = world.claim_one().await;
    assert_eq!(renew(world, &zombie, Some(b"from the grave")).await, Standing::Lost);
    for verdict in [done(), retry(world.now()), dead()] {
        assert_eq!(world.settle(&zombie, verdict).await, Settled::LeaseLost);
    }
    assert_eq!(world.inspect(&acme, id).await, owner.job, "nothing has changed");
    // Nor an epoch that was never given.
    let future = Lease { epoch: owner.lease.epoch + 1, ..zombie.clone() };
    assert_eq!(renew(world, &future, None).await, Standing::Lost);
    assert_eq!(world.settle(&future, done()).await, Settled::LeaseLost);
    assert_eq!(world.settle(&owner.lease, done()).await, Settled::Now(State::Completed));
    assert_eq!(world.settle(&zombie, done()).await, Settled::LeaseLost);
}

pub(crate) async fn a_lapsed_lease_is_lost_even_before_it_is_claimed_again(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    world.clock.advance(LEASE);
    assert_eq!(renew(world, &lease, None).await, Standing::Lost);
    assert_eq!(world.settle(&lease, done()).await, Settled::LeaseLost);
    assert_eq!(world.claim_ids(1).await, [id]);
}

pub(crate) async fn epochs_rise_whatever_ends_the_attempt(world: &World) {
    let acme = tenant("acme");
    let id = world.submit(NewJob { max_attempts: 10, ..world.job(&acme, &EXPORT) }).await;
    let mut last = 0;
    for ending in 0..5 {
        let claim = world.claim_one().await;
        assert!(claim.lease.epoch > last, "{} after {last}", claim.lease.epoch);
        assert_eq!(claim.job.epoch, claim.lease.epoch);
        last = claim.lease.epoch;
        match ending {
            0 => world.clock.advance(LEASE),
            1 => drop(world.settle(&claim.lease, retry(world.now())).await),
            2 => {
                let until = world.now();
                world.settle(&claim.lease, presswork::domain::Verdict::Snooze { until }).await;
            }
            _ => {
                world.settle(&claim.lease, dead()).await;
                world.queue.requeue(&acme, &[id]).await.unwrap();
            }
        }
    }
}

pub(crate) async fn a_renewal_prolongs_the_lease(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    for _ in 0..5 {
        world.clock.advance(LEASE / 2);
        let until = world.now().after(LEASE);
        assert_eq!(renew(world, &lease, None).await, Standing::Held { until, cancel_asked: false });
        assert_eq!(world.inspect(&acme, id).await.lease_until, Some(until));
        assert_eq!(world.claim_ids(1).await, []);
    }
    world.clock.advance(LEASE);
    assert_eq!(world.claim_ids(1).await, [id]);
}

pub(crate) async fn a_checkpoint_survives_a_lapse_and_a_retry(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 1).await;
    let first = world.claim_one().await;
    assert_eq!(first.job.checkpoint, None);
    renew(world, &first.lease, Some(b"part 1")).await;
    world.clock.advance(LEASE);
    let second = world.claim_one().await;
    assert_eq!(second.job.checkpoint, Some(Checkpoint(b"part 1".as_slice().into())));
    renew(world, &second.lease, Some(b"part 2")).await;
    world.settle(&second.lease, retry(world.now())).await;
    let third = world.claim_one().await;
    assert_eq!(third.job.checkpoint, Some(Checkpoint(b"part 2".as_slice().into())));
}

pub(crate) async fn a_renewal_without_a_checkpoint_keeps_the_stored_one(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    let largest: &'static [u8] = &[7; Checkpoint::MOST_BYTES];
    renew(world, &lease, Some(largest)).await;
    renew(world, &lease, None).await;
    assert_eq!(world.inspect(&acme, id).await.checkpoint, Some(Checkpoint(largest.into())));
}

pub(crate) async fn a_renewal_tells_of_a_request_to_cancel(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    world.queue.cancel(&acme, &[id]).await.unwrap();
    let until = world.now().after(LEASE);
    for _ in 0..2 {
        assert_eq!(renew(world, &lease, None).await, Standing::Held { until, cancel_asked: true });
    }
}

pub(crate) async fn renewals_are_answered_one_by_one(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 3).await;
    let short = Ask { kinds: vec![EXPORT], most: 1, lease: Duration::from_secs(1) };
    let lost = world.queue.claim(&WorkerId::new("w2"), &short).await.unwrap().remove(0).lease;
    let held: Vec<Lease> = world.claim(2).await.into_iter().map(|claim| claim.lease).collect();
    world.advance(1);
    let nobody = Lease { tenant: acme, job: world.new_id(), epoch: 1 };
    let leases = [&held[0], &lost, &nobody, &held[1]];
    let renewals = leases.map(|lease| Renewal {
        lease: lease.clone(),
        lease_for: Duration::from_secs(90),
        checkpoint: None,
    });
    let standing = Standing::Held { until: world.in_seconds(90), cancel_asked: false };
    let expected = [standing, Standing::Lost, Standing::Lost, standing];
    assert_eq!(world.queue.renew(renewals.to_vec()).await.unwrap(), expected);
}
