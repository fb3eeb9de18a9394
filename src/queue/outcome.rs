//! Waiting for a job to end, wherever it runs, on any engine. Must not know: what is shown meanwhile.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::{Queue, QueueError};
use crate::{
    domain::{Job, JobId, TenantId},
    progress::{ProgressBus, ProgressError},
};

/// How often the store may fail in a row.
const MOST_FAILURES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Why there is nothing to wait for, or no way to, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Name a job that there is.
    #[error("tenant {tenant} has no job {job}: it never had one, or it has been removed after its end")]
    UnknownJob {
        /// Whose was asked for.
        tenant: TenantId,
        /// The id asked for.
        job: JobId,
    },
    /// Try again later.
    #[error(transparent)]
    Progress(ProgressError),
    /// Try again later.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Waits until a job has ended, and answers what became of it: its output or its reason; `None` where it has not ended
/// within the time. It is told of the end by the job's events, whichever process runs it; nothing is asked again and
/// again. Where the store is away for a moment it waits on.
///
/// # Errors
/// [`WaitError`].
pub async fn wait_for(
    queue: &dyn Queue,
    progress: &dyn ProgressBus,
    tenant: &TenantId,
    job: JobId,
    within: Duration,
) -> Result<Option<Job>, WaitError> {
    // On the machine's clock, whatever the engine's says: somebody waits.
    match timeout(within, end_of(queue, progress, tenant, job)).await {
        Ok(ended) => ended.map(Some),
        Err(_) => Ok(None),
    }
}

async fn end_of(
    queue: &dyn Queue,
    progress: &dyn ProgressBus,
    tenant: &TenantId,
    job: JobId,
) -> Result<Job, WaitError> {
    let unknown = || WaitError::UnknownJob { tenant: tenant.clone(), job };
    let (mut after, mut failures) = (0, 0);
    loop {
        // The events, and not a look beforehand: between the two the end could pass unseen.
        let problem = match progress.follow(tenant, job, after).await {
            Err(ProgressError::UnknownJob { .. }) => return Err(unknown()),
            Err(error) => Some(error),
            Ok(mut events) => loop {
                match events.next().await {
                    None => break None,
                    Some(Ok(event)) => (after, failures) = (event.sequence, 0),
                    Some(Err(error)) => break Some(error),
                }
            },
        };
        let error = match problem {
            Some(error) => WaitError::Progress(error),
            None => match queue.inspect(tenant, &[job]).await {
                Ok(found) => {
                    let found = found.into_iter().next().flatten().ok_or_else(unknown)?;
                    if found.state.is_final() {
                        return Ok(found);
                    }
                    // Somebody has put it back just after its end.
                    continue;
                }
                Err(error) => error.into(),
            },
        };
        failures += 1;
        if failures > MOST_FAILURES {
            return Err(error);
        }
        sleep(PAUSE).await;
    }
}
