//! Where artifacts are: their keys, and the door to writing, reading and removing them.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{GetOptions, ObjectStoreExt as _, path::Path};

use super::{
    CHUNK_BYTES, begin::Maker, error::ArtifactError, keys::Keys, manifest::Manifest, reader,
    storage::Storage, writer::ArtifactWriter,
};
use crate::domain::{ArtifactPointer, Encoding, FileName, JobId, Random, SystemRandom, TenantId};

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
    random: Arc<dyn Random>,
}

impl ArtifactStore {
    /// The artifacts on `storage`, none of them sealed.
    pub fn new(storage: impl Into<Storage>) -> Self {
        Self { storage: storage.into(), keys: None, random: Arc::new(SystemRandom) }
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

    /// The manifest behind a pointer, checked against it.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Damaged`] or [`ArtifactError::Storage`].
    pub async fn manifest(&self, pointer: &ArtifactPointer) -> Result<Manifest, ArtifactError> {
        let damaged = |problem: String| ArtifactError::Damaged { key: pointer.manifest.clone(), problem };
        let key = Path::parse(&pointer.manifest).map_err(|error| damaged(error.to_string()))?;
        let failed = |error| ArtifactError::storage("read a manifest", error);
        let found = self.storage.objects().get_opts(&key, GetOptions::default()).await.map_err(failed)?;
        if found.meta.size > Manifest::MOST_BYTES {
            return Err(damaged("its manifest is too large".to_owned()));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("its manifest: {error}")))?;
        // The pointer stands in the job's record, out of reach of whoever can write to the storage.
        let same = (manifest.plain_bytes, manifest.stored_bytes, manifest.encoding, &manifest.plain_sha256)
            == (pointer.plain_bytes, pointer.stored_bytes, pointer.encoding, &pointer.sha256);
        let problem =
            if same { manifest.problem() } else { Some("its manifest is another one's".to_owned()) };
        problem.map_or(Ok(manifest), |problem| Err(damaged(problem)))
    }

    /// The plain bytes of a published artifact, decoded and checked piece by piece; the last item is an error where
    /// they are not what was written, so use them only once the stream has ended well.
    ///
    /// # Errors
    /// As [`ArtifactStore::manifest`]; the same in the stream.
    pub async fn read(
        &self,
        pointer: &ArtifactPointer,
    ) -> Result<BoxStream<'static, Result<bytes::Bytes, ArtifactError>>, ArtifactError> {
        let manifest = self.manifest(pointer).await?;
        reader::read(self.storage.objects().clone(), manifest).await
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
        f.debug_struct("ArtifactStore").field("storage", &self.storage).finish_non_exhaustive()
    }
}

/// `<tenant>/artifacts`.
pub(super) fn tenant_folder(tenant: &str) -> Path {
    Path::from_iter([tenant, "artifacts"])
}

/// `<tenant>/artifacts/<job>/<epoch>`. The epoch has its leading zeroes, so that keys sort as attempts went.
pub(super) fn attempt_folder(tenant: &TenantId, job: JobId, epoch: u64) -> Path {
    tenant_folder(tenant.as_str()).join(job.to_string()).join(format!("{epoch:06}"))
}
