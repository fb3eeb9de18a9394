//! All that a handler may touch. Owns: [`Context`]. A handler knows neither the queue nor HTTP nor other tenants:
//! every storage handed out here is prefixed with the tenant's root.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    ContextArtifact,
    checkpoint::{Checkpoints, Unreadable},
    keeper::{LeaseHandle, Order},
    kind::{Kind, accepted, new_job},
    remember,
    reports::{Outbox, Publisher},
    reserve::{self, Reserve},
    scratch,
    secrets::{self, Told},
    spend::{self, Spend},
};
use crate::{
    artifact::{ArtifactError, ArtifactOptions, ArtifactStore, Maker, UploadState, key},
    cache::{Cache, CacheKey, TenantCache},
    domain::{
        ArtifactPointer, Clock, Cost, Failure, FileName, Job, JobId, KindName, NewJob, Payload, ProjectId,
        Random, TenantId, Timestamp,
    },
    limits::{Limiter, Resource, Rules},
    queue::Queue,
    security::{Keyring, outgoing::Outgoing, vault::Vault},
    spending::{Estimate, ModelName, Spending},
};

/// What a handler may know of its job.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub kind: KindName,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    /// How many attempts it has.
    pub max_attempts: u32,
    /// The fencing number of this attempt: rises from attempt to attempt.
    pub epoch: u64,
}

/// What all attempts of a worker share.
pub(crate) struct Surroundings {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) storage: Arc<dyn ObjectStore>,
    pub(crate) artifacts: ArtifactStore,
    pub(crate) publisher: Publisher,
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) spending: Spending,
    pub(crate) cache: Cache,
    pub(crate) keyring: Keyring,
    pub(crate) vault: Vault,
    pub(crate) outgoing: Outgoing,
    pub(crate) models: Option<Arc<serde_json::Value>>,
    pub(crate) scratch: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// What a handler is given beside its payload. Cheap to clone; clones belong to the same attempt.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    job: JobFacts,
    checkpoints: Arc<Checkpoints>,
    lease: LeaseHandle,
    begun: Timestamp,
    /// Made with the first report: most short jobs have none.
    outbox: OnceLock<Arc<Outbox>>,
    surroundings: Arc<Surroundings>,
    /// How long an attempt of the kind may take.
    timeout: Duration,
    made: Mutex<Made>,
    told: Told,
}

/// What the attempt has made on storage.
#[derive(Default)]
struct Made {
    begun: bool,
    finished: Vec<ArtifactPointer>,
}

impl Context {
    /// The context of a job that begins now, and its payload. `timeout` is how long the attempt may take.
    pub(crate) fn new(
        job: Job,
        lease: LeaseHandle,
        surroundings: Arc<Surroundings>,
        timeout: Duration,
    ) -> (Self, Payload) {
        let Job { id, tenant, kind, attempt, max_attempts, epoch, checkpoint, payload, .. } = job;
        let inner = Inner {
            job: JobFacts { id, tenant, kind, attempt, max_attempts, epoch },
            checkpoints: Arc::new(Checkpoints::new(lease.clone(), checkpoint.as_ref())),
            lease,
            begun: surroundings.clock.now(),
            outbox: OnceLock::new(),
            surroundings,
            timeout,
            made: Mutex::default(),
            told: Told::default(),
        };
        (Self(Arc::new(inner)), payload)
    }

    /// The job.
    pub fn job(&self) -> &JobFacts {
        &self.0.job
    }

    /// Tells how far the job has got, in units of the handler's choice; `total` 0 where nobody knows. Cheap: may be
    /// called for every unit. At most ten a second are published, and always the last one.
    pub fn progress(&self, done: u64, total: u64, message: &str) {
        self.outbox().progress(done, total, message, self.clock().now());
    }

    /// Publishes a piece of the text that the job is writing. Cheap; pieces are joined to a few a second.
    pub fn text(&self, piece: &str) {
        self.outbox().text(piece);
    }

    /// Begins an artifact of the job. It is published when the job completes. Where the attempt ends before that, the next
    /// one goes on with what is stored of it, if the options name the same [source](ArtifactOptions::source); write the same
    /// bytes again from the first one, and those that are stored are only compared. Where the job ends otherwise, it is
    /// removed.
    ///
    /// # Errors
    /// Where the options make no sense, or storage or keys can't be reached.
    pub async fn artifact(
        &self,
        name: &FileName,
        options: ArtifactOptions,
    ) -> Result<ContextArtifact, ArtifactError> {
        self.made().begun = true;
        let JobFacts { id, tenant, epoch, .. } = &self.0.job;
        let maker = Maker { tenant: tenant.clone(), job: *id, epoch: *epoch };
        let (ledger, left) = (self.0.checkpoints.clone(), self.0.checkpoints.upload(name).await);
        let writer = self.0.surroundings.artifacts.begin(maker, name, options, ledger, left).await?;
        Ok(ContextArtifact::new(writer, self.clone()))
    }

    /// What an earlier attempt has saved, where there is something and `T` can be read from it: else the attempt
    /// starts from the beginning.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        let bytes = self.0.checkpoints.handler()?;
        match serde_json::from_slice(bytes) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                tracing::warn!(line, column, "the checkpoint can't be read; starting from the beginning");
                None
            }
        }
    }

    /// Saves where a later attempt shall go on from; once it answers, that is durable. At most
    /// [`Checkpoint::MOST_BYTES`](crate::domain::Checkpoint::MOST_BYTES) as JSON, less 8 KiB for each large artifact that is
    /// being written. An outage of the store is waited for as long as the lease holds.
    ///
    /// # Errors
    /// [`Failure::LeaseLost`] where another worker may be running the job: return it. [`Failure::Fatal`] where the
    /// checkpoint is too large or no JSON.
    pub async fn save<T: Serialize + Sync>(&self, checkpoint: &T) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(checkpoint)
            .map_err(|error| Failure::fatal(format_args!("the checkpoint is no JSON: {error}")))?;
        self.0.checkpoints.save(Bytes::from(bytes)).await
    }

    /// The tenant's storage: paths are relative to its root and can't leave it.
    pub fn storage(&self) -> Arc<dyn ObjectStore> {
        self.below(key([self.0.job.tenant.as_str()]))
    }

    /// The storage of one of the tenant's projects: paths are relative to its folder and can't leave it.
    pub fn project(&self, project: &ProjectId) -> Arc<dyn ObjectStore> {
        self.below(key([self.0.job.tenant.as_str(), "projects", project.as_str()]))
    }

    /// The tenant's part of the cache; no key leads out of it.
    pub fn cache(&self) -> TenantCache {
        self.0.surroundings.cache.tenant(&self.0.job.tenant)
    }

    /// A document from the tenant's part of the cache, where it is sealed if the tenant seals; where there is none, what `load`
    /// gives, which lives so long. Of all who ask for it at one time one loads, the others wait for it. What can't be opened, or
    /// of which `read` makes nothing, is as if there were none, and makes room for what is loaded.
    ///
    /// # Errors
    /// What the loader says; [`Failure::Snooze`] where the tenant's keys can't be read now.
    pub async fn remembered<T, F>(
        &self,
        key: &CacheKey,
        lives: Duration,
        read: impl Fn(&Bytes) -> Option<T>,
        load: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Bytes, Failure>>,
    {
        remember::remembered(&self.0.surroundings, &self.0.job.tenant, (key, lives), read, load).await
    }

    /// One of the tenant's secrets, as long as the attempt holds its lease; wiped when it is dropped. The reading is audited.
    ///
    /// # Errors
    /// [`Failure::LeaseLost`]; [`Failure::Fatal`] where there is none of that name; [`Failure::Snooze`] where it can't be had now.
    pub async fn secret(&self, name: &str) -> Result<secrecy::SecretString, Failure> {
        let Inner { job, lease, surroundings, told, .. } = &*self.0;
        secrets::read(&surroundings.vault, job, lease, told, name).await
    }

    /// Takes a part of what the tenant may use of a resource, before it is used: tokens of a model by the estimate of a call,
    /// say. [Settle](Reserve::settle) it when it is known what was used.
    ///
    /// # Errors
    /// [`Failure::Snooze`] where the tenant has used its share for now or the resource is [parked](Self::park): return
    /// it, and the job goes on when there is some, at the cost of no attempt. [`Failure::Retry`] where limits can't be
    /// read.
    pub async fn reserve(&self, resource: &Resource, cost: u32) -> Result<Reserve, Failure> {
        reserve::reserve(&self.0.surroundings, &self.0.job.tenant, resource, cost, self.0.timeout).await
    }

    /// Sets aside what a call of a model may cost at most, before it is asked. [Settle](Spend::settle) it when it is known what it
    /// has cost: dropped, all of it counts once `longest` is over, or the attempt's time.
    ///
    /// # Errors
    /// [`Failure::Snooze`] where a budget is used up, until there may be some again: return it, and the job goes on then, at the
    /// cost of no attempt. [`Failure::Fatal`] where the call alone is more than a budget, or a budget is of money and nobody
    /// knows the price. [`Failure::Retry`] where accounts can't be read.
    pub async fn spend(&self, estimate: &Estimate, longest: Duration) -> Result<Spend, Failure> {
        spend::spend(&self.0.surroundings, &self.0.job.tenant, estimate, longest.min(self.0.timeout)).await
    }

    /// Notes that an answer came from the cache, and what it would have cost.
    pub async fn spared(&self, name: &ModelName, saved: Cost) {
        spend::spared(&self.0.surroundings, &self.0.job.tenant, name, saved).await;
    }

    /// Tells something new of the job, without having got further.
    pub fn says(&self, message: &str) {
        self.outbox().says(message, self.clock().now());
    }

    /// Keeps all of the tenant's jobs, on all workers, from a resource for so long: what a provider asks for by "too many
    /// requests". Answers the failure to return: the job goes on then, at the cost of no attempt.
    pub async fn park(&self, resource: &Resource, wait: Duration) -> Failure {
        reserve::park(&self.0.surroundings, &self.0.job.tenant, resource, wait).await
    }

    /// The one way out to addresses that somebody else has chosen: what is not of the public internet is refused.
    pub fn outgoing(&self) -> &Outgoing {
        &self.0.surroundings.outgoing
    }

    /// `[models]` of the settings, as it stands there: which models there are, for the kinds that ask them.
    pub fn models(&self) -> Option<&serde_json::Value> {
        self.0.surroundings.models.as_deref()
    }

    /// An empty folder on this machine, for input that must be seekable. Removed when the value is dropped.
    ///
    /// # Errors
    /// [`Failure::Retry`] where it can't be made.
    pub async fn scratch(&self) -> Result<tempfile::TempDir, Failure> {
        scratch::folder(self.0.surroundings.scratch.clone(), self.0.job.id).await
    }

    /// A job of kind `K` of the same tenant, to be adjusted and then [enqueued](Self::enqueue). Give it an idempotency
    /// key, so that a second attempt of this job makes no second child.
    ///
    /// # Errors
    /// [`Failure::Fatal`] where the kind refuses the payload.
    pub fn child<K: Kind>(&self, payload: &K) -> Result<NewJob, Failure> {
        let id = JobId::new(self.clock().now(), self.random());
        new_job(id, self.0.job.tenant.clone(), payload).map_err(Failure::fatal)
    }

    /// Enqueues a job of the same tenant; once it answers, the job is kept.
    ///
    /// # Errors
    /// [`Failure::Retry`] where the tenant has too many jobs waiting or the queue is away, [`Failure::Fatal`] where the
    /// job is wrong or another tenant's.
    pub async fn enqueue(&self, child: NewJob) -> Result<JobId, Failure> {
        if child.tenant != self.0.job.tenant {
            return Err(Failure::fatal("a job may enqueue jobs of its own tenant only"));
        }
        let answers = self.0.surroundings.queue.enqueue(vec![child]).await.map_err(Failure::retry)?;
        accepted(answers.into_iter().next())
    }

    /// Ends when the handler is to stop: somebody asked to cancel the job, the worker is going down, or the lease is
    /// gone. Answer it by returning [`Failure::Cancelled`] soon; a handler that does not is dropped.
    pub async fn cancelled(&self) {
        self.0.lease.told(Order::HandBack).await;
    }

    /// Whether the handler is to stop; for work on other threads.
    pub fn is_cancelled(&self) -> bool {
        self.0.lease.order() != Order::Run
    }

    /// Looks whether the attempt holds its lease, right before it writes what others see. Asks nobody: the lease may be gone where
    /// this says that it holds, if it has gone this instant.
    ///
    /// # Errors
    /// [`Failure::LeaseLost`]: write nothing, and return it.
    pub fn holds(&self) -> Result<(), Failure> {
        if self.0.lease.order() == Order::Lost { Err(Failure::LeaseLost) } else { Ok(()) }
    }

    /// Where the time comes from.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.surroundings.clock
    }

    /// The same, for what outlives a borrow.
    pub fn shared_clock(&self) -> Arc<dyn Clock> {
        self.0.surroundings.clock.clone()
    }

    /// Where randomness comes from.
    pub fn random(&self) -> &dyn Random {
        &*self.0.surroundings.random
    }

    /// Notes what was finished.
    pub(super) fn finished(&self, pointer: ArtifactPointer) {
        self.made().finished.push(pointer);
    }

    /// The pointers to what was finished, in order; empties the list.
    pub(crate) fn take_finished(&self) -> Vec<ArtifactPointer> {
        std::mem::take(&mut self.made().finished)
    }

    /// Publishes what was reported last, or tries to.
    pub(crate) async fn flush_reports(&self) {
        if let Some(outbox) = self.0.outbox.get() {
            outbox.flush().await;
        }
    }

    /// Whether the attempt may have left something on storage.
    pub(crate) fn has_begun_artifacts(&self) -> bool {
        self.made().begun
    }

    /// Whether what the last attempt has saved can be read; without it the handler must not run.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn check_checkpoint(&self) -> Result<(), Unreadable> {
        self.0.checkpoints.check()
    }

    /// The uploads that a later attempt may go on with.
    pub(crate) async fn uploads(&self) -> BTreeMap<FileName, UploadState> {
        self.0.checkpoints.uploads().await
    }

    fn outbox(&self) -> &Arc<Outbox> {
        let Inner { lease, begun, surroundings, .. } = &*self.0;
        self.0.outbox.get_or_init(|| surroundings.publisher.outbox(lease.lease().clone(), *begun))
    }

    fn below(&self, root: Path) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(self.0.surroundings.storage.clone(), root))
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.0.job).finish()
    }
}
