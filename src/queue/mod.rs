//! The queue's seam: [`Queue`] states the laws, its engines keep them, `tests/conformance/` proves them on each.
//!
//! Owns: the operations on jobs and the types they speak. Must not know: handlers, artifacts' bytes, HTTP.

mod checks;
mod error;
mod outcome;
pub mod redis;
#[cfg(feature = "server")]
pub mod sqlite;
mod types;

use async_trait::async_trait;

pub use error::{BoxError, QueueError, Refusal};
pub use outcome::{WaitError, wait_for};
pub use types::{
    Ask, CancelOutcome, Claim, Constraint, Cursor, Enqueued, Filter, LaneStats, Lease, Opened, Page, Renewal,
    RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
};

use crate::domain::{
    Batch, BatchId, Job, JobId, KindLimits, KindName, NewBatch, NewJob, TenantId, TenantLimits, Verdict,
    WorkerId,
};

/// A durable, fair queue of many tenants. Every operation takes many jobs and answers one by one, in the order
/// asked: one bad item never fails its neighbours. Engines take their time from a
/// [`Clock`](crate::domain::Clock) given to them (or from their server).
///
/// The laws:
/// 1. A job accepted is a job kept: once `enqueue` has answered, only the loss of the store loses it.
/// 2. One live lease a job. The epoch rises at each claim; renewing or settling with an old one does nothing
///    and says so.
/// 3. A lapsed lease returns the job to its lane, where it was; an attempt that died with its worker counts.
/// 4. A claim takes the tenant's token, checks every cap and writes the lease in one atomic step.
/// 5. Between tenants of a kind, service is proportional to weight over any busy period, in cost units, within
///    one quantum. A tenant that was idle has no credit for it.
/// 6. A throttled, capped or paused lane costs a claim nothing.
/// 7. Time is the engine's clock, never the caller's.
/// 8. Nothing grows without bound: see [`Queue::sweep`].
#[async_trait]
pub trait Queue: Send + Sync {
    /// Accepts jobs, durably. A job whose id or idempotency key is known in its tenant (and kind, for the key), or
    /// whose unique window is taken, is answered with the one that is there and changes nothing.
    ///
    /// # Errors
    /// Per job a [`Refusal`]; [`QueueError`] where nothing was accepted.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError>;

    /// Opens a batch and accepts its callback, in one step.
    ///
    /// # Errors
    /// A [`Refusal`] where the batch or its callback is refused; [`QueueError`].
    async fn open_batch(&self, batch: NewBatch) -> Result<Result<Opened, Refusal>, QueueError>;

    /// What is known of a batch, until retention removes it: some time after all of its jobs have ended.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Batch>, QueueError>;

    /// Hands out at most `ask.most` jobs of the kinds asked for, each under a lease of `ask.lease`. Fewer, or
    /// none, where less may run now; fewer also where they are large: a claim holds some megabytes. Also moves what is due, and what has lapsed, back into its lane.
    ///
    /// # Errors
    /// [`QueueError`]; no lease was given then.
    async fn claim(&self, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError>;

    /// Returns as soon as a claim for these kinds may get something: at once where it may already, else when a
    /// job arrives, falls due or its lane may run again. May return early; never misses an arrival that
    /// follows the call, also by another process on the same store. One arrival wakes one waiter, not all.
    ///
    /// # Errors
    /// [`QueueError`] where the engine can't tell.
    async fn wait(&self, kinds: &[KindName]) -> Result<(), QueueError>;

    /// Prolongs leases, stores checkpoints, and tells what has become of each.
    ///
    /// # Errors
    /// [`QueueError`]; nothing was prolonged then.
    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError>;

    /// Ends attempts. Each is applied where its lease holds, else it is [`Settled::LeaseLost`] and changes
    /// nothing. Repeating a settlement that was applied answers what it answered. A `Retry` on the last attempt makes the
    /// job dead; a `Retry` or `Snooze` of a job that somebody asked to cancel makes it cancelled.
    ///
    /// # Errors
    /// [`QueueError`]; nothing was settled then, and the same call may be made again, but for
    /// [`QueueError::Invalid`]: an output is larger than [`Output::MOST_BYTES`](crate::domain::Output::MOST_BYTES).
    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError>;

    /// Cancels jobs: at once where they do not run, else the running handler is told at its next renewal.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn cancel(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError>;

    /// Puts dead or cancelled jobs back into their lanes, with all their attempts anew (and their checkpoint kept).
    ///
    /// # Errors
    /// [`QueueError`].
    async fn requeue(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError>;

    /// Stops handing out jobs in the scope; what runs goes on.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn pause(&self, scope: &Scope) -> Result<(), QueueError>;

    /// Hands out jobs in the scope again. A pause of a wider scope stays in force.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn resume(&self, scope: &Scope) -> Result<(), QueueError>;

    /// The scopes that are paused.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn paused(&self) -> Result<Vec<Scope>, QueueError>;

    /// Sets a tenant's limits, in force from the next claim; `None` restores the defaults.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
    ) -> Result<(), QueueError>;

    /// A tenant's limits: those set, or the defaults.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn tenant_limits(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError>;

    /// Sets a kind's limits, in force from the next claim.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn set_kind_limits(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError>;

    /// A kind's limits: those set, or none.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn kind_limits(&self, kind: &KindName) -> Result<KindLimits, QueueError>;

    /// Why a job does not run; `None` where the tenant has no such job.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn why(&self, tenant: &TenantId, job: JobId) -> Result<Option<Why>, QueueError>;

    /// What is known of jobs; `None` where the tenant has no such job.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn inspect(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<Vec<Option<Job>>, QueueError>;

    /// A tenant's jobs, newest first, at most `most` (1 to 1,000) from behind the cursor; fewer where they are large, or
    /// where an engine has looked long for what the filter wants: a page may be empty and have a cursor.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError>;

    /// Counts by tenant, kind and state; of one tenant or of all.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn stats(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError>;

    /// Returns lapsed leases to their lanes and removes what `retention` does not keep: finished jobs with their events
    /// and keys, batches whose jobs have all ended before that time; a bounded batch a call. Call it until it answers
    /// that it did nothing. Keep jobs for longer than any lease: a job of a removed one's id begins with epoch 1 again.
    /// A job that waits for one that is removed without having completed is cancelled, a batch's callback likewise
    /// where the batch is older than that time, is not full, and none of its jobs is unfinished.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn sweep(&self, retention: &Retention) -> Result<Swept, QueueError>;
}
