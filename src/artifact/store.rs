//! Where artifacts are: their keys, and the door to writing them. What is done with published ones stands in `published`.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{
    CHUNK_BYTES, begin::Maker, error::ArtifactError, keys::Keys, storage::Storage, writer::ArtifactWriter,
};
use crate::{
    domain::{Encoding, FileName, JobId, Random, SystemRandom, TenantId},
    security::seal::{DataKey, KeyId},
};

/// How an artifact is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// The media type of the plain bytes.
    pub content_type: String,
    /// How they are compressed.
    pub encoding: Encoding,
    /// In what pieces they go down the pipeline: 256 bytes to 128 KiB.
    pub chunk_bytes: usize,
    /// What it is made from, in words of the maker's choice that are other words once that has changed: a restarted attempt
    /// goes on only with an upload of the same source. `None` where nobody can tell: then each attempt starts over.
    pub source: Option<String>,
}

impl Default for ArtifactOptions {
    /// Any bytes, zstd, chunks of 8 KiB.
    fn default() -> Self {
        Self {
            content_type: "application/octet-stream".to_owned(),
            encoding: Encoding::Zstd,
            chunk_bytes: CHUNK_BYTES,
            source: None,
        }
    }
}

/// All tenants' artifacts on one storage.
#[derive(Clone)]
pub struct ArtifactStore {
    storage: Storage,
    keys: Option<Arc<dyn Keys>>,
    /// Whose artifacts may be read through it; anybody's where nobody is named.
    tenant: Option<TenantId>,
    random: Arc<dyn Random>,
}

impl ArtifactStore {
    /// The artifacts on `storage`, none of them sealed.
    pub fn new(storage: impl Into<Storage>) -> Self {
        Self { storage: storage.into(), keys: None, random: Arc::new(SystemRandom), tenant: None }
    }

    /// The same, with the keys of those tenants who ask for sealing.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn Keys>, random: Arc<dyn Random>) -> Self {
        Self { keys: Some(keys), random, ..self }
    }

    /// The tenants' keys, where there are any.
    pub(super) fn keys(&self) -> Option<&Arc<dyn Keys>> {
        self.keys.as_ref()
    }

    pub(super) fn random(&self) -> Arc<dyn Random> {
        self.random.clone()
    }

    /// One tenant's artifacts: another one's pointer is refused.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self.clone() }
    }

    /// Whose artifacts these are, where they are one tenant's.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// One of a tenant's data keys.
    pub(super) async fn data_key(&self, tenant: &TenantId, id: KeyId) -> Result<Arc<DataKey>, ArtifactError> {
        let none = || ArtifactError::Keys { cause: "this process has no keyring".into(), soon: false };
        self.keys.as_ref().ok_or_else(none)?.key(tenant, id).await
    }

    /// The storage, from its root.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Begins an artifact that no other attempt goes on with. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ArtifactError::Invalid`] where the chunk size is out of bounds, [`ArtifactError::Keys`].
    pub async fn create(
        &self,
        tenant: &TenantId,
        job: JobId,
        epoch: u64,
        name: &FileName,
        options: ArtifactOptions,
    ) -> Result<ArtifactWriter, ArtifactError> {
        let maker = Maker { tenant: tenant.clone(), job, epoch };
        self.begin_with(maker, name, options, None).await
    }

    /// Removes everything that an attempt has stored; answers how many objects that were.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`].
    pub async fn remove_attempt(
        &self,
        tenant: &TenantId,
        job: JobId,
        epoch: u64,
    ) -> Result<usize, ArtifactError> {
        self.remove_below(&attempt_folder(tenant, job, epoch)).await
    }

    /// Removes everything below a folder.
    pub(super) async fn remove_below(&self, folder: &Path) -> Result<usize, ArtifactError> {
        let keys = self.storage.objects().list(Some(folder)).map_ok(|meta| meta.location).boxed();
        let removed =
            self.storage.objects().delete_stream(keys).try_fold(0, |count, _| async move { Ok(count + 1) });
        removed.await.map_err(|error| ArtifactError::storage("remove an artifact", error))
    }

    /// Whether anything is stored at a key.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`].
    pub async fn exists(&self, key: &str) -> Result<bool, ArtifactError> {
        let key = Path::parse(key).map_err(|error| ArtifactError::Invalid(error.to_string()))?;
        match self.storage.objects().head(&key).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(ArtifactError::storage("look for an artifact", error)),
        }
    }
}

impl std::fmt::Debug for ArtifactStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { storage, keys, tenant, random: _ } = self;
        let mut debug = f.debug_struct("ArtifactStore");
        debug.field("storage", storage).field("has_keys", &keys.is_some()).field("tenant", tenant).finish()
    }
}

/// The folder, in a tenant's, of artifacts.
pub(super) const ARTIFACTS: &str = "artifacts";

/// `<tenant>/artifacts`.
pub(super) fn tenant_folder(tenant: &str) -> Path {
    Path::from_iter([tenant, ARTIFACTS])
}

/// `<tenant>/artifacts/<job>/<epoch>`. The epoch has its leading zeroes, so that keys sort as attempts went.
pub(super) fn attempt_folder(tenant: &TenantId, job: JobId, epoch: u64) -> Path {
    tenant_folder(tenant.as_str()).join(job.to_string()).join(format!("{epoch:06}"))
}
