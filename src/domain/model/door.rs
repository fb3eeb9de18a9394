//! The door: which jobs come in, which are answered with one that is there, which are refused.

use std::collections::BTreeSet;

use super::{Entry, Model};
use crate::domain::{BatchId, Job, JobId, NewJob, State, TenantId, Timestamp};

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

impl Model {
    /// Takes a job in.
    pub fn enqueue(&mut self, new: NewJob, now: Timestamp) -> Door {
        self.pass_time(now);
        self.admit(new, None, now)
    }

    /// Takes a job in, where it is a batch's callback as one that follows it. What a job is by itself is judged first,
    /// then whether it is there already, then the jobs and the batch that it names, and last the tenant's caps.
    pub(super) fn admit(&mut self, new: NewJob, follows: Option<BatchId>, now: Timestamp) -> Door {
        if is_out_of_bounds(&new) {
            return Door::Invalid;
        }
        if let Some(known) = self.known(&new) {
            return Door::Duplicate(known);
        }
        let Some(pending) = self.pending(&new) else { return Door::Invalid };
        if new.batch.is_some_and(|batch| !self.has_room(&new.tenant, batch)) {
            return Door::Invalid;
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
        self.accept(new, pending, follows, now);
        Door::Accepted
    }

    fn accept(&mut self, new: NewJob, pending: BTreeSet<JobId>, follows: Option<BatchId>, now: Timestamp) {
        self.accepted += 1;
        if let Some(unique) = &new.unique {
            let name = (new.tenant.clone(), new.kind.clone(), unique.key.clone());
            self.uniques.insert(name, new.id);
        }
        if let Some(batch) = new.batch {
            self.enqueued_in(&new.tenant, batch);
        }
        let is_blocked = !pending.is_empty() || follows.is_some();
        let timely = new.run_at.is_none() && !is_blocked;
        let job = accepted(new, is_blocked, now);
        let entry = Entry { job, sequence: self.accepted, timely, pending, follows, settled: None };
        self.jobs.insert((entry.job.tenant.clone(), entry.job.id), entry);
    }

    /// The job that is there already: of the same id, of the same idempotency key, or in the unique window.
    pub(super) fn known(&self, new: &NewJob) -> Option<JobId> {
        if self.job(&new.tenant, new.id).is_some() {
            return Some(new.id);
        }
        let same = |job: &&Job| {
            job.tenant == new.tenant && job.kind == new.kind && job.idempotency_key == new.idempotency_key
        };
        let keyed = self.jobs().find(same).filter(|_| new.idempotency_key.is_some());
        let rival = || {
            let unique = new.unique.as_ref()?;
            let name = (new.tenant.clone(), new.kind.clone(), unique.key.clone());
            let last = self.job(&new.tenant, *self.uniques.get(&name)?)?;
            unique.window.covers(last.state).then_some(last)
        };
        keyed.or_else(rival).map(|job| job.id)
    }

    /// The jobs that a new one has to wait for; nothing where it can't be.
    fn pending(&self, new: &NewJob) -> Option<BTreeSet<JobId>> {
        let mut pending = BTreeSet::new();
        for id in &new.after {
            if self.job(&new.tenant, *id)?.state == State::Completed {
                continue;
            }
            let waits = |entry: &&Entry| entry.job.tenant == new.tenant && entry.pending.contains(id);
            if self.jobs.values().filter(waits).count() >= NewJob::MOST_DEPENDENTS {
                return None;
            }
            pending.insert(*id);
        }
        Some(pending)
    }

    /// A tenant's unfinished jobs that don't run: how many, and the bytes of their payloads.
    fn waiting(&self, tenant: &TenantId) -> (u64, u64) {
        let waits =
            |job: &&Job| job.tenant == *tenant && !job.state.is_final() && job.state != State::Running;
        self.jobs()
            .filter(waits)
            .fold((0, 0), |(count, bytes), job| (count + 1, bytes + job.payload.bytes.len() as u64))
    }
}

fn is_out_of_bounds(new: &NewJob) -> bool {
    let dependencies = new.dependencies();
    new.cost == 0
        || new.max_attempts == 0
        || new.payload.bytes.len() > NewJob::MOST_PAYLOAD_BYTES
        || dependencies.len() > NewJob::MOST_DEPENDENCIES
        || dependencies.contains(&new.id)
}

fn accepted(new: NewJob, is_blocked: bool, now: Timestamp) -> Job {
    let run_at = new.run_at.unwrap_or(now);
    let after = new.dependencies();
    let state = match () {
        () if is_blocked => State::Blocked,
        () if run_at > now => State::Scheduled,
        () => State::Waiting,
    };
    Job {
        id: new.id,
        tenant: new.tenant,
        kind: new.kind,
        payload: new.payload,
        priority: new.priority,
        cost: new.cost,
        state,
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
        after,
        batch: new.batch,
    }
}
