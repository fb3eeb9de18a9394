//! The reference model as an engine: the laws hold for the specification itself, so suite and model agree.
//! Beside the model it needs only what the model leaves open: who is served next. Start-time fair queueing, job
//! by job.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use presswork::{
    domain::{
        Batch, BatchId, Clock, Job, JobId, KindLimits, KindName, ManualClock, NewBatch, NewJob, TenantId,
        TenantLimits, Timestamp, Verdict, WorkerId, model::Model,
    },
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
};
use tokio::sync::Notify;

use super::{answers, view};
use crate::conformance::queue::World;

/// How many finished jobs a sweep removes at most.
const MOST_SWEPT: usize = 1_000;
/// Virtual time of one cost unit at weight 1.
const UNIT: u64 = 1_000_000;

/// A world on the model.
pub(crate) async fn world() -> World {
    let clock = World::clock();
    let queue = ModelQueue { clock: clock.clone(), inner: Mutex::default(), changed: Notify::new() };
    World::new(Arc::new(queue), clock, ())
}

struct ModelQueue {
    clock: Arc<ManualClock>,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    model: Model,
    /// The finish tag of each lane.
    finish: BTreeMap<(KindName, TenantId), u64>,
    /// The virtual time of each kind: the start tag of the job served last.
    virtual_time: BTreeMap<KindName, u64>,
    /// The lanes that could run when last looked at.
    busy: BTreeSet<(KindName, TenantId)>,
    /// When each kind had its turn.
    turns: BTreeMap<KindName, u64>,
}

impl Inner {
    /// The first jobs of the lanes that may run. A lane that could not run until now starts at the present virtual
    /// time: no credit.
    fn startable(&mut self, kinds: &[KindName], now: Timestamp) -> Vec<Job> {
        let jobs = self.model.startable(kinds, now);
        let lanes: BTreeSet<_> = jobs.iter().map(|job| (job.kind.clone(), job.tenant.clone())).collect();
        for lane in lanes.difference(&self.busy) {
            let present = self.virtual_time.get(&lane.0).copied().unwrap_or_default();
            let finish = self.finish.entry(lane.clone()).or_default();
            *finish = present.max(*finish);
        }
        self.busy.retain(|(kind, _)| !kinds.contains(kind));
        self.busy.extend(lanes);
        jobs
    }

    fn serve_next(
        &mut self,
        who: &WorkerId,
        kinds: &[KindName],
        until: Timestamp,
        now: Timestamp,
    ) -> Option<Claim> {
        let jobs = self.startable(kinds, now);
        let job = jobs.iter().min_by_key(|job| {
            let lane = (job.kind.clone(), job.tenant.clone());
            (self.turns.get(&job.kind), self.finish.get(&lane), lane)
        })?;
        let weight = u64::from(self.model.tenant_limits(&job.tenant).weight);
        let tag = self.finish.entry((job.kind.clone(), job.tenant.clone())).or_default();
        self.virtual_time.insert(job.kind.clone(), *tag);
        *tag += u64::from(job.cost) * UNIT / weight;
        let turn = self.turns.values().max().copied().unwrap_or_default() + 1;
        self.turns.insert(job.kind.clone(), turn);
        let job = self.model.start(&job.tenant, job.id, who, until, now).unwrap();
        let lease = Lease { tenant: job.tenant.clone(), job: job.id, epoch: job.epoch };
        Some(Claim { lease, until, job })
    }
}

impl ModelQueue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Changes the model, then wakes whoever waits.
    fn change<R>(&self, change: impl FnOnce(&mut Model, Timestamp) -> R) -> R {
        let result = change(&mut self.inner().model, self.clock.now());
        self.changed.notify_waiters();
        result
    }
}

#[async_trait]
impl Queue for ModelQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        Ok(self.change(|model, now| jobs.into_iter().map(|job| answers::door(model, job, now)).collect()))
    }

    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        Ok(self.change(|model, now| answers::opened(model, batch, now)))
    }

    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        Ok(self.inner().model.batch(tenant, batch).cloned())
    }

    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        let now = self.clock.now();
        let until = now.after(ask.lease);
        let mut inner = self.inner();
        let served = std::iter::from_fn(|| inner.serve_next(who, &ask.kinds, until, now));
        let claims = served.take(ask.most).collect();
        inner.startable(&ask.kinds, now);
        Ok(claims)
    }

    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if !self.inner().model.startable(kinds, self.clock.now()).is_empty() {
                return Ok(());
            }
            changed.await;
        }
    }

    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        Ok(self.change(|model, now| {
            renewals.into_iter().map(|renewal| answers::standing(model, renewal, now)).collect()
        }))
    }

    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        Ok(self.change(|model, now| {
            settlements.iter().map(|(lease, verdict)| answers::settled(model, lease, verdict, now)).collect()
        }))
    }

    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        Ok(self
            .change(|model, now| jobs.iter().map(|id| answers::cancelled(model, tenant, *id, now)).collect()))
    }

    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        Ok(self
            .change(|model, now| jobs.iter().map(|id| answers::requeued(model, tenant, *id, now)).collect()))
    }

    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        self.change(|model, _| answers::set_paused(model, scope, true));
        Ok(())
    }

    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        self.change(|model, _| answers::set_paused(model, scope, false));
        Ok(())
    }

    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        Ok(answers::paused(&self.inner().model))
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        let valid = self.change(|model, now| model.set_tenant_limits(tenant, limits, now));
        valid.then_some(()).ok_or_else(|| QueueError::Invalid("a weight is 1 to 1,000".to_owned()))
    }

    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        Ok(self.inner().model.tenant_limits(tenant))
    }

    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        self.change(|model, _| model.set_kind_limits(kind, limits));
        Ok(())
    }

    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        Ok(self.inner().model.kind_limits(kind))
    }

    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        Ok(self.change(|model, now| answers::why(model, tenant, job, now)))
    }

    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        let model = &self.inner().model;
        Ok(jobs.iter().map(|id| model.job(tenant, *id).cloned()).collect())
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        Ok(view::list(&self.inner().model, tenant, filter, after, most))
    }

    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        Ok(view::stats(&self.inner().model, tenant))
    }

    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError> {
        Ok(self.change(|model, now| Swept {
            lapsed: model.pass_time(now),
            removed: model.sweep(retention.finished_before, retention.most_finished, MOST_SWEPT, now),
        }))
    }
}
