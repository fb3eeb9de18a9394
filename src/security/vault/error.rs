//! What can go wrong with secrets, one variant per next action. No word of any of them quotes a value.

use super::SecretName;
use crate::{
    domain::TenantId,
    security::{KeyringError, seal::SealError},
    store::StoreError,
};

/// A secret can't be stored or had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Store it.
    #[error(
        "tenant {tenant} has no secret {name}: store it with `presswork secrets set {name} --tenant {tenant}` or \
         PUT /v1/secrets/{name}"
    )]
    Unknown {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: SecretName,
    },
    /// Mend what is to be stored.
    #[error("{0}")]
    Invalid(String),
    /// Remove one first.
    #[error("tenant {tenant} has {most} secrets, which are the most: remove one first")]
    TooMany {
        /// Whose.
        tenant: TenantId,
        /// How many it may have.
        most: usize,
    },
    /// Store it anew, and find out who changed its record.
    #[error("the secret {name} of tenant {tenant} can't be opened, store it anew: {cause}")]
    Broken {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: SecretName,
        /// What does not hold.
        cause: SealError,
    },
    /// As the keyring says.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}
