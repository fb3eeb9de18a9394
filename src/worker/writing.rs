//! An artifact that a handler is writing. Owns: [`ContextArtifact`], and what an artifact's error means for its job. Must not
//! know: the queue.

use std::time::Duration;

use super::Context;
use crate::{
    artifact::{ArtifactError, ArtifactWriter},
    domain::{ArtifactPointer, Failure, Reason},
};

/// When a job is offered again whose tenant's keys this worker can't get at.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(30);

impl From<ArtifactError> for Failure {
    /// Storage may be better soon; nothing else about an artifact will.
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::LeaseLost => Self::LeaseLost,
            ArtifactError::Storage { .. } | ArtifactError::Stopped(_) | ArtifactError::StartOver(_) => {
                Self::retry(error)
            }
            // Not the job's fault: another worker has the key, or this one is given it.
            ArtifactError::Keys { soon: true, .. } => {
                Self::Snooze { wait: WAIT_FOR_KEYS, reason: Reason::new(error.to_string()) }
            }
            ArtifactError::Missing { .. }
            | ArtifactError::Damaged { .. }
            | ArtifactError::Invalid(_)
            | ArtifactError::Removed { .. }
            | ArtifactError::Keys { soon: false, .. }
            | ArtifactError::Seal(_) => Self::fatal(error),
        }
    }
}

/// An artifact being written. Dropped unfinished, it is gone.
pub struct ContextArtifact {
    writer: ArtifactWriter,
    context: Context,
}

impl ContextArtifact {
    pub(super) fn new(writer: ArtifactWriter, context: Context) -> Self {
        Self { writer, context }
    }

    /// Writes a piece, waiting where storage is slower than the handler.
    ///
    /// # Errors
    /// [`ArtifactError`]; the artifact can't be finished then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.writer.write(bytes).await
    }

    /// The same from a thread that may block (`spawn_blocking`).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_blocking(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.writer.write_blocking(bytes)
    }

    /// Makes it whole and durable, to be published when the job completes.
    ///
    /// # Errors
    /// [`ArtifactError`]; it is gone then.
    pub async fn finish(self) -> Result<ArtifactPointer, ArtifactError> {
        let pointer = self.writer.finish().await?;
        self.context.finished(pointer.clone());
        Ok(pointer)
    }
}

impl std::fmt::Debug for ContextArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextArtifact").field("job", &self.context.job().id).finish_non_exhaustive()
    }
}
