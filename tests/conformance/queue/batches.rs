//! Batches: jobs that end together, one figure for how far they are, one job that follows.

use presswork::{
    domain::{Batch, BatchId, JobId, NewBatch, NewJob, State, TenantId, TenantLimits, Timestamp},
    queue::{Enqueued, Opened, Refusal},
};

use super::world::{EXPORT, IMPORT, LEASE, World, dead, done, tenant};

fn within(world: &World, whose: &TenantId, batch: BatchId) -> NewJob {
    NewJob { batch: Some(batch), ..world.job(whose, &EXPORT) }
}

/// Opens a batch of so many jobs and fills it: the batch, its jobs, its callback.
async fn filled(world: &World, whose: &TenantId, size: u32) -> (BatchId, Vec<JobId>, JobId) {
    let new = world.batch(whose, size);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    let jobs: Vec<NewJob> = (0..size).map(|_| within(world, whose, batch)).collect();
    let ids = jobs.iter().map(|job| job.id).collect();
    assert!(world.enqueue(jobs).await.iter().all(Result::is_ok));
    (batch, ids, callback)
}

async fn invalid(world: &World, batch: NewBatch) {
    let (whose, id) = (batch.tenant.clone(), batch.id);
    let callback = batch.callback.as_ref().map(|job| (job.tenant.clone(), job.id));
    let there = async |job: &Option<(TenantId, JobId)>| match job {
        Some((whose, id)) => world.look(whose, *id).await,
        None => None,
    };
    let before = there(&callback).await;
    let answer = world.queue.open_batch(batch).await.unwrap();
    assert!(matches!(answer, Err(Refusal::Invalid(_))), "{answer:?}");
    assert_eq!(world.queue.batch(&whose, id).await.unwrap(), None, "refused as a whole");
    assert_eq!(there(&callback).await, before, "refused as a whole");
}

/// How many of a batch's jobs are there, have completed, are dead, were cancelled.
async fn counts(world: &World, whose: &TenantId, batch: BatchId) -> [u32; 4] {
    let Batch { enqueued, completed, dead, cancelled, .. } = world.look_at_batch(whose, batch).await;
    [enqueued, completed, dead, cancelled]
}

pub(crate) async fn the_callback_runs_once_all_jobs_have_ended(world: &World) {
    let acme = tenant("acme");
    let (batch, ids, callback) = filled(world, &acme, 3).await;
    assert_eq!(world.state(&acme, callback).await, State::Blocked);
    assert_eq!(world.inspect(&acme, ids[0]).await.batch, Some(batch));
    world.end_next(ids[0], done()).await;
    world.end_next(ids[1], dead()).await;
    assert_eq!(counts(world, &acme, batch).await, [3, 1, 1, 0]);
    assert_eq!(world.claim_ids(1).await, ids[2..]);
    assert_eq!(world.state(&acme, callback).await, State::Blocked);
    // Its worker is lost; back in its lane and cancelled, the third one ends the batch.
    world.advance(60);
    assert_eq!(world.sweep(Timestamp::EPOCH).await, 0);
    world.cancel(&acme, ids[2]).await;
    assert_eq!(counts(world, &acme, batch).await, [3, 1, 1, 1]);
    let seen = world.look_at_batch(&acme, batch).await;
    assert_eq!((seen.ended(), seen.percent(), seen.callback), (3, 100.0, Some(callback)));
    let claim = world.claim_one().await;
    assert_eq!((claim.job.id, claim.job.batch), (callback, None));
}

pub(crate) async fn a_batch_is_opened_once(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 2);
    let batch = world.open_batch(new.clone()).await;
    let seen = world.look_at_batch(&acme, batch).await;
    assert_eq!((seen.size, seen.enqueued, seen.ended()), (2, 0, 0));
    world.submit(within(world, &acme, batch)).await;
    assert_eq!(world.queue.open_batch(new.clone()).await.unwrap(), Ok(Opened::Before));
    let another = NewBatch { size: 5, callback: None, ..new.clone() };
    assert_eq!(world.queue.open_batch(another).await.unwrap(), Ok(Opened::Before));
    let seen = world.look_at_batch(&acme, batch).await;
    assert_eq!((seen.size, seen.enqueued), (2, 1), "nothing has changed");
    // Another tenant's is another one.
    let bolt = tenant("bolt");
    assert_eq!(world.queue.batch(&bolt, batch).await.unwrap(), None);
    world.refused(within(world, &bolt, batch)).await;
    world.open_batch(NewBatch { tenant: bolt.clone(), callback: None, ..new }).await;
    world.submit(within(world, &bolt, batch)).await;
    assert_eq!(counts(world, &acme, batch).await, [1, 0, 0, 0]);
}

pub(crate) async fn a_batch_needs_no_callback(world: &World) {
    let acme = tenant("acme");
    let batch = world.open_batch(NewBatch { callback: None, ..world.batch(&acme, 1) }).await;
    let id = world.submit(within(world, &acme, batch)).await;
    world.end_next(id, done()).await;
    assert_eq!(counts(world, &acme, batch).await, [1, 1, 0, 0]);
    assert_eq!(world.look_at_batch(&acme, batch).await.callback, None);
}

pub(crate) async fn a_batch_that_makes_no_sense_is_refused_with_its_callback(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    let there = world.exports(&acme, 1).await[0];
    let open = world.open_batch(world.batch(&acme, 2)).await;
    for size in [0, NewBatch::MOST_JOBS + 1] {
        invalid(world, world.batch(&acme, size)).await;
    }
    let plain = || world.job(&acme, &EXPORT);
    for callback in [
        world.job(&bolt, &EXPORT),
        NewJob { after: vec![there], ..plain() },
        NewJob { batch: Some(open), ..plain() },
        NewJob { cost: 0, ..plain() },
        NewJob { id: there, ..plain() },
    ] {
        invalid(world, NewBatch { callback: Some(callback), ..world.batch(&acme, 1) }).await;
    }
    let largest = NewBatch { callback: None, ..world.batch(&acme, NewBatch::MOST_JOBS) };
    world.open_batch(largest).await;
}

pub(crate) async fn a_full_tenant_opens_no_batch_with_a_callback(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_waiting: Some(1), ..TenantLimits::default() }).await;
    let first = world.exports(&acme, 1).await[0];
    let new = world.batch(&acme, 1);
    let (id, callback) = (new.id, new.callback.as_ref().unwrap().id);
    let answer = world.queue.open_batch(new.clone()).await.unwrap();
    assert!(matches!(answer, Err(Refusal::TooMany { limit: 1, .. })), "{answer:?}");
    assert_eq!(world.queue.batch(&acme, id).await.unwrap(), None);
    assert_eq!(world.look(&acme, callback).await, None);
    world.cancel(&acme, first).await;
    world.open_batch(new.clone()).await;
    // It waits, and counts as such; repeated, the call is answered all the same.
    assert!(world.enqueue(vec![world.job(&acme, &EXPORT)]).await[0].is_err());
    assert_eq!(world.queue.open_batch(new).await.unwrap(), Ok(Opened::Before));
}

pub(crate) async fn a_batch_takes_as_many_jobs_as_it_was_opened_for(world: &World) {
    let acme = tenant("acme");
    let batch = world.open_batch(world.batch(&acme, 2)).await;
    let first = within(world, &acme, batch);
    let answers = world
        .enqueue(vec![first.clone(), first.clone(), within(world, &acme, batch), within(world, &acme, batch)])
        .await;
    assert_eq!(answers[1], Ok(Enqueued::Duplicate(first.id)), "a duplicate takes no place");
    assert!(answers[2].is_ok());
    assert!(matches!(answers[3], Err(Refusal::Invalid(_))), "{answers:?}");
    assert_eq!(world.enqueue(vec![first.clone()]).await, [Ok(Enqueued::Duplicate(first.id))]);
    assert_eq!(counts(world, &acme, batch).await, [2, 0, 0, 0]);
    let stranger = BatchId::from_u128(7);
    world.refused(within(world, &acme, stranger)).await;
}

pub(crate) async fn a_batch_that_is_not_full_does_not_end(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 2);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    let first = world.submit(within(world, &acme, batch)).await;
    world.end_next(first, done()).await;
    assert_eq!(world.state(&acme, callback).await, State::Blocked);
    let last = world.submit(within(world, &acme, batch)).await;
    world.end_next(last, done()).await;
    assert_eq!(world.claim_ids(9).await, [callback]);
}

pub(crate) async fn a_requeued_job_of_a_batch_counts_again_when_it_ends_again(world: &World) {
    let acme = tenant("acme");
    let (batch, ids, callback) = filled(world, &acme, 2).await;
    world.end_next(ids[0], dead()).await;
    world.requeue(&acme, ids[0]).await;
    assert_eq!(counts(world, &acme, batch).await, [2, 0, 0, 0]);
    world.cancel(&acme, ids[1]).await;
    assert_eq!(world.state(&acme, callback).await, State::Blocked);
    world.end_next(ids[0], done()).await;
    assert_eq!(counts(world, &acme, batch).await, [2, 1, 0, 1]);
    // The callback has been let go: that is done but once.
    world.end_next(callback, done()).await;
    world.requeue(&acme, ids[1]).await;
    assert_eq!(counts(world, &acme, batch).await, [2, 1, 0, 0]);
    world.end_next(ids[1], done()).await;
    assert_eq!(counts(world, &acme, batch).await, [2, 2, 0, 0]);
    assert_eq!(world.state(&acme, callback).await, State::Completed);
}

pub(crate) async fn a_job_that_lapses_to_its_end_ends_its_batch(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 1);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    world.submit(NewJob { max_attempts: 1, ..within(world, &acme, batch) }).await;
    assert_eq!(world.claim(9).await.len(), 1);
    world.clock.advance(LEASE);
    assert_eq!(world.claim_ids(9).await, [callback], "the claim that notices may hand it out");
    assert_eq!(counts(world, &acme, batch).await, [1, 0, 1, 0]);
}

pub(crate) async fn a_cancelled_callback_stays_cancelled(world: &World) {
    let acme = tenant("acme");
    let (batch, ids, callback) = filled(world, &acme, 1).await;
    world.cancel(&acme, callback).await;
    world.end_next(ids[0], done()).await;
    assert_eq!(world.state(&acme, callback).await, State::Cancelled);
    assert_eq!(world.claim_ids(9).await, []);
    assert_eq!(counts(world, &acme, batch).await, [1, 1, 0, 0]);
    // Somebody may want it after all: then it waits for nothing.
    world.requeue(&acme, callback).await;
    assert_eq!(world.claim_ids(9).await, [callback]);
}

pub(crate) async fn a_callback_waits_for_its_own_time_too(world: &World) {
    let acme = tenant("acme");
    let mut new = world.batch(&acme, 1);
    let callback = new.callback.as_mut().unwrap();
    callback.run_at = Some(world.in_seconds(60));
    let callback = callback.id;
    let batch = world.open_batch(new).await;
    let id = world.submit(within(world, &acme, batch)).await;
    world.end_next(id, done()).await;
    assert_eq!(world.state(&acme, callback).await, State::Scheduled);
    world.advance(60);
    assert_eq!(world.claim_ids(9).await, [callback]);
}

pub(crate) async fn a_job_may_wait_for_a_callback_and_within_a_batch(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 2);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    let first = world.submit(within(world, &acme, batch)).await;
    let second = NewJob { after: vec![first], ..within(world, &acme, batch) };
    let second = world.submit(second).await;
    let last = world.submit(NewJob { after: vec![callback], ..world.job(&acme, &EXPORT) }).await;
    for id in [first, second, callback, last] {
        world.end_next(id, done()).await;
    }
}

pub(crate) async fn a_batch_is_removed_some_time_after_its_last_job_has_ended(world: &World) {
    let acme = tenant("acme");
    let (batch, ids, callback) = filled(world, &acme, 2).await;
    let keep =
        world.submit(NewJob { run_at: Some(world.in_seconds(900)), ..world.job(&acme, &IMPORT) }).await;
    world.end_next(ids[0], done()).await;
    world.advance(10);
    world.end_next(ids[1], done()).await;
    assert_eq!(world.sweep(world.now()).await, 1, "the first job, not the batch");
    assert_eq!(counts(world, &acme, batch).await, [2, 2, 0, 0], "who is removed has ended all the same");
    assert_eq!(world.look(&acme, ids[0]).await, None);
    world.advance(10);
    assert_eq!(world.sweep(world.now()).await, 2, "the second job and the batch");
    assert_eq!(world.queue.batch(&acme, batch).await.unwrap(), None);
    world.end_next(callback, done()).await;
    world.advance(10);
    assert_eq!(world.sweep(world.now()).await, 1);
    world.cancel(&acme, keep).await;
}

pub(crate) async fn an_abandoned_batch_is_removed_and_its_callback_cancelled(world: &World) {
    let acme = tenant("acme");
    let new = world.batch(&acme, 3);
    let callback = new.callback.as_ref().unwrap().id;
    let batch = world.open_batch(new).await;
    let empty = world.open_batch(NewBatch { callback: None, ..world.batch(&acme, 1) }).await;
    let ids =
        [world.submit(within(world, &acme, batch)).await, world.submit(within(world, &acme, batch)).await];
    world.end_next(ids[0], done()).await;
    world.advance(10);
    let opened_after = world.open_batch(NewBatch { callback: None, ..world.batch(&acme, 1) }).await;
    assert_eq!(world.sweep(world.now()).await, 2, "the job that has ended, and the empty batch");
    assert_eq!(world.queue.batch(&acme, empty).await.unwrap(), None);
    assert_eq!(counts(world, &acme, batch).await, [2, 1, 0, 0], "one of its jobs is unfinished");
    assert_eq!(world.state(&acme, callback).await, State::Blocked);
    world.end_next(ids[1], done()).await;
    assert_eq!(world.sweep(world.now()).await, 1, "the batch");
    assert_eq!(world.queue.batch(&acme, batch).await.unwrap(), None);
    world.look_at_batch(&acme, opened_after).await;
    let cancelled = world.inspect(&acme, callback).await;
    assert_eq!(cancelled.state, State::Cancelled);
    let reason = cancelled.reason.expect("a reason");
    assert!(reason.as_str().contains(&batch.to_string()), "{reason}");
    world.refused(within(world, &acme, batch)).await;
}
