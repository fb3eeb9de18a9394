//! Law 1: a job accepted is a job kept. And what is not accepted.

use std::time::Duration;

use presswork::{
    domain::{NewJob, Payload, Priority, State, TenantLimits},
    queue::{Enqueued, Refusal},
};

use super::world::{EXPORT, IMPORT, World, dead, tenant};

fn keyed(job: NewJob, key: &str) -> NewJob {
    NewJob { idempotency_key: Some(key.parse().unwrap()), ..job }
}

pub(crate) async fn a_job_is_kept_as_it_was_given(world: &World) {
    let acme = tenant("acme");
    let given = NewJob {
        priority: Priority::High,
        cost: 7,
        max_attempts: 3,
        payload: Payload { version: 9, bytes: vec![0, 255, b'"', b'\n'].into() },
        ..keyed(world.job(&acme, &EXPORT), "chapter-1")
    };
    let id = world.submit(given.clone()).await;
    let kept = world.inspect(&acme, id).await;
    assert_eq!((kept.id, kept.tenant, kept.kind), (id, given.tenant, given.kind));
    assert_eq!((kept.payload, kept.priority, kept.cost), (given.payload, given.priority, given.cost));
    assert_eq!((kept.attempt, kept.max_attempts, kept.epoch), (0, 3, 0));
    assert_eq!(kept.idempotency_key, given.idempotency_key);
    assert_eq!((kept.state, kept.created_at, kept.run_at), (State::Waiting, world.now(), world.now()));
    assert_eq!((kept.started_at, kept.finished_at, kept.lease_until), (None, None, None));
    assert_eq!((kept.worker, kept.checkpoint, kept.output, kept.reason), (None, None, None, None));
    assert!(!kept.cancel_asked);
}

pub(crate) async fn a_known_id_is_answered_with_the_job_that_is_there(world: &World) {
    let acme = tenant("acme");
    let first = world.job(&acme, &EXPORT);
    let again = NewJob { cost: 9, ..first.clone() };
    let answers = world.enqueue(vec![first.clone(), again.clone()]).await;
    assert_eq!(answers, [Ok(Enqueued::Accepted(first.id)), Ok(Enqueued::Duplicate(first.id))]);
    assert_eq!(world.enqueue(vec![again]).await, [Ok(Enqueued::Duplicate(first.id))]);
    assert_eq!(world.inspect(&acme, first.id).await.cost, 1, "a duplicate changes nothing");
    assert_eq!(world.claim_ids(9).await, [first.id]);
}

pub(crate) async fn a_known_key_is_answered_with_the_job_that_is_there(world: &World) {
    let acme = tenant("acme");
    let [first, same_batch, later] =
        [1, 2, 3].map(|cost| NewJob { cost, ..keyed(world.job(&acme, &EXPORT), "k") });
    let id = first.id;
    let answers = world.enqueue(vec![first, same_batch.clone()]).await;
    assert_eq!(answers, [Ok(Enqueued::Accepted(id)), Ok(Enqueued::Duplicate(id))]);
    let late = later.id;
    assert_eq!(world.enqueue(vec![later]).await, [Ok(Enqueued::Duplicate(id))]);
    assert_eq!(world.look(&acme, same_batch.id).await, None);
    assert_eq!(world.look(&acme, late).await, None);
    assert_eq!(world.inspect(&acme, id).await.cost, 1);
}

pub(crate) async fn a_key_counts_within_its_tenant_and_kind_only(world: &World) {
    for (whose, kind) in [("acme", EXPORT), ("acme", IMPORT), ("bolt", EXPORT)] {
        world.submit(keyed(world.job(&tenant(whose), &kind), "k")).await;
    }
}

pub(crate) async fn a_key_outlives_the_end_of_its_job(world: &World) {
    let acme = tenant("acme");
    let first = world.submit(keyed(world.job(&acme, &EXPORT), "k")).await;
    world.finish(&[world.claim_one().await]).await;
    let second = keyed(world.job(&acme, &EXPORT), "k");
    assert_eq!(world.enqueue(vec![second]).await, [Ok(Enqueued::Duplicate(first))]);
    assert_eq!(world.state(&acme, first).await, State::Completed);
}

pub(crate) async fn an_invalid_job_does_not_harm_its_neighbours(world: &World) {
    let acme = tenant("acme");
    let too_big = Payload { version: 1, bytes: vec![b'x'; NewJob::MOST_PAYLOAD_BYTES + 1].into() };
    let largest = Payload { version: 1, bytes: vec![b'x'; NewJob::MOST_PAYLOAD_BYTES].into() };
    let good = [world.job(&acme, &EXPORT), NewJob { payload: largest, ..world.job(&acme, &EXPORT) }];
    let bad = [
        NewJob { cost: 0, ..world.job(&acme, &EXPORT) },
        NewJob { max_attempts: 0, ..world.job(&acme, &EXPORT) },
        NewJob { payload: too_big, ..world.job(&acme, &EXPORT) },
    ];
    let mut batch = vec![good[0].clone()];
    batch.extend(bad.clone());
    batch.push(good[1].clone());
    let answers = world.enqueue(batch).await;
    assert_eq!(answers[0], Ok(Enqueued::Accepted(good[0].id)));
    assert_eq!(answers[4], Ok(Enqueued::Accepted(good[1].id)));
    for (answer, job) in answers[1..4].iter().zip(&bad) {
        assert!(matches!(answer, Err(Refusal::Invalid(_))), "{answer:?}");
        assert_eq!(world.look(&acme, job.id).await, None);
    }
}

pub(crate) async fn too_many_waiting_jobs_are_refused_until_some_have_gone(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_waiting: Some(3), ..TenantLimits::default() }).await;
    let delayed = NewJob { run_at: Some(world.in_seconds(60)), ..world.job(&acme, &IMPORT) };
    world.submit(delayed).await;
    let jobs: Vec<NewJob> = (0..4).map(|_| world.job(&acme, &EXPORT)).collect();
    let answers = world.enqueue(jobs).await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    for answer in &answers[2..] {
        let Err(Refusal::TooMany { tenant, limit, retry_after }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((tenant, *limit), (&acme, 3));
        assert!(*retry_after > Duration::ZERO, "a time to come back");
    }
    // One runs and then ends: a place is free, and stays so where it ends for good.
    let claim = world.claim_one().await;
    world.settle(&claim.lease, dead()).await;
    let freed = vec![world.job(&acme, &EXPORT), world.job(&acme, &EXPORT)];
    let answers = world.enqueue(freed).await;
    assert!(answers[0].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(Refusal::TooMany { .. })), "{answers:?}");
}

pub(crate) async fn too_many_waiting_bytes_are_refused_until_some_have_gone(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_waiting_bytes: Some(100), ..TenantLimits::default() }).await;
    let sized = |bytes: usize| NewJob {
        payload: Payload { version: 1, bytes: vec![b'x'; bytes].into() },
        ..world.job(&acme, &EXPORT)
    };
    let answers = world.enqueue(vec![sized(60), sized(41), sized(40), sized(1)]).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    for answer in [&answers[1], &answers[3]] {
        let Err(Refusal::TooLarge { tenant, limit, retry_after }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((tenant, *limit), (&acme, 100));
        assert!(*retry_after > Duration::ZERO, "a time to come back");
    }
    world.finish(&[world.claim_one().await]).await;
    let answers = world.enqueue(vec![sized(61), sized(60)]).await;
    assert!(matches!(answers[0], Err(Refusal::TooLarge { .. })), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");
}

pub(crate) async fn a_duplicate_is_answered_even_where_the_tenant_is_full(world: &World) {
    let acme = tenant("acme");
    world.limit(&acme, TenantLimits { max_waiting: Some(1), ..TenantLimits::default() }).await;
    let job = world.job(&acme, &EXPORT);
    world.submit(job.clone()).await;
    assert_eq!(world.enqueue(vec![job.clone()]).await, [Ok(Enqueued::Duplicate(job.id))]);
}

pub(crate) async fn one_tenant_full_does_not_close_the_door_to_another(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.limit(&acme, TenantLimits { max_waiting: Some(0), ..TenantLimits::default() }).await;
    let answers = world.enqueue(vec![world.job(&acme, &EXPORT), world.job(&bolt, &EXPORT)]).await;
    assert!(matches!(answers[0], Err(Refusal::TooMany { limit: 0, .. })), "{answers:?}");
    assert!(answers[1].is_ok());
}

pub(crate) async fn an_empty_batch_is_answered_with_nothing(world: &World) {
    assert_eq!(world.enqueue(Vec::new()).await, []);
    assert_eq!(world.queue.settle(Vec::new()).await.unwrap(), []);
    assert_eq!(world.queue.renew(Vec::new()).await.unwrap(), []);
    assert_eq!(world.queue.cancel(&tenant("acme"), &[]).await.unwrap(), []);
    assert_eq!(world.queue.requeue(&tenant("acme"), &[]).await.unwrap(), []);
    assert_eq!(world.queue.inspect(&tenant("acme"), &[]).await.unwrap(), []);
    assert_eq!(world.claim_as("w1", &[], 5).await, []);
    assert_eq!(world.claim_as("w1", &[EXPORT], 0).await, []);
}
