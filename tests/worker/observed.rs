//! A queue that tells when something was claimed or settled, and that can be made to fail.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use presswork::{
    domain::{
        Batch, BatchId, Job, JobId, KindLimits, KindName, NewBatch, NewJob, State, TenantId, TenantLimits,
        Verdict, WorkerId,
    },
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
};
use tokio::sync::watch;

pub(crate) struct Observed {
    inner: Arc<dyn Queue>,
    happened: watch::Sender<()>,
    /// How many more calls of settle fail.
    pub(crate) failing_settles: AtomicUsize,
    /// How many more calls of claim fail.
    pub(crate) failing_claims: AtomicUsize,
    /// How many more calls of renew fail.
    pub(crate) failing_renewals: AtomicUsize,
    /// Whether a claim panics.
    pub(crate) claims_panic: AtomicBool,
}

impl Observed {
    pub(crate) fn new(inner: Arc<dyn Queue>) -> Self {
        Self {
            inner,
            happened: watch::channel(()).0,
            failing_settles: AtomicUsize::new(0),
            failing_claims: AtomicUsize::new(0),
            failing_renewals: AtomicUsize::new(0),
            claims_panic: AtomicBool::new(false),
        }
    }

    /// The job, once the condition holds for it.
    pub(crate) async fn until(&self, tenant: &TenantId, job: JobId, holds: impl Fn(&Job) -> bool) -> Job {
        let mut happened = self.happened.subscribe();
        loop {
            let found = self.inner.inspect(tenant, &[job]).await.unwrap().remove(0).unwrap();
            if holds(&found) {
                return found;
            }
            happened.changed().await.unwrap();
        }
    }

    /// Lets no worker claim any more; ends once one has tried, and so has none of its claims under way.
    pub(crate) async fn refuse_claims(&self, wake: NewJob) {
        let mut happened = self.happened.subscribe();
        self.failing_claims.store(usize::MAX, SeqCst);
        self.enqueue(vec![wake]).await.unwrap();
        while self.failing_claims.load(SeqCst) == usize::MAX {
            happened.changed().await.unwrap();
        }
    }

    /// The queue behind, which never fails.
    pub(crate) fn inner(&self) -> &dyn Queue {
        &*self.inner
    }

    /// Ends once that many jobs have completed.
    pub(crate) async fn all_completed(&self, count: u64) {
        let mut happened = self.happened.subscribe();
        while self.inner.stats(None).await.unwrap().count(State::Completed) < count {
            happened.changed().await.unwrap();
        }
    }
}

fn fail_once(left: &AtomicUsize) -> Result<(), QueueError> {
    match left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
        Ok(_) => Err(QueueError::Unavailable { doing: "be tested", cause: "pulled the plug".into() }),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Queue for Observed {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        self.inner.enqueue(jobs).await
    }
    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        assert!(!self.claims_panic.load(SeqCst), "a bug in the engine");
        let refused = fail_once(&self.failing_claims);
        self.happened.send_replace(());
        refused?;
        self.inner.claim(who, ask).await
    }
    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        self.inner.wait(kinds).await
    }
    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        fail_once(&self.failing_renewals)?;
        self.inner.renew(renewals).await
    }
    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        fail_once(&self.failing_settles)?;
        let settled = self.inner.settle(settlements).await;
        self.happened.send_replace(());
        settled
    }
    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        self.inner.cancel(tenant, jobs).await
    }
    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        self.inner.requeue(tenant, jobs).await
    }
    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        self.inner.pause(scope).await
    }
    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        self.inner.resume(scope).await
    }
    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        self.inner.paused().await
    }
    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        self.inner.set_tenant_limits(tenant, limits).await
    }
    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        self.inner.tenant_limits(tenant).await
    }
    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        self.inner.set_kind_limits(kind, limits).await
    }
    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        self.inner.open_batch(batch).await
    }
    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        self.inner.batch(tenant, batch).await
    }
    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        self.inner.kind_limits(kind).await
    }
    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        self.inner.why(tenant, job).await
    }
    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
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
        self.inner.sweep(retention).await
    }
}
