//! Serves one lane: how many of its jobs may run now, which, and where the lane stands afterwards. Owns: token, caps
//! and lease in one step. Must not know: why it is this lane's turn.

use rusqlite::{Connection, params};

use super::{
    claim::{Lane, Terms},
    row::{SEQUENCE, read_job, select_jobs},
    tenant::Tenant,
    transition::next_state,
};
use crate::{
    domain::{EventBody, Job, KindName, LaneLimits, State, Timestamp, TokenBucket, Trigger},
    progress::sqlite as progress,
    queue::{Claim, Lease},
};

/// Virtual time of one cost unit at weight 1.
const UNIT: i64 = 1_000_000;

/// A lane's jobs in their order.
pub(super) const NEXT: &str =
    select_jobs!("WHERE lane = ?1 AND state = 'waiting' ORDER BY priority, jobs.sequence LIMIT ?2");

const START: &str =
    "UPDATE jobs SET state = ?2, attempt = ?3, epoch = ?4, started_at = ?5, worker = ?6, lease_until = ?7
    WHERE sequence = ?1";

const LEAVE: &str =
    "UPDATE lanes SET tag = ?2, bucket = ?3, standing = ?4, parked_until = ?5, waiting = waiting - ?6,
    running = running + ?6, pace = ?7, served_at = ?8, served = ?9 WHERE id = ?1";

/// What a lane is to be served.
pub(super) struct Service<'a> {
    pub(super) kind: &'a KindName,
    pub(super) lane: &'a Lane,
    pub(super) tenant: &'a Tenant,
    /// The virtual time of the lane behind it.
    pub(super) next_tag: Option<i64>,
    pub(super) most: usize,
    /// The turn ends with the job that reaches so many bytes of payloads and checkpoints.
    pub(super) most_bytes: usize,
    pub(super) terms: &'a Terms<'a>,
}

/// What it was served.
pub(super) struct Served {
    pub(super) jobs: usize,
    /// Bytes of their payloads.
    pub(super) bytes: usize,
    /// The same with their checkpoints.
    pub(super) weight: usize,
    /// The virtual time at which its last quantum began.
    pub(super) began: i64,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Idle,
    Ready,
    Throttled(Timestamp),
    Held,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ready => "ready",
            Self::Throttled(_) => "throttled",
            Self::Held => "held",
        }
    }
}

/// What a lane may use at this moment.
struct Allowance {
    limits: LaneLimits,
    bucket: TokenBucket,
    /// Jobs that the caps leave room for; none in a pause.
    room: usize,
    now: Timestamp,
}

impl Allowance {
    fn of(Service { kind, lane, tenant, terms, .. }: &Service<'_>) -> Self {
        let limits = tenant.limits.kinds.get(*kind).copied().unwrap_or_default();
        let left = |cap: Option<u32>, running: u64| {
            cap.map_or(usize::MAX, |cap| {
                usize::try_from(u64::from(cap).saturating_sub(running)).unwrap_or(usize::MAX)
            })
        };
        let room =
            left(tenant.limits.max_running, tenant.running).min(left(limits.max_running, lane.running));
        let stored = TokenBucket::from_stored(lane.bucket);
        // A slower rate may have left a debt that the present one would never make.
        let bucket = limits.rate.map_or(stored, |rate| stored.clipped(rate, terms.now));
        Self { limits, bucket, room: if tenant.paused { 0 } else { room }, now: terms.now }
    }

    fn jobs(&self) -> usize {
        let tokens = self.limits.rate.map_or(usize::MAX, |rate| self.bucket.level(rate, self.now) as usize);
        self.room.min(tokens)
    }

    /// Takes what `jobs` use; never more than [`Allowance::jobs`].
    fn take(&mut self, jobs: usize) {
        self.room -= jobs;
        if let Some(rate) = self.limits.rate {
            let tokens = u32::try_from(jobs).unwrap_or(u32::MAX);
            let taken = self.bucket.take(rate, tokens, self.now);
            debug_assert_eq!(taken, Ok(()), "no more than the level is taken");
        }
    }

    fn standing(&self, waiting: usize) -> Standing {
        let next_token = self.limits.rate.map(|rate| self.bucket.next_token_at(rate, self.now));
        match next_token {
            _ if waiting == 0 => Standing::Idle,
            _ if self.room == 0 => Standing::Held,
            Some(at) if at > self.now => Standing::Throttled(at),
            _ => Standing::Ready,
        }
    }
}

/// Starts as many of the lane's jobs as may run and as its turn allows, and puts the lane where it belongs.
pub(super) fn serve_lane(
    connection: &Connection,
    service: &Service<'_>,
    claims: &mut Vec<Claim>,
) -> rusqlite::Result<Served> {
    let (lane, terms) = (service.lane, service.terms);
    let mut allowance = Allowance::of(service);
    let most = allowance.jobs().min(service.most);
    let turn = if most > 0 { take_turn(connection, service, most)? } else { Turn::none(lane.tag) };
    let jobs = turn.jobs.len();
    let bytes = turn.jobs.iter().map(|(_, job)| job.payload.bytes.len()).sum();
    allowance.take(jobs);
    for (sequence, job) in turn.jobs {
        claims.push(start(connection, sequence, job, terms)?);
    }
    // A lane without jobs that counts some would be picked for ever: it rests.
    let waiting = if jobs == 0 && most > 0 { 0 } else { lane.waiting.saturating_sub(jobs) };
    let standing = allowance.standing(waiting);
    let parked_until = match standing {
        Standing::Throttled(until) => Some(until.as_micros()),
        _ => None,
    };
    let bucket = allowance.bucket.stored().as_micros();
    let pace = lane.pace.after(jobs, waiting, terms.now);
    connection.prepare_cached(LEAVE)?.execute(params![
        lane.id,
        turn.tag,
        bucket,
        standing.name(),
        parked_until,
        jobs,
        pace.mean,
        pace.served_at,
        pace.served
    ])?;
    Ok(Served { jobs, bytes, weight: turn.weight, began: turn.began })
}

/// The jobs of a lane's turn and the virtual times it leads to.
struct Turn {
    jobs: Vec<(i64, Job)>,
    /// Bytes of their payloads and checkpoints.
    weight: usize,
    tag: i64,
    began: i64,
}

impl Turn {
    fn none(tag: i64) -> Self {
        // Began at the beginning of time: a lane that was not served moves nobody on.
        Self { jobs: Vec::new(), weight: 0, tag, began: i64::MIN }
    }
}

/// A quantum, and another as long as the lane would be picked again.
fn take_turn(connection: &Connection, service: &Service<'_>, most: usize) -> rusqlite::Result<Turn> {
    let Service { lane, tenant, next_tag, terms, .. } = service;
    let mut turn = Turn { began: lane.tag, ..Turn::none(lane.tag) };
    let mut statement = connection.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![lane.id, most])?;
    let mut in_quantum = 0;
    while let Some(row) = rows.next()? {
        let job = read_job(row)?;
        in_quantum += 1;
        turn.weight += weight(&job);
        turn.tag = turn.tag.saturating_add(advance(job.cost, tenant.limits.weight));
        turn.jobs.push((row.get(SEQUENCE)?, job));
        if turn.jobs.len() == most || turn.weight >= service.most_bytes {
            break;
        }
        if in_quantum == terms.quantum {
            if next_tag.is_some_and(|next| turn.tag >= next) {
                break;
            }
            (in_quantum, turn.began) = (0, turn.tag);
        }
    }
    Ok(turn)
}

/// What a job weighs in memory.
pub(super) fn weight(job: &Job) -> usize {
    job.payload.bytes.len() + job.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.0.len())
}

/// How far a job moves its lane on.
fn advance(cost: u32, weight: u32) -> i64 {
    (i64::from(cost) * UNIT / i64::from(weight.max(1))).max(1)
}

fn start(connection: &Connection, sequence: i64, mut job: Job, terms: &Terms<'_>) -> rusqlite::Result<Claim> {
    let Terms { who, until, now, .. } = terms;
    job.state = next_state(State::Waiting, Trigger::Claimed)?;
    job.attempt += 1;
    job.epoch += 1;
    (job.started_at, job.lease_until, job.worker) = (Some(*now), Some(*until), Some((*who).clone()));
    connection.prepare_cached(START)?.execute(params![
        sequence,
        job.state.name(),
        job.attempt,
        job.epoch,
        now.as_micros(),
        who.as_str(),
        until.as_micros(),
    ])?;
    let body = EventBody::State { state: job.state, attempt: job.attempt, reason: None };
    progress::append(connection, job.id, *now, &body)?;
    let lease = Lease { tenant: job.tenant.clone(), job: job.id, epoch: job.epoch };
    Ok(Claim { lease, until: *until, job })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_costs_virtual_time_by_weight() {
        assert_eq!(advance(1, 1), UNIT);
        assert_eq!(advance(6, 3), 2 * UNIT);
        assert_eq!(advance(1_000_000, 1), 1_000_000 * UNIT);
        assert!(advance(1, 1_000) > 0);
    }
}
