//! The queue on SQLite: the engine of one machine.
//!
//! Every operation is one closure on the store's writer, so that each is atomic and many share a disk flush; reads run
//! on snapshots. A job is a row of `jobs`, a lane a row of `lanes` that carries its place in the fair order and its
//! counts. `schema.sql` and `relations.sql` have the tables, `claim.rs` the fairness, `transition.rs` the way out of a state, `wait.rs`
//! how idle workers sleep.
//!
//! Owns: the queue's tables. Must not know: handlers, artifacts, other engines.

mod ask;
mod batch;
mod claim;
mod control;
mod due;
mod enqueue;
mod pace;
mod prospect;
mod read;
mod renew;
mod row;
mod serve;
mod settle;
mod sweep;
mod tally;
mod tenant;
#[cfg(test)]
mod tests;
mod ties;
mod transition;
mod wait;
mod waits;
mod why;

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
    Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    checks::{check_limits, check_renewal},
};
use crate::{
    domain::{
        Batch, BatchId, Clock, Job, JobId, KindLimits, KindName, NewBatch, NewJob, TenantId, TenantLimits,
        Timestamp, Verdict, WorkerId,
    },
    store::sqlite::{Database, DatabaseError, Migrations},
};

/// The queue's tables; give them to [`Database::open`], with those of
/// [`SqliteProgress`](crate::progress::sqlite::SqliteProgress), which keeps the events.
pub const MIGRATIONS: Migrations =
    Migrations { module: "queue", steps: &[include_str!("schema.sql"), include_str!("relations.sql")] };

/// A queue in a SQLite file. Many may share a file, in one process or several; within a process share one, so that
/// an arrival wakes one of its waiters.
#[derive(Debug)]
pub struct SqliteQueue {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    waiters: wait::Waiters,
}

impl SqliteQueue {
    /// The queue in a file that was opened with [`MIGRATIONS`] and those of the progress; time is taken from `clock`.
    pub fn new(database: Arc<Database>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, waiters: wait::Waiters::default() }
    }

    /// Runs `work` in a transaction of its own, at the time at which it runs.
    async fn write<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, QueueError> {
        let clock = self.clock.clone();
        let written = self.database.write(move |connection| work(connection, clock.now())).await;
        written.map_err(|error| queue_error(doing, error))
    }

    async fn read<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, QueueError> {
        self.database.read(work).await.map_err(|error| queue_error(doing, error))
    }
}

fn queue_error(doing: &'static str, error: DatabaseError) -> QueueError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    match error {
        DatabaseError::Unwritable(cause) => QueueError::Unwritable { cause: cause.into() },
        DatabaseError::Unavailable(cause) => match &*cause {
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
                QueueError::Corrupt(cause.to_string())
            }
            _ => QueueError::Unavailable { doing, cause: cause.into() },
        },
        DatabaseError::Unusable(problem) => QueueError::Corrupt(problem),
        stopped @ DatabaseError::Stopped => QueueError::Unavailable { doing, cause: stopped.into() },
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        self.write("enqueue jobs", move |connection, now| enqueue::enqueue(connection, &jobs, now)).await
    }

    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        self.write("open a batch", move |connection, now| enqueue::open_batch(connection, &batch, now)).await
    }

    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        let tenant = tenant.clone();
        self.read("look at a batch", move |connection| batch::find(connection, &tenant, batch)).await
    }

    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        let _claiming = self.waiters.claiming(&ask.kinds);
        let (who, ask) = (who.clone(), ask.clone());
        self.write("claim jobs", move |connection, now| claim::claim(connection, &who, &ask, now)).await
    }

    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        let look = |kinds: Vec<KindName>| {
            let clock = self.clock.clone();
            self.read("look for jobs", move |connection| {
                let now = clock.now();
                let one = |kind: KindName| {
                    prospect::prospect(connection, &kind, now).map(|prospect| (kind, prospect))
                };
                kinds.into_iter().map(one).collect()
            })
        };
        self.waiters.wait(kinds, self.database.bell(), look).await
    }

    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        renewals.iter().try_for_each(check_renewal)?;
        self.write("renew leases", move |connection, now| renew::renew(connection, &renewals, now)).await
    }

    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        let settlements = settle::prepare(settlements)?;
        self.write("settle jobs", move |connection, now| settle::settle(connection, &settlements, now)).await
    }

    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        let (tenant, jobs) = (tenant.clone(), jobs.to_vec());
        self.write("cancel jobs", move |connection, now| ask::cancel(connection, &tenant, &jobs, now)).await
    }

    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        let (tenant, jobs) = (tenant.clone(), jobs.to_vec());
        self.write("requeue jobs", move |connection, now| ask::requeue(connection, &tenant, &jobs, now)).await
    }

    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        let scope = scope.clone();
        self.write("pause", move |connection, _| control::pause(connection, &scope)).await
    }

    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        let scope = scope.clone();
        self.write("resume", move |connection, _| control::resume(connection, &scope)).await
    }

    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        self.read("list pauses", control::paused).await
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        check_limits(limits.as_ref())?;
        let unreadable = |error: serde_json::Error| QueueError::Invalid(error.to_string());
        let json = limits.as_ref().map(serde_json::to_string).transpose().map_err(unreadable)?;
        let tenant = tenant.clone();
        self.write("set a tenant's limits", move |connection, now| {
            control::set_tenant_limits(connection, &tenant, json.as_deref())?;
            control::clip_buckets(connection, &tenant, &limits.unwrap_or_default(), now)
        })
        .await
    }

    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        let tenant = tenant.clone();
        self.read("read a tenant's limits", move |connection| control::tenant_limits(connection, &tenant))
            .await
    }

    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        let kind = kind.clone();
        self.write("set a kind's limits", move |connection, _| {
            control::set_kind_limits(connection, &kind, limits)
        })
        .await
    }

    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        let kind = kind.clone();
        self.read("read a kind's limits", move |connection| control::kind_limits(connection, &kind)).await
    }

    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        let (tenant, clock) = (tenant.clone(), self.clock.clone());
        self.read("see why a job waits", move |connection| why::why(connection, &tenant, job, clock.now()))
            .await
    }

    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        let (tenant, jobs) = (tenant.clone(), jobs.to_vec());
        self.read("look at jobs", move |connection| read::inspect(connection, &tenant, &jobs)).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        let after = read::position(after)?;
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read("list jobs", move |connection| read::list(connection, &tenant, &filter, after, most)).await
    }

    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        let tenant = tenant.cloned();
        self.read("count jobs", move |connection| read::stats(connection, tenant.as_ref())).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError> {
        let retention = *retention;
        self.write("sweep", move |connection, now| sweep::sweep(connection, &retention, now)).await
    }
}
