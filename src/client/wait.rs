//! Waiting for a job's end on any engine, by its events: without polling. Must not know: any engine.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::{
    domain::{Job, JobId, TenantId},
    progress::{ProgressBus, ProgressError},
    queue::{Queue, QueueError},
};

/// Why there is no ended job to answer, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Mend the id or the tenant.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// Wait longer, or look again later: the job goes on.
    #[error("job {job} had not ended after {} seconds: it goes on", waited.as_secs_f32())]
    Unfinished {
        /// Which job.
        job: JobId,
        /// How long was waited.
        waited: Duration,
    },
    /// Try again later.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Waits until a job has ended, however that is, and answers it. An outage meanwhile is waited for, too.
///
/// # Errors
/// [`WaitError`].
pub async fn wait_for(
    queue: &dyn Queue,
    progress: &dyn ProgressBus,
    tenant: &TenantId,
    job: JobId,
    at_most: Duration,
) -> Result<Job, WaitError> {
    let ended = async {
        let mut pause = FIRST_PAUSE;
        loop {
            match end_of(queue, progress, tenant, job).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => pause = FIRST_PAUSE,
                Err(WaitError::Queue(QueueError::Unavailable { doing, cause })) => {
                    tracing::debug!(doing, %cause, "waiting for a job while the store is away");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    };
    let late = |_| Err(WaitError::Unfinished { job, waited: at_most });
    tokio::time::timeout(at_most, ended).await.unwrap_or_else(late)
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// Follows a job to its end and looks at it; nothing where the way to its events broke or somebody has requeued it.
async fn end_of(
    queue: &dyn Queue,
    progress: &dyn ProgressBus,
    tenant: &TenantId,
    job: JobId,
) -> Result<Option<Job>, WaitError> {
    match progress.follow(tenant, job, 0).await {
        Ok(mut events) => while let Some(Ok(_)) = events.next().await {},
        Err(ProgressError::UnknownJob { job }) => return Err(WaitError::Unknown(job)),
        Err(error @ ProgressError::Unavailable { .. }) => {
            return Err(QueueError::Unavailable { doing: "wait for a job", cause: error.into() }.into());
        }
    }
    let found = queue.inspect(tenant, &[job]).await?.into_iter().next().flatten();
    let found = found.ok_or(WaitError::Unknown(job))?;
    Ok(found.state.is_final().then_some(found))
}
