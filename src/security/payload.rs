//! Payloads of tenants that seal: sealed on their way into the queue, opened by the worker. Owns: [`SealingQueue`] and the way
//! back, [`unseal`]. Must not know: engines, handlers.
//!
//! What is sealed says so by its first bytes, which no JSON begins with: plain payloads, of producers that can't seal, are
//! accepted beside them.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{
    keyring::{Keyring, KeyringError},
    seal::{self, DataKey, KeyId, Preamble, SealContext, SealError},
};
use crate::{
    domain::{
        Batch, BatchId, Job, JobId, KindLimits, KindName, NewBatch, NewJob, Payload, Random, TenantId,
        TenantLimits, Verdict, WorkerId,
    },
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
    store::StoreError,
};

/// More bytes than this are sealed on a thread that may be busy for a while.
const AT_ONCE_BYTES: usize = 64 << 10;
/// How many tenants' keys are asked for at one time.
const AT_ONCE_TENANTS: usize = 32;

/// A queue behind which payloads of tenants that seal are sealed. All else goes through as it is: what comes out is sealed
/// still, and [`unseal`] opens it.
pub struct SealingQueue {
    queue: Arc<dyn Queue>,
    keyring: Keyring,
    random: Arc<dyn Random>,
}

/// What a tenant's payloads are to be sealed with; nothing where it does not seal, a reason where it can't be done.
type SealWith = Result<Option<(KeyId, Arc<DataKey>)>, String>;

impl SealingQueue {
    /// A queue in front of this one.
    pub fn new(queue: Arc<dyn Queue>, keyring: Keyring, random: Arc<dyn Random>) -> Self {
        Self { queue, keyring, random }
    }

    /// # Errors
    /// [`QueueError`] where it can't be told now.
    async fn seal_with(&self, tenant: &TenantId) -> Result<SealWith, QueueError> {
        let found = async {
            if self.keyring.seals(tenant).await? {
                self.keyring.newest(tenant).await.map(Some)
            } else {
                Ok(None)
            }
        };
        match found.await {
            Ok(found) => Ok(Ok(found)),
            Err(KeyringError::Store(error)) => Err(store_error(error)),
            Err(error) => Ok(Err(format!("the payloads of tenant {tenant} are to be sealed: {error}"))),
        }
    }

    async fn keys_of<'a>(
        &self,
        jobs: impl Iterator<Item = &'a NewJob>,
    ) -> Result<HashMap<TenantId, SealWith>, QueueError> {
        let mut tenants: Vec<TenantId> = Vec::new();
        let mut keys = HashMap::new();
        for job in jobs {
            if !keys.contains_key(&job.tenant) {
                keys.insert(job.tenant.clone(), Ok(None));
                tenants.push(job.tenant.clone());
            }
        }
        let asked = tenants.into_iter().map(|tenant| async move { (self.seal_with(&tenant).await, tenant) });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE_TENANTS);
        while let Some((found, tenant)) = answers.next().await {
            keys.insert(tenant, found?);
        }
        Ok(keys)
    }

    /// The jobs with sealed payloads, in their order; a refusal where one can't be sealed.
    async fn sealed(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<NewJob, Refusal>>, QueueError> {
        let keys = self.keys_of(jobs.iter()).await?;
        if keys.values().all(|key| matches!(key, Ok(None))) {
            return Ok(jobs.into_iter().map(Ok).collect());
        }
        let bytes: usize = jobs.iter().map(|job| job.payload.bytes.len() + seal::PREAMBLE_BYTES).sum();
        let random = self.random.clone();
        let work = move || -> Vec<Result<NewJob, Refusal>> {
            let seal = |job: NewJob| match keys.get(&job.tenant) {
                Some(Ok(Some((id, key)))) => seal_payload(job, *id, key, &*random),
                Some(Err(problem)) => Err(Refusal::Invalid(problem.clone())),
                Some(Ok(None)) | None => Ok(job),
            };
            jobs.into_iter().map(seal).collect()
        };
        if bytes <= AT_ONCE_BYTES {
            return Ok(work());
        }
        let sealed = tokio::task::spawn_blocking(work).await;
        sealed.map_err(|error| QueueError::Unavailable { doing: "seal payloads", cause: error.into() })
    }
}

fn store_error(error: StoreError) -> QueueError {
    match error {
        StoreError::Corrupt(problem) => QueueError::Corrupt(problem),
        StoreError::Unwritable { cause } => QueueError::Unwritable { cause },
        error => QueueError::Unavailable { doing: "look up whether the tenant seals", cause: error.into() },
    }
}

fn seal_payload(mut job: NewJob, id: KeyId, key: &DataKey, random: &dyn Random) -> Result<NewJob, Refusal> {
    // What is too large is refused by the queue, sealed or not: no need to do it first.
    if job.payload.bytes.len() > NewJob::MOST_PAYLOAD_BYTES {
        return Ok(job);
    }
    let object = object(job.id);
    let context = SealContext { tenant: &job.tenant, object: &object };
    let sealed = seal::seal(key, id, &context, &job.payload.bytes, random);
    job.payload.bytes = Bytes::from(sealed.map_err(|error| Refusal::Invalid(error.to_string()))?);
    Ok(job)
}

fn object(job: JobId) -> String {
    format!("job/{job}")
}

/// Why a sealed payload can't be opened, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum PayloadSealError {
    /// Find out who moved or changed it, and enqueue the job anew.
    #[error("the payload can't be opened: {0}")]
    Broken(String),
    /// Leave the job to a worker that has the key, or is newer.
    #[error("the payload can't be opened here: {0}")]
    Elsewhere(String),
    /// Try again soon.
    #[error("the payload can't be opened now: {0}")]
    Later(#[source] StoreError),
}

impl From<KeyringError> for PayloadSealError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => Self::Later(error),
            KeyringError::UnknownKey { .. } => Self::Broken(error.to_string()),
            // All of them can be put right without the job.
            KeyringError::NoMasterKey
            | KeyringError::MasterKeyLost { .. }
            | KeyringError::MasterKeyAway { .. }
            | KeyringError::Damaged { .. }
            | KeyringError::TooMany { .. }
            | KeyringError::NoKey { .. }
            | KeyringError::Master(_)
            | KeyringError::Broken(_) => Self::Elsewhere(error.to_string()),
        }
    }
}

impl From<SealError> for PayloadSealError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Newer { .. } => Self::Elsewhere(error.to_string()),
            error => Self::Broken(error.to_string()),
        }
    }
}

/// Which key a payload is sealed with; `None` for a plain one. Where it is sealed in a way that can't be read: the error.
///
/// # Errors
/// [`SealError`].
pub fn sealed_with(payload: &Payload) -> Result<Option<KeyId>, SealError> {
    if !seal::looks_sealed(&payload.bytes) {
        return Ok(None);
    }
    Preamble::split(&payload.bytes).map(|(preamble, _)| Some(preamble.key))
}

/// The payload of a job as its producer wrote it: opened where it is sealed, `None` where it is plain.
///
/// # Errors
/// [`PayloadSealError`].
pub async fn unseal(
    keyring: &Keyring,
    tenant: &TenantId,
    job: JobId,
    payload: &Payload,
) -> Result<Option<Payload>, PayloadSealError> {
    let Some(id) = sealed_with(payload)? else { return Ok(None) };
    let key = keyring.key(tenant, &id).await?;
    let object = object(job);
    // At most 256 KiB: some hundred microseconds.
    let plain = seal::open(&key, &SealContext { tenant, object: &object }, &payload.bytes)?;
    Ok(Some(Payload { version: payload.version, bytes: Bytes::from(plain) }))
}

#[async_trait]
impl Queue for SealingQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        let sealed = self.sealed(jobs).await?;
        let mut refused = Vec::with_capacity(sealed.len());
        let mut accepted = Vec::with_capacity(sealed.len());
        for job in sealed {
            match job {
                Ok(job) => {
                    accepted.push(job);
                    refused.push(None);
                }
                Err(refusal) => refused.push(Some(refusal)),
            }
        }
        if accepted.is_empty() {
            return Ok(refused.into_iter().flatten().map(Err).collect());
        }
        let mut answers = self.queue.enqueue(accepted).await?.into_iter();
        let answer =
            |refusal: Option<Refusal>| refusal.map_or_else(|| answers.next(), |refusal| Some(Err(refusal)));
        Ok(refused.into_iter().filter_map(answer).collect())
    }

    async fn open_batch(&self, mut batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        if let Some(callback) = batch.callback.take() {
            match self.sealed(vec![callback]).await?.pop() {
                Some(Err(refusal)) => return Ok(Err(refusal)),
                Some(Ok(callback)) => batch.callback = Some(callback),
                None => {}
            }
        }
        self.queue.open_batch(batch).await
    }

    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        self.queue.batch(tenant, batch).await
    }

    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        self.queue.claim(who, ask).await
    }

    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        self.queue.wait(kinds).await
    }

    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        self.queue.renew(renewals).await
    }

    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        self.queue.settle(settlements).await
    }

    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        self.queue.cancel(tenant, jobs).await
    }

    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        self.queue.requeue(tenant, jobs).await
    }

    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        self.queue.pause(scope).await
    }

    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        self.queue.resume(scope).await
    }

    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        self.queue.paused().await
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        self.queue.set_tenant_limits(tenant, limits).await
    }

    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        self.queue.tenant_limits(tenant).await
    }

    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        self.queue.set_kind_limits(kind, limits).await
    }

    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        self.queue.kind_limits(kind).await
    }

    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        self.queue.why(tenant, job).await
    }

    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        self.queue.inspect(tenant, jobs).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        self.queue.list(tenant, filter, after, most).await
    }

    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        self.queue.stats(tenant).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError> {
        self.queue.sweep(retention).await
    }
}
