//! Events of jobs, written in the step that makes the change: progress owns their table, see [`SqliteProgress`].
//!
//! [`SqliteProgress`]: crate::progress::sqlite::SqliteProgress

pub(super) use crate::progress::sqlite::{append, remove};
