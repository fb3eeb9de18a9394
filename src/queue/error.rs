//! What can go wrong with the queue, one variant per next action.

use std::time::Duration;

use crate::domain::TenantId;

/// The cause behind an error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The operation as a whole did not happen.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Try again later: the store is busy or away.
    #[error("queue unavailable while trying to {doing}: {cause}")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: BoxError,
    },
    /// Make room: the disk is full or may not be written.
    #[error(
        "the queue's store can't be written ({cause}): free disk space or mend its permissions, then try again"
    )]
    Unwritable {
        /// Why it failed.
        #[source]
        cause: BoxError,
    },
    /// The call itself is wrong: mend it.
    #[error("{0}")]
    Invalid(String),
    /// What is stored makes no sense: our bug, or somebody edited it.
    #[error("the queue's store holds something that can't be read: {0}")]
    Corrupt(String),
}

/// Why one job was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many of the tenant's jobs wait.
    #[error("tenant {tenant} has {limit} waiting jobs, its limit; try again in {} seconds", retry_after.as_secs())]
    TooMany {
        /// Whose limit.
        tenant: TenantId,
        /// The limit.
        limit: u64,
        /// When there may be room.
        retry_after: Duration,
    },
    /// Too many bytes of the tenant's payloads wait.
    #[error("tenant {tenant} has {limit} bytes of payload waiting, its limit; try again in {} seconds", retry_after.as_secs())]
    TooLarge {
        /// Whose limit.
        tenant: TenantId,
        /// The limit in bytes.
        limit: u64,
        /// When there may be room.
        retry_after: Duration,
    },
    /// The job itself is wrong: mend it.
    #[error("{0}")]
    Invalid(String),
}
