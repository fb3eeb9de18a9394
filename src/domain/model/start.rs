//! What may start: the caps, tokens, pauses and the order within a lane, checked and taken in one step.

use std::collections::BTreeMap;

use super::{Entry, Model};
use crate::domain::{Job, JobId, KindName, LaneLimits, State, TenantId, Timestamp, Trigger, WorkerId};

/// Why a job may not start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// The tenant has no such job.
    Unknown,
    /// It doesn't wait: it is in this state.
    NotWaiting(State),
    /// Another job of its lane goes first: of a better priority, or of the same and earlier.
    OutOfTurn {
        /// That one.
        first: JobId,
    },
    /// A pause covers it.
    Paused,
    /// Its lane has no token.
    NoToken,
    /// As many of the tenant's jobs run as may.
    TenantCap,
    /// As many of the lane's jobs run as may.
    LaneCap,
    /// As many of the kind's jobs run as may.
    KindCap,
}

impl Model {
    /// Whether a job may start now, and if not, why.
    ///
    /// # Errors
    /// The first hindrance.
    pub fn may_start(&mut self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<(), Hindrance> {
        self.pass_time(now);
        let entry = self.jobs.get(&(tenant.clone(), id)).ok_or(Hindrance::Unknown)?;
        if entry.job.state != State::Waiting {
            return Err(Hindrance::NotWaiting(entry.job.state));
        }
        if let Some(first) = self.jobs.values().find(|other| goes_before(other, entry)) {
            return Err(Hindrance::OutOfTurn { first: first.job.id });
        }
        self.lane_may_run(tenant, &entry.job.kind, now)
    }

    /// Whether a lane may run one more job.
    pub(super) fn lane_may_run(
        &self,
        tenant: &TenantId,
        kind: &KindName,
        now: Timestamp,
    ) -> Result<(), Hindrance> {
        let paused = &self.pauses;
        if paused.everything || paused.tenants.contains(tenant) || paused.kinds.contains(kind) {
            return Err(Hindrance::Paused);
        }
        let running = |covers: &dyn Fn(&Job) -> bool| {
            let count = self.jobs().filter(|job| job.state == State::Running && covers(job)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let reached =
            |cap: Option<u32>, covers: &dyn Fn(&Job) -> bool| cap.is_some_and(|most| running(covers) >= most);
        let lane = self.lane_limits(tenant, kind);
        if reached(self.tenant_limits(tenant).max_running, &|job| job.tenant == *tenant) {
            return Err(Hindrance::TenantCap);
        }
        if reached(lane.max_running, &|job| job.tenant == *tenant && job.kind == *kind) {
            return Err(Hindrance::LaneCap);
        }
        if reached(self.kinds.get(kind).and_then(|limits| limits.max_running), &|job| job.kind == *kind) {
            return Err(Hindrance::KindCap);
        }
        let mut bucket = self.buckets.get(&(tenant.clone(), kind.clone())).copied().unwrap_or_default();
        match lane.rate {
            Some(rate) if bucket.take(rate, 1, now).is_err() => Err(Hindrance::NoToken),
            _ => Ok(()),
        }
    }

    pub(super) fn lane_limits(&self, tenant: &TenantId, kind: &KindName) -> LaneLimits {
        self.tenant_limits(tenant).kinds.get(kind).copied().unwrap_or_default()
    }

    /// Gives a job to a worker, takes the lane's token, raises the epoch; answers the job as it runs.
    ///
    /// # Errors
    /// Why it may not start; nothing has changed then.
    pub fn start(
        &mut self,
        tenant: &TenantId,
        id: JobId,
        who: &WorkerId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Job, Hindrance> {
        self.may_start(tenant, id, now)?;
        let key = (tenant.clone(), id);
        self.step(&key, Trigger::Claimed, now);
        let job = &mut self.jobs.get_mut(&key).ok_or(Hindrance::Unknown)?.job;
        job.attempt += 1;
        job.epoch += 1;
        (job.started_at, job.lease_until, job.worker) = (Some(now), Some(until), Some(who.clone()));
        let job = job.clone();
        self.keep_pace(tenant, &job.kind, now);
        if let Some(rate) = self.lane_limits(tenant, &job.kind).rate {
            let bucket = self.buckets.entry((tenant.clone(), job.kind.clone())).or_default();
            bucket.take(rate, 1, now).map_err(|_| Hindrance::NoToken)?;
        }
        Ok(job)
    }

    /// Of each lane of these kinds that may run now, the job that goes first.
    pub fn startable(&mut self, kinds: &[KindName], now: Timestamp) -> Vec<Job> {
        self.pass_time(now);
        let mut first: BTreeMap<(&TenantId, &KindName), &Entry> = BTreeMap::new();
        for entry in self.jobs.values() {
            let Job { tenant, kind, state, .. } = &entry.job;
            if *state == State::Waiting && kinds.contains(kind) {
                let best = first.entry((tenant, kind)).or_insert(entry);
                if place(entry) < place(best) {
                    *best = entry;
                }
            }
        }
        let may_run = |job: &&Job| self.lane_may_run(&job.tenant, &job.kind, now).is_ok();
        first.values().map(|entry| &entry.job).filter(may_run).cloned().collect()
    }
}

fn place(entry: &Entry) -> (u8, u64) {
    (entry.job.priority.rank(), entry.sequence)
}

/// Whether one waiting job of a lane has to go before another. Those that have waited for a time or for other jobs find
/// their place among their equals when the engine moves them in: only their priority counts.
pub(super) fn goes_before(one: &Entry, other: &Entry) -> bool {
    let same_lane = same_lane(one, other);
    let (rank, other_rank) = (one.job.priority.rank(), other.job.priority.rank());
    let earlier = one.timely && other.timely && one.sequence < other.sequence;
    same_lane && one.job.state == State::Waiting && (rank < other_rank || (rank == other_rank && earlier))
}

pub(super) fn same_lane(one: &Entry, other: &Entry) -> bool {
    one.job.tenant == other.job.tenant && one.job.kind == other.job.kind
}
