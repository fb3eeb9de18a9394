//! What can go wrong with keys, one variant per next action.

use std::path::PathBuf;

use crate::{
    domain::TenantId,
    security::{
        master::{MasterKeyError, MasterKeyId},
        seal::KeyId,
    },
    store::StoreError,
};

/// A key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Give this process the master key.
    #[error(
        "this process has no master key: set PRESSWORK_MASTER_KEY or PRESSWORK_MASTER_KEY_FILE, the same for all processes; \
         `openssl rand -base64 32` makes one"
    )]
    NoMasterKey,
    /// Put the file back from a backup.
    #[error(
        "the master key {} is gone and there are data keys under it: put it back from a backup, without it they can't be used",
        path.display()
    )]
    MasterKeyLost {
        /// Where it was.
        path: PathBuf,
    },
    /// Give this process that master key as well.
    #[error(
        "the data key {key} of tenant {tenant} is wrapped by the master key {master}, which this process does not have"
    )]
    MasterKeyAway {
        /// Whose.
        tenant: TenantId,
        /// The data key.
        key: KeyId,
        /// The master key's id.
        master: MasterKeyId,
    },
    /// Restore the records that belong to what is to be opened: nothing else has the key.
    #[error(
        "tenant {tenant} has no data key {key}: what names it was moved here, or its key was not restored with it"
    )]
    UnknownKey {
        /// Whose was asked for.
        tenant: TenantId,
        /// Which.
        key: KeyId,
    },
    /// Restore the records from a backup, and find out who changed them.
    #[error(
        "the data key {key} of tenant {tenant} does not open under its master key: its record was changed"
    )]
    Damaged {
        /// Whose.
        tenant: TenantId,
        /// The data key.
        key: KeyId,
    },
    /// Stop rotating so often.
    #[error("tenant {tenant} has {most} data keys, which are the most")]
    TooMany {
        /// Whose.
        tenant: TenantId,
        /// How many it may have.
        most: usize,
    },
    /// Try again: somebody changes the tenant's keys.
    #[error("tenant {tenant} has no data key yet; try again")]
    NoKey {
        /// Whose.
        tenant: TenantId,
    },
    /// Mend the master key's file.
    #[error(transparent)]
    Master(#[from] MasterKeyError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Report it: our bug.
    #[error("a thread of the keyring failed: {0}")]
    Broken(String),
}
