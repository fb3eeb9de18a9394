//! The queue on Redis: the engine of a fleet.
//!
//! Every transition is one Lua script, so that it is atomic; `lua/` has one a file, `keys.rs` names every key and says
//! what is in it. A job's body is written once and never again; its record comes with its first claim (or earlier, where it
//! is delayed or blocked) and is what transitions change. Between lanes service is start-time fair, as in
//! [`sqlite`](super::sqlite); idle workers sleep in Redis and are woken one by one (`wait.rs`).
//!
//! With several shards each tenant lives on one. A claim visits the shards in turn, so between tenants of different
//! shards it is fair only by that turn; a kind's cap is divided among the shards, and one smaller than their number is
//! refused; a sweep's retention by count and all else that is told of one tenant holds as on one shard.
//!
//! A tenant whose keys hold what does not belong there is left alone, and others are served: its jobs are not handed out
//! until that is mended, its settlements are answered as lost, and the log says so.
//!
//! What a script must not know stands here: shards, connections, the types of the domain.
//!
//! Owns: the queue's keys. Must not know: handlers, artifacts, other engines.

mod answer;
mod ask;
mod body;
mod claim;
mod control;
mod enqueue;
pub mod keys;
mod open;
mod read;
mod scripts;
mod settle;
pub mod shipped;
mod sweep;
mod wait;
mod why;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep};

use super::{
    Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
    Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
};
use crate::{
    domain::{
        Batch, BatchId, Clock, Job, JobId, KindLimits, KindName, NewBatch, NewJob, TenantId, TenantLimits,
        Verdict, WorkerId, clock::SystemClock,
    },
    store::redis::{Redis, Script, is_lost},
};

/// How long a call that may be made twice rests before it is made again, where its answer was lost: a fail-over or a
/// restart takes longer, and is for the caller to wait for.
const RESTS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];
/// After so long it is not made again: a server that hangs has been waited for long enough.
const INSIST_FOR: Duration = Duration::from_secs(4);

/// A queue on Redis. Cheap to make; many may share a Redis, in one process or several.
#[derive(Debug)]
pub struct RedisQueue {
    redis: Redis,
    /// `None` for the server's own.
    clock: Option<Arc<dyn Clock>>,
    /// That of this process, by which verdicts name times.
    own_clock: Arc<dyn Clock>,
    turns: claim::Turns,
    waiters: wait::Waiters,
}

impl RedisQueue {
    /// The queue in a Redis. Time is taken from `clock`, else from the server, so that workers' clocks don't matter.
    pub fn new(redis: Redis, clock: Option<Arc<dyn Clock>>) -> Self {
        let turns = claim::Turns::new(redis.shards());
        Self { redis, clock, own_clock: Arc::new(SystemClock), turns, waiters: wait::Waiters::new() }
    }

    /// The same in a process that goes by another clock than the machine's.
    #[must_use]
    pub fn with_own_clock(self, own_clock: Arc<dyn Clock>) -> Self {
        Self { own_clock, ..self }
    }

    fn shards(&self) -> u16 {
        self.redis.shards().max(1)
    }

    fn shard_of(&self, tenant: &TenantId) -> u16 {
        keys::shard_of(tenant, self.shards())
    }

    fn tag(&self, shard: u16) -> String {
        keys::tag(self.redis.namespace(), shard)
    }

    /// The beginning of a script's arguments: the time.
    fn arguments(&self) -> Vec<Vec<u8>> {
        let time = self.clock.as_ref().map(|clock| clock.now().as_micros().to_string());
        vec![time.unwrap_or_default().into_bytes()]
    }

    /// Runs a script on a shard; `arguments` begin with the time.
    async fn run(
        &self,
        doing: &'static str,
        script: &Script,
        shard: u16,
        arguments: &[Vec<u8>],
    ) -> Result<Value, QueueError> {
        let answer = self.redis.run(script, self.tag(shard).as_bytes(), arguments).await;
        answer.map_err(|error| queue_error(doing, error))
    }

    /// The same for a script that may be run twice: one that may have been lost on the way is sent again, a few times.
    /// Sets `is_repeated` where it may have been run before.
    async fn run_until_heard(
        &self,
        doing: &'static str,
        script: &Script,
        shard: u16,
        arguments: &[Vec<u8>],
        is_repeated: &mut bool,
    ) -> Result<Value, QueueError> {
        let (tag, begun) = (self.tag(shard), Instant::now());
        for rest in RESTS {
            match self.redis.run(script, tag.as_bytes(), arguments).await {
                Err(error) if is_lost(&error) && begun.elapsed() < INSIST_FOR => {
                    *is_repeated = true;
                    sleep(rest).await;
                }
                answer => return answer.map_err(|error| queue_error(doing, error)),
            }
        }
        self.run(doing, script, shard, arguments).await
    }
}

/// What a failed call means for the caller.
fn queue_error(doing: &'static str, error: RedisError) -> QueueError {
    let text = error.to_string();
    match error.kind() {
        _ if matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS")) => {
            QueueError::Unwritable { cause: error.into() }
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            QueueError::Unavailable { doing, cause: error.into() }
        }
        ErrorKind::Server(ServerErrorKind::ResponseError) if text.contains("WRONGTYPE") => {
            QueueError::Corrupt(text)
        }
        ErrorKind::Extension if text.contains("WRONGTYPE") => QueueError::Corrupt(text),
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => QueueError::Corrupt(text),
        _ => QueueError::Unavailable { doing, cause: error.into() },
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        enqueue::enqueue(self, jobs).await
    }

    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        open::open_batch(self, batch).await
    }

    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        claim::claim(self, who, ask).await
    }

    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError> {
        wait::wait(self, kinds).await
    }

    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        settle::renew(self, renewals).await
    }

    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        settle::settle(self, settlements).await
    }

    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        ask::cancel(self, tenant, jobs).await
    }

    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        ask::requeue(self, tenant, jobs).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError> {
        sweep::sweep(self, retention).await
    }

    async fn pause(&self, scope: &Scope) -> Result<(), QueueError> {
        self.pause_scope(scope).await
    }

    async fn resume(&self, scope: &Scope) -> Result<(), QueueError> {
        self.resume_scope(scope).await
    }

    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        self.paused_scopes().await
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError> {
        self.limit_tenant(tenant, limits.as_ref()).await
    }

    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        self.limits_of_tenant(tenant).await
    }

    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        self.limit_kind(kind, limits).await
    }

    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        self.limits_of_kind(kind).await
    }

    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError> {
        self.why_waiting(tenant, job).await
    }

    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError> {
        self.find_batch(tenant, batch).await
    }

    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        self.inspect_jobs(tenant, jobs).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        self.list_jobs(tenant, filter, after, most).await
    }

    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        self.count_jobs(tenant).await
    }
}
