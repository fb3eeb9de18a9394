//! What an app needs that gives work to a fleet and watches it: [`Client`] on Redis. Crate feature `client`: no worker, no
//! command line, no SQLite.
//!
//! Owns: the short way from an address to jobs and their progress. Must not know: handlers, any key of Redis.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use redis::RedisError;
use serde::Serialize;

use crate::{
    domain::{Event, Job, JobId, KindName, NewJob, Payload, Random, SystemRandom, TenantId, clock},
    progress::{ProgressBus, ProgressError, redis::RedisProgress},
    queue::{CancelOutcome, Enqueued, Queue, QueueError, Refusal, WaitError, redis::RedisQueue, wait_for},
    security::{Keyring, MasterKeys, MasterSource, SealingQueue},
    store::{
        Records,
        redis::{Redis, RedisRecords},
    },
};

/// A way into a fleet's queue. Cheap to clone; clones share their connections.
///
/// ```no_run
/// use presswork::client::Client;
///
/// # async fn give_work() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("redis://127.0.0.1:6379").await?;
/// let (tenant, kind) = ("acme".parse()?, "export".parse()?);
/// let job = client.job(tenant, kind, 1, &serde_json::json!({ "project": "novel", "format": "epub" }))?;
/// client.enqueue(vec![job]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    queue: Arc<dyn Queue>,
    progress: Arc<dyn ProgressBus>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the Redis that a URL names ([`RedisUrl`](crate::store::redis::RedisUrl)). An outage later on is ridden out:
    /// calls fail while it lasts and work again when it is over. Jobs of tenants that seal are refused: see
    /// [`connect_sealing`](Self::connect_sealing).
    ///
    /// # Errors
    /// Where the server can't be reached, or can't be used.
    pub async fn connect(url: &str) -> Result<Self, RedisError> {
        Self::connect_by(url, MasterSource::Absent).await
    }

    /// The same with the fleet's master keys: payloads of tenants that seal are sealed before they leave this process.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_sealing(url: &str, master_keys: MasterKeys) -> Result<Self, RedisError> {
        Self::connect_by(url, MasterSource::Given(master_keys)).await
    }

    async fn connect_by(url: &str, masters: MasterSource) -> Result<Self, RedisError> {
        let redis = Redis::connect(url).await?;
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let records: Arc<dyn Records> = Arc::new(RedisRecords::new(redis.clone(), None));
        let keyring = Keyring::new(&records, masters, Arc::new(clock::SystemClock), random.clone());
        let queue = Arc::new(RedisQueue::new(redis.clone(), None));
        Ok(Self {
            queue: Arc::new(SealingQueue::new(queue, keyring, random.clone())),
            progress: Arc::new(RedisProgress::new(redis, None)),
            random,
        })
    }

    /// An ordinary job with a new id: normal priority, five attempts, at once; change what shall be otherwise. The
    /// payload is what the kind's handler takes, in that version.
    ///
    /// # Errors
    /// Where the payload can't be written as JSON.
    pub fn job(
        &self,
        tenant: TenantId,
        kind: KindName,
        version: u16,
        payload: &impl Serialize,
    ) -> Result<NewJob, serde_json::Error> {
        let payload = Payload { version, bytes: Bytes::from(serde_json::to_vec(payload)?) };
        let id = JobId::new(clock::Clock::now(&clock::SystemClock), &*self.random);
        Ok(NewJob::new(id, tenant, kind, payload))
    }

    /// Accepts jobs: one or thousands in one round trip. Safe to repeat with the same jobs, whatever became of the first
    /// call.
    ///
    /// # Errors
    /// Per job a [`Refusal`]; [`QueueError`] where it can't be told whether any was accepted.
    pub async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        self.queue.enqueue(jobs).await
    }

    /// What is known of a job.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn inspect(&self, tenant: &TenantId, job: JobId) -> Result<Option<Job>, QueueError> {
        Ok(self.queue.inspect(tenant, &[job]).await?.into_iter().next().flatten())
    }

    /// Cancels a job, running or not.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn cancel(&self, tenant: &TenantId, job: JobId) -> Result<CancelOutcome, QueueError> {
        let outcomes = self.queue.cancel(tenant, &[job]).await?;
        Ok(outcomes.into_iter().next().unwrap_or(CancelOutcome::Unknown))
    }

    /// The events of a job above a sequence number (0 for all), as they come, to its end; see [`ProgressBus::follow`].
    ///
    /// # Errors
    /// [`ProgressError`].
    pub async fn follow(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        self.progress.follow(tenant, job, after).await
    }

    /// Waits until a job has ended, and answers it with its output; `None` where it goes on beyond the time. See [`wait_for`].
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(
        &self,
        tenant: &TenantId,
        job: JobId,
        within: Duration,
    ) -> Result<Option<Job>, WaitError> {
        wait_for(&*self.queue, &*self.progress, tenant, job, within).await
    }

    /// All else that the queue can do.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }
}
