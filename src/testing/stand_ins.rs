//! What stands around a handler that is run inline: a queue and a progress bus that only remember, and records that are
//! empty. Owns: all of them. Must not know: how the handler is run.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{
    domain::{
        Batch, BatchId, Checkpoint, Clock, Event, EventBody, Job, JobId, KindLimits, KindName, NewBatch,
        NewJob, TenantId, TenantLimits, Timestamp, Verdict, WorkerId,
    },
    progress::{ProgressBus, ProgressError, Publication},
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
    store::{Expect, Record, RecordPage, Records, StoreError},
};

/// What has been remembered so far.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) children: Vec<NewJob>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) events: Vec<EventBody>,
}

/// Remembers what a handler asks the queue for and what it tells.
#[derive(Clone)]
pub(super) struct Memory {
    clock: Arc<dyn Clock>,
    /// Held for a few instructions at a time, never across an await.
    remembered: Arc<Mutex<Remembered>>,
}

impl Memory {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, remembered: Arc::default() }
    }

    pub(super) fn take(&self) -> Remembered {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn none<T>() -> Result<T, QueueError> {
    Err(QueueError::Invalid("a handler that is run inline has no queue: use a TestEngine".to_owned()))
}

#[async_trait]
impl Queue for Memory {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        let mut remembered = self.lock();
        let answers = jobs.into_iter().map(|job| {
            let is_same = |known: &&NewJob| {
                let same_key = known.idempotency_key.is_some()
                    && (&known.kind, &known.idempotency_key) == (&job.kind, &job.idempotency_key);
                known.id == job.id || same_key
            };
            if let Some(known) = remembered.children.iter().find(is_same) {
                return Ok(Enqueued::Duplicate(known.id));
            }
            let id = job.id;
            remembered.children.push(job);
            Ok(Enqueued::Accepted(id))
        });
        Ok(answers.collect())
    }

    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        let held = |renewal: Renewal| {
            if renewal.checkpoint.is_some() {
                self.lock().checkpoint = renewal.checkpoint;
            }
            Standing::Held { until: self.clock.now().after(renewal.lease_for), cancel_asked: false }
        };
        Ok(renewals.into_iter().map(held).collect())
    }

    async fn claim(&self, _: &WorkerId, _: &Ask) -> Result<Vec<Claim>, QueueError> {
        none()
    }
    async fn wait(&self, _: &[KindName]) -> Result<(), QueueError> {
        none()
    }
    async fn settle(&self, _: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        none()
    }
    async fn cancel(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        none()
    }
    async fn requeue(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        none()
    }
    async fn pause(&self, _: &Scope) -> Result<(), QueueError> {
        none()
    }
    async fn resume(&self, _: &Scope) -> Result<(), QueueError> {
        none()
    }
    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        none()
    }
    async fn set_tenant_limits(&self, _: &TenantId, _: Option<TenantLimits>) -> Result<(), QueueError> {
        none()
    }
    async fn tenant_limits(&self, _: &TenantId) -> Result<TenantLimits, QueueError> {
        none()
    }
    async fn set_kind_limits(&self, _: &KindName, _: KindLimits) -> Result<(), QueueError> {
        none()
    }
    async fn open_batch(&self, _: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        none()
    }
    async fn batch(&self, _: &TenantId, _: BatchId) -> Result<Option<Batch>, QueueError> {
        none()
    }
    async fn kind_limits(&self, _: &KindName) -> Result<KindLimits, QueueError> {
        none()
    }
    async fn why(&self, _: &TenantId, _: JobId) -> Result<Option<Why>, QueueError> {
        none()
    }
    async fn inspect(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        none()
    }
    async fn list(
        &self,
        _: &TenantId,
        _: &Filter,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Page<Job>, QueueError> {
        none()
    }
    async fn stats(&self, _: Option<&TenantId>) -> Result<Stats, QueueError> {
        none()
    }
    async fn sweep(&self, _: &Retention) -> Result<Swept, QueueError> {
        none()
    }
}

#[async_trait]
impl ProgressBus for Memory {
    async fn publish(&self, publications: Vec<Publication>) -> Result<(), ProgressError> {
        self.lock().events.extend(publications.into_iter().map(|publication| publication.body));
        Ok(())
    }

    async fn replay(&self, _: &TenantId, job: JobId, _: u64, _: usize) -> Result<Vec<Event>, ProgressError> {
        Err(ProgressError::UnknownJob { job })
    }

    async fn follow(
        &self,
        _: &TenantId,
        job: JobId,
        _: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        Err(ProgressError::UnknownJob { job })
    }
}

/// Nothing is set for any tenant.
#[async_trait]
impl Records for Memory {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }
    async fn put(
        &self,
        _: &str,
        _: &str,
        _: Bytes,
        _: Expect,
        _: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        Err(no_records())
    }
    async fn delete(&self, _: &str, _: &str, _: Expect) -> Result<bool, StoreError> {
        Err(no_records())
    }
    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<RecordPage, StoreError> {
        Err(no_records())
    }
    async fn sweep(&self) -> Result<usize, StoreError> {
        Err(no_records())
    }
}

fn no_records() -> StoreError {
    StoreError::Invalid("a handler that is run inline has no records: use a TestEngine".to_owned())
}

/// Longer than any handler in a test runs.
pub(super) const LEASE: Duration = Duration::from_secs(24 * 3_600);
