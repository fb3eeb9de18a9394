//! How it stands with the log, and looking at it anew. Must not know: what is done about it.

use std::io;

use super::{Audit, ShipError, Verdict, verify};
use crate::domain::Timestamp;

/// How it stands with the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Why entries can't be written now.
    pub problem: Option<String>,
    /// What was found broken in the files since this process began.
    pub broken: Option<String>,
    /// How many entries were lost since this process began.
    pub lost: u64,
    /// Why entries can't be brought to the store now.
    pub store: Option<String>,
    /// When this process read all of it last, and what it found.
    pub checked: Option<Checked>,
}

/// The outcome of reading all of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// When.
    pub at: Timestamp,
    /// Whether all of it was as it was written.
    pub whole: bool,
}

impl Audit {
    /// Reads all of the node's log, and holds it against what the store has seen. The outcome is kept for
    /// [`health`](Self::health); what is broken is told as an alert.
    ///
    /// # Errors
    /// [`ShipError`].
    pub async fn check(&self) -> Result<Verdict, ShipError> {
        let head = self.head().await?;
        let log = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let paths: Vec<_> = log.folder().files()?.into_iter().map(|(_, path)| path).collect();
            verify(&paths, head.as_ref(), &log.signer())
        });
        let verdict = read.await.map_err(io::Error::other)??;
        let at = self.0.clock.now();
        self.0.shared.checked(Checked { at, whole: verdict.whole });
        if let Some(first) = verdict.findings.first() {
            let problem = format!("{}, line {}: {}", first.file, first.line, first.problem);
            self.0.shared.broken(&problem);
            self.0.alerts.broken(&problem, at);
        }
        Ok(verdict)
    }

    /// Whether entries could be written now, as far as the folder tells; makes nothing that stays. Blocks.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn try_folder(&self) -> io::Result<()> {
        let folder = self.folder();
        if let Some((_, path)) = folder.files()?.last() {
            super::files::open(path)?;
        }
        match std::fs::metadata(folder.path()) {
            Ok(found) if found.is_dir() => tempfile::tempfile_in(folder.path()).map(drop),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            // It is made with the first entry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
