//! The tables of events and the statements on them. Owns: `events`, `event_heads`. Must not know: who calls.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};

use super::job;
use crate::{
    domain::{Event, EventBody, JobId, Progress, TenantId, Timestamp, progress::tenths},
    progress::{MOST_EVENTS, Rest},
};

/// `body` stands last, so that trimming need not read it.
pub(super) const STEPS: &[&str] = &["CREATE TABLE event_heads (
        job            BLOB PRIMARY KEY,
        last           INTEGER NOT NULL,
        kept           INTEGER NOT NULL,
        highest_tenths INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        job      BLOB NOT NULL,
        sequence INTEGER NOT NULL,
        is_state INTEGER NOT NULL,
        at       INTEGER NOT NULL,
        body     TEXT NOT NULL,
        PRIMARY KEY (job, sequence)
    ) STRICT, WITHOUT ROWID;"];

/// How many events are trimmed at once: one trim reads a job's events once, so it pays for that many.
const TRIMMED: usize = MOST_EVENTS / 10;

/// Writes a job's next event and answers its sequence number: 1, 2, 3 and so on. A percentage is raised to the
/// highest before; the oldest events beyond [`MOST_EVENTS`] are trimmed. For use within a write transaction; three
/// cached statements.
///
/// # Errors
/// SQLite's; the caller's transaction must not be committed then.
pub(crate) fn append(
    connection: &Connection,
    job: JobId,
    at: Timestamp,
    body: &EventBody,
) -> rusqlite::Result<u64> {
    let key = job.as_u128().to_be_bytes();
    let reached = match body {
        EventBody::Progress(progress) => tenths(progress.percent),
        EventBody::State { .. } | EventBody::Text { .. } => 0,
    };
    let sql = "SELECT last, kept, highest_tenths FROM event_heads WHERE job = ?1";
    let mut head = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, usize>(1)?, row.get::<_, u32>(2)?));
    let (last, kept, highest) = head.query_row([key], read).optional()?.unwrap_or_default();
    let (sequence, kept, highest) = (last + 1, kept + 1, highest.max(reached));
    // An upsert with RETURNING would open a statement journal each time.
    let sql = if last == 0 {
        "INSERT INTO event_heads (last, kept, highest_tenths, job) VALUES (?1, ?2, ?3, ?4)"
    } else {
        "UPDATE event_heads SET last = ?1, kept = ?2, highest_tenths = ?3 WHERE job = ?4"
    };
    connection.prepare_cached(sql)?.execute(params![sequence, kept, highest, key])?;

    let body = raised(body, highest);
    let is_state = matches!(*body, EventBody::State { .. });
    let text = serde_json::to_string(&*body)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let sql = "INSERT INTO events (job, sequence, is_state, at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![key, sequence, is_state, at.as_micros(), text])?;

    if kept > MOST_EVENTS {
        trim(connection, &key, kept - MOST_EVENTS + TRIMMED)?;
    }
    Ok(sequence)
}

/// Removes all that is kept of a job's events. For use within the write transaction that removes the job.
///
/// # Errors
/// SQLite's; the caller's transaction must not be committed then.
pub(crate) fn remove(connection: &Connection, job: JobId) -> rusqlite::Result<()> {
    let key = job.as_u128().to_be_bytes();
    connection.prepare_cached("DELETE FROM events WHERE job = ?1")?.execute([key])?;
    connection.prepare_cached("DELETE FROM event_heads WHERE job = ?1")?.execute([key])?;
    Ok(())
}

fn raised(body: &EventBody, highest_tenths: u32) -> Cow<'_, EventBody> {
    match body {
        EventBody::Progress(progress) => Cow::Owned(EventBody::Progress(Progress {
            percent: f64::from(highest_tenths) / 10.0,
            ..progress.clone()
        })),
        EventBody::State { .. } | EventBody::Text { .. } => Cow::Borrowed(body),
    }
}

fn trim(connection: &Connection, key: &[u8; 16], count: usize) -> rusqlite::Result<()> {
    let sql = "DELETE FROM events WHERE job = ?1 AND sequence IN
        (SELECT sequence FROM events WHERE job = ?1 ORDER BY is_state, sequence LIMIT ?2)";
    let trimmed = connection.prepare_cached(sql)?.execute(params![key, count])?;
    let sql = "UPDATE event_heads SET kept = kept - ?2 WHERE job = ?1";
    connection.prepare_cached(sql)?.execute(params![key, trimmed])?;
    Ok(())
}

/// A piece of a job's events, and what there is behind it.
#[derive(Debug)]
pub(super) struct EventPage {
    pub(super) events: Vec<Event>,
    pub(super) rest: Rest,
}

/// At most `most` events above `after`, in order; `None` where the tenant has no such job.
pub(super) fn page(
    connection: &Connection,
    tenant: &TenantId,
    job: JobId,
    after: u64,
    most: usize,
) -> rusqlite::Result<Option<EventPage>> {
    let Some(standing) = job::find(connection, tenant, job)? else { return Ok(None) };
    let sql =
        "SELECT sequence, at, body FROM events WHERE job = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    // No number is beyond the largest that SQLite has.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = statement
        .query_map(params![job.as_u128().to_be_bytes(), after, most], |row| event(row, tenant, job))?;
    let events = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let rest = match (events.len() < most, standing.has_ended()) {
        (false, _) => Rest::Unread,
        (true, false) => Rest::ToCome,
        (true, true) => Rest::Nothing,
    };
    Ok(Some(EventPage { events, rest }))
}

fn event(row: &Row<'_>, tenant: &TenantId, job: JobId) -> rusqlite::Result<Event> {
    let body = serde_json::from_str(row.get_ref(2)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, error.into()))?;
    Ok(Event {
        tenant: tenant.clone(),
        job,
        sequence: row.get(0)?,
        at: Timestamp::from_micros(row.get(1)?),
        body,
    })
}
