//! The files beside the tables: how they are made, for whom, and whose turn it is to open them. Must not know: SQL.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::database::DatabaseError;

/// The bell of the file at `path`.
pub(super) fn bell(path: &Path) -> PathBuf {
    path.with_extension("bell")
}

/// Waits until nobody else opens the file at `path`; the turn lasts until what is given back is dropped. SQLite does
/// not wait where two processes turn a new file to WAL at once. Where the file system has no locks one of them may have
/// to be started again.
pub(super) fn take_turn(path: &Path) -> Result<fs::File, DatabaseError> {
    let bell = bell(path);
    let file = private_file().create(true).truncate(false).open(&bell);
    let file = file.map_err(|error| unwritable(&bell, &error))?;
    drop(file.lock());
    Ok(file)
}

/// The error of a file that can't be made or written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> DatabaseError {
    DatabaseError::Unwritable(Arc::new(rusqlite::Error::ToSqlConversionFailure(
        format!("{}: {error}", path.display()).into(),
    )))
}

/// Makes the folder (0700) and the file (0600) where they are not there.
pub(super) fn prepare(path: &Path) -> Result<(), DatabaseError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(folder).map_err(|error| unwritable(folder, &error))?;
    // A file that is there is not opened: closing it would drop the locks that SQLite holds on it in this process.
    match private_file().create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unwritable(path, &error)),
        _ => Ok(()),
    }
}

/// How a file is opened that only its owner may read.
fn private_file() -> fs::OpenOptions {
    let mut file = fs::OpenOptions::new();
    file.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file
}
