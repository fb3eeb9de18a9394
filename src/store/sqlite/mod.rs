//! The embedded store: one SQLite file, shared by the queue, the records and the progress of this machine.

mod bell;
mod database;
mod files;
mod log;
mod records;

pub use bell::Bell;
pub use database::{Database, DatabaseError, Migrations};
pub use records::SqliteRecords;
