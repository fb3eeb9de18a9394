//! Unique windows: at most one job of a key at a time, for as long as the second one says.

use presswork::{
    domain::{JobId, KindName, NewJob, State, TenantId, TenantLimits, Unique, Window},
    queue::Enqueued,
};

use super::world::{EXPORT, IMPORT, World, dead, done, retry, tenant};

fn unique(job: NewJob, key: &str, window: Window) -> NewJob {
    NewJob { unique: Some(Unique { key: key.parse().unwrap(), window }), ..job }
}

/// A job of the key `k`.
fn one(world: &World, window: Window) -> NewJob {
    unique(world.job(&tenant("acme"), &EXPORT), "k", window)
}

/// What a second job of the key `k` with this window is answered with; it is not kept where it is a duplicate.
async fn second(world: &World, window: Window) -> Enqueued {
    let job = one(world, window);
    let (whose, id) = (job.tenant.clone(), job.id);
    let answer = world.enqueue(vec![job]).await.remove(0).unwrap();
    if answer != Enqueued::Accepted(id) {
        assert_eq!(world.look(&whose, id).await, None);
    }
    answer
}

pub(crate) async fn a_unique_job_is_kept_as_it_was_given(world: &World) {
    let job = one(world, Window::Unfinished);
    let (whose, given) = (job.tenant.clone(), job.unique.clone());
    let id = world.submit(job).await;
    assert_eq!(world.inspect(&whose, id).await.unique, given);
    assert_eq!(world.claim_one().await.job.unique, given);
}

pub(crate) async fn while_a_job_waits_a_second_one_of_its_key_is_answered_with_it(world: &World) {
    let acme = tenant("acme");
    let earlier = NewJob { run_at: Some(world.in_seconds(900)), ..world.job(&acme, &IMPORT) };
    let earlier = world.submit(earlier).await;
    let later = Some(world.in_seconds(600));
    for given in [
        one(world, Window::Waiting),
        NewJob { run_at: later, ..one(world, Window::Waiting) },
        NewJob { after: vec![earlier], ..one(world, Window::Waiting) },
    ] {
        let id = world.submit(given).await;
        for window in [Window::Waiting, Window::Unfinished] {
            let state = world.state(&acme, id).await;
            assert_eq!(second(world, window).await, Enqueued::Duplicate(id), "{state}, {window}");
        }
        world.cancel(&acme, id).await;
    }
    // Also while it is to be tried again.
    let id = world.submit(one(world, Window::Waiting)).await;
    world.end_next(id, retry(world.in_seconds(600))).await;
    assert_eq!(second(world, Window::Waiting).await, Enqueued::Duplicate(id));
}

pub(crate) async fn while_a_job_runs_one_more_of_its_key_may_wait(world: &World) {
    let first = world.submit(one(world, Window::Waiting)).await;
    world.claim_one().await;
    assert_eq!(second(world, Window::Unfinished).await, Enqueued::Duplicate(first));
    let next = second(world, Window::Waiting).await;
    assert_ne!(next.id(), first);
    assert_eq!(second(world, Window::Waiting).await, Enqueued::Duplicate(next.id()), "one, not two");
}

pub(crate) async fn once_a_job_has_ended_its_key_is_free(world: &World) {
    for verdict in [done(), dead()] {
        let id = world.submit(one(world, Window::Unfinished)).await;
        world.end_next(id, verdict).await;
    }
    let id = world.submit(one(world, Window::Unfinished)).await;
    world.cancel(&tenant("acme"), id).await;
    let last = world.submit(one(world, Window::Unfinished)).await;
    assert_eq!(second(world, Window::Unfinished).await, Enqueued::Duplicate(last));
}

pub(crate) async fn of_several_jobs_of_a_key_the_one_accepted_last_counts(world: &World) {
    let acme = tenant("acme");
    let first = world.submit(one(world, Window::Waiting)).await;
    let claim = world.claim_one().await;
    let last = world.submit(one(world, Window::Waiting)).await;
    world.cancel(&acme, last).await;
    assert_eq!(claim.job.id, first, "runs on");
    let third = second(world, Window::Unfinished).await;
    assert!(matches!(third, Enqueued::Accepted(_)), "the last one has ended: {third:?}");
    // Nor does the first count again once the others are removed.
    world.cancel(&acme, third.id()).await;
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 2);
    assert_eq!(world.state(&acme, first).await, State::Running);
    assert!(matches!(second(world, Window::Unfinished).await, Enqueued::Accepted(_)));
}

pub(crate) async fn a_requeued_job_is_in_the_window_again(world: &World) {
    let id = world.submit(one(world, Window::Waiting)).await;
    world.end_next(id, dead()).await;
    world.requeue(&tenant("acme"), id).await;
    assert_eq!(second(world, Window::Waiting).await, Enqueued::Duplicate(id));
}

pub(crate) async fn a_unique_key_counts_within_its_tenant_and_kind_only(world: &World) {
    let job =
        |whose: &TenantId, kind: &KindName, key| unique(world.job(whose, kind), key, Window::Unfinished);
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    let jobs = vec![
        job(&acme, &EXPORT, "k"),
        job(&acme, &IMPORT, "k"),
        job(&bolt, &EXPORT, "k"),
        job(&acme, &EXPORT, "l"),
    ];
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let answers = world.enqueue(jobs).await;
    assert_eq!(answers, ids.into_iter().map(|id| Ok(Enqueued::Accepted(id))).collect::<Vec<_>>());
    // Nor is it an idempotency key.
    let same_text = NewJob { idempotency_key: Some("k".parse().unwrap()), ..world.job(&acme, &EXPORT) };
    world.submit(same_text).await;
}

pub(crate) async fn two_of_a_unique_key_in_one_call_are_one_job(world: &World) {
    let (first, next) = (one(world, Window::Waiting), one(world, Window::Waiting));
    let id = first.id;
    let answers = world.enqueue(vec![first, next]).await;
    assert_eq!(answers, [Ok(Enqueued::Accepted(id)), Ok(Enqueued::Duplicate(id))]);
    assert_eq!(world.claim_ids(9).await, [id]);
}

pub(crate) async fn id_and_idempotency_key_are_asked_before_the_unique_key(world: &World) {
    let acme = tenant("acme");
    let keyed = NewJob { idempotency_key: Some("i".parse().unwrap()), ..world.job(&acme, &EXPORT) };
    let by_key = world.submit(keyed).await;
    let by_id = world.exports(&acme, 1).await[0];
    let by_window = world.submit(one(world, Window::Unfinished)).await;
    let of_id = NewJob { id: by_id, ..one(world, Window::Unfinished) };
    let of_key = NewJob { idempotency_key: Some("i".parse().unwrap()), ..one(world, Window::Unfinished) };
    let answers = world.enqueue(vec![of_id, of_key, one(world, Window::Unfinished)]).await;
    assert_eq!(answers, [by_id, by_key, by_window].map(|id| Ok(Enqueued::Duplicate(id))));
}

pub(crate) async fn a_taken_window_is_answered_even_where_the_tenant_is_full(world: &World) {
    let limits = TenantLimits { max_waiting: Some(1), ..TenantLimits::default() };
    world.limit(&tenant("acme"), limits).await;
    let id = world.submit(one(world, Window::Waiting)).await;
    assert_eq!(second(world, Window::Waiting).await, Enqueued::Duplicate(id));
}
