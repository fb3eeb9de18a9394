//! A process's scratch folder below `tmp/`: a lock file says whether its process still lives, so that what a killed one
//! left can be removed at once. Owns: that folder and its lock. Must not know: what is in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::domain::{Random, Timestamp};

/// A scratch folder, ours until this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    lock: PathBuf,
    /// Holds the lock; the system gives it back when the process ends, however it ends.
    file: Option<fs::File>,
}

/// The lock of the folder `x` is the file `x.lock` beside it.
const LOCK: &str = "lock";

impl Scratch {
    /// Takes a new folder's name below `root`; the folder is made by whoever needs it.
    pub(super) fn take(root: &Path, random: &dyn Random) -> io::Result<Self> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let folder = root.join(format!("{:016x}", u64::from_le_bytes(bytes)));
        let lock = folder.with_extension(LOCK);
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&lock)?;
        // Blocks only while a sweep of another process looks at the new file.
        file.lock()?;
        Ok(Self { folder, lock, file: Some(file) })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next sweep.
        drop(fs::remove_dir_all(&self.folder));
        drop(self.file.take());
        drop(fs::remove_file(&self.lock));
    }
}

/// Removes the scratch folders below `root` whose process has ended, and what else has lain there since `before`;
/// answers how many entries that were. Blocks.
pub(super) fn sweep(root: &Path, before: Timestamp) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == LOCK) {
            removed += usize::from(remove_abandoned(&path));
        } else if !path.with_extension(LOCK).exists() && is_older(&path, before) {
            removed += usize::from(remove(&path));
        }
    }
    Ok(removed)
}

fn remove_abandoned(lock: &Path) -> bool {
    let Ok(file) = fs::File::open(lock) else { return false };
    if file.try_lock().is_err() {
        return false;
    }
    // A process that waits for this very lock goes on with a folder that has none: that is safe for a day.
    drop(fs::remove_dir_all(lock.with_extension("")));
    fs::remove_file(lock).is_ok()
}

fn is_older(path: &Path, before: Timestamp) -> bool {
    let Ok(modified) = path.symlink_metadata().and_then(|metadata| metadata.modified()) else { return false };
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.after(since) < before
}

fn remove(path: &Path) -> bool {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_folder { fs::remove_dir_all(path).is_ok() } else { fs::remove_file(path).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_living_one_holds_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let ours = Scratch::take(root, &SeededRandom::new(1)).unwrap();
        fs::create_dir_all(ours.folder().join("job")).unwrap();
        fs::create_dir_all(root.join("dead/job")).unwrap();
        fs::write(root.join("dead.lock"), "").unwrap();
        fs::create_dir_all(root.join("unknown")).unwrap();

        assert_eq!(sweep(root, Timestamp::EPOCH).unwrap(), 1);
        assert!(ours.folder().join("job").exists());
        assert!(!root.join("dead").exists() && root.join("unknown").exists());
        assert_eq!(sweep(root, Timestamp::from_micros(i64::MAX)).unwrap(), 1);
        assert!(!root.join("unknown").exists() && ours.folder().exists());
        drop(ours);
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    }
}
