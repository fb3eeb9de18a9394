//! Retention: what is forgotten, and what becomes of those that waited for it.

use std::collections::BTreeSet;

use super::{Key, Model};
use crate::domain::{JobId, Reason, State, TenantId, Timestamp, Trigger};

impl Model {
    /// Removes at most `most` of the jobs and batches that are not kept: of each tenant the `most_finished` that ended
    /// last are, and of those what ended before a time is not. Answers how many it removed.
    pub fn sweep(
        &mut self,
        finished_before: Timestamp,
        most_finished: Option<u64>,
        most: usize,
        now: Timestamp,
    ) -> usize {
        let mut gone: Vec<Key> = self.finished(|at| at < finished_before).into_iter().take(most).collect();
        for key in &gone {
            self.forget(key, now);
        }
        if let Some(kept) = most_finished.and_then(|kept| usize::try_from(kept).ok()) {
            for tenant in self.jobs().map(|job| job.tenant.clone()).collect::<BTreeSet<_>>() {
                let ended: Vec<Key> =
                    self.finished(|_| true).into_iter().filter(|(whose, _)| *whose == tenant).collect();
                let beyond = ended.len().saturating_sub(kept).min(most.saturating_sub(gone.len()));
                for key in ended.into_iter().take(beyond) {
                    self.forget(&key, now);
                    gone.push(key);
                }
            }
        }
        gone.len() + self.forget_batches(finished_before, most.saturating_sub(gone.len()), now)
    }

    /// The jobs that ended at such a time, the one that ended first in front.
    fn finished(&self, wanted: impl Fn(Timestamp) -> bool) -> Vec<Key> {
        let ended = |(key, at): (&Key, Option<Timestamp>)| Some((at.filter(|at| wanted(*at))?, key.clone()));
        let mut ended: Vec<_> =
            self.jobs.iter().map(|(key, entry)| (key, entry.job.finished_at)).filter_map(ended).collect();
        ended.sort();
        ended.into_iter().map(|(_, key)| key).collect()
    }

    /// Removes a finished job; whoever still waited for it is cancelled. Whether there was such a job.
    pub fn forget(&mut self, key: &(TenantId, JobId), now: Timestamp) -> bool {
        if self.jobs.get(key).is_none_or(|entry| !entry.job.state.is_final()) {
            return false;
        }
        self.jobs.remove(key);
        self.uniques.retain(|(tenant, ..), id| *id != key.1 || *tenant != key.0);
        let waits = |(whose, _): &Key, pending: &BTreeSet<_>| *whose == key.0 && pending.contains(&key.1);
        let orphans: Vec<Key> = self
            .jobs
            .iter()
            .filter(|(other, entry)| waits(other, &entry.pending))
            .map(|(other, _)| other.clone())
            .collect();
        for orphan in orphans {
            self.cancel_because(&orphan, format!("{}, which it waited for, was removed", key.1), now);
        }
        true
    }

    /// Batches that are over and were so before a time; and those that were opened before it, never got all of their
    /// jobs, and have none that is unfinished: what follows such a one is cancelled.
    fn forget_batches(&mut self, before: Timestamp, most: usize, now: Timestamp) -> usize {
        let mut gone = Vec::new();
        for (key, opened) in &self.batches {
            let (ended, batch) = (opened.batch.ended(), &opened.batch);
            let over = ended >= batch.size && opened.ended_at.is_some_and(|at| at < before);
            let abandoned = opened.opened_at < before && !opened.is_full() && ended >= batch.enqueued;
            if over || abandoned {
                gone.push((key.clone(), batch.callback));
            }
        }
        gone.truncate(most);
        for (key, callback) in &gone {
            self.batches.remove(key);
            if let Some(callback) = callback {
                let callback = (key.0.clone(), *callback);
                self.cancel_because(&callback, format!("{}, which it follows, was abandoned", key.1), now);
            }
        }
        gone.len()
    }

    /// Cancels a job that is blocked; another is left as it is.
    fn cancel_because(&mut self, key: &Key, reason: String, now: Timestamp) {
        if let Some(entry) = self.jobs.get_mut(key).filter(|entry| entry.job.state == State::Blocked) {
            entry.job.reason = Some(Reason::new(reason));
            self.step(key, Trigger::CancelAsked, now);
        }
    }
}
