//! What a storage address names, opened: the objects, multipart uploads by explicit ids, and what else the kind of storage
//! can do. Owns: that difference. Must not know: what is stored.

mod address;
mod advice;
mod cloud;
mod collected;
mod conditions;
mod disk;
mod folder;
mod listed;
mod xml;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use object_store::{
    ObjectStore, local::LocalFileSystem, memory::InMemory, multipart::MultipartStore, path::Path,
    signer::Signer,
};

use address::{Cloud, Place};
pub use address::{StorageUrl, StorageUrlError};
pub use advice::{CREDENTIALS, advice};
use collected::Collected;
use conditions::Conditions;
pub(super) use disk::DiskParts;
use folder::Folder;

use crate::domain::Timestamp;

/// A storage and what it can do beside keeping objects. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Storage {
    objects: Arc<dyn ObjectStore>,
    multipart: Arc<dyn MultipartStore>,
    unfinished: Option<Arc<dyn Unfinished>>,
    signer: Option<Arc<dyn Signer>>,
    folder: Option<PathBuf>,
    disk: Option<Arc<DiskParts>>,
    /// Its address, where it has one.
    url: Option<Arc<StorageUrl>>,
}

/// Tells of multipart uploads that are not complete.
#[async_trait]
pub trait Unfinished: std::fmt::Debug + Send + Sync {
    /// The parts that are stored of an upload, in order.
    ///
    /// # Errors
    /// [`object_store::Error::NotFound`] where the upload is complete, given up or unknown; others as they come.
    async fn parts(&self, key: &Path, upload: &str) -> object_store::Result<Vec<StoredPart>>;

    /// The uploads of objects below a folder, by key and id.
    ///
    /// # Errors
    /// As they come.
    async fn uploads(&self, folder: &Path) -> object_store::Result<Vec<(Path, String)>>;

    /// All uploads that were begun before a time; none where the storage does not say when that was.
    ///
    /// # Errors
    /// As they come.
    async fn begun_before(&self, _: Timestamp) -> object_store::Result<Vec<(Path, String)>> {
        Ok(Vec::new())
    }
}

/// A part of an upload, as the storage has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Its place, from 0.
    pub index: u32,
    /// How many bytes it has.
    pub bytes: u64,
    /// By what the storage knows it again.
    pub id: String,
}

/// A storage can't be opened: mend its address, its credentials or its folder.
#[derive(Debug, thiserror::Error)]
#[error("the storage {place} can't be used: {cause}")]
pub struct StorageError {
    /// Which.
    pub place: String,
    /// Why.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Storage {
    /// Opens what an address names; credentials come from the environment. Nothing is asked of a server yet.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(url: &StorageUrl) -> Result<Self, StorageError> {
        let told = std::env::vars_os();
        let told =
            told.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::open_with(url, &told.collect::<Vec<_>>())
    }

    /// The same, with variables and their values in the environment's place.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_with(url: &StorageUrl, variables: &[(String, String)]) -> Result<Self, StorageError> {
        let opened = match &url.0 {
            Place::Memory => return Ok(Self::memory()),
            Place::Folder(folder) => return Self::folder(folder.clone()),
            Place::Bucket { cloud: Cloud::S3, bucket, prefix } => {
                cloud::s3(bucket, prefix, variables).map(Self::with_conditions_tried)
            }
            Place::Bucket { cloud: Cloud::Google, bucket, prefix } => {
                cloud::google(bucket, prefix, variables)
            }
            Place::Bucket { cloud: Cloud::Azure, bucket, prefix } => cloud::azure(bucket, prefix, variables),
        };
        let opened = opened.map_err(|cause| StorageError { place: url.to_string(), cause })?;
        Ok(Self { url: Some(Arc::new(url.clone())), ..opened })
    }

    /// A folder of this machine, made where there is none. Blocks.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn folder(folder: PathBuf) -> Result<Self, StorageError> {
        let failed = |cause| StorageError { place: folder.display().to_string(), cause };
        disk::make_folder(&folder).map_err(|error| failed(error.into()))?;
        let disk = LocalFileSystem::new_with_prefix(&folder).map_err(|error| failed(error.into()))?;
        // What the queue calls published must survive a power cut; and emptied folders must not pile up.
        let disk = Arc::new(disk.with_fsync(true).with_automatic_cleanup(true));
        Ok(Self { folder: Some(folder), ..disk.into() })
    }

    /// An empty one in this process's memory.
    pub fn memory() -> Self {
        Arc::new(InMemory::new()).into()
    }

    /// One that is put together: objects, and multipart uploads of the same objects.
    pub fn new(objects: Arc<dyn ObjectStore>, multipart: Arc<dyn MultipartStore>) -> Self {
        Self { objects, multipart, unfinished: None, signer: None, folder: None, disk: None, url: None }
    }

    /// The same, whose conditional writes are tried out before the first one: where the storage does not keep them, this process
    /// looks before it writes, and says so once.
    #[must_use]
    pub fn with_conditions_tried(self) -> Self {
        Self { objects: Arc::new(Conditions::over(self.objects)), ..self }
    }

    /// The same, which can also tell of unfinished uploads.
    #[must_use]
    pub fn with_unfinished(self, unfinished: Arc<dyn Unfinished>) -> Self {
        Self { unfinished: Some(unfinished), ..self }
    }

    /// The same, which can also make addresses for others.
    #[must_use]
    pub fn with_signer(self, signer: Arc<dyn Signer>) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// The objects.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Multipart uploads by explicit ids.
    pub fn multipart(&self) -> &Arc<dyn MultipartStore> {
        &self.multipart
    }

    /// Who tells of unfinished uploads, where anybody does.
    pub fn unfinished(&self) -> Option<&Arc<dyn Unfinished>> {
        self.unfinished.as_ref()
    }

    /// Who makes addresses that lend an object to whoever has them, where anybody does.
    pub fn signer(&self) -> Option<&Arc<dyn Signer>> {
        self.signer.as_ref()
    }

    /// A disk of this machine, where it is one: parts need not be whole in memory for it.
    pub(super) fn disk(&self) -> Option<&Arc<DiskParts>> {
        self.disk.as_ref()
    }

    /// The folder of this machine that it is, where it is one.
    pub fn local_folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }
}

impl From<Arc<InMemory>> for Storage {
    fn from(memory: Arc<InMemory>) -> Self {
        Self::new(memory.clone(), memory)
    }
}

impl From<Arc<LocalFileSystem>> for Storage {
    fn from(disk: Arc<LocalFileSystem>) -> Self {
        let parts = Arc::new(DiskParts::new(disk.clone()));
        let objects = Arc::new(Folder::new(disk));
        Self { disk: Some(parts.clone()), ..Self::new(objects, parts.clone()).with_unfinished(parts) }
    }
}

impl From<Arc<dyn ObjectStore>> for Storage {
    /// Of a storage of which no more is known, parts are collected in memory until the last one: for tests.
    fn from(objects: Arc<dyn ObjectStore>) -> Self {
        Self::new(objects.clone(), Arc::new(Collected::new(objects)))
    }
}

impl std::fmt::Display for Storage {
    /// Its address, or what it says of itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.url {
            Some(url) => write!(f, "{url}"),
            None => write!(f, "{}", self.objects),
        }
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({})", self.objects)
    }
}
