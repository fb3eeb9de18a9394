//! What stands around a handler that is run inline: a queue and a progress bus that only remember, and records in memory.
//! Owns: all of them. Must not know: how the handler is run.

use std::{
    collections::BTreeMap,
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
    security::{Recorder, audit::Entry},
    store::{Expect, Record, RecordPage, Records, StoreError},
};

/// What has been remembered so far.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) children: Vec<NewJob>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) events: Vec<EventBody>,
    /// By collection and key.
    records: BTreeMap<(String, String), Record>,
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

/// What an audit log would be told is dropped.
#[async_trait]
impl Recorder for Memory {
    async fn record(&self, _: Entry) {}
}

/// Nothing is set for any tenant but the secrets that a test has given.
#[async_trait]
impl Records for Memory {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().records.get(&(collection.to_owned(), key.to_owned())).cloned())
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        let (mut remembered, place) = (self.lock(), (collection.to_owned(), key.to_owned()));
        let found = remembered.records.get(&place).map(|record| record.version);
        met(expect, found, &place)?;
        let version = found.unwrap_or(0) + 1;
        let record = Record { key: key.to_owned(), version, value, expires_at };
        remembered.records.insert(place, record);
        Ok(version)
    }

    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        let (mut remembered, place) = (self.lock(), (collection.to_owned(), key.to_owned()));
        met(expect, remembered.records.get(&place).map(|record| record.version), &place)?;
        Ok(remembered.records.remove(&place).is_some())
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        let remembered = self.lock();
        let all = remembered.records.iter().filter(|((known, key), _)| {
            known == collection && key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        let mut items: Vec<Record> = all.map(|(_, record)| record.clone()).take(most + 1).collect();
        let more = items.len() > most;
        items.truncate(most);
        let next = items.last().filter(|_| more).map(|last| last.key.clone());
        Ok(RecordPage { items, next })
    }

    async fn sweep(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

fn met(expect: Expect, found: Option<u64>, (collection, key): &(String, String)) -> Result<(), StoreError> {
    let holds = match expect {
        Expect::Anything => true,
        Expect::Nothing => found.is_none(),
        Expect::Version(version) => found == Some(version),
    };
    let (collection, key) = (collection.clone(), key.clone());
    if holds { Ok(()) } else { Err(StoreError::Conflict { collection, key, found }) }
}

/// Longer than any handler in a test runs.
pub(super) const LEASE: Duration = Duration::from_secs(24 * 3_600);
