//! Events of jobs, written in the step that makes the change. Owns: their table. Must not know: transitions.

use rusqlite::{Connection, params};

use crate::domain::{EventBody, JobId, Timestamp};

/// The table of events.
pub(super) const TABLE: &str = "CREATE TABLE events (job BLOB NOT NULL, sequence INTEGER NOT NULL,
    at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (job, sequence)) STRICT, WITHOUT ROWID";

/// Adds an event and answers its sequence number.
pub(super) fn append(
    connection: &Connection,
    job: JobId,
    at: Timestamp,
    body: &EventBody,
) -> rusqlite::Result<u64> {
    let text =
        serde_json::to_string(body).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let sql =
        "INSERT INTO events SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3 FROM events WHERE job = ?1
        RETURNING sequence";
    connection
        .prepare_cached(sql)?
        .query_row(params![job.as_u128().to_be_bytes(), at.as_micros(), text], |row| row.get(0))
}

/// Removes a job's events.
pub(super) fn remove(connection: &Connection, job: JobId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM events WHERE job = ?1";
    connection.prepare_cached(sql)?.execute([job.as_u128().to_be_bytes()]).map(drop)
}
