//! What every engine refuses alike, before it looks at what it has. Owns: the bounds of what is asked, and the words for
//! whoever goes beyond them. Must not know: any engine.

use std::time::Duration;

use super::{Lease, QueueError, Renewal};
use crate::domain::{Checkpoint, NewBatch, NewJob, Output, TenantLimits};

/// The most that a job may weigh: virtual times stay far from overflowing.
pub(super) const MOST_COST: u32 = 1_000_000;
/// When a full tenant may try again: a few jobs later, without a storm of retries.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is wrong with a job, for its producer.
pub(super) fn job_problem(job: &NewJob) -> Option<String> {
    let (most, bytes) = (NewJob::MOST_PAYLOAD_BYTES, job.payload.bytes.len());
    if bytes > most {
        Some(format!(
            "the payload has {bytes} bytes, {most} are allowed: put what is large into storage and name it here"
        ))
    } else if !(1..=MOST_COST).contains(&job.cost) {
        Some(format!("the cost is {}: it must be 1 to {MOST_COST}", job.cost))
    } else if job.max_attempts == 0 {
        Some("a job needs at least one attempt".to_owned())
    } else if job.after.is_empty() {
        None
    } else {
        let (named, most) = (job.dependencies(), NewJob::MOST_DEPENDENCIES);
        if named.contains(&job.id) {
            Some(format!("{} can't wait for itself", job.id))
        } else {
            let count = named.len();
            (count > most).then(|| {
                format!("the job is to wait for {count} others, {most} may be: use a batch and its callback")
            })
        }
    }
}

/// What is wrong with a batch, for its producer.
pub(super) fn batch_problem(new: &NewBatch) -> Option<String> {
    let most = NewBatch::MOST_JOBS;
    let wrong = |callback: &NewJob| match callback {
        NewJob { tenant, .. } if *tenant != new.tenant => Some("the callback is another tenant's"),
        NewJob { batch: Some(_), .. } => Some("the callback can't belong to a batch itself"),
        NewJob { after, .. } if !after.is_empty() => {
            Some("the callback waits for its batch and nothing else")
        }
        _ => None,
    };
    if !(1..=most).contains(&new.size) {
        return Some(format!("the batch is to have {} jobs: it must be 1 to {most}", new.size));
    }
    new.callback.as_ref().and_then(wrong).map(str::to_owned)
}

/// An output as it is stored: JSON, of bounded size.
pub(super) fn output_json(lease: &Lease, output: &Output) -> Result<String, QueueError> {
    let text = serde_json::to_string(output)
        .map_err(|error| QueueError::Invalid(format!("the output of {} is no JSON: {error}", lease.job)))?;
    let (most, bytes) = (Output::MOST_BYTES, text.len());
    if bytes > most {
        return Err(QueueError::Invalid(format!(
            "the output of {} has {bytes} bytes, {most} are allowed: put what is large into an artifact",
            lease.job
        )));
    }
    Ok(text)
}

/// Refuses a checkpoint that is too large.
pub(super) fn check_renewal(renewal: &Renewal) -> Result<(), QueueError> {
    let bytes = renewal.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.0.len());
    let most = Checkpoint::MOST_BYTES;
    if bytes > most {
        return Err(QueueError::Invalid(format!(
            "the checkpoint of {} has {bytes} bytes, {most} are allowed: keep what is large in an artifact",
            renewal.lease.job
        )));
    }
    Ok(())
}

/// Refuses limits that make no sense.
pub(super) fn check_limits(limits: Option<&TenantLimits>) -> Result<(), QueueError> {
    match limits {
        Some(TenantLimits { weight, .. }) if !(1..=1_000).contains(weight) => {
            Err(QueueError::Invalid(format!("the weight is {weight}: it must be 1 to 1000")))
        }
        _ => Ok(()),
    }
}
