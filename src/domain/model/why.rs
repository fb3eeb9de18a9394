//! Why a job does not run: the first hindrance in the order in which they are told.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Entry, Hindrance, Model,
    start::{goes_before, same_lane},
};
use crate::domain::{BatchId, JobId, KindName, State, TenantId, Timestamp, clock::micros};

/// What holds a job up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It runs, or it has ended.
    Nothing,
    /// Its time has not come.
    Time(Timestamp),
    /// These have not completed.
    Jobs(BTreeSet<JobId>),
    /// So many jobs of the batch that it follows have not ended.
    Batch(BatchId, u64),
    /// Its lane may not run.
    Lane(Hindrance),
    /// Its lane has no token before this.
    Rate(Timestamp),
    /// Nothing but its turn.
    Turn,
}

/// Why a job does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Where it stands.
    pub state: State,
    /// What holds it up.
    pub hold: Hold,
    /// How many jobs of its lane go before it: at least, and at most. They are the same where none of these jobs has
    /// waited for a time or for others.
    pub ahead: (u64, u64),
    /// When it is likely to start. Engines tell the same where that is a time, else they may tell it in their own way.
    pub estimate: Option<Timestamp>,
}

/// How fast a lane's jobs start: the mean of the time from one to the next, the newest an eighth of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    served_at: Timestamp,
    micros: Option<i64>,
}

impl Model {
    /// Why a job does not run; nothing where there is no such job.
    pub fn why(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Why> {
        self.pass_time(now);
        let entry = self.jobs.get(&(tenant.clone(), id))?;
        let job = &entry.job;
        let hold = match job.state {
            State::Running | State::Completed | State::Cancelled | State::Dead => Hold::Nothing,
            State::Scheduled | State::Retrying => Hold::Time(job.run_at),
            State::Blocked if job.run_at > now => Hold::Time(job.run_at),
            State::Blocked => self.blocked_by(entry),
            State::Waiting => match self.lane_may_run(tenant, &job.kind, now) {
                Ok(()) => Hold::Turn,
                Err(Hindrance::NoToken) => Hold::Rate(self.next_token_at(tenant, &job.kind, now)),
                Err(hindrance) => Hold::Lane(hindrance),
            },
        };
        let ahead = if job.state == State::Waiting { self.ahead(entry) } else { (0, 0) };
        let pace = self.paces.get(&(tenant.clone(), job.kind.clone())).and_then(|pace| pace.micros);
        let times =
            |micros: i64, times: u64| Duration::from_micros(micros.unsigned_abs().saturating_mul(times));
        let estimate = match hold {
            Hold::Time(until) => Some(until),
            Hold::Rate(next) => {
                let rate = self.lane_limits(tenant, &job.kind).rate;
                rate.map(|rate| next.after(times(rate.interval_micros(), ahead.0)))
            }
            Hold::Turn => pace.map(|pace| now.after(times(pace, ahead.0 + 1))),
            _ => None,
        };
        Some(Why { state: job.state, hold, ahead, estimate })
    }

    fn blocked_by(&self, entry: &Entry) -> Hold {
        let Some(followed) = entry.follows else { return Hold::Jobs(entry.pending.clone()) };
        let left = self
            .batch(&entry.job.tenant, followed)
            .map_or(0, |batch| batch.size.saturating_sub(batch.ended()));
        Hold::Batch(followed, u64::from(left))
    }

    fn next_token_at(&self, tenant: &TenantId, kind: &KindName, now: Timestamp) -> Timestamp {
        let bucket = self.buckets.get(&(tenant.clone(), kind.clone())).copied().unwrap_or_default();
        self.lane_limits(tenant, kind).rate.map_or(now, |rate| bucket.next_token_at(rate, now))
    }

    /// How many jobs of its lane go before a waiting one, at least and at most.
    fn ahead(&self, entry: &Entry) -> (u64, u64) {
        let rank = |entry: &Entry| entry.job.priority.rank();
        let rivals = || {
            self.jobs.values().filter(|other| same_lane(other, entry) && other.job.state == State::Waiting)
        };
        let surely = rivals().filter(|other| other.timely && goes_before(other, entry)).count() as u64;
        let perhaps = |other: &&Entry| {
            let open = other.job.id != entry.job.id && !(other.timely && entry.timely);
            goes_before(other, entry) || (open && rank(other) == rank(entry))
        };
        (surely, rivals().filter(perhaps).count() as u64)
    }

    /// A lane's job has started. Several at one instant are one service.
    pub(super) fn keep_pace(&mut self, tenant: &TenantId, kind: &KindName, now: Timestamp) {
        let lane = (tenant.clone(), kind.clone());
        let waits =
            self.jobs().any(|job| (&job.tenant, &job.kind) == (tenant, kind) && job.state == State::Waiting);
        let before = self.paces.get(&lane).copied();
        let pace = match before {
            Some(Pace { served_at, micros: mean }) if served_at < now => {
                let sample = micros(now.since(served_at));
                Pace { served_at: now, micros: Some(mean.map_or(sample, |mean| (mean * 7 + sample) / 8)) }
            }
            Some(same_instant) => same_instant,
            None => Pace { served_at: now, micros: None },
        };
        if waits {
            self.paces.insert(lane, pace);
        } else {
            // Idle time is no pace.
            self.paces.remove(&lane);
        }
    }
}
