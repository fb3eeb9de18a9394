//! Hands out jobs: which shards a claim visits, and the claims behind a script's answer. Owns: the turn of the shards.
//! Must not know: how a shard chooses.

use std::sync::{Mutex, PoisonError};

use super::{RedisQueue, answer::Answer, body, scripts, settle};
use crate::{
    domain::{Checkpoint, Job, Reason, State, TenantId, Timestamp, Verdict, WorkerId},
    queue::{Ask, Claim, Lease, QueueError},
};

/// Bytes of payloads and checkpoints that one claim hands out before it stops: bounds what a worker has to hold.
const MOST_BYTES: usize = 8 << 20;
/// Jobs of one script: bounds how long others wait for it.
const MOST_JOBS: usize = 1_000;

/// So many claims in a row may be served by others before a shard is looked at again, for each shard that there is.
const MOST_PASSED: u32 = 2;
/// Jobs of such a look, at most: what was known of the shard is old, and the others may have more to do.
const MOST_LOOKED: usize = 8;

/// Whose turn it is among the shards: smooth weighted round robin, by how many lanes were ready at the last answer. One that
/// was passed over for long is looked at all the same: it had little to do then, and may have now.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Vec<Shard>>);

#[derive(Clone, Copy, Debug)]
struct Shard {
    weight: i64,
    credit: i64,
    /// Claims since it was visited.
    passed: u32,
}

/// A shard to visit, and the most that it may give where others have yet to be visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visit {
    shard: u16,
    most: usize,
}

impl Turns {
    pub(super) fn new(shards: u16) -> Self {
        Self(Mutex::new(vec![Shard { weight: 1, credit: 0, passed: 0 }; usize::from(shards.max(1))]))
    }

    /// All shards, in the order in which to visit them; the one that is only looked at comes again at the end.
    fn order(&self) -> Vec<Visit> {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: i64 = shards.iter().map(|shard| shard.weight).sum();
        let most_passed = MOST_PASSED * u32::try_from(shards.len()).unwrap_or(u32::MAX / MOST_PASSED);
        for shard in shards.iter_mut() {
            shard.credit += shard.weight;
            shard.passed += 1;
        }
        let mut order: Vec<usize> = (0..shards.len()).collect();
        order.sort_by_key(|place| -shards[*place].credit);
        if let Some(first) = order.first() {
            shards[*first].credit -= total;
        }
        // One a claim: the look is short.
        let forgotten = (0..shards.len()).max_by_key(|place| shards[*place].passed);
        let look = forgotten.filter(|place| shards[*place].passed > most_passed && order[0] != *place);
        let visit = |place: usize, most| Some(Visit { shard: u16::try_from(place).ok()?, most });
        let others = order.into_iter().filter(|place| Some(*place) != look);
        // Where the others have little to do it may give more.
        let again = look.and_then(|place| visit(place, usize::MAX));
        look.and_then(|place| visit(place, MOST_LOOKED))
            .into_iter()
            .chain(others.filter_map(|place| visit(place, usize::MAX)))
            .chain(again)
            .collect()
    }

    /// A shard has so many lanes left in its rings.
    fn tell(&self, shard: u16, ready: i64) {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = shards.get_mut(usize::from(shard)) {
            shard.weight = 1 + ready.clamp(0, 1 << 30);
            shard.passed = 0;
        }
    }
}

/// Serves an ask.
pub(super) async fn claim(queue: &RedisQueue, who: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
    let mut claims = Vec::new();
    if ask.kinds.is_empty() || ask.most == 0 {
        return Ok(claims);
    }
    let (mut bytes, mut has_no_more) = (0, None);
    for Visit { shard, most } in queue.turns.order() {
        if claims.len() >= ask.most || bytes >= MOST_BYTES {
            break;
        }
        if has_no_more == Some(shard) {
            continue;
        }
        let is_look = most < usize::MAX;
        let most = most.min(ask.most - claims.len());
        let more = claim_on(queue, shard, who, ask, most, MOST_BYTES - bytes).await;
        match more {
            Ok(more) => {
                if is_look && more.len() < most {
                    has_no_more = Some(shard);
                }
                bytes += more.iter().map(|claim| weight(&claim.job)).sum::<usize>();
                claims.extend(more);
            }
            Err(error) => {
                // Others come first until it is looked at again.
                queue.turns.tell(shard, 0);
                if claims.is_empty() {
                    return Err(error);
                }
                // What the shards before it gave is under lease: better some than none.
                tracing::warn!(%error, shard, "a shard gave no jobs");
                break;
            }
        }
    }
    Ok(claims)
}

fn weight(job: &Job) -> usize {
    job.payload.bytes.len() + job.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.0.len())
}

async fn claim_on(
    queue: &RedisQueue,
    shard: u16,
    who: &WorkerId,
    ask: &Ask,
    most: usize,
    bytes: usize,
) -> Result<Vec<Claim>, QueueError> {
    let mut arguments = queue.arguments();
    arguments.push(who.as_str().as_bytes().to_vec());
    let lease = i64::try_from(ask.lease.as_micros()).unwrap_or(i64::MAX).min(1 << 52);
    for number in [lease.unsigned_abs(), most.min(MOST_JOBS) as u64, bytes as u64] {
        arguments.push(number.to_string().into_bytes());
    }
    let mut kinds = ask.kinds.clone();
    kinds.sort();
    kinds.dedup();
    arguments.extend(kinds.iter().map(|kind| kind.as_str().as_bytes().to_vec()));
    let answer = queue.run("claim jobs", &scripts::CLAIM, shard, &arguments).await?;
    let mut answer = Answer::of(answer)?;
    let (mut groups, mut troubles) = (answer.array()?, answer.array()?);
    queue.turns.tell(shard, answer.number().unwrap_or(0));
    log_troubles(&mut troubles);
    let (mut claims, mut unreadable) = (Vec::with_capacity(most.min(MOST_JOBS)), Vec::new());
    let until = answer.time().unwrap_or_default();
    let started = answer.time().unwrap_or_default();
    while !groups.is_empty() {
        let Some(tenant) = groups.tenant() else { break };
        let mut group = groups.array()?;
        while !group.is_empty() {
            match read_claim(&mut group, &tenant, who, started, until) {
                Some(Ok(claim)) => claims.push(claim),
                Some(Err((lease, problem))) => {
                    tracing::warn!(tenant = %lease.tenant, job = %lease.job, problem, "a job can't be read: dead");
                    unreadable
                        .push((lease, Verdict::Dead(Reason::new(format!("it can't be read: {problem}")))));
                }
                None => break,
            }
        }
    }
    if !unreadable.is_empty()
        && let Err(error) = settle::settle(queue, unreadable).await
    {
        // Their leases lapse, and the next claim finds them again.
        tracing::warn!(%error, "jobs that can't be read could not be ended");
    }
    Ok(claims)
}

/// Says what a script could not work with.
pub(super) fn log_troubles(troubles: &mut Answer) {
    while !troubles.is_empty() {
        let (whose, problem) = (troubles.text().unwrap_or_default(), troubles.text().unwrap_or_default());
        tracing::warn!(whose, problem, "what is stored in Redis can't be used");
    }
}

fn read_claim(
    group: &mut Answer,
    tenant: &TenantId,
    who: &WorkerId,
    started: Timestamp,
    until: Timestamp,
) -> Option<Result<Claim, (Lease, String)>> {
    let id = group.id();
    let body = group.bytes();
    // Absent where it is its first claim.
    let mut before = group.array().ok()?;
    let (attempt, epoch) = (before.number().unwrap_or(1), before.number().unwrap_or(1));
    let (run_at, reason, checkpoint) = (before.time(), before.reason(), before.bytes());
    let (id, epoch) = (id?, u64::try_from(epoch).ok()?);
    let lease = Lease { tenant: tenant.clone(), job: id, epoch };
    let job = match body::decode(tenant, id, body.unwrap_or_default()) {
        Ok(job) => job,
        Err(problem) => return Some(Err((lease, problem))),
    };
    let job = Job {
        state: State::Running,
        attempt: u32::try_from(attempt).ok()?,
        epoch,
        run_at: run_at.unwrap_or(job.run_at),
        started_at: Some(started),
        lease_until: Some(until),
        worker: Some(who.clone()),
        reason,
        checkpoint: checkpoint.map(|bytes| Checkpoint(bytes.into())),
        ..job
    };
    Some(Ok(Claim { lease, until, job }))
}
