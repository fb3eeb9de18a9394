//! Jobs that wait for others: blocked until the last of them has completed.

use presswork::{
    domain::{JobId, NewJob, State, TenantId, TenantLimits},
    queue::{CancelOutcome, Constraint, Enqueued, Refusal, RequeueOutcome},
};

use super::world::{EXPORT, World, dead, done, tenant};

fn after(world: &World, whose: &TenantId, jobs: &[JobId]) -> NewJob {
    NewJob { after: jobs.to_vec(), ..world.job(whose, &EXPORT) }
}

pub(crate) async fn a_job_waits_until_the_last_it_names_has_completed(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 2).await;
    let last = world.submit(after(world, &acme, &ids)).await;
    let seen = world.inspect(&acme, last).await;
    assert_eq!((seen.state, &seen.after), (State::Blocked, &ids));
    assert_eq!(world.queue.stats(None).await.unwrap().count(State::Blocked), 1);
    let claims = world.claim(9).await;
    assert_eq!(claims.len(), 2, "the blocked one is not handed out");
    world.finish(&claims[1..]).await;
    assert_eq!(world.state(&acme, last).await, State::Blocked);
    world.advance(5);
    world.finish(&claims[..1]).await;
    let seen = world.inspect(&acme, last).await;
    assert_eq!((seen.state, seen.run_at), (State::Waiting, world.now()), "from now on it is to run");
    let claim = world.claim_one().await;
    assert_eq!((claim.job.id, &claim.job.after), (last, &ids));
}

pub(crate) async fn a_chain_runs_in_its_order(world: &World) {
    let acme = tenant("acme");
    let first = world.job(&acme, &EXPORT);
    let second = after(world, &acme, &[first.id]);
    let third = after(world, &acme, &[second.id]);
    let ids = [first.id, second.id, third.id];
    let answers = world.enqueue(vec![first, second, third]).await;
    assert_eq!(answers, ids.map(|id| Ok(Enqueued::Accepted(id))), "also where it is enqueued in one call");
    for id in ids {
        assert_eq!(world.state(&acme, id).await, State::Waiting);
        world.end_next(id, done()).await;
    }
}

pub(crate) async fn what_has_completed_before_blocks_nothing(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    world.end_next(first, done()).await;
    let at_once = world.submit(after(world, &acme, &[first])).await;
    assert_eq!(world.state(&acme, at_once).await, State::Waiting);
    let in_time = NewJob { run_at: Some(world.in_seconds(60)), ..after(world, &acme, &[first]) };
    let in_time = world.submit(in_time).await;
    assert_eq!(world.state(&acme, in_time).await, State::Scheduled);
    assert_eq!(world.inspect(&acme, at_once).await.after, [first]);
}

pub(crate) async fn a_job_named_twice_counts_once(world: &World) {
    let acme = tenant("acme");
    let [first, second] = world.exports(&acme, 2).await[..] else { panic!() };
    let last = world.submit(after(world, &acme, &[second, first, second])).await;
    assert_eq!(world.inspect(&acme, last).await.after, [second, first]);
    let Constraint::Jobs { left, .. } = world.why(&acme, last).await.constraint else { panic!() };
    assert_eq!(left, 2);
    world.end_next(first, done()).await;
    world.end_next(second, done()).await;
    assert_eq!(world.claim_ids(9).await, [last]);
    // A hundred may be named, however often.
    let many = world.exports(&acme, NewJob::MOST_DEPENDENCIES).await;
    world.submit(after(world, &acme, &[&many[..], &many[..]].concat())).await;
}

pub(crate) async fn jobs_that_are_not_there_can_not_be_waited_for(world: &World) {
    let (acme, mallory) = (tenant("acme"), tenant("mallory"));
    let theirs = world.exports(&mallory, 1).await[0];
    let known = world.exports(&acme, 1).await[0];
    for stranger in [world.new_id(), theirs] {
        let problem = world.refused(after(world, &acme, &[known, stranger])).await;
        assert!(problem.contains(&stranger.to_string()), "{problem}");
    }
    let mut own = world.job(&acme, &EXPORT);
    own.after = vec![own.id];
    world.refused(own).await;
    // Not even one that comes later in the same call.
    let later = world.job(&acme, &EXPORT);
    let answers = world.enqueue(vec![after(world, &acme, &[later.id]), later]).await;
    assert!(matches!(answers[0], Err(Refusal::Invalid(_))), "{answers:?}");
    assert!(answers[1].is_ok());
    let many = world.exports(&acme, NewJob::MOST_DEPENDENCIES + 1).await;
    world.refused(after(world, &acme, &many)).await;
}

pub(crate) async fn a_repeated_call_is_answered_though_what_it_names_has_gone(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let job = after(world, &acme, &[first]);
    let id = world.submit(job.clone()).await;
    world.end_next(first, done()).await;
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 1);
    assert_eq!(world.enqueue(vec![job]).await, [Ok(Enqueued::Duplicate(id))]);
    assert_eq!(world.claim_ids(9).await, [id]);
}

pub(crate) async fn a_thousand_jobs_may_wait_for_one_and_no_more(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let jobs = (0..NewJob::MOST_DEPENDENTS).map(|_| after(world, &acme, &[first])).collect();
    let answers = world.enqueue(jobs).await;
    assert!(answers.iter().all(Result::is_ok));
    let problem = world.refused(after(world, &acme, &[first])).await;
    assert!(problem.contains("batch"), "{problem}");
    // One that waits no more makes room for another.
    let one = answers[0].as_ref().unwrap().id();
    world.cancel(&acme, one).await;
    world.submit(after(world, &acme, &[first])).await;
    world.end_next(first, done()).await;
    let stats = world.queue.stats(None).await.unwrap();
    let count = |state| stats.count(state);
    assert_eq!((count(State::Waiting), count(State::Blocked)), (NewJob::MOST_DEPENDENTS as u64, 0));
}

pub(crate) async fn one_that_ends_badly_leaves_blocked_and_may_yet_complete(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 2).await;
    let last = world.submit(after(world, &acme, &ids)).await;
    world.end_next(ids[0], dead()).await;
    world.cancel(&acme, ids[1]).await;
    // Also for one that comes when it has ended.
    let late = world.submit(after(world, &acme, &ids[..1])).await;
    for id in [last, late] {
        assert_eq!(world.state(&acme, id).await, State::Blocked);
    }
    for id in &ids {
        world.requeue(&acme, *id).await;
        world.end_next(*id, done()).await;
    }
    let mut claimed = world.claim_ids(9).await;
    claimed.sort();
    let mut both = [last, late];
    both.sort();
    assert_eq!(claimed, both);
}

pub(crate) async fn one_that_is_removed_uncompleted_cancels_what_waits_for_it(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let second = world.submit(after(world, &acme, &[first])).await;
    let third = world.submit(after(world, &acme, &[second])).await;
    world.end_next(first, dead()).await;
    world.advance(10);
    assert_eq!(world.sweep(world.now()).await, 1);
    let cancelled = world.inspect(&acme, second).await;
    assert_eq!((cancelled.state, cancelled.finished_at), (State::Cancelled, Some(world.now())));
    let reason = cancelled.reason.expect("a reason");
    assert!(reason.as_str().contains(&first.to_string()), "{reason}");
    assert_eq!(world.state(&acme, third).await, State::Blocked, "its turn comes when the second is removed");
    world.advance(10);
    assert_eq!(world.sweep(world.now()).await, 1);
    assert_eq!(world.state(&acme, third).await, State::Cancelled);
    world.advance(10);
    assert_eq!(world.sweep(world.now()).await, 1);
    assert_eq!(world.queue.stats(None).await.unwrap().lanes, []);
}

pub(crate) async fn removing_what_has_completed_harms_nobody(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 2).await;
    let last = world.submit(after(world, &acme, &ids)).await;
    world.end_next(ids[0], done()).await;
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 1);
    assert_eq!(world.state(&acme, last).await, State::Blocked);
    world.end_next(ids[1], done()).await;
    assert_eq!(world.claim_ids(9).await, [last]);
}

pub(crate) async fn an_unblocked_job_waits_for_its_own_time(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let at = world.in_seconds(60);
    let last = world.submit(NewJob { run_at: Some(at), ..after(world, &acme, &[first]) }).await;
    assert_eq!(world.state(&acme, last).await, State::Blocked);
    world.end_next(first, done()).await;
    let seen = world.inspect(&acme, last).await;
    assert_eq!((seen.state, seen.run_at), (State::Scheduled, at));
    world.advance(59);
    assert_eq!(world.claim_ids(9).await, []);
    world.advance(1);
    assert_eq!(world.claim_ids(9).await, [last]);
}

pub(crate) async fn a_time_alone_does_not_unblock(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let last = NewJob { run_at: Some(world.in_seconds(5)), ..after(world, &acme, &[first]) };
    let last = world.submit(last).await;
    world.advance(6);
    assert_eq!(world.claim_ids(9).await, [first]);
    assert_eq!(world.state(&acme, last).await, State::Blocked);
}

pub(crate) async fn a_blocked_job_that_was_cancelled_and_requeued_waits_for_nobody(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let [kept, freed] = [after(world, &acme, &[first]), after(world, &acme, &[first])];
    let (kept, freed) = (world.submit(kept).await, world.submit(freed).await);
    for id in [kept, freed] {
        world.cancel(&acme, id).await;
    }
    let running = world.claim_one().await;
    assert_eq!(running.job.id, first);
    world.requeue(&acme, freed).await;
    world.end_next(freed, done()).await;
    world.finish(&[running]).await;
    assert_eq!(world.state(&acme, freed).await, State::Completed);
    assert_eq!(world.state(&acme, kept).await, State::Cancelled, "nothing brings it back by itself");
    assert_eq!(world.claim_ids(9).await, []);
}

pub(crate) async fn a_blocked_job_can_not_be_requeued(world: &World) {
    let acme = tenant("acme");
    let first = world.exports(&acme, 1).await[0];
    let last = world.submit(after(world, &acme, &[first])).await;
    let outcome = world.queue.requeue(&acme, &[last]).await.unwrap();
    assert_eq!(outcome, [RequeueOutcome::NotEnded(State::Blocked)]);
    let outcome = world.queue.cancel(&acme, &[last, last]).await.unwrap();
    assert_eq!(outcome, [CancelOutcome::Cancelled, CancelOutcome::Ended(State::Cancelled)]);
}

pub(crate) async fn blocked_jobs_count_as_waiting_at_the_door(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_waiting: Some(2), ..TenantLimits::default() }).await;
    let first = world.exports(&acme, 1).await[0];
    let last = world.submit(after(world, &acme, &[first])).await;
    let full = || async {
        let answer = world.enqueue(vec![world.job(&acme, &EXPORT)]).await.remove(0);
        matches!(answer, Err(Refusal::TooMany { limit: 2, .. }))
    };
    assert!(full().await);
    world.cancel(&acme, last).await;
    world.submit(after(world, &acme, &[first])).await;
    assert!(full().await, "cancelled it counts no more, its follower does");
    world.end_next(first, done()).await;
    world.exports(&acme, 1).await;
    assert!(full().await, "unblocked it counts once");
}
