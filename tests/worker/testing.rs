//! What `presswork::testing` gives to those who test their own kinds.

use std::time::Duration;

use presswork::{
    artifact::ArtifactOptions,
    domain::{EventBody, Failure, KindName, RetryPolicy, State},
    schedule::{CatchUp, Plan, SchedulePayload},
    testing::{Attempted, Fault, Inline, Moment, TestEngine},
    worker::{Context, Kind, PayloadError, Registry},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::kinds::{Act, Noop};

/// Prints pages, saves after each, and has the book bound.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Print {
    pages: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Bind {
    pages: u32,
}

impl Kind for Print {
    const NAME: KindName = KindName::literal("print");
    const RETRY: RetryPolicy =
        RetryPolicy::attempts(3).backoff(Duration::from_secs(60), Duration::from_secs(60));
    type Output = u32;

    fn check(&self) -> Result<(), String> {
        if self.pages == 0 { Err("a book has pages".to_owned()) } else { Ok(()) }
    }

    async fn run(self, context: Context) -> Result<u32, Failure> {
        let first = context.checkpoint::<u32>().unwrap_or(0);
        for page in first..self.pages {
            context.progress(u64::from(page) + 1, u64::from(self.pages), "printing");
            context.save(&(page + 1)).await?;
        }
        let mut artifact = context.artifact(&"book.txt".parse().unwrap(), ArtifactOptions::default()).await?;
        artifact.write(format!("pages {first} to {}", self.pages).as_bytes()).await?;
        artifact.finish().await?;
        let mut bind = context.child(&Bind { pages: self.pages })?;
        bind.idempotency_key = Some(context.job().id.to_string().parse().unwrap());
        context.enqueue(bind).await?;
        Ok(self.pages - first)
    }
}

impl Kind for Bind {
    const NAME: KindName = KindName::literal("bind");
    type Output = ();

    async fn run(self, _: Context) -> Result<(), Failure> {
        Ok(())
    }
}

fn world() -> TestEngine {
    TestEngine::new(
        Registry::new().register::<Print>().register::<Bind>().register::<Act>().register::<Noop>(),
    )
}

fn states(attempts: &[Attempted]) -> Vec<State> {
    attempts.iter().map(|attempt| attempt.state).collect()
}

#[tokio::test]
async fn a_handler_runs_alone_and_shows_what_it_did() {
    let ran = Inline::new(Print { pages: 3 }).run().await.unwrap();
    assert_eq!(ran.text("book.txt").unwrap(), "pages 0 to 3");
    assert_eq!((ran.checkpoint::<u32>(), ran.enqueued::<Bind>()), (Some(3), vec![Bind { pages: 3 }]));
    let last = ran.events.last().unwrap();
    assert!(matches!(last, EventBody::Progress(progress) if progress.done == 3), "{last:?}");
    assert_eq!(ran.result.unwrap(), 3);

    let ran = Inline::new(Print { pages: 3 }).attempt(2).from_checkpoint(&2).run().await.unwrap();
    assert_eq!((ran.text("book.txt").unwrap().as_str(), ran.result.unwrap()), ("pages 2 to 3", 1.into()));
    let ran = Inline::new(Act::Fail).run().await.unwrap();
    assert_eq!(ran.result, Err(Failure::retry("paper jam")));
    let refused = Inline::new(Print { pages: 0 }).run().await;
    assert!(matches!(refused, Err(PayloadError::Wrong { .. })));
}

#[tokio::test]
async fn a_drain_runs_everything_over_retries_and_snoozes() {
    let world = world();
    let print = world.enqueue(&Print { pages: 2 }).await;
    let fails = world.enqueue(&Act::Fail).await;
    let attempts = world.drain().await;
    assert_eq!(attempts.len(), 4);
    assert_eq!((world.job(print).await.state, world.job(fails).await.state), (State::Completed, State::Dead));
    assert_eq!(world.artifact(print, "book.txt").await, b"pages 0 to 2");
    let bind = world.assert_enqueued(&Bind { pages: 2 }).await;
    assert_eq!((bind.state, world.enqueued::<Bind>().await.len()), (State::Completed, 1));
    assert!(world.drain().await.is_empty());
}

#[tokio::test]
async fn a_killed_worker_is_survived_at_each_moment() {
    for (moment, start) in [(Moment::Waiting, 0), (Moment::Saved(2), 2), (Moment::Ended, 3)] {
        let world = world();
        world.inject(Fault::Crash(moment));
        let job = world.enqueue(&Print { pages: 3 }).await;
        let began = world.engine().clock.now();
        let attempts: Vec<_> = world.drain().await.into_iter().filter(|one| one.job == job).collect();
        assert_eq!(states(&attempts), [State::Running, State::Completed], "{moment:?}");
        let done = world.job(job).await;
        assert_eq!((done.attempt, done.epoch), (2, 2));
        // It went on once the lease had lapsed.
        assert!(done.started_at.unwrap().since(began) >= Duration::from_secs(15));
        let text = String::from_utf8(world.artifact(job, "book.txt").await).unwrap();
        // A handler that is killed while it waits for the first time may have stored what it waited for.
        let starts = if moment == Moment::Waiting { vec![0, 1] } else { vec![start] };
        assert!(starts.iter().any(|start| text == format!("pages {start} to 3")), "{moment:?}: {text}");
        // Bound once, though asked for twice.
        assert_eq!(world.enqueued::<Bind>().await.len(), 1);
    }
}

#[tokio::test]
async fn a_lost_lease_settles_nothing_and_the_job_goes_on() {
    let world = world();
    world.inject(Fault::LeaseLost);
    let job = world.enqueue(&Print { pages: 2 }).await;
    let attempts = world.drain().await;
    let first = &attempts[0];
    assert_eq!((first.state, first.failure.clone()), (State::Running, Some(Failure::LeaseLost)));
    assert_eq!((world.job(job).await.state, world.job(job).await.attempt), (State::Completed, 2));
}

#[tokio::test]
async fn a_provider_that_says_wait_puts_the_job_off_at_no_cost() {
    let world = world();
    let wait = Duration::from_secs(300);
    world.inject(Fault::too_many_requests(wait));
    world.inject(Fault::Failure(Failure::retry("502 Bad Gateway")));
    let job = world.enqueue(&Print { pages: 1 }).await;
    let began = world.engine().clock.now();
    let attempts = world.drain().await;
    assert_eq!(states(&attempts)[..3], [State::Scheduled, State::Retrying, State::Completed]);
    let done = world.job(job).await;
    assert_eq!(done.attempt, 2);
    assert!(done.started_at.unwrap().since(began) >= wait);
}

#[tokio::test]
async fn an_outage_of_the_store_loses_nothing_and_makes_nothing_twice() {
    let world = world();
    let job = world.enqueue(&Noop).await;
    world.faulty().fail_calls(3);
    assert_eq!(states(&world.drain().await), [State::Completed]);
    assert_eq!(world.job(job).await.attempt, 1);

    // The claim is made and nobody hears of it.
    let job = world.enqueue(&Noop).await;
    world.faulty().lose_replies(1);
    assert_eq!(states(&world.drain().await), [State::Completed]);
    assert_eq!(world.job(job).await.attempt, 2);
}

#[tokio::test]
async fn time_passes_over_schedules() {
    let world = world();
    let json = RawValue::from_string(r#"{"pages":1}"#.to_owned()).unwrap();
    let plan = Plan {
        kind: Print::NAME,
        payload: SchedulePayload { version: 1, json },
        cron: "0 6 * * *".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        jitter: Duration::ZERO,
        catch_up: CatchUp::Skip,
        priority: presswork::domain::Priority::Normal,
        cost: 1,
        max_attempts: 1,
    };
    let schedules = &world.engine().schedules;
    schedules.set(world.tenant(), &"nightly".parse().unwrap(), plan).await.unwrap();
    assert!(world.pass(Duration::from_secs(4 * 3_600)).await.is_empty());
    assert_eq!(world.pass(Duration::from_secs(3 * 86_400)).await.len(), 6);
    assert_eq!(world.enqueued::<Print>().await.len(), 3);
}

#[tokio::test]
async fn on_the_machines_clock_what_can_run_is_run() {
    let world = TestEngine::on_system_clock(Registry::new().register::<Act>().register::<Noop>());
    world.enqueue(&Noop).await;
    world.enqueue(&Act::Snooze).await;
    assert_eq!(states(&world.drain().await).len(), 2);
}
