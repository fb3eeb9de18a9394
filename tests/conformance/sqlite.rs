//! The embedded engine: each world a file of its own.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use presswork::{
    domain::{
        Clock as _, JobId, KindName, ManualClock, NewJob, Payload, Reason, TenantId, Verdict, WorkerId,
    },
    progress::sqlite::SqliteProgress,
    queue::{
        Ask, Enqueued, Lease, Queue, RequeueOutcome,
        sqlite::{MIGRATIONS, SqliteQueue},
    },
    store::sqlite::{Database, SqliteRecords},
};

use super::{progress::Jobs, queue::World};

/// A handle to the file of all seams in a folder.
pub(crate) fn database(folder: &Path) -> Arc<Database> {
    let migrations = [MIGRATIONS, SqliteProgress::MIGRATIONS, SqliteRecords::MIGRATIONS];
    Arc::new(Database::open(&folder.join("presswork.db"), &migrations).unwrap())
}

/// A world on a new file.
pub(crate) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let queue = SqliteQueue::new(database(folder.path()), clock.clone());
    World::new(Arc::new(queue), clock, folder)
}

/// Records on a new file.
pub(crate) struct RecordsWorld {
    pub(crate) records: SqliteRecords,
    pub(crate) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

/// Records on a new file.
pub(crate) async fn records_world() -> RecordsWorld {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let records = SqliteRecords::new(database(folder.path()), clock.clone());
    RecordsWorld { records, clock, _folder: folder }
}

/// Records and a queue on a new file.
pub(crate) async fn schedules_world() -> super::schedules::World {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let database = database(folder.path());
    super::schedules::World {
        records: Arc::new(SqliteRecords::new(database.clone(), clock.clone())),
        queue: Arc::new(SqliteQueue::new(database, clock.clone())),
        clock,
        _folder: folder,
    }
}

/// Progress on a new file, with the queue whose jobs it tells of.
pub(crate) struct ProgressWorld {
    pub(crate) bus: SqliteProgress,
    /// The same file, opened as another process does.
    pub(crate) elsewhere: SqliteProgress,
    pub(crate) jobs: QueuedJobs,
    pub(crate) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

/// Progress on a new file.
pub(crate) fn progress_world() -> ProgressWorld {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let (here, there) = (database(folder.path()), database(folder.path()));
    let queue = SqliteQueue::new(here.clone(), clock.clone());
    ProgressWorld {
        bus: SqliteProgress::new(here, clock.clone()),
        elsewhere: SqliteProgress::new(there, clock.clone()),
        jobs: QueuedJobs { queue, clock: clock.clone() },
        clock,
        _folder: folder,
    }
}

const LEASE: Duration = Duration::from_secs(30);

/// Jobs in a queue, each of a kind of its own, so that one can be claimed and not another.
pub(crate) struct QueuedJobs {
    queue: SqliteQueue,
    clock: Arc<ManualClock>,
}

impl QueuedJobs {
    fn kind(id: JobId) -> KindName {
        id.to_string().parse().unwrap()
    }

    async fn claim(&self, id: JobId) -> Lease {
        let ask = Ask { kinds: vec![Self::kind(id)], most: 1, lease: LEASE };
        self.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0).lease
    }
}

#[async_trait]
impl Jobs for QueuedJobs {
    async fn start(&self, tenant: &TenantId) -> Lease {
        let id = JobId::new(self.clock.now(), &presswork::domain::SystemRandom);
        let payload = Payload { version: 1, bytes: b"{}".as_slice().into() };
        let job = NewJob::new(id, tenant.clone(), Self::kind(id), payload);
        assert_eq!(self.queue.enqueue(vec![job]).await.unwrap(), [Ok(Enqueued::Accepted(id))]);
        self.claim(id).await
    }

    async fn restart(&self, lease: &Lease) -> Lease {
        self.clock.advance(LEASE);
        self.claim(lease.job).await
    }

    async fn end(&self, lease: &Lease) {
        let dead = Verdict::Dead(Reason::new("ended"));
        self.queue.settle(vec![(lease.clone(), dead)]).await.unwrap();
    }

    async fn revive(&self, lease: &Lease) -> Lease {
        let requeued = self.queue.requeue(&lease.tenant, &[lease.job]).await.unwrap();
        assert_eq!(requeued, [RequeueOutcome::Requeued]);
        self.claim(lease.job).await
    }
}
