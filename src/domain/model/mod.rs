//! The reference model: the specification of the queue that every engine is tested against.
//!
//! Owns: what each operation does to jobs, in plain maps and linear scans, obviously right rather than fast. Time is
//! an argument, and it passes at once here: a delay that is over and a lease that has lapsed are seen by the very
//! next call, where an engine may see them at its next claim or sweep. Must not know: how an engine stores
//! anything, nor which of several tenants is served next: the model says what *may* start ([`Model::may_start`]),
//! fairness is proved by the laws of `tests/conformance/`.

mod start;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Checkpoint, Job, JobId, KindLimits, KindName, NewJob, Reason, State, TenantId, TenantLimits, Timestamp,
    TokenBucket, Trigger, Verdict,
};

pub use start::Hindrance;

/// What became of a job at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It is kept.
    Accepted,
    /// It was there already, under this id.
    Duplicate(JobId),
    /// Too many of the tenant's jobs wait.
    TooMany,
    /// Too many bytes of the tenant's payloads wait.
    TooLarge,
    /// The job itself is wrong.
    Invalid,
}

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

#[derive(Clone, Debug)]
struct Entry {
    job: Job,
    /// Rises with each acceptance.
    sequence: u64,
    /// Whether it has never waited for a time: such jobs go first in, first out.
    timely: bool,
    /// The last settlement that was applied: epoch, verdict, answer.
    settled: Option<(u64, Verdict, State)>,
}

/// A queue in memory.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What is paused; pausing and resuming is writing here.
    pub pauses: Pauses,
    jobs: BTreeMap<(TenantId, JobId), Entry>,
    tenants: BTreeMap<TenantId, TenantLimits>,
    kinds: BTreeMap<KindName, KindLimits>,
    buckets: BTreeMap<(TenantId, KindName), TokenBucket>,
    accepted: u64,
}

impl Model {
    /// Lets the time be `now`: what is due and what has lapsed returns to its lane, or ends. Answers how many leases
    /// had lapsed.
    pub fn pass_time(&mut self, now: Timestamp) -> usize {
        let mut lapsed = 0;
        for Entry { job, .. } in self.jobs.values_mut() {
            if job.run_at <= now && job.state.on(Trigger::Due).is_some() {
                step(job, Trigger::Due, now);
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
                step(job, trigger, now);
            }
        }
        lapsed
    }

    /// Takes a job in.
    pub fn enqueue(&mut self, new: NewJob, now: Timestamp) -> Door {
        self.pass_time(now);
        let too_big = new.payload.bytes.len() > NewJob::MOST_PAYLOAD_BYTES;
        if new.cost == 0 || new.max_attempts == 0 || too_big {
            return Door::Invalid;
        }
        if let Some(known) = self.known(&new) {
            return Door::Duplicate(known);
        }
        let limits = self.tenant_limits(&new.tenant);
        let (count, bytes) = self.waiting(&new.tenant);
        if limits.max_waiting.is_some_and(|most| count >= most) {
            return Door::TooMany;
        }
        let size = new.payload.bytes.len() as u64;
        if limits.max_waiting_bytes.is_some_and(|most| bytes.saturating_add(size) > most) {
            return Door::TooLarge;
        }
        self.accepted += 1;
        let timely = new.run_at.is_none();
        let entry = Entry { job: accepted(new, now), sequence: self.accepted, timely, settled: None };
        self.jobs.insert((entry.job.tenant.clone(), entry.job.id), entry);
        Door::Accepted
    }

    fn known(&self, new: &NewJob) -> Option<JobId> {
        if self.jobs.contains_key(&(new.tenant.clone(), new.id)) {
            return Some(new.id);
        }
        let key = new.idempotency_key.as_ref()?;
        let same = |job: &&Job| {
            job.tenant == new.tenant && job.kind == new.kind && job.idempotency_key.as_ref() == Some(key)
        };
        self.jobs().find(same).map(|job| job.id)
    }

    /// A tenant's unfinished jobs that don't run: how many, and the bytes of their payloads.
    fn waiting(&self, tenant: &TenantId) -> (u64, u64) {
        let waits =
            |job: &&Job| job.tenant == *tenant && !job.state.is_final() && job.state != State::Running;
        self.jobs()
            .filter(waits)
            .fold((0, 0), |(count, bytes), job| (count + 1, bytes + job.payload.bytes.len() as u64))
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
        let entry = self.jobs.get_mut(&(tenant.clone(), id))?;
        let job = &mut entry.job;
        if job.state != State::Running || job.epoch != epoch {
            let (settled_epoch, settled_verdict, state) = entry.settled.as_ref()?;
            return (*settled_epoch == epoch && settled_verdict == verdict).then_some(*state);
        }
        match verdict {
            Verdict::Done(output) => {
                job.output = Some(output.clone());
                step(job, Trigger::Done, now);
            }
            Verdict::Retry { reason, .. } | Verdict::Dead(reason) => job.reason = Some(reason.clone()),
            Verdict::Snooze { .. } | Verdict::Cancelled => {}
        }
        match verdict {
            Verdict::Done(_) => {}
            Verdict::Dead(_) => step(job, Trigger::Dead, now),
            Verdict::Cancelled => step(job, Trigger::Cancelled, now),
            Verdict::Retry { .. } | Verdict::Snooze { .. } if job.cancel_asked => {
                step(job, Trigger::Cancelled, now);
            }
            Verdict::Retry { .. } if job.attempt >= job.max_attempts => step(job, Trigger::Dead, now),
            Verdict::Retry { at, .. } => {
                step(job, Trigger::Retry, now);
                job.run_at = *at;
                entry.timely = false;
            }
            Verdict::Snooze { until } => {
                step(job, Trigger::Snooze, now);
                job.run_at = *until;
                job.attempt -= 1;
                entry.timely = false;
            }
        }
        entry.settled = Some((epoch, verdict.clone(), job.state));
        Some(job.state)
    }

    /// Cancels a job: its new state, or as an error the one it had ended in. Nothing where there is no such job.
    pub fn cancel(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Result<State, State>> {
        self.pass_time(now);
        let job = &mut self.jobs.get_mut(&(tenant.clone(), id))?.job;
        if job.state.is_final() {
            return Some(Err(job.state));
        }
        job.cancel_asked = job.state == State::Running;
        step(job, Trigger::CancelAsked, now);
        Some(Ok(job.state))
    }

    /// Puts a job back into its lane, or answers the state from which that can't be. Nothing where there is no
    /// such job.
    pub fn requeue(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Result<(), State>> {
        self.pass_time(now);
        let entry = self.jobs.get_mut(&(tenant.clone(), id))?;
        let job = &mut entry.job;
        if job.state.on(Trigger::Requeued).is_none() {
            return Some(Err(job.state));
        }
        step(job, Trigger::Requeued, now);
        (job.attempt, job.run_at, job.finished_at, job.cancel_asked) = (0, now, None, false);
        entry.timely = false;
        Some(Ok(()))
    }

    /// Removes at most `most` of the jobs that ended before a time; answers how many it removed.
    pub fn sweep(&mut self, finished_before: Timestamp, most: usize) -> usize {
        let ended = |job: &&Job| job.finished_at.is_some_and(|at| at < finished_before);
        let gone: Vec<_> =
            self.jobs().filter(ended).take(most).map(|job| (job.tenant.clone(), job.id)).collect();
        for key in &gone {
            self.jobs.remove(key);
        }
        gone.len()
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

    /// All jobs, by tenant, then id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().map(|entry| &entry.job)
    }

    /// A tenant's job.
    pub fn job(&self, tenant: &TenantId, id: JobId) -> Option<&Job> {
        self.jobs.get(&(tenant.clone(), id)).map(|entry| &entry.job)
    }
}

fn accepted(new: NewJob, now: Timestamp) -> Job {
    let run_at = new.run_at.unwrap_or(now);
    Job {
        id: new.id,
        tenant: new.tenant,
        kind: new.kind,
        payload: new.payload,
        priority: new.priority,
        cost: new.cost,
        state: if run_at > now { State::Scheduled } else { State::Waiting },
        attempt: 0,
        max_attempts: new.max_attempts,
        epoch: 0,
        created_at: now,
        run_at,
        started_at: None,
        finished_at: None,
        cancel_asked: false,
        worker: None,
        lease_until: None,
        checkpoint: None,
        output: None,
        reason: None,
        idempotency_key: new.idempotency_key,
        unique: new.unique,
        after: new.after,
        batch: new.batch,
    }
}

/// Moves a job by the table; what is not in the table does not happen.
fn step(job: &mut Job, trigger: Trigger, now: Timestamp) {
    job.state = job.state.on(trigger).unwrap_or(job.state);
    if job.state != State::Running {
        (job.worker, job.lease_until) = (None, None);
    }
    if job.state.is_final() {
        job.finished_at = Some(now);
    }
}
