//! Cancelling and requeuing, from each state by the table; and that nobody reaches another tenant's jobs.

use presswork::{
    domain::{Checkpoint, JobId, NewJob, State, TenantId, Trigger, Verdict, state::TRANSITIONS},
    queue::{CancelOutcome, Enqueued, Filter, Lease, Refusal, Renewal, RequeueOutcome, Settled, Standing},
};

use super::world::{EXPORT, LEASE, World, dead, done, retry, tenant};

/// A job in the state.
async fn job_in(world: &World, whose: &TenantId, state: State) -> JobId {
    let later = world.in_seconds(600);
    if state == State::Blocked {
        let first = NewJob { run_at: Some(later), ..world.job(whose, &EXPORT) };
        let after = vec![world.submit(first).await];
        return world.submit(NewJob { after, ..world.job(whose, &EXPORT) }).await;
    }
    if state == State::Scheduled {
        let job = NewJob { run_at: Some(later), ..world.job(whose, &EXPORT) };
        return world.submit(job).await;
    }
    let id = world.exports(whose, 1).await[0];
    let verdict = match state {
        State::Waiting | State::Scheduled | State::Blocked => return id,
        State::Running => None,
        State::Retrying => Some(retry(later)),
        State::Completed => Some(done()),
        State::Cancelled => Some(Verdict::Cancelled),
        State::Dead => Some(dead()),
    };
    let claim = world.claim_one().await;
    assert_eq!(claim.job.id, id);
    if let Some(verdict) = verdict {
        assert_eq!(world.settle(&claim.lease, verdict).await, Settled::Now(state));
    }
    id
}

pub(crate) async fn cancelling_follows_the_table_from_each_state(world: &World) {
    for state in State::ALL {
        // A tenant a state: what one case leaves behind is not claimed by the next.
        let whose = tenant(state.name());
        let id = job_in(world, &whose, state).await;
        let after = TRANSITIONS
            .iter()
            .find(|(from, by, _)| (*from, *by) == (state, Trigger::CancelAsked))
            .map_or(state, |(.., to)| *to);
        let (outcome, again) = match after {
            State::Running => (CancelOutcome::Asked, CancelOutcome::Asked),
            ended if ended == state => (CancelOutcome::Ended(ended), CancelOutcome::Ended(ended)),
            ended => (CancelOutcome::Cancelled, CancelOutcome::Ended(ended)),
        };
        let before = world.inspect(&whose, id).await;
        assert_eq!(world.queue.cancel(&whose, &[id]).await.unwrap(), [outcome], "{state}");
        let job = world.inspect(&whose, id).await;
        assert_eq!(job.state, after, "{state}");
        match outcome {
            CancelOutcome::Asked => assert!(job.cancel_asked),
            CancelOutcome::Ended(_) => assert_eq!(job, before, "{state}"),
            _ => assert_eq!(job.finished_at, Some(world.now())),
        }
        assert_eq!(world.queue.cancel(&whose, &[id]).await.unwrap(), [again], "{state}, again");
        // Out of the way of the next case.
        world.queue.pause(&presswork::queue::Scope::Tenant(whose)).await.unwrap();
    }
}

pub(crate) async fn requeuing_follows_the_table_from_each_state(world: &World) {
    for state in State::ALL {
        let whose = tenant(state.name());
        let id = job_in(world, &whose, state).await;
        world.advance(1);
        let before = world.inspect(&whose, id).await;
        let may = TRANSITIONS.iter().any(|(from, by, _)| (*from, *by) == (state, Trigger::Requeued));
        let outcome = world.queue.requeue(&whose, &[id]).await.unwrap();
        let job = world.inspect(&whose, id).await;
        if may {
            assert_eq!(outcome, [RequeueOutcome::Requeued], "{state}");
            assert_eq!((job.state, job.attempt, job.finished_at), (State::Waiting, 0, None), "{state}");
            assert!(!job.cancel_asked);
        } else {
            assert_eq!(outcome, [RequeueOutcome::NotEnded(state)], "{state}");
            assert_eq!(job, before, "{state}");
        }
        world.queue.pause(&presswork::queue::Scope::Tenant(whose)).await.unwrap();
    }
}

pub(crate) async fn a_cancelled_job_is_not_handed_out(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    let delayed = NewJob { run_at: Some(world.in_seconds(5)), ..world.job(&acme, &EXPORT) };
    let delayed = world.submit(delayed).await;
    let outcome = world.queue.cancel(&acme, &[ids[1], delayed]).await.unwrap();
    assert_eq!(outcome, [CancelOutcome::Cancelled; 2]);
    world.advance(5);
    assert_eq!(world.claim_ids(9).await, [ids[0], ids[2]]);
}

pub(crate) async fn a_requeued_job_has_all_its_attempts_and_its_checkpoint(world: &World) {
    let acme = tenant("acme");
    let id = world.submit(NewJob { max_attempts: 2, ..world.job(&acme, &EXPORT) }).await;
    let lease = world.claim_one().await.lease;
    let checkpoint = Some(Checkpoint(b"part 4".as_slice().into()));
    let renewal = Renewal { lease: lease.clone(), lease_for: LEASE, checkpoint: checkpoint.clone() };
    world.queue.renew(vec![renewal]).await.unwrap();
    world.settle(&lease, dead()).await;
    world.queue.requeue(&acme, &[id]).await.unwrap();
    for attempt in 1..=2 {
        let claim = world.claim_one().await;
        assert_eq!((claim.job.attempt, &claim.job.checkpoint), (attempt, &checkpoint));
        world.settle(&claim.lease, retry(world.now())).await;
    }
    assert_eq!(world.state(&acme, id).await, State::Dead);
}

pub(crate) async fn another_tenants_job_does_not_exist(world: &World) {
    let (acme, mallory) = (tenant("acme"), tenant("mallory"));
    let ids = world.exports(&acme, 3).await;
    let claim = world.claim_one().await;
    world.queue.cancel(&acme, &ids[1..2]).await.unwrap();
    let before = world.queue.inspect(&acme, &ids).await.unwrap();

    let unknown = world.new_id();
    for id in [ids[0], ids[1], ids[2], unknown] {
        assert_eq!(world.look(&mallory, id).await, None);
        assert_eq!(world.queue.cancel(&mallory, &[id]).await.unwrap(), [CancelOutcome::Unknown]);
        assert_eq!(world.queue.requeue(&mallory, &[id]).await.unwrap(), [RequeueOutcome::Unknown]);
    }
    let stolen = Lease { tenant: mallory.clone(), ..claim.lease.clone() };
    let renewal = Renewal { lease: stolen.clone(), lease_for: LEASE, checkpoint: None };
    assert_eq!(world.queue.renew(vec![renewal]).await.unwrap(), [Standing::Lost]);
    assert_eq!(world.settle(&stolen, done()).await, Settled::LeaseLost);
    assert_eq!(world.list(&mallory, &Filter::default(), 10).await, []);
    assert_eq!(world.queue.stats(Some(&mallory)).await.unwrap().lanes, []);
    assert_eq!(world.queue.inspect(&acme, &ids).await.unwrap(), before, "nothing has changed");
}

pub(crate) async fn the_same_id_in_another_tenant_never_touches_the_first(world: &World) {
    let (acme, mallory) = (tenant("acme"), tenant("mallory"));
    let theirs = world.job(&acme, &EXPORT);
    let id = world.submit(theirs.clone()).await;
    let same_id = NewJob { tenant: mallory.clone(), cost: 2, ..theirs };
    // An engine may keep both or refuse the second; it may not take one for the other.
    let answer = world.enqueue(vec![same_id]).await.remove(0);
    let kept = match answer {
        Ok(Enqueued::Accepted(_)) => Some(State::Waiting),
        Err(Refusal::Invalid(_)) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(world.look(&mallory, id).await.map(|job| job.state), kept);
    world.queue.cancel(&mallory, &[id]).await.unwrap();
    let job = world.inspect(&acme, id).await;
    assert_eq!((job.state, job.cost), (State::Waiting, 1));
}
