//! What handlers use of what is limited: put off, never failed; parked for the fleet; settled.

use std::time::Duration;

use presswork::{
    domain::{Clock as _, EventBody, JobId, NewJob, State, TenantId, WorkerId},
    queue::Queue as _,
    worker::{Options, Summary},
};

use super::{
    kinds::{MODEL, Noop, PARKED, Remembers, Uses},
    world::World,
};

fn options(n: usize) -> Options {
    Options { id: WorkerId::new(&format!("worker-{n}")), ..World::options() }
}

fn of(tenant: &TenantId, job: NewJob) -> NewJob {
    NewJob { tenant: tenant.clone(), ..job }
}

/// The clock was moved by hand, so nothing tells sleeping workers: a new job does.
async fn wake(world: &World) {
    world.enqueue(world.job(&Noop)).await;
}

/// The jobs whose handlers came past their reservation, in order.
fn entered(world: &World) -> Vec<JobId> {
    let is_in = |body: &EventBody| matches!(body, EventBody::Text { text } if text == "in");
    world.bus.published().iter().filter(|one| is_in(&one.body)).map(|one| one.job).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_worker_parks_no_worker_enters_before_its_time_and_no_attempt_is_burnt() {
    let world = World::new();
    let workers: Vec<_> = (0..8).map(|n| world.start(options(n))).collect();
    let first = world.enqueue(world.job(&Uses::TooMany)).await;
    world.until(first, State::Scheduled).await;
    let since = world.clock.now();
    assert_eq!(entered(&world), [first]);

    // All of the tenant's jobs are put off; another tenant's go through.
    let mine: Vec<NewJob> = (0..40).map(|_| world.job(&Uses::Fine(10))).collect();
    let ids: Vec<JobId> = mine.iter().map(|job| job.id).collect();
    world.queue.enqueue(mine).await.unwrap();
    for id in &ids {
        let job = world.until(*id, State::Scheduled).await;
        assert_eq!(job.attempt, 0);
        assert!(job.run_at >= since.after(PARKED), "{} {since}", job.run_at);
    }
    let other: TenantId = "other".parse().unwrap();
    let theirs = of(&other, world.job(&Uses::Fine(10)));
    let theirs = world.enqueue(theirs).await;
    world.queue.until(&other, theirs, |job| job.state == State::Completed).await;
    assert_eq!(entered(&world), [first, theirs]);

    // When its time has come everything goes on; but for the first, which would park it all again.
    world.queue.cancel(&world.tenant, &[first]).await.unwrap();
    world.clock.advance(2 * PARKED);
    wake(&world).await;
    for id in &ids {
        let job = world.until(*id, State::Completed).await;
        assert_eq!(job.output.unwrap().result, "attempt 1");
    }

    let mut failed = Summary::default();
    for worker in workers {
        let summary = worker.stop().await;
        failed.retrying += summary.retrying;
        failed.dead += summary.dead;
        failed.lost += summary.lost;
    }
    assert_eq!(failed, Summary::default());
}

#[tokio::test]
async fn a_tenant_out_of_tokens_is_put_off_and_goes_on_at_no_cost() {
    let world = World::new();
    world.rules.set(&world.tenant, &MODEL, Some("60/min:25".parse().unwrap())).await.unwrap();
    let running = world.start(World::options());
    // Ten each are reserved: the first gives five back, the second nothing, so the third finds ten and the fourth none.
    for uses in [Uses::Fine(5), Uses::Forgets, Uses::Fine(20)] {
        let id = world.enqueue(world.job(&uses)).await;
        world.until(id, State::Completed).await;
    }
    let late = world.enqueue(world.job(&Uses::Fine(10))).await;
    let job = world.until(late, State::Scheduled).await;
    // Ten tokens of debt and ten to come: 20 s, and an eighth of spread.
    let wait = job.run_at.since(world.clock.now());
    assert!((Duration::from_secs(20)..Duration::from_millis(22_500)).contains(&wait), "{wait:?}");
    assert_eq!((job.attempt, job.reason), (0, None));
    world.clock.advance(Duration::from_millis(22_500));
    wake(&world).await;
    assert_eq!(world.until(late, State::Completed).await.output.unwrap().result, "attempt 1");
    assert_eq!(running.stop().await, Summary { completed: 5, put_off: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_handler_sees_its_own_tenants_cache_only() {
    let world = World::new();
    let running = world.start(World::options());
    for name in ["acme", "other", "acme"] {
        let tenant: TenantId = name.parse().unwrap();
        let id = world.enqueue(of(&tenant, world.job(&Remembers))).await;
        let job = world.queue.until(&tenant, id, |job| job.state == State::Completed).await;
        assert_eq!(job.output.unwrap().result, serde_json::json!([name, name.len()]));
    }
    running.stop().await;
}
