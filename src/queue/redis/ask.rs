//! What people ask of single jobs: cancel, requeue. Owns: their answers. Must not know: leases.

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    scripts,
    settle::state,
};
use crate::{
    domain::{JobId, State, TenantId},
    queue::{CancelOutcome, QueueError, RequeueOutcome},
    store::redis::Script,
};

/// Jobs of one script: bounds how long others wait for it.
const MOST_JOBS: usize = 500;

/// Cancels a batch.
pub(super) async fn cancel(
    queue: &RedisQueue,
    tenant: &TenantId,
    jobs: &[JobId],
) -> Result<Vec<CancelOutcome>, QueueError> {
    let outcome = |word: &str| {
        Ok(match word {
            "cancelled" => CancelOutcome::Cancelled,
            "asked" => CancelOutcome::Asked,
            "-" => CancelOutcome::Unknown,
            letter => CancelOutcome::Ended(known(letter)?),
        })
    };
    each(queue, "cancel jobs", &scripts::CANCEL, tenant, jobs, outcome).await
}

/// Requeues a batch.
pub(super) async fn requeue(
    queue: &RedisQueue,
    tenant: &TenantId,
    jobs: &[JobId],
) -> Result<Vec<RequeueOutcome>, QueueError> {
    let outcome = |word: &str| {
        Ok(match word {
            "requeued" => RequeueOutcome::Requeued,
            "-" => RequeueOutcome::Unknown,
            letter => RequeueOutcome::NotEnded(known(letter)?),
        })
    };
    each(queue, "requeue jobs", &scripts::REQUEUE, tenant, jobs, outcome).await
}

fn known(letter: &str) -> Result<State, QueueError> {
    letter.bytes().next().and_then(state).ok_or_else(|| unreadable("a job is in no known state"))
}

async fn each<O>(
    queue: &RedisQueue,
    doing: &'static str,
    script: &Script,
    tenant: &TenantId,
    jobs: &[JobId],
    outcome: impl Fn(&str) -> Result<O, QueueError>,
) -> Result<Vec<O>, QueueError> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    let mut rest = jobs;
    while !rest.is_empty() {
        let some = &rest[..rest.len().min(MOST_JOBS)];
        let mut arguments = queue.arguments();
        arguments.push(tenant.as_str().as_bytes().to_vec());
        arguments.extend(some.iter().map(|id| id.as_u128().to_be_bytes().to_vec()));
        let answer = queue.run(doing, script, queue.shard_of(tenant), &arguments).await?;
        let mut answer = Answer::of(answer)?;
        // A script that had much to do leaves the last ones for the next.
        let answered = answer.len();
        if !(1..=some.len()).contains(&answered) {
            return Err(unreadable("a job has no answer"));
        }
        for _ in 0..answered {
            let word = answer.text().ok_or_else(|| unreadable("a job has no answer"))?;
            outcomes.push(outcome(&word)?);
        }
        rest = &rest[answered..];
    }
    Ok(outcomes)
}
