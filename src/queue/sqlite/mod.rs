//! The queue on SQLite.
