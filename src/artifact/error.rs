//! What can go wrong with an artifact, one variant per next action.

use crate::domain::Timestamp;

/// What can go wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Try again later: the storage failed.
    #[error("storage failed while trying to {doing}: {cause}")]
    Storage {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: object_store::Error,
    },
    /// It is not there: removed, also while it was read, or never published.
    #[error(
        "there is no artifact at {key}: it was removed, its job is too old, or it was never whole; export it again"
    )]
    Missing {
        /// The storage key asked for.
        key: String,
    },
    /// What is stored is not what was written: don't use it, export again.
    #[error("artifact {key} is damaged: {problem}; export it again")]
    Damaged {
        /// Its storage key.
        key: String,
        /// What does not fit.
        problem: String,
    },
    /// The call itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Export it again, if it is wanted back: somebody removed it.
    #[error("artifact {key} was removed at {at}; export it again if you need it")]
    Removed {
        /// Its manifest's storage key.
        key: String,
        /// When.
        at: Timestamp,
    },
    /// Try again: what was stored of an upload can't be gone on with and has been given up; the next attempt starts over.
    #[error("the upload can't be gone on with: {0}; it starts over")]
    StartOver(String),
    /// Stop: another attempt may have the job.
    #[error("the lease is gone: the upload is another attempt's now")]
    LeaseLost,
    /// The key that the tenant's artifacts are sealed with can't be had.
    #[error("the key of the tenant's artifacts: {cause}")]
    Keys {
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
        /// Whether it may be there soon.
        soon: bool,
    },
    /// More than the sealing format takes.
    #[error(transparent)]
    Seal(#[from] crate::security::seal::SealError),
    /// Compressing failed, or the pipeline's thread ended: our bug, or the program is ending.
    #[error("the artifact pipeline stopped: {0}")]
    Stopped(String),
}

impl ArtifactError {
    pub(super) fn changed() -> Self {
        Self::StartOver("what it is made from has changed since it was begun".to_owned())
    }

    /// That nothing is found is no other failure here: a bucket that is not there answers a write so.
    pub(super) fn storage(doing: &'static str, cause: object_store::Error) -> Self {
        Self::Storage { doing, cause }
    }

    /// Of reading what is published: that it is not there is final.
    pub(super) fn reading(doing: &'static str, cause: object_store::Error) -> Self {
        match cause {
            object_store::Error::NotFound { path, .. } => Self::Missing { key: path },
            cause => Self::storage(doing, cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_is_final_only_where_what_is_published_is_read() {
        let none = || object_store::Error::NotFound { path: "x".to_owned(), source: "NoSuchBucket".into() };
        assert!(matches!(ArtifactError::storage("store it", none()), ArtifactError::Storage { .. }));
        assert!(matches!(ArtifactError::reading("read it", none()), ArtifactError::Missing { .. }));
    }
}
