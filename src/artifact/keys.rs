//! What an artifact is sealed with. Owns: which object each of its pieces is to the sealing format. Must not know: where
//! keys are kept.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::ArtifactError;
use crate::{
    domain::{FileName, JobId, TenantId},
    security::seal::{DataKey, KeyId},
};

/// The tenants' data keys.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key that a tenant's new artifacts are sealed with; `None` where the tenant does not ask for it.
    ///
    /// # Errors
    /// [`ArtifactError::Keys`].
    async fn newest(&self, tenant: &TenantId) -> Result<Option<(KeyId, Arc<DataKey>)>, ArtifactError>;

    /// One of a tenant's keys.
    ///
    /// # Errors
    /// [`ArtifactError::Keys`].
    async fn key(&self, tenant: &TenantId, id: KeyId) -> Result<Arc<DataKey>, ArtifactError>;
}

/// By which name the sealing format knows an artifact's bytes; those of its manifest have `/manifest` behind it.
pub fn sealed_object(job: JobId, epoch: u64, name: &FileName) -> String {
    format!("{job}/{epoch}/{name}")
}
