//! Files of a project that several may change at once, above all `book.json`: each is written only where it is still what was
//! read, by somebody who still may. Owns: [`Guard`], [`Hand`], [`Seen`]. Must not know: what is in the files.
//!
//! The condition is the storage's affair (`If-Match` and its like; on a local disk the folder's lock): where a server keeps none,
//! the engine's storage says so and keeps the tasks of one process apart.

use std::{fmt, sync::Arc};

use object_store::{Error, ObjectMeta, ObjectStore, PutMode, PutPayload, UpdateVersion, path::Path};
use presswork::{
    domain::{Failure, FileName},
    worker::Context,
};

use crate::book::error::BookError;

/// How often a change is made anew on what others have written meanwhile. Each time one of them gets through.
pub(crate) const MOST_TRIES: usize = 64;

/// Asked right before each write that others see: whoever may no longer write, such as an attempt whose lease is gone, says why.
#[derive(Clone)]
pub struct Guard(Arc<dyn Fn() -> Result<(), Failure> + Send + Sync>);

impl Guard {
    /// Who may always.
    pub fn open() -> Self {
        Self(Arc::new(|| Ok(())))
    }

    /// An attempt of a job: while it holds its lease.
    pub fn of(context: &Context) -> Self {
        let context = context.clone();
        Self::asking(move || context.holds())
    }

    /// Who may where this does not say why not.
    pub fn asking(may: impl Fn() -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        Self(Arc::new(may))
    }

    pub(crate) fn check(&self) -> Result<(), BookError> {
        (self.0)().map_err(BookError::Stopped)
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::open()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Who changes a chapter: an attempt of a job.
#[derive(Clone, Debug)]
pub struct Hand {
    pub(super) by: String,
    pub(super) folder: FileName,
    pub(super) guard: Guard,
}

impl Hand {
    /// An attempt of what `by` names: a job's id. The number tells attempts apart.
    ///
    /// # Errors
    /// `Input` where that can't be a folder's name.
    pub fn of(by: &str, epoch: u64) -> Result<Self, BookError> {
        let folder = format!("{by}-{epoch}");
        let folder: FileName =
            folder.parse().map_err(|error| BookError::input(&folder, format!("{error}")))?;
        Ok(Self { by: by.to_owned(), folder, guard: Guard::open() })
    }

    /// The same, which asks before it writes.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}

/// Which version of a file was read; none where there was no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Option<UpdateVersion>);

impl Seen {
    /// There was no file.
    pub(crate) const NOTHING: Self = Self(None);

    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self(Some(UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }))
    }
}

/// Writes a file where what was seen is still there; whether it was.
pub(crate) async fn put_where(
    storage: &dyn ObjectStore,
    path: &Path,
    bytes: Vec<u8>,
    seen: &Seen,
) -> object_store::Result<bool> {
    let mode = seen.0.clone().map_or(PutMode::Create, PutMode::Update);
    match storage.put_opts(path, PutPayload::from(bytes), mode.into()).await {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What others have changed too often to get through.
pub(crate) fn busy(file: &str) -> BookError {
    BookError::storage(format!("writing {file}"), "others change it all the time")
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, local::LocalFileSystem, memory::InMemory};
    use presswork::artifact::Storage;

    use super::*;

    /// A local disk as `object_store` has it knows no conditions but one.
    #[tokio::test]
    async fn what_was_changed_since_it_was_read_is_not_written_over_whatever_the_storage_can() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let storages: [Arc<dyn ObjectStore>; 3] = [
            Arc::new(InMemory::new()),
            Storage::from(disk).with_conditions_tried().objects().clone(),
            Storage::folder(folder.path().join("own")).unwrap().objects().clone(),
        ];
        for storage in storages {
            let (path, put) = (Path::from("p/book.json"), async |text: &str, seen: &Seen| {
                put_where(&*storage, &Path::from("p/book.json"), text.into(), seen).await.unwrap()
            });
            assert!(put("1", &Seen::NOTHING).await, "{storage}");
            assert!(!put("2", &Seen::NOTHING).await, "{storage}");
            let first = Seen::of(&storage.head(&path).await.unwrap());
            assert!(put("three", &first).await, "{storage}");
            assert!(!put("four", &first).await, "{storage}");
            let bytes = storage.get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!(bytes, "three", "{storage}");
        }
    }
}
