//! What can go wrong, on purpose. Owns: [`Fault`], and [`FaultyQueue`], a queue that fails when told to. Must not know: how
//! jobs are run.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    domain::{
        Batch, BatchId, Failure, Job, JobId, KindLimits, KindName, NewBatch, NewJob, Reason, TenantId,
        TenantLimits, Verdict, WorkerId,
    },
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
};

/// What is to go wrong with the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed: nobody is told anything, what is on storage stays, and the job goes on elsewhere once its
    /// lease has lapsed.
    Crash(Moment),
    /// The lease is taken for lost: the handler is told with its next renewal or [`save`](crate::worker::Context::save), and
    /// whatever it answers is not settled.
    LeaseLost,
    /// The attempt ends so, without the handler being run: for what a provider may answer.
    Failure(Failure),
}

impl Fault {
    /// A provider's "too many requests", as a handler should pass it on: the job goes on later, at no cost.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        let reason = Reason::new("429 Too Many Requests");
        Self::Failure(Failure::Snooze { wait: retry_after, reason })
    }
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As soon as the handler waits for something for the first time.
    Waiting,
    /// Right after its checkpoint of this number (the first is 1) is stored; the handler does not hear of it any more.
    Saved(usize),
    /// When the handler has ended and nobody has been told.
    Ended,
}

/// A queue before another one that fails when told to.
pub struct FaultyQueue {
    inner: Arc<dyn Queue>,
    /// How many more calls fail before they do anything.
    failing: AtomicUsize,
    /// How many more calls do what they should and fail then.
    silent: AtomicUsize,
    /// How many more looks at jobs fail.
    blind: AtomicUsize,
    /// How many checkpoints the attempt has saved, and after which one nothing is answered.
    saved: watch::Sender<usize>,
    last_saved: AtomicUsize,
    lease_lost: AtomicUsize,
}

impl FaultyQueue {
    /// The queue before `inner`, which fails at nothing so far.
    pub fn new(inner: Arc<dyn Queue>) -> Self {
        Self {
            inner,
            failing: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            blind: AtomicUsize::new(0),
            saved: watch::channel(0).0,
            last_saved: AtomicUsize::new(usize::MAX),
            lease_lost: AtomicUsize::new(0),
        }
    }

    /// The next `calls` that change something fail: the store is away.
    pub fn fail_calls(&self, calls: usize) {
        self.failing.store(calls, SeqCst);
    }

    /// The next `calls` that change something do so, and their replies are lost: the connection broke after them.
    pub fn lose_replies(&self, calls: usize) {
        self.silent.store(calls, SeqCst);
    }

    /// The next `calls` of [`Queue::inspect`] fail: the store is away. Nothing else that only reads ever fails.
    pub fn fail_looks(&self, calls: usize) {
        self.blind.store(calls, SeqCst);
    }

    /// Begins an attempt: after the checkpoint of this number nothing is answered any more.
    pub(super) fn begin(&self, fault: Option<&Fault>) {
        self.saved.send_replace(0);
        let last = match fault {
            Some(Fault::Crash(Moment::Saved(number))) => (*number).max(1),
            _ => usize::MAX,
        };
        self.last_saved.store(last, SeqCst);
        self.lease_lost.store(usize::from(fault == Some(&Fault::LeaseLost)), SeqCst);
    }

    /// Ends once the last checkpoint of the attempt has been stored.
    pub(super) async fn has_saved_last(&self) {
        let last = self.last_saved.load(SeqCst);
        // Its sender is here: it does not end before this does.
        drop(self.saved.subscribe().wait_for(|saved| *saved >= last).await);
    }

    async fn changing<T>(
        &self,
        change: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        if takes_one(&self.failing) {
            return Err(away("the store is away"));
        }
        let done = change.await;
        if takes_one(&self.silent) {
            return Err(away("the connection broke before the reply"));
        }
        done
    }
}

fn away(cause: &'static str) -> QueueError {
    QueueError::Unavailable { doing: "be tested", cause: cause.into() }
}

fn takes_one(left: &AtomicUsize) -> bool {
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        self.changing(self.inner.enqueue(jobs)).await
    }
    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        self.changing(self.inner.open_batch(batch)).await
    }
    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        self.inner.batch(tenant, batch).await
    }
    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        self.changing(self.inner.claim(who, ask)).await
    }
    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        self.inner.wait(kinds).await
    }
    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        if self.lease_lost.load(SeqCst) > 0 {
            return Ok(renewals.iter().map(|_| Standing::Lost).collect());
        }
        let saves = renewals.iter().filter(|renewal| renewal.checkpoint.is_some()).count();
        let standings = self.changing(self.inner.renew(renewals)).await?;
        if saves > 0 {
            self.saved.send_modify(|saved| *saved += saves);
            if *self.saved.borrow() >= self.last_saved.load(SeqCst) {
                pending::<()>().await;
            }
        }
        Ok(standings)
    }
    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        if self.lease_lost.load(SeqCst) > 0 {
            return Ok(settlements.iter().map(|_| Settled::LeaseLost).collect());
        }
        self.changing(self.inner.settle(settlements)).await
    }
    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        self.changing(self.inner.cancel(tenant, jobs)).await
    }
    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        self.changing(self.inner.requeue(tenant, jobs)).await
    }
    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        self.changing(self.inner.pause(scope)).await
    }
    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        self.changing(self.inner.resume(scope)).await
    }
    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        self.inner.paused().await
    }
    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        self.changing(self.inner.set_tenant_limits(tenant, limits)).await
    }
    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        self.inner.tenant_limits(tenant).await
    }
    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        self.changing(self.inner.set_kind_limits(kind, limits)).await
    }
    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        self.inner.kind_limits(kind).await
    }
    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        self.inner.why(tenant, job).await
    }
    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        if takes_one(&self.blind) {
            return Err(away("the store is away"));
        }
        self.inner.inspect(tenant, jobs).await
    }
    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        self.inner.list(tenant, filter, after, most).await
    }
    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        self.inner.stats(tenant).await
    }
    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError> {
        self.changing(self.inner.sweep(retention)).await
    }
}
