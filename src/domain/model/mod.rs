//! The reference model: the specification of the queue that every engine is tested against.
//!
//! Owns: what each operation does to jobs, in plain maps and linear scans, obviously right rather than fast. Time is
//! an argument, and it passes at once here: a delay that is over and a lease that has lapsed are seen by the very
//! next call, where an engine may see them at its next claim or sweep. Must not know: how an engine stores
//! anything, nor which of several tenants is served next: the model says what *may* start ([`Model::may_start`]),
//! fairness is proved by the laws of `tests/conformance/`.

mod batches;
mod door;
mod start;
mod steps;
mod sweep;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BatchId, Checkpoint, IdempotencyKey, Job, JobId, KindLimits, KindName, Reason, State, TenantId,
    TenantLimits, Timestamp, TokenBucket, Trigger, Verdict,
};
use batches::Opened;
use why::Pace;

pub use door::Door;
pub use start::Hindrance;
pub use why::{Hold, Why};

/// What is paused. Each counts alone: a lane runs where none of them covers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// All jobs.
    pub everything: bool,
    /// These tenants' jobs.
    pub tenants: BTreeSet<TenantId>,
    /// The jobs of these kinds.
    pub kinds: BTreeSet<KindName>,
}

type Key = (TenantId, JobId);

#[derive(Clone, Debug)]
struct Entry {
    job: Job,
    /// Rises with each acceptance.
    sequence: u64,
    /// Whether it has never waited for a time or for other jobs: such jobs go first in, first out.
    timely: bool,
    /// The jobs that it waits for: none of them has completed.
    pending: BTreeSet<JobId>,
    /// The batch whose callback it is.
    follows: Option<BatchId>,
    /// The last settlement that was applied: epoch, verdict, answer.
    settled: Option<(u64, Verdict, State)>,
}

/// A queue in memory.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What is paused; pausing and resuming is writing here.
    pub pauses: Pauses,
    jobs: BTreeMap<Key, Entry>,
    tenants: BTreeMap<TenantId, TenantLimits>,
    kinds: BTreeMap<KindName, KindLimits>,
    buckets: BTreeMap<(TenantId, KindName), TokenBucket>,
    paces: BTreeMap<(TenantId, KindName), Pace>,
    batches: BTreeMap<(TenantId, BatchId), Opened>,
    /// Of each unique key the job accepted last, where it is there still.
    uniques: BTreeMap<(TenantId, KindName, IdempotencyKey), JobId>,
    accepted: u64,
}

impl Model {
    /// Lets the time be `now`: what is due and what has lapsed returns to its lane, or ends. Answers how many leases
    /// had lapsed.
    pub fn pass_time(&mut self, now: Timestamp) -> usize {
        let mut lapsed = 0;
        for key in self.jobs.keys().cloned().collect::<Vec<_>>() {
            let Some(Entry { job, .. }) = self.jobs.get_mut(&key) else { continue };
            if job.run_at <= now && job.state.on(Trigger::Due).is_some() {
                self.step(&key, Trigger::Due, now);
            } else if job.lease_until.is_some_and(|until| until <= now) {
                lapsed += 1;
                let trigger = match &*job {
                    Job { cancel_asked: true, .. } => Trigger::Cancelled,
                    Job { attempt, max_attempts, .. } if attempt >= max_attempts => Trigger::Dead,
                    _ => Trigger::Lapsed,
                };
                if trigger != Trigger::Cancelled {
                    job.reason = Some(Reason::new("its worker was lost: the lease lapsed"));
                }
                self.step(&key, trigger, now);
            }
        }
        lapsed
    }

    /// Prolongs a lease; answers until when it holds and whether somebody has asked to cancel, or nothing where
    /// it is lost.
    pub fn renew(
        &mut self,
        (tenant, id, epoch): (&TenantId, JobId, u64),
        until: Timestamp,
        checkpoint: Option<Checkpoint>,
        now: Timestamp,
    ) -> Option<(Timestamp, bool)> {
        self.pass_time(now);
        let job = &mut self.jobs.get_mut(&(tenant.clone(), id))?.job;
        if job.state != State::Running || job.epoch != epoch {
            return None;
        }
        job.lease_until = Some(until);
        job.checkpoint = checkpoint.or(job.checkpoint.take());
        Some((until, job.cancel_asked))
    }

    /// Ends an attempt; answers the new state, or nothing where the lease is lost.
    pub fn settle(
        &mut self,
        (tenant, id, epoch): (&TenantId, JobId, u64),
        verdict: &Verdict,
        now: Timestamp,
    ) -> Option<State> {
        self.pass_time(now);
        let key = (tenant.clone(), id);
        let Entry { job, settled, timely, .. } = self.jobs.get_mut(&key)?;
        if job.state != State::Running || job.epoch != epoch {
            let (settled_epoch, settled_verdict, state) = settled.as_ref()?;
            return (*settled_epoch == epoch && settled_verdict == verdict).then_some(*state);
        }
        match verdict {
            Verdict::Done(output) => job.output = Some(output.clone()),
            Verdict::Retry { reason, .. } | Verdict::Dead(reason) => job.reason = Some(reason.clone()),
            Verdict::Snooze { .. } | Verdict::Cancelled => {}
        }
        let trigger = match verdict {
            Verdict::Done(_) => Trigger::Done,
            Verdict::Dead(_) => Trigger::Dead,
            Verdict::Cancelled => Trigger::Cancelled,
            Verdict::Retry { .. } | Verdict::Snooze { .. } if job.cancel_asked => Trigger::Cancelled,
            Verdict::Retry { .. } if job.attempt >= job.max_attempts => Trigger::Dead,
            Verdict::Retry { at, .. } => {
                (job.run_at, *timely) = (*at, false);
                Trigger::Retry
            }
            Verdict::Snooze { until } => {
                (job.run_at, *timely) = (*until, false);
                job.attempt -= 1;
                Trigger::Snooze
            }
        };
        let state = self.step(&key, trigger, now)?;
        self.jobs.get_mut(&key)?.settled = Some((epoch, verdict.clone(), state));
        Some(state)
    }

    /// Cancels a job: its new state, or as an error the one it had ended in. Nothing where there is no such job.
    pub fn cancel(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Result<State, State>> {
        self.pass_time(now);
        let key = (tenant.clone(), id);
        let job = &mut self.jobs.get_mut(&key)?.job;
        job.cancel_asked |= job.state == State::Running;
        let ended = job.state;
        Some(self.step(&key, Trigger::CancelAsked, now).ok_or(ended))
    }

    /// Puts a job back into its lane, or answers the state from which that can't be. Nothing where there is no
    /// such job.
    pub fn requeue(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Result<(), State>> {
        self.pass_time(now);
        let key = (tenant.clone(), id);
        let before = self.jobs.get(&key)?.job.state;
        if self.step(&key, Trigger::Requeued, now).is_none() {
            return Some(Err(before));
        }
        let Entry { job, timely, .. } = self.jobs.get_mut(&key)?;
        (job.attempt, job.run_at, job.finished_at, job.cancel_asked) = (0, now, None, false);
        *timely = false;
        Some(Ok(()))
    }

    /// Sets a tenant's limits; `None` restores the defaults. Whether they were valid. A bucket owes no more than the
    /// new rate could ever lend.
    pub fn set_tenant_limits(
        &mut self,
        tenant: &TenantId,
        limits: Option<TenantLimits>,
        now: Timestamp,
    ) -> bool {
        match limits {
            Some(limits) if !(1..=1_000).contains(&limits.weight) => return false,
            Some(limits) => {
                for (kind, lane) in &limits.kinds {
                    if let (Some(rate), Some(bucket)) =
                        (lane.rate, self.buckets.get_mut(&(tenant.clone(), kind.clone())))
                    {
                        *bucket = bucket.clipped(rate, now);
                    }
                }
                self.tenants.insert(tenant.clone(), limits)
            }
            None => self.tenants.remove(tenant),
        };
        true
    }

    /// A tenant's limits: those set, or the defaults.
    pub fn tenant_limits(&self, tenant: &TenantId) -> TenantLimits {
        self.tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// Sets a kind's limits.
    pub fn set_kind_limits(&mut self, kind: &KindName, limits: KindLimits) {
        self.kinds.insert(kind.clone(), limits);
    }

    /// A kind's limits: those set, or none.
    pub fn kind_limits(&self, kind: &KindName) -> KindLimits {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// All jobs, by tenant, then id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().map(|entry| &entry.job)
    }

    /// A tenant's job.
    pub fn job(&self, tenant: &TenantId, id: JobId) -> Option<&Job> {
        self.jobs.get(&(tenant.clone(), id)).map(|entry| &entry.job)
    }
}
