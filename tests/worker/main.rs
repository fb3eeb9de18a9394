//! The worker over a real engine: how attempts end, how leases and cancels reach handlers, how it stops.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

mod awaited;
mod kinds;
mod limits;
mod observed;
mod secrets;
mod testing;
mod uploads;
mod world;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use presswork::{
    domain::{EventBody, ManualClock, Output, State, Verdict, WorkerId},
    progress::sqlite::SqliteProgress,
    queue::{Ask, CancelOutcome, Queue, sqlite::SqliteQueue},
    store::sqlite::{Database, SqliteRecords},
    worker::{Kind, Summary, WorkerError},
};

use self::{
    kinds::{Act, Noop, Slow},
    world::World,
};

fn database(folder: &Path) -> Arc<Database> {
    let tables =
        [presswork::queue::sqlite::MIGRATIONS, SqliteProgress::MIGRATIONS, SqliteRecords::MIGRATIONS];
    Arc::new(Database::open(&folder.join("presswork.db"), &tables).unwrap())
}

fn engine(database: Arc<Database>, clock: Arc<ManualClock>) -> Arc<dyn Queue> {
    Arc::new(SqliteQueue::new(database, clock))
}

#[tokio::test]
async fn a_job_runs_and_its_output_is_read_back() {
    let (job, summary) = World::new().run_one(&Act::Echo, State::Completed).await;
    assert_eq!(job.output.unwrap().result, "attempt 1");
    assert_eq!(summary, Summary { completed: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives() {
    let world = World::new();
    let running = world.start(World::options());
    let panics = world.enqueue(world.job(&Act::Panic)).await;
    let job = world.until(panics, State::Dead).await;
    assert_eq!((job.attempt, job.reason.unwrap().as_str()), (2, "the handler panicked: out of ink"));
    let after = world.enqueue(world.job(&Act::Echo)).await;
    world.until(after, State::Completed).await;
    assert_eq!(running.stop().await, Summary { completed: 1, retrying: 1, dead: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_handler_out_of_time_is_a_failed_attempt() {
    let (job, _) = World::new().run_one(&Slow, State::Dead).await;
    assert_eq!(job.reason.unwrap().as_str(), "timed out after 1ms");
}

#[tokio::test]
async fn a_failure_is_tried_again_and_then_dead() {
    let (job, summary) = World::new().run_one(&Act::Fail, State::Dead).await;
    assert_eq!((job.attempt, job.reason.unwrap().as_str()), (2, "paper jam"));
    assert_eq!(summary, Summary { retrying: 1, dead: 1, ..Summary::default() });
}

#[tokio::test]
async fn what_can_not_succeed_is_dead_at_once() {
    let (job, summary) = World::new().run_one(&Act::Fatal, State::Dead).await;
    assert_eq!((job.attempt, job.reason.unwrap().as_str()), (1, "no such book"));
    assert_eq!(summary, Summary { dead: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_snooze_costs_no_attempt() {
    let (job, summary) = World::new().run_one(&Act::Snooze, State::Scheduled).await;
    assert_eq!(job.attempt, 0);
    assert_eq!(summary, Summary { put_off: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_cancelled_job_is_told_and_stops() {
    let world = World::new();
    let running = world.start(World::options());
    let id = world.enqueue(world.job(&Act::Heed)).await;
    world.bus.heard(id, "started").await;
    let asked = world.queue.cancel(&world.tenant, &[id]).await.unwrap();
    assert_eq!(asked, [CancelOutcome::Asked]);
    world.until(id, State::Cancelled).await;
    assert_eq!(running.stop().await, Summary { cancelled: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_handler_that_ignores_a_cancel_is_dropped() {
    let world = World::new();
    let mut options = World::options();
    options.grace = Duration::ZERO;
    let running = world.start(options);
    let id = world.enqueue(world.job(&Act::Ignore)).await;
    world.bus.heard(id, "started").await;
    world.queue.cancel(&world.tenant, &[id]).await.unwrap();
    world.until(id, State::Cancelled).await;
    assert_eq!(running.stop().await, Summary { cancelled: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_lost_lease_stops_the_handler_and_settles_nothing() {
    let world = World::new();
    let options = World::options();
    let (lease, kinds) = (options.lease, vec![Act::NAME]);
    let running = world.start(options);
    let id = world.enqueue(world.job(&Act::Ignore)).await;
    world.bus.heard(id, "started").await;
    // Else it would claim the job a second time itself.
    world.queue.refuse_claims(world.job(&Noop)).await;
    world.clock.advance(lease);
    let ask = Ask { kinds, most: 1, lease };
    let claim = world.queue.inner().claim(&WorkerId::new("other"), &ask).await.unwrap().remove(0);
    assert_eq!((claim.job.id, claim.job.attempt, claim.lease.epoch), (id, 2, 2));
    assert_eq!(running.stop().await, Summary { lost: 1, ..Summary::default() });
    let output = Output { result: "other".into(), artifacts: Vec::new() };
    world.queue.settle(vec![(claim.lease, Verdict::Done(output.clone()))]).await.unwrap();
    assert_eq!(world.until(id, State::Completed).await.output, Some(output));
}

#[tokio::test]
async fn a_handler_stops_by_the_end_of_a_lease_that_can_not_be_renewed() {
    let world = World::new();
    let (options, lease) = (World::options(), World::options().lease);
    let running = world.start(options);
    let id = world.enqueue(world.job(&Act::Ignore)).await;
    world.bus.heard(id, "started").await;
    world.queue.refuse_claims(world.job(&Noop)).await;
    world.queue.failing_renewals.store(usize::MAX, SeqCst);
    world.clock.advance(lease);
    assert_eq!(running.stop().await, Summary { lost: 1, ..Summary::default() });
}

#[tokio::test]
async fn a_worker_that_breaks_down_says_so() {
    let world = World::new();
    world.queue.claims_panic.store(true, SeqCst);
    let ended = world.start(World::options()).ended().await;
    assert!(matches!(ended, Err(WorkerError::Broken(_))), "{ended:?}");
}

#[tokio::test]
async fn a_worker_that_is_stopped_before_it_starts_ends() {
    let world = World::new();
    assert_eq!(world.start(World::options()).stop().await, Summary::default());
}

#[tokio::test]
async fn a_drain_hands_running_jobs_back_at_no_cost() {
    for act in [Act::Heed, Act::Ignore] {
        let world = World::new();
        let mut options = World::options();
        (options.drain, options.grace) = (Duration::ZERO, Duration::ZERO);
        let running = world.start(options);
        let id = world.enqueue(world.job(&act)).await;
        world.bus.heard(id, "started").await;
        assert_eq!(running.stop().await, Summary { put_off: 1, ..Summary::default() });
        let job = world.until(id, State::Scheduled).await;
        assert_eq!((job.attempt, job.epoch), (0, 1), "{act:?}");
    }
}

#[tokio::test]
async fn a_worker_stopped_half_way_leaves_nothing_running_and_another_goes_on() {
    let world = World::new();
    let jobs: Vec<_> = (0..500).map(|_| world.job(&Noop)).collect();
    let first = jobs[100].id;
    world.queue.enqueue(jobs).await.unwrap();
    let running = world.start(World::options());
    world.until(first, State::Completed).await;
    let one = running.stop().await;
    let stats = world.queue.stats(None).await.unwrap();
    assert_eq!(stats.count(State::Running), 0);
    assert_eq!(stats.count(State::Completed), one.completed);

    let last = world.enqueue(world.job(&Noop)).await;
    let running = world.start(World::options());
    world.until(last, State::Completed).await;
    let left = 501 - one.completed;
    world.queue.all_completed(501).await;
    assert_eq!(running.stop().await, Summary { completed: left, ..Summary::default() });
}

#[tokio::test]
async fn a_poisoned_payload_is_dead_and_others_go_on() {
    let world = World::new();
    let running = world.start(World::options());
    let poisoned = world.enqueue(world.raw(Act::NAME, 1, b"\x00 not JSON")).await;
    let newer = world.enqueue(world.raw(Act::NAME, 2, b"{}")).await;
    let fine = world.enqueue(world.job(&Act::Echo)).await;
    world.until(fine, State::Completed).await;
    let job = world.until(poisoned, State::Dead).await;
    assert_eq!(job.attempt, 1);
    let reason = job.reason.unwrap();
    assert!(reason.as_str().starts_with("the payload is not one of kind act, version 1: "), "{reason}");
    let job = world.until(newer, State::Scheduled).await;
    assert_eq!(job.attempt, 0);
    assert_eq!(running.stop().await, Summary { completed: 1, dead: 1, put_off: 1, ..Summary::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_jobs_complete_exactly_once() {
    let world = World::new();
    let mut options = World::options();
    options.concurrency = 64;
    let running = world.start(options);
    let jobs: Vec<_> = (0..2_000).map(|_| world.job(&Noop)).collect();
    world.queue.enqueue(jobs).await.unwrap();
    world.queue.all_completed(2_000).await;
    assert_eq!(running.stop().await, Summary { completed: 2_000, ..Summary::default() });
}

#[tokio::test]
async fn an_outage_of_the_store_loses_no_verdict() {
    let world = World::new();
    world.queue.failing_settles.store(3, SeqCst);
    world.queue.failing_claims.store(2, SeqCst);
    let (job, summary) = world.run_one(&Act::Echo, State::Completed).await;
    assert_eq!(job.attempt, 1);
    assert_eq!(summary, Summary { completed: 1, ..Summary::default() });
    assert_eq!(world.queue.failing_settles.load(SeqCst), 0);
}

#[tokio::test]
async fn the_last_report_goes_out_before_the_job_is_settled() {
    let world = World::new();
    let (job, _) = world.run_one(&Act::Report, State::Completed).await;
    let published = world.bus.published();
    assert!(published.len() < 1_000, "{}", published.len());
    let last = published.last().unwrap();
    assert_eq!((last.job, last.epoch), (job.id, job.epoch));
    assert!(matches!(&last.body, EventBody::Progress(progress) if progress.done == 1_000));
}

#[tokio::test]
async fn an_artifact_is_published_with_its_job() {
    let world = World::new();
    let (job, _) = world.run_one(&Act::Write, State::Completed).await;
    let artifacts = job.output.unwrap().artifacts;
    assert_eq!((artifacts.len(), artifacts[0].name.as_str(), artifacts[0].plain_bytes), (1, "a.txt", 5));
    assert!(world.stored_keys().await.contains(&artifacts[0].manifest));
}

#[tokio::test]
async fn a_second_attempt_goes_on_from_the_checkpoint_and_nothing_half_made_stays() {
    let world = World::new();
    let (job, summary) = world.run_one(&Act::Resume, State::Completed).await;
    assert_eq!(job.output.unwrap(), Output { result: "page 7".into(), artifacts: Vec::new() });
    assert_eq!(summary, Summary { completed: 1, retrying: 1, ..Summary::default() });
    assert_eq!(world.stored_keys().await, [""; 0]);
}
