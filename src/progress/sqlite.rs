//! Progress on SQLite.
