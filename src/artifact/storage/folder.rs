//! The objects in a folder of this machine, with what `object_store` leaves out for it: a write on the condition that the object
//! is still the one that was read. Owns: that. Must not know: what is stored.
//!
//! Who writes so has the folder's lock (`flock` of the folder itself, which ends with its process) while it compares and renames;
//! on systems that have no lock of folders, and on network storage that does not pass it on, it keeps apart the tasks of one
//! process only. Nobody waits for it for ever: a process that is stopped or stuck while it has the lock fails the others' writes,
//! which say how to find it.

use std::{
    fmt, fs,
    io::{self, Write as _},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Once},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, local::LocalFileSystem,
    path::Path,
};
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::disk::{make_staging, open_staging, staged_as, sync_folder};

/// How long one waits for its turn and for the folder's lock, together: both are had for milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the lock is asked for again: the system tells nobody when it is free who does not wait for ever.
const LOOKS: Duration = Duration::from_millis(1);
/// The same once it has taken long.
const SELDOM_LOOKS: Duration = Duration::from_millis(10);

/// A folder of this machine.
#[derive(Debug)]
pub(super) struct Folder {
    disk: Arc<LocalFileSystem>,
    /// One of this process at a time, whatever the system's lock does.
    turn: Arc<Mutex<()>>,
    patience: Duration,
}

impl Folder {
    pub(super) fn new(disk: Arc<LocalFileSystem>) -> Self {
        Self { disk, turn: Arc::default(), patience: PATIENCE }
    }

    /// Puts an object in the place of the one with this tag, and of no other.
    async fn replace(&self, key: &Path, payload: PutPayload, tag: Option<String>) -> Result<PutResult> {
        let tag = tag.ok_or_else(|| failed("a conditional write needs the tag of what was read".into()))?;
        let (file, root) = (self.disk.path_to_filesystem(key)?, self.disk.path_to_filesystem(&"x".into())?);
        let root = root.parent().map(ToOwned::to_owned).unwrap_or_default();
        let replaced =
            self.replace_file(file, root, payload, tag).await.map_err(|error| failed(error.into()))?;
        match replaced {
            Some(tag) => Ok(PutResult { e_tag: Some(tag), version: None, extensions: Default::default() }),
            None => Err(Error::Precondition {
                path: key.to_string(),
                source: "it is not the one that was read any more".into(),
            }),
        }
    }

    /// The new tag; nothing where another object, or none, is there.
    async fn replace_file(
        &self,
        file: PathBuf,
        root: PathBuf,
        payload: PutPayload,
        tag: String,
    ) -> io::Result<Option<String>> {
        let (target, expected) = (file.clone(), tag.clone());
        let staged = spawn_blocking(move || Staged::of(&target, &payload, &expected)).await??;
        let Some(staged) = staged else { return Ok(None) };
        let until = Instant::now() + self.patience;
        let Ok(turn) = timeout_at(until, self.turn.clone().lock_owned()).await else {
            return Err(busy(&root, self.patience));
        };
        let Some(lock) = lock(&root, until).await? else { return Err(busy(&root, self.patience)) };
        // It keeps both to the end, also where nobody waits for it any more.
        spawn_blocking(move || {
            let _held = (turn, lock);
            staged.put(&file, &tag)
        })
        .await?
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "disk", source }
}

/// What is there, where it has this tag.
fn with_tag(file: &std::path::Path, tag: &str) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(file) {
        Ok(there) if tag_of(&there) == tag => Ok(Some(there)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

/// What is to take a file's place, written beside it.
struct Staged {
    file: fs::File,
    staging: Staging,
}

impl Staged {
    /// Nothing where the file has another tag already. Blocks.
    fn of(file: &std::path::Path, payload: &PutPayload, tag: &str) -> io::Result<Option<Self>> {
        if with_tag(file, tag)?.is_none() {
            return Ok(None);
        }
        let folder = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let path = staged_as(file, &make_staging(folder, file)?);
        let staging = Staging { path: path.clone(), is_there: true };
        let mut staged = open_staging(path)?;
        payload.iter().try_for_each(|piece| staged.write_all(piece))?;
        staged.sync_all()?;
        Ok(Some(Self { file: staged, staging }))
    }

    /// Its tag in the file's place; nothing where the file has another one. Blocks.
    fn put(mut self, file: &std::path::Path, tag: &str) -> io::Result<Option<String>> {
        let Some(there) = with_tag(file, tag)? else { return Ok(None) };
        // The clock of a file system ticks slowly, and numbers of files come again: no tag must.
        let (before, now) = (there.modified()?, self.file.metadata()?.modified()?);
        if now <= before + Duration::from_micros(1) {
            self.file.set_modified(before + Duration::from_micros(2))?;
        }
        fs::rename(&self.staging.path, file)?;
        // From here on the name may be another one's.
        self.staging.is_there = false;
        let tag = tag_of(&self.file.metadata()?);
        file.parent().map_or(Ok(()), sync_folder)?;
        Ok(Some(tag))
    }
}

/// A file that goes unless it was renamed.
struct Staging {
    path: PathBuf,
    is_there: bool,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_there
            && let Err(error) = fs::remove_file(&self.path)
        {
            let file = self.path.display();
            tracing::warn!(%file, %error, "a file that nobody needs was left behind");
        }
    }
}

/// The tag of a file, as `object_store` makes it.
fn tag_of(file: &fs::Metadata) -> String {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(file);
    #[cfg(not(unix))]
    let number = 0_u64;
    let modified = file.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("\"{number:x}-{:x}-{:x}\"", modified.unwrap_or_default().as_micros(), file.len())
}

/// What whoever can't write is told.
fn busy(root: &std::path::Path, patience: Duration) -> io::Error {
    let (root, seconds) = (root.display(), patience.as_secs());
    let problem = format!(
        "others have had the lock of {root} for {seconds} s: is one of them stopped or stuck, or the disk? `fuser {root}` names the \
         processes that have it open; ending the one that is stuck frees the lock"
    );
    io::Error::new(io::ErrorKind::TimedOut, problem)
}

/// The lock of a folder, where the system has one.
type Lock = Option<fs::File>;

/// The lock of a folder, held while the answer lives; nothing where others have it for too long.
async fn lock(root: &std::path::Path, until: Instant) -> io::Result<Option<Lock>> {
    static TOLD: Once = Once::new();
    let mut pause = LOOKS;
    loop {
        let folder = root.to_owned();
        let asked = spawn_blocking(move || {
            let folder = fs::File::open(folder).map_err(fs::TryLockError::Error)?;
            folder.try_lock().map(|()| folder)
        });
        match asked.await? {
            Ok(folder) => return Ok(Some(Some(folder))),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(pause).await,
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) if has_no_locks(&error) => {
                TOLD.call_once(|| {
                    let folder = root.display();
                    tracing::warn!(%folder, %error, "the folder can't be locked: let one process write to it");
                });
                return Ok(Some(None));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        pause = (pause * 2).min(SELDOM_LOOKS);
    }
}

/// Whether a system without locks of folders says so; of all else nobody knows whether another process has the lock.
fn has_no_locks(error: &io::Error) -> bool {
    /// What network storage says that does not pass locks on (`ENOLCK` of Linux).
    const NO_LOCKS: i32 = 37;
    let is_told = error.kind() == io::ErrorKind::Unsupported;
    // Elsewhere a folder can't even be opened.
    is_told || cfg!(not(unix)) || (cfg!(target_os = "linux") && error.raw_os_error() == Some(NO_LOCKS))
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Update(version) => self.replace(key, payload, version.e_tag).await,
            mode => self.disk.put_opts(key, payload, PutOptions { mode, ..options }).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.disk.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.disk.get_opts(key, options).await
    }

    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.disk.get_ranges(key, ranges).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.disk.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.disk.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.disk.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.disk.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, UpdateVersion};

    use super::{super::Storage, *};

    async fn version(storage: &Storage, key: &Path) -> (u64, UpdateVersion) {
        let got = storage.objects().get(key).await.unwrap();
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        (String::from_utf8(got.bytes().await.unwrap().into()).unwrap().parse().unwrap(), version)
    }

    fn put_if(version: UpdateVersion) -> PutOptions {
        PutMode::Update(version).into()
    }

    #[tokio::test]
    async fn an_object_is_replaced_only_where_it_is_the_one_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, key) =
            (Storage::folder(folder.path().to_owned()).unwrap(), Path::from("acme/projects/p/book.json"));
        storage.objects().put(&key, "1".into()).await.unwrap();
        let (_, first) = version(&storage, &key).await;
        let answer = storage.objects().put_opts(&key, "2".into(), put_if(first.clone())).await.unwrap();
        let (number, second) = version(&storage, &key).await;
        assert_eq!((number, answer.e_tag), (2, second.e_tag.clone()), "the tag is the one that readers see");
        let late = storage.objects().put_opts(&key, "3".into(), put_if(first)).await.unwrap_err();
        assert!(matches!(late, Error::Precondition { .. }), "{late}");
        assert_eq!(version(&storage, &key).await.0, 2);
        storage.objects().delete(&key).await.unwrap();
        let gone = storage.objects().put_opts(&key, "4".into(), put_if(second)).await.unwrap_err();
        assert!(matches!(gone, Error::Precondition { .. }), "{gone}");
        assert!(storage.objects().head(&key).await.is_err(), "nothing comes back");
        let left = storage.unfinished().unwrap().uploads(&Path::from("acme")).await.unwrap();
        assert_eq!(left, [], "no file is left behind");
    }

    #[tokio::test]
    async fn a_process_that_is_stuck_with_the_lock_fails_the_others_writes_and_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let hasty = Folder { patience: Duration::from_millis(20), ..Folder::new(disk) };
        let key = Path::from("count");
        hasty.put(&key, "1".into()).await.unwrap();
        let seen = hasty.head(&key).await.unwrap();
        let seen = UpdateVersion { e_tag: seen.e_tag, version: None };
        // As another process has it: of a file that was opened by itself.
        let stuck = fs::File::open(folder.path()).unwrap();
        stuck.lock().unwrap();
        let error = hasty.put_opts(&key, "2".into(), put_if(seen.clone())).await.unwrap_err().to_string();
        assert!(error.contains("others have had the lock") && error.contains("fuser"), "{error}");
        let turn = hasty.turn.clone().lock_owned().await;
        let error = hasty.put_opts(&key, "2".into(), put_if(seen.clone())).await.unwrap_err().to_string();
        assert!(error.contains("others have had the lock"), "{error}");
        drop((stuck, turn));
        hasty.put_opts(&key, "2".into(), put_if(seen)).await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no file is left behind");
    }

    /// Each opens the folder by itself, as a process does.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_who_count_at_once_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let key = Path::from("count");
        let count = |_| {
            let (storage, key) = (Storage::folder(folder.path().to_owned()).unwrap(), key.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    loop {
                        let (number, seen) = version(&storage, &key).await;
                        let next = (number + 1).to_string().into();
                        match storage.objects().put_opts(&key, next, put_if(seen)).await {
                            Ok(_) => break,
                            Err(Error::Precondition { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        };
        Storage::folder(folder.path().to_owned()).unwrap().objects().put(&key, "10".into()).await.unwrap();
        for task in (0..8).map(count).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let storage = Storage::folder(folder.path().to_owned()).unwrap();
        assert_eq!(version(&storage, &key).await.0, 90);
    }
}
