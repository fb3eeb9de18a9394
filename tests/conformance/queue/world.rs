//! What a law works with: an engine with nothing in it, its clock, ids, and short words for the usual steps.

use std::{any::Any, sync::Arc, time::Duration};

use presswork::{
    domain::{
        Batch, BatchId, Clock as _, Job, JobId, KindName, ManualClock, NewBatch, NewJob, Output, Payload,
        Priority, Reason, SeededRandom, State, TenantId, TenantLimits, Timestamp, Verdict, WorkerId,
    },
    queue::{
        Ask, CancelOutcome, Claim, Enqueued, Filter, Lease, Opened, Queue, Refusal, RequeueOutcome,
        Retention, Settled, Why,
    },
};

/// How long the leases of [`World::claim`] hold.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How many jobs an engine may take from one lane before it looks at the others.
pub(crate) const QUANTUM: u32 = 8;

pub(crate) const EXPORT: KindName = KindName::literal("export");
pub(crate) const IMPORT: KindName = KindName::literal("import");

pub(crate) struct World {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<ManualClock>,
    /// Whether kinds may be capped as they are on one shard.
    pub(crate) has_kind_caps: bool,
    ids: SeededRandom,
    /// What has to live as long as the engine: its folder, its server.
    _keep: Box<dyn Any + Send + Sync>,
}

impl World {
    pub(crate) fn new(queue: Arc<dyn Queue>, clock: Arc<ManualClock>, keep: impl Any + Send + Sync) -> Self {
        Self { queue, clock, has_kind_caps: true, ids: SeededRandom::new(1), _keep: Box::new(keep) }
    }

    /// The clock of a new world.
    pub(crate) fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.now().after(Duration::from_secs(seconds))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn new_id(&self) -> JobId {
        JobId::new(self.now(), &self.ids)
    }

    pub(crate) fn job(&self, whose: &TenantId, kind: &KindName) -> NewJob {
        let payload = Payload { version: 3, bytes: br#"{"a":1}"#.as_slice().into() };
        NewJob::new(self.new_id(), whose.clone(), kind.clone(), payload)
    }

    pub(crate) fn job_of(&self, whose: &TenantId, priority: Priority) -> NewJob {
        NewJob { priority, ..self.job(whose, &EXPORT) }
    }

    pub(crate) async fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<Result<Enqueued, Refusal>> {
        let count = jobs.len();
        let answers = self.queue.enqueue(jobs).await.unwrap();
        assert_eq!(answers.len(), count, "one answer a job");
        answers
    }

    /// Enqueues a job that has to be accepted.
    pub(crate) async fn submit(&self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.enqueue(vec![job]).await, [Ok(Enqueued::Accepted(id))]);
        id
    }

    /// Enqueues so many ordinary exports in one batch; their ids in order.
    pub(crate) async fn exports(&self, whose: &TenantId, count: usize) -> Vec<JobId> {
        self.many(whose, &EXPORT, count).await
    }

    pub(crate) async fn many(&self, whose: &TenantId, kind: &KindName, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.job(whose, kind)).collect();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        for (answer, id) in self.enqueue(jobs).await.into_iter().zip(&ids) {
            assert_eq!(answer, Ok(Enqueued::Accepted(*id)));
        }
        ids
    }

    pub(crate) async fn claim_as(&self, who: &str, kinds: &[KindName], most: usize) -> Vec<Claim> {
        let ask = Ask { kinds: kinds.to_vec(), most, lease: LEASE };
        let claims = self.queue.claim(&WorkerId::new(who), &ask).await.unwrap();
        assert!(claims.len() <= most, "more than asked");
        claims
    }

    /// Claims exports.
    pub(crate) async fn claim(&self, most: usize) -> Vec<Claim> {
        self.claim_as("w1", &[EXPORT], most).await
    }

    /// Claims one export; there has to be one.
    pub(crate) async fn claim_one(&self) -> Claim {
        self.claim(1).await.pop().expect("nothing to claim")
    }

    /// Claims exports; their ids in order.
    pub(crate) async fn claim_ids(&self, most: usize) -> Vec<JobId> {
        self.claim(most).await.iter().map(|claim| claim.job.id).collect()
    }

    pub(crate) async fn settle(&self, lease: &Lease, verdict: Verdict) -> Settled {
        let settled = self.queue.settle(vec![(lease.clone(), verdict)]).await.unwrap();
        assert_eq!(settled.len(), 1, "one answer a settlement");
        settled[0]
    }

    /// Ends attempts well; each has to hold its lease.
    pub(crate) async fn finish(&self, claims: &[Claim]) {
        let verdicts = claims.iter().map(|claim| (claim.lease.clone(), done())).collect();
        for settled in self.queue.settle(verdicts).await.unwrap() {
            assert_eq!(settled, Settled::Now(State::Completed));
        }
    }

    pub(crate) async fn look(&self, whose: &TenantId, id: JobId) -> Option<Job> {
        self.queue.inspect(whose, &[id]).await.unwrap().pop().expect("one answer a job")
    }

    /// A job that is there.
    pub(crate) async fn inspect(&self, whose: &TenantId, id: JobId) -> Job {
        self.look(whose, id).await.expect("the job is gone")
    }

    pub(crate) async fn state(&self, whose: &TenantId, id: JobId) -> State {
        self.inspect(whose, id).await.state
    }

    /// Opens a batch, which has to be new.
    pub(crate) async fn open_batch(&self, batch: NewBatch) -> BatchId {
        let id = batch.id;
        assert_eq!(self.queue.open_batch(batch).await.unwrap(), Ok(Opened::Now));
        id
    }

    /// A batch of so many exports, with a callback that is an export, too.
    pub(crate) fn batch(&self, whose: &TenantId, size: u32) -> NewBatch {
        let id = BatchId::new(self.now(), &self.ids);
        NewBatch { id, tenant: whose.clone(), size, callback: Some(self.job(whose, &EXPORT)) }
    }

    /// A batch that is there.
    pub(crate) async fn look_at_batch(&self, whose: &TenantId, id: BatchId) -> Batch {
        self.queue.batch(whose, id).await.unwrap().expect("the batch is gone")
    }

    /// Why a job that is there does not run.
    pub(crate) async fn why(&self, whose: &TenantId, id: JobId) -> Why {
        self.queue.why(whose, id).await.unwrap().expect("the job is gone")
    }

    /// Claims a certain export, which has to be the next, and ends it.
    pub(crate) async fn end_next(&self, id: JobId, verdict: Verdict) {
        let claim = self.claim_one().await;
        assert_eq!(claim.job.id, id, "another one is next");
        assert!(matches!(self.settle(&claim.lease, verdict).await, Settled::Now(_)));
    }

    pub(crate) async fn cancel(&self, whose: &TenantId, id: JobId) {
        let outcome = self.queue.cancel(whose, &[id]).await.unwrap();
        assert_eq!(outcome, [CancelOutcome::Cancelled]);
    }

    pub(crate) async fn requeue(&self, whose: &TenantId, id: JobId) {
        assert_eq!(self.queue.requeue(whose, &[id]).await.unwrap(), [RequeueOutcome::Requeued]);
    }

    /// Enqueues a job that has to be refused as invalid; what is said of it.
    pub(crate) async fn refused(&self, job: NewJob) -> String {
        let (whose, id) = (job.tenant.clone(), job.id);
        match self.enqueue(vec![job]).await.remove(0) {
            Err(Refusal::Invalid(problem)) => {
                assert_eq!(self.look(&whose, id).await, None, "refused and yet there");
                problem
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn limit(&self, whose: &TenantId, limits: TenantLimits) {
        self.queue.set_tenant_limits(whose, Some(limits)).await.unwrap();
    }

    pub(crate) async fn weigh(&self, whose: &TenantId, weight: u32) {
        self.limit(whose, TenantLimits { weight, ..TenantLimits::default() }).await;
    }

    /// Sweeps until there is nothing more to do; what was removed.
    pub(crate) async fn sweep(&self, finished_before: Timestamp) -> usize {
        self.sweep_all(&Retention::before(finished_before)).await
    }

    /// The same, by number as well.
    pub(crate) async fn sweep_all(&self, retention: &Retention) -> usize {
        let mut removed = 0;
        loop {
            let swept = self.queue.sweep(retention).await.unwrap();
            removed += swept.removed;
            if (swept.lapsed, swept.removed) == (0, 0) {
                return removed;
            }
        }
    }

    /// All of a tenant's jobs, page by page.
    pub(crate) async fn list(&self, whose: &TenantId, filter: &Filter, page: usize) -> Vec<Job> {
        let (mut jobs, mut cursor) = (Vec::new(), None);
        loop {
            let answer = self.queue.list(whose, filter, cursor.as_ref(), page).await.unwrap();
            assert!(answer.items.len() <= page, "a page has at most as many as asked");
            jobs.extend(answer.items);
            match answer.next {
                Some(next) => cursor = Some(next),
                None => return jobs,
            }
        }
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(crate) fn done() -> Verdict {
    Verdict::Done(Output::default())
}

pub(crate) fn retry(at: Timestamp) -> Verdict {
    Verdict::Retry { at, reason: Reason::new("the model is overloaded") }
}

pub(crate) fn dead() -> Verdict {
    Verdict::Dead(Reason::new("not an EPUB"))
}
