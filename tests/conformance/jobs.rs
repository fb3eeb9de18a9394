//! Jobs for the promises of progress, in an engine's own queue.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use presswork::{
    domain::{
        Clock as _, JobId, KindName, ManualClock, NewJob, Payload, Reason, TenantId, Verdict, WorkerId,
    },
    progress::ProgressBus,
    queue::{Ask, Enqueued, Lease, Queue, QueueError, RequeueOutcome},
};

use super::progress::Jobs;

const LEASE: Duration = Duration::from_secs(30);

/// Progress on a store of its own, with the queue whose jobs it tells of.
pub(crate) struct ProgressWorld {
    pub(crate) bus: Arc<dyn ProgressBus>,
    /// The same store, as another process has it.
    pub(crate) elsewhere: Arc<dyn ProgressBus>,
    pub(crate) jobs: QueuedJobs,
    pub(crate) clock: Arc<ManualClock>,
    /// Kept as long as the world: the store's folder, perhaps.
    _store: Box<dyn Any + Send + Sync>,
}

impl ProgressWorld {
    pub(crate) fn new(
        bus: Arc<dyn ProgressBus>,
        elsewhere: Arc<dyn ProgressBus>,
        queue: Arc<dyn Queue>,
        clock: Arc<ManualClock>,
        store: impl Any + Send + Sync,
    ) -> Self {
        let jobs = QueuedJobs { queue, clock: clock.clone() };
        Self { bus, elsewhere, jobs, clock, _store: Box::new(store) }
    }
}

/// Jobs in a queue, each of a kind of its own, so that one can be claimed and not another.
pub(crate) struct QueuedJobs {
    queue: Arc<dyn Queue>,
    clock: Arc<ManualClock>,
}

impl QueuedJobs {
    fn kind(id: JobId) -> KindName {
        id.to_string().parse().unwrap()
    }

    /// Sends a running job to sleep and wakes it at once.
    pub(crate) async fn doze(&self, lease: &Lease) -> Lease {
        let snooze = Verdict::Snooze { until: self.clock.now() };
        self.queue.settle(vec![(lease.clone(), snooze)]).await.unwrap();
        self.claim(lease.job).await
    }

    /// Ends a job, unless the store is away.
    pub(crate) async fn try_end(&self, lease: &Lease) -> Result<(), QueueError> {
        self.queue.settle(vec![(lease.clone(), Verdict::Dead(Reason::new("ended")))]).await.map(drop)
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
        self.try_end(lease).await.unwrap();
    }

    async fn revive(&self, lease: &Lease) -> Lease {
        let requeued = self.queue.requeue(&lease.tenant, &[lease.job]).await.unwrap();
        assert_eq!(requeued, [RequeueOutcome::Requeued]);
        self.claim(lease.job).await
    }
}
