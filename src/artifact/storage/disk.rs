//! Multipart uploads on a local disk. An upload is a file beside the one it becomes, with `#` and its id behind the name, as
//! `object_store` calls its own staging files: so no listing shows it. Parts have fixed places in it; a part that was
//! answered is on the disk; the last step is a rename.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::BytesMut;
use object_store::{
    Error, MultipartId, PutPayload, PutResult, Result,
    local::LocalFileSystem,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use super::{
    super::{local::staging_of, places},
    StoredPart, Unfinished,
};

/// The uploads below the root of a local storage.
#[derive(Debug)]
pub(in crate::artifact) struct DiskParts(Arc<LocalFileSystem>);

impl DiskParts {
    pub(super) fn new(disk: Arc<LocalFileSystem>) -> Self {
        Self(disk)
    }

    fn file(&self, key: &Path) -> Result<PathBuf> {
        self.0.path_to_filesystem(key)
    }

    fn staging(&self, key: &Path, id: &MultipartId) -> Result<PathBuf> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::NotFound { path: key.to_string(), source: "there is no such upload".into() });
        }
        Ok(staged_as(&self.file(key)?, id))
    }

    /// Writes a piece of a part, at its place in the object, and gives its memory back. It is there for good once the part
    /// is [kept](Self::keep_part).
    pub(in crate::artifact) async fn put_piece(
        &self,
        key: &Path,
        id: &MultipartId,
        at: u64,
        piece: BytesMut,
    ) -> Result<BytesMut> {
        let staging = self.staging(key, id)?;
        blocking(key, move || {
            let mut file = open_staging(staging)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&piece)?;
            Ok(piece)
        })
        .await
    }

    /// A part of so many bytes, whose pieces are all written: answers once a power cut can't take them.
    pub(in crate::artifact) async fn keep_part(
        &self,
        key: &Path,
        id: &MultipartId,
        bytes: u64,
    ) -> Result<PartId> {
        let staging = self.staging(key, id)?;
        blocking(key, move || {
            open_staging(staging)?.sync_data()?;
            Ok(PartId { content_id: bytes.to_string() })
        })
        .await
    }
}

/// Not made where it is missing: the upload was given up.
pub(super) fn open_staging(staging: PathBuf) -> io::Result<File> {
    OpenOptions::new().write(true).open(staging)
}

/// Does what waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(
    key: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "disk", source };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NotFound { path: key.to_string(), source: error.into() })
        }
        Ok(Err(error)) => Err(failed(error.into())),
        Err(error) => Err(failed(error.into())),
    }
}

/// How often a folder is made again: whoever removes the last file of one removes it as well.
const TRIES: u32 = 8;

/// The staging file of a file by its id.
pub(super) fn staged_as(file: &std::path::Path, id: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("#");
    name.push(id);
    name.into()
}

/// Makes a staging file of a file in a folder; answers its id.
pub(super) fn make_staging(folder: &std::path::Path, file: &std::path::Path) -> io::Result<MultipartId> {
    make_folder(folder)?;
    for number in 1_u32.. {
        let name = staged_as(file, &number.to_string());
        match OpenOptions::new().write(true).create_new(true).open(name) {
            Ok(_) => {
                sync_folder(folder)?;
                return Ok(number.to_string());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[async_trait]
impl MultipartStore for DiskParts {
    async fn create_multipart(&self, key: &Path) -> Result<MultipartId> {
        let file = self.file(key)?;
        blocking(key, move || {
            let folder = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
            for _ in 1..TRIES {
                match make_staging(folder, &file) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    made => return made,
                }
            }
            make_staging(folder, &file)
        })
        .await
    }

    async fn put_part(&self, key: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        let staging = self.staging(key, id)?;
        blocking(key, move || {
            let place =
                u32::try_from(index).ok().and_then(places::begin).ok_or(io::ErrorKind::InvalidInput)?;
            let mut file = open_staging(staging)?;
            file.seek(SeekFrom::Start(place))?;
            data.iter().try_for_each(|piece| file.write_all(piece))?;
            file.sync_data()?;
            Ok(PartId { content_id: data.content_length().to_string() })
        })
        .await
    }

    async fn complete_multipart(
        &self,
        key: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let (file, staging) = (self.file(key)?, self.staging(key, id)?);
        blocking(key, move || {
            let bytes =
                parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.content_id.parse().ok()?));
            let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
            let staged = OpenOptions::new().write(true).open(&staging)?;
            if staged.metadata()?.len() < bytes {
                return Err(io::Error::other("parts of it are missing"));
            }
            // A longer one was begun by somebody who has stopped since.
            staged.set_len(bytes)?;
            staged.sync_all()?;
            fs::rename(&staging, &file)?;
            file.parent().map_or(Ok(()), sync_folder)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort_multipart(&self, key: &Path, id: &MultipartId) -> Result<()> {
        let staging = self.staging(key, id)?;
        blocking(key, move || fs::remove_file(staging)).await
    }
}

#[async_trait]
impl Unfinished for DiskParts {
    /// None by name: a part written again costs no more than finding out that it needn't be.
    async fn parts(&self, key: &Path, upload: &str) -> Result<Vec<StoredPart>> {
        let staging = self.staging(key, &upload.to_owned())?;
        blocking(key, move || staging.metadata().map(|_| Vec::new())).await
    }

    async fn uploads(&self, folder: &Path) -> Result<Vec<(Path, String)>> {
        let (root, below) = (self.0.path_to_filesystem(&Path::from("x"))?, self.file(folder)?);
        let Some(root) = root.parent().map(ToOwned::to_owned) else { return Ok(Vec::new()) };
        let found = blocking(folder, move || staged_below(below)).await?;
        let key = |(file, id): (PathBuf, String)| {
            let names: Option<Vec<&str>> =
                file.strip_prefix(&root).ok()?.iter().map(|name| name.to_str()).collect();
            Some((Path::parse(names?.join("/")).ok()?, id))
        };
        Ok(found.into_iter().filter_map(key).collect())
    }
}

/// The staging files below a folder: whose they are, and their ids.
fn staged_below(folder: PathBuf) -> io::Result<Vec<(PathBuf, String)>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Some((name, id)) = staging_of(&entry.file_name().to_string_lossy())
            {
                found.push((folder.join(name), id.to_owned()));
            }
        }
    }
    Ok(found)
}

/// Makes a folder and those above it, for its owner alone, so that a power cut leaves them.
pub(super) fn make_folder(folder: &std::path::Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.exists()).count();
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(folder)?;
    folder.ancestors().skip(1).take(missing).filter(|above| above.exists()).try_for_each(sync_folder)
}

#[cfg(unix)]
pub(super) fn sync_folder(folder: &std::path::Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_: &std::path::Path) -> io::Result<()> {
    Ok(())
}
