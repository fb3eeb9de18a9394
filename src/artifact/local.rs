//! What a killed process leaves on a local disk and no listing shows: the staging files of uploads (`name#1`), which
//! `object_store` renames when an upload is complete. Other storages have rules of their own for unfinished uploads.

use std::{fs, io, path::Path};

use super::store::ARTIFACTS;
use crate::domain::Timestamp;

/// Removes staging files below `root` that nobody has written to since `before`; answers how many. Those below
/// `<tenant>/artifacts/` stay, whatever their age: a job may go on with them, so that the [sweep](super::sweep) of the
/// artifacts asks for each. Blocks: call it from a blocking thread.
///
/// # Errors
/// Where a folder can't be read.
pub fn sweep_staging(root: &Path, before: Timestamp) -> io::Result<usize> {
    let (mut removed, mut folders) = (0, vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // Removed meanwhile by somebody else.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // Not following links: what is outside of the root is not ours.
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            if metadata.is_dir() {
                let is_artifacts = entry.file_name() == ARTIFACTS && folder.parent() == Some(root);
                if is_artifacts {
                    continue;
                }
                folders.push(entry.path());
            } else if metadata.is_file() && staging_of(&entry.file_name().to_string_lossy()).is_some() {
                let written = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                if Timestamp::EPOCH.after(written) < before && fs::remove_file(entry.path()).is_ok() {
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

/// The file that a staging file becomes, and its number. `object_store` percent-encodes `#` in keys, so that only
/// staging files have one.
pub(super) fn staging_of(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('#')
        .filter(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_staging_files_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("acme/projects/artifacts");
        let upload = root.path().join("acme/artifacts/job/000001/book.epub#1");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(upload.parent().unwrap()).unwrap();
        fs::write(&upload, "x").unwrap();
        for name in ["book.epub", "book.epub#1", "a#b", "7%231"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        assert_eq!(sweep_staging(root.path(), Timestamp::from_millis(1)).unwrap(), 0);
        let far = Timestamp::from_micros(i64::MAX);
        assert_eq!(sweep_staging(root.path(), far).unwrap(), 1);
        assert!(!folder.join("book.epub#1").exists() && folder.join("a#b").exists());
        assert!(upload.exists(), "a job may go on with it");
    }
}
