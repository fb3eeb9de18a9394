//! Progress on SQLite, beside a queue that is only its table. What every engine promises is in `tests/conformance/`.

use std::{path::Path, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::*;
use crate::domain::{EventBody, ManualClock, Progress, State, Timestamp};

const QUEUE: Migrations = Migrations {
    module: "queue",
    steps: &["CREATE TABLE jobs (id BLOB PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL,
        state TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT"],
};

fn id() -> JobId {
    JobId::from_u128(7)
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    bus: SqliteProgress,
}

fn open(folder: &Path, clock: Arc<ManualClock>) -> SqliteProgress {
    let database = Database::open(&folder.join("x.db"), &[QUEUE, SqliteProgress::MIGRATIONS]).unwrap();
    // For ever: in these tests it is the bell that wakes.
    SqliteProgress { look_again: Duration::MAX, ..SqliteProgress::new(Arc::new(database), clock) }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn text(text: impl ToString) -> EventBody {
    EventBody::Text { text: text.to_string() }
}

fn percent(percent: f64) -> EventBody {
    EventBody::Progress(Progress { percent, ..Progress::default() })
}

fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

impl World {
    /// A store with one job of `acme` that runs under epoch 1.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let bus = open(folder.path(), clock.clone());
        let world = Self { folder, clock, bus };
        world.enter(State::Running, 1).await;
        world
    }

    /// Moves the job as the queue does: its row and its event in one transaction.
    async fn enter(&self, state: State, epoch: u64) {
        let now = self.clock.now();
        let entered = self.bus.database.write(move |connection| {
            let sql = "INSERT INTO jobs VALUES (?1, 'acme', 'export', ?2, ?3)
                ON CONFLICT DO UPDATE SET state = excluded.state, epoch = excluded.epoch";
            connection.execute(sql, rusqlite::params![id().as_u128().to_be_bytes(), state.name(), epoch])?;
            append(connection, id(), now, &EventBody::State { state, attempt: 1, reason: None })
        });
        entered.await.unwrap();
    }

    async fn publish(&self, epoch: u64, bodies: impl IntoIterator<Item = EventBody>) {
        self.publish_on(&self.bus, epoch, bodies).await;
    }

    async fn publish_on(
        &self,
        bus: &SqliteProgress,
        epoch: u64,
        bodies: impl IntoIterator<Item = EventBody>,
    ) {
        let publication = |body| Publication { tenant: acme(), job: id(), epoch, body };
        bus.publish(bodies.into_iter().map(publication).collect()).await.unwrap();
    }

    async fn kept(&self) -> Vec<Event> {
        self.bus.replay(&acme(), id(), 0, usize::MAX).await.unwrap()
    }

    async fn follow_to_the_end(&self, after: u64) -> Vec<Event> {
        self.bus.follow(&acme(), id(), after).await.unwrap().try_collect().await.unwrap()
    }
}

#[tokio::test]
async fn events_are_numbered_without_a_gap_and_keep_their_time() {
    let world = World::new().await;
    world.publish(1, [text("a"), text("b")]).await;
    world.clock.advance(Duration::from_secs(1));
    world.publish(1, [text("c")]).await;
    let kept = world.kept().await;
    assert_eq!(sequences(&kept), [1, 2, 3, 4]);
    assert_eq!(kept[3].body, text("c"));
    assert_eq!(kept[3].at.since(kept[2].at), Duration::from_secs(1));
    assert_eq!(sequences(&world.bus.replay(&acme(), id(), 1, 2).await.unwrap()), [2, 3]);
    assert!(world.bus.replay(&acme(), id(), u64::MAX, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_the_lease_that_holds_may_publish() {
    let world = World::new().await;
    world.enter(State::Waiting, 1).await;
    world.publish(1, [text("between leases")]).await;
    world.enter(State::Running, 2).await;
    world.publish(1, [text("old")]).await;
    world.publish(2, [text("new")]).await;
    let stranger =
        Publication { tenant: "other".parse().unwrap(), job: id(), epoch: 2, body: text("stranger") };
    world.bus.publish(vec![stranger]).await.unwrap();
    world.enter(State::Completed, 2).await;
    world.publish(2, [text("late")]).await;
    let kept = world.kept().await;
    let texts: Vec<_> = kept.iter().filter(|event| matches!(event.body, EventBody::Text { .. })).collect();
    assert_eq!(texts.iter().map(|event| &event.body).collect::<Vec<_>>(), [&text("new")]);
    assert_eq!(sequences(&kept), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_percentage_is_raised_to_the_highest_before() {
    let world = World::new().await;
    world.publish(1, [percent(12.34), percent(50.0), percent(20.0), percent(f64::NAN)]).await;
    world.enter(State::Running, 2).await;
    world.publish(2, [percent(0.0), percent(60.0)]).await;
    let percents: Vec<_> = world
        .kept()
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Progress(progress) => Some(progress.percent),
            _ => None,
        })
        .collect();
    assert_eq!(percents, [12.3, 50.0, 50.0, 50.0, 50.0, 60.0]);
}

#[tokio::test]
async fn old_events_are_trimmed_and_state_changes_stay() {
    let world = World::new().await;
    world.publish(1, (0..2_500).map(text)).await;
    let kept = world.kept().await;
    assert!((MOST_EVENTS - MOST_EVENTS / 10..=MOST_EVENTS).contains(&kept.len()), "{}", kept.len());
    assert!(matches!(kept[0].body, EventBody::State { .. }));
    let newest: Vec<u64> = (0..).skip(2_503 - kept.len()).take(kept.len() - 1).collect();
    assert_eq!(sequences(&kept)[1..], newest);
    let heads = world.bus.database.read(|connection| {
        connection.query_row("SELECT last, kept FROM event_heads", [], |row| Ok((row.get(0)?, row.get(1)?)))
    });
    assert_eq!(heads.await.unwrap(), (2_501_u64, kept.len()));
}

#[tokio::test]
async fn a_job_without_end_of_state_changes_is_trimmed_too() {
    let world = World::new().await;
    let states = world.bus.database.write(|connection| {
        for _ in 0..1_500 {
            let body = EventBody::State { state: State::Running, attempt: 1, reason: None };
            append(connection, id(), Timestamp::EPOCH, &body)?;
        }
        Ok(())
    });
    states.await.unwrap();
    let kept = world.kept().await;
    assert!(kept.len() <= MOST_EVENTS);
    assert_eq!(kept.last().unwrap().sequence, 1_501);
}

#[tokio::test]
async fn a_follower_gets_backlog_and_news_once_and_in_order() {
    let world = World::new().await;
    world.publish(1, (0..250).map(text)).await;
    let elsewhere = open(world.folder.path(), world.clock.clone());
    let follower = async { world.follow_to_the_end(0).await };
    let publisher = async {
        for number in 0..100 {
            let bus = if number % 2 == 0 { &world.bus } else { &elsewhere };
            world.publish_on(bus, 1, [text(number)]).await;
        }
        world.enter(State::Completed, 1).await;
    };
    let (events, ()) = tokio::join!(follower, publisher);
    assert_eq!(sequences(&events), (1..=352).collect::<Vec<_>>());
    assert!(events.last().unwrap().body.is_last());
}

#[tokio::test]
async fn what_another_process_publishes_wakes_a_follower() {
    let world = World::new().await;
    let elsewhere = open(world.folder.path(), world.clock.clone());
    let mut stream = elsewhere.follow(&acme(), id(), 1).await.unwrap();
    let (next, ()) = tokio::join!(stream.next(), world.publish(1, [text("news")]));
    assert_eq!(next.unwrap().unwrap().body, text("news"));
}

#[tokio::test]
async fn a_follower_finds_what_nobody_rang_for() {
    let world = World::new().await;
    let bus = SqliteProgress { look_again: Duration::from_millis(1), ..world.bus.clone() };
    let mut stream = bus.follow(&acme(), id(), 1).await.unwrap();
    let silent = rusqlite::Connection::open(world.folder.path().join("x.db")).unwrap();
    append(&silent, id(), Timestamp::EPOCH, &text("silent")).unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().body, text("silent"));
}

#[tokio::test]
async fn nobody_waits_for_a_job_that_has_ended() {
    let world = World::new().await;
    world.enter(State::Dead, 1).await;
    assert_eq!(sequences(&world.follow_to_the_end(0).await), [1, 2]);
    assert!(world.follow_to_the_end(2).await.is_empty());
    assert!(world.follow_to_the_end(u64::MAX).await.is_empty());
    let trimmed = world.bus.database.write(|connection| connection.execute("DELETE FROM events", []));
    trimmed.await.unwrap();
    assert!(world.follow_to_the_end(0).await.is_empty());
}

#[tokio::test]
async fn a_requeued_job_goes_on_with_higher_numbers() {
    let world = World::new().await;
    world.enter(State::Dead, 1).await;
    world.enter(State::Waiting, 1).await;
    world.enter(State::Running, 2).await;
    let mut from_the_end = world.bus.follow(&acme(), id(), 2).await.unwrap();
    let (all, ()) = tokio::join!(world.follow_to_the_end(0), async {
        world.publish(2, [text("again")]).await;
        world.enter(State::Completed, 2).await;
    });
    assert_eq!(sequences(&all), [1, 2, 3, 4, 5, 6]);
    assert_eq!(from_the_end.next().await.unwrap().unwrap().sequence, 3);
}

#[tokio::test]
async fn a_tenant_sees_only_its_own_jobs() {
    let world = World::new().await;
    let other: TenantId = "other".parse().unwrap();
    for (tenant, job) in [(&other, id()), (&acme(), JobId::from_u128(8))] {
        let replayed = world.bus.replay(tenant, job, 0, 10).await;
        assert!(matches!(replayed, Err(ProgressError::UnknownJob { .. })));
        assert!(matches!(world.bus.follow(tenant, job, 0).await, Err(ProgressError::UnknownJob { .. })));
    }
}

#[tokio::test]
async fn a_follower_of_a_job_that_is_removed_is_told() {
    let world = World::new().await;
    let mut stream = world.bus.follow(&acme(), id(), 1).await.unwrap();
    let removed = world.bus.database.write(|connection| {
        remove(connection, id())?;
        connection.execute("DELETE FROM jobs", [])
    });
    removed.await.unwrap();
    assert!(matches!(stream.next().await, Some(Err(ProgressError::UnknownJob { .. }))));
    assert!(stream.next().await.is_none());
    let count = world.bus.database.read(|connection| {
        connection.query_row(
            "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM event_heads)",
            [],
            |row| row.get::<_, i64>(0),
        )
    });
    assert_eq!(count.await.unwrap(), 0);
}
