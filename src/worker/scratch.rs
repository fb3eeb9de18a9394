//! Folders of this machine for input that must be seekable. Must not know: what is put there.

use std::path::PathBuf;

use crate::domain::{Failure, JobId};

/// An empty one below `root`, removed when the value is dropped.
pub(super) async fn folder(root: PathBuf, job: JobId) -> Result<tempfile::TempDir, Failure> {
    let prefix = format!("{job}-");
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&root)?;
        tempfile::Builder::new().prefix(&prefix).tempdir_in(&root)
    });
    let explain = |error: &dyn std::fmt::Display| Failure::retry(format_args!("no scratch folder: {error}"));
    made.await.map_err(|error| explain(&error))?.map_err(|error| explain(&error))
}
