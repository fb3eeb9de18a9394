//! Why an engine can't be opened or used. Owns: [`EngineError`].

use std::path::PathBuf;

use crate::{artifact::StorageError, security::MasterKeyError};

/// The engine can't be opened or used, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Make room, mend permissions, or choose another directory.
    #[error("the data directory {} can't be written: {cause}", folder.display())]
    Unwritable {
        /// The data directory.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Try again later.
    #[error("the data directory {} can't be used now: {cause}", folder.display())]
    Unavailable {
        /// The data directory.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Start Redis, mend its address, or use one that is new enough.
    #[error("the Redis at {url} can't be used: {cause}")]
    Redis {
        /// Its address, without passwords.
        url: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Mend the master key's file.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// Restore it from a backup, or use the Presswork that wrote it.
    #[error("the data directory {} can't be used: {problem}", folder.display())]
    Unusable {
        /// The data directory.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Mend its address, its credentials or its folder.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The cause behind an [`EngineError`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
