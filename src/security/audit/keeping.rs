//! For how long the log is kept, and when a file is followed by a new one.

use std::time::Duration;

/// How the log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// A file of more bytes is followed by a new one. Default 64 MiB.
    pub rotate_bytes: u64,
    /// A file whose first entry is older is followed by a new one. Default one day.
    pub rotate_after: Duration,
    /// How many files are kept at most. Default 400.
    pub keep_files: usize,
    /// Files whose last entry is older are removed, and entries in the store. Default 400 days.
    pub keep_for: Duration,
    /// How many entries of each node the store has at most. Default 200,000.
    pub keep_entries: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            rotate_bytes: 64 << 20,
            rotate_after: day,
            keep_files: 400,
            keep_for: 400 * day,
            keep_entries: 200_000,
        }
    }
}
