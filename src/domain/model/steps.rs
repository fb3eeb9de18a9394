//! One step of one job, and what it moves: its batch's counts, the jobs that waited for it, the job that follows its
//! batch.

use super::{Key, Model};
use crate::domain::{JobId, State, TenantId, Timestamp, Trigger};

impl Model {
    /// Moves a job by the table; answers the new state, or nothing where the table has no such transition.
    pub(super) fn step(&mut self, key: &Key, trigger: Trigger, now: Timestamp) -> Option<State> {
        let entry = self.jobs.get_mut(key)?;
        let job = &mut entry.job;
        let from = job.state;
        let to = from.on(trigger)?;
        job.state = to;
        if to != State::Running {
            (job.worker, job.lease_until) = (None, None);
        }
        if to.is_final() {
            job.finished_at = Some(now);
        }
        if from == State::Blocked {
            entry.pending.clear();
        }
        let batch = job.batch;
        if let Some(batch) = batch.filter(|_| from.is_final() || to.is_final()) {
            self.count_in(&key.0, batch, from, to, now);
        }
        if to == State::Completed {
            self.unblock_after(&key.0, key.1, now);
        }
        Some(to)
    }

    /// A job has completed: who waited for nothing else may run.
    fn unblock_after(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) {
        let mut free = Vec::new();
        for (key, entry) in self.jobs.iter_mut().filter(|(key, _)| key.0 == *tenant) {
            if entry.pending.remove(&id) && entry.pending.is_empty() {
                free.push(key.clone());
            }
        }
        for key in free {
            self.unblock(&key, now);
        }
    }

    /// A blocked job may run: from now on, or from its own time on where that is later. Others stay as they are.
    pub(super) fn unblock(&mut self, key: &Key, now: Timestamp) {
        let Some(entry) = self.jobs.get_mut(key) else { return };
        let trigger = if entry.job.run_at > now { Trigger::UnblockedEarly } else { Trigger::Unblocked };
        if self.step(key, trigger, now).is_some() {
            self.jobs.entry(key.clone()).and_modify(|entry| entry.job.run_at = entry.job.run_at.max(now));
        }
    }
}
