//! What is internal to this engine: its query plans, the ring, what is forgotten, who is woken. The laws are proved
//! elsewhere, on every engine.

mod bounds;
mod fairness;
mod plans;
mod sweeping;
mod waking;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{MIGRATIONS, SqliteQueue};
use crate::{
    domain::{
        JobId, KindName, LaneLimits, ManualClock, NewJob, Output, Payload, Random as _, SeededRandom,
        TenantId, TenantLimits, Timestamp, Verdict, WorkerId,
    },
    progress::sqlite::SqliteProgress,
    queue::{Ask, Claim, Enqueued, Queue as _, QueueError},
    store::sqlite::{Database, Migrations},
};

const TABLES: [Migrations; 2] = [MIGRATIONS, SqliteProgress::MIGRATIONS];
const EXPORT: KindName = KindName::literal("export");

struct World {
    folder: TempDir,
    clock: Arc<ManualClock>,
    random: SeededRandom,
    database: Arc<Database>,
    queue: Arc<SqliteQueue>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let database = Arc::new(Database::open(&folder.path().join("x.db"), &TABLES).unwrap());
        let queue = Arc::new(SqliteQueue::new(database.clone(), clock.clone()));
        Self { folder, clock, random: SeededRandom::new(1), database, queue }
    }

    /// The same store, as another process would open it.
    fn another_process(&self) -> SqliteQueue {
        let database = Database::open(&self.folder.path().join("x.db"), &TABLES).unwrap();
        SqliteQueue::new(Arc::new(database), self.clock.clone())
    }

    fn jobs(&self, whose: &str, count: usize) -> Vec<NewJob> {
        let job = |_| {
            let mut bits = [0; 16];
            self.random.fill(&mut bits);
            let payload = Payload { version: 1, bytes: Bytes::from_static(b"{}") };
            NewJob::new(JobId::from_u128(u128::from_be_bytes(bits)), tenant(whose), EXPORT, payload)
        };
        (0..count).map(job).collect()
    }

    async fn enqueue(&self, whose: &str, count: usize) {
        let answers = self.queue.enqueue(self.jobs(whose, count)).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Enqueued::Accepted(_)))));
    }

    async fn claim(&self, most: usize) -> Vec<Claim> {
        let ask = Ask { kinds: vec![EXPORT], most, lease: Duration::from_secs(30) };
        self.queue.claim(&WorkerId::new("w"), &ask).await.unwrap()
    }

    /// How many of the claimed jobs are a tenant's.
    async fn claim_counting(&self, most: usize, whose: &str) -> usize {
        self.claim(most).await.iter().filter(|claim| claim.lease.tenant == tenant(whose)).count()
    }

    async fn finish(&self, claims: Vec<Claim>) {
        let done = |claim: Claim| (claim.lease, Verdict::Done(Output::default()));
        self.queue.settle(claims.into_iter().map(done).collect()).await.unwrap();
    }

    async fn limit(&self, whose: &str, limits: TenantLimits) {
        self.queue.set_tenant_limits(&tenant(whose), Some(limits)).await.unwrap();
    }

    /// A number that a statement gives, from the writer's connection.
    async fn number(&self, sql: &'static str) -> i64 {
        let read = move |connection: &Connection| connection.query_row(sql, [], |row| row.get(0));
        self.database.write(read).await.unwrap()
    }
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn rate(text: &str) -> TenantLimits {
    let lane = LaneLimits { rate: Some(text.parse().unwrap()), max_running: None };
    TenantLimits { kinds: [(EXPORT, lane)].into(), ..TenantLimits::default() }
}

#[test]
fn errors_name_the_next_action() {
    use rusqlite::{Error, ffi};
    let failed = |code| super::queue_error("test", Error::SqliteFailure(ffi::Error::new(code), None).into());
    assert!(matches!(failed(ffi::SQLITE_FULL), QueueError::Unwritable { .. }));
    assert!(matches!(failed(ffi::SQLITE_READONLY), QueueError::Unwritable { .. }));
    assert!(matches!(failed(ffi::SQLITE_BUSY), QueueError::Unavailable { doing: "test", .. }));
    assert!(matches!(failed(ffi::SQLITE_CORRUPT), QueueError::Corrupt(_)));
    let unreadable = super::row::unreadable(0, "nonsense");
    assert!(matches!(super::queue_error("test", unreadable.into()), QueueError::Corrupt(_)));
}
