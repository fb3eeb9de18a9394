//! What an artifact is sealed with. Owns: which object each of its pieces is to the sealing format. Must not know: where
//! keys are kept.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::ArtifactError;
use crate::{
    domain::{FileName, Hex, JobId, Random, SealedAs, TenantId},
    security::{
        Keyring, KeyringError,
        seal::{self, DataKey, KeyId, PREAMBLE_BYTES, Salt, SealContext, Sealer},
    },
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

/// What one artifact is sealed with.
#[derive(Clone, Debug)]
pub(super) struct Sealing {
    pub(super) tenant: TenantId,
    /// See [`sealed_object`].
    pub(super) object: String,
    pub(super) id: KeyId,
    pub(super) key: Arc<DataKey>,
    pub(super) salt: Salt,
}

impl Sealing {
    fn context(&self) -> SealContext<'_> {
        SealContext { tenant: &self.tenant, object: &self.object }
    }

    /// From the first byte, and what stands before it.
    pub(super) fn begin(&self) -> (Sealer, [u8; PREAMBLE_BYTES]) {
        let (sealer, preamble) = Sealer::begin(&self.key, self.id, &self.context(), self.salt.clone());
        (sealer, preamble.bytes())
    }

    /// From a segment on.
    pub(super) fn resume(&self, segment: u64) -> Sealer {
        Sealer::resume(&self.key, self.id, &self.context(), self.salt.clone(), segment)
    }

    /// What a manifest says of it.
    pub(super) fn told(&self) -> SealedAs {
        let (_, preamble) = Sealer::begin(&self.key, self.id, &self.context(), self.salt.clone());
        SealedAs {
            key: Hex(self.id.bytes()),
            salt: Hex(self.salt.bytes()),
            commitment: Hex(preamble.commitment),
        }
    }

    /// The manifest, sealed.
    pub(super) fn manifest(&self, json: &[u8], random: &dyn Random) -> Result<Vec<u8>, ArtifactError> {
        let object = format!("{}/manifest", self.object);
        let context = SealContext { tenant: &self.tenant, object: &object };
        Ok(seal::seal(&self.key, self.id, &context, json, random)?)
    }
}

#[async_trait]
impl Keys for Keyring {
    async fn newest(&self, tenant: &TenantId) -> Result<Option<(KeyId, Arc<DataKey>)>, ArtifactError> {
        if !self.seals(tenant).await.map_err(no_key)? {
            return Ok(None);
        }
        Keyring::newest(self, tenant).await.map(Some).map_err(no_key)
    }

    async fn key(&self, tenant: &TenantId, id: KeyId) -> Result<Arc<DataKey>, ArtifactError> {
        Keyring::key(self, tenant, &id).await.map_err(no_key)
    }
}

fn no_key(error: KeyringError) -> ArtifactError {
    // A worker that has no master key leaves the job to one that has, as it does with a sealed payload.
    let soon = !matches!(error, KeyringError::UnknownKey { .. } | KeyringError::Damaged { .. });
    ArtifactError::Keys { cause: error.into(), soon }
}
