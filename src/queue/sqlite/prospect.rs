//! When a claim may get something, answered from indexes alone. Owns: that question. Must not know: who waits.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::domain::{KindName, Timestamp};

/// When a claim of a kind may get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// Now.
    Now,
    /// Not before so long; `None`: not before something is committed.
    Later(Option<Duration>),
}

const READY: &str = "SELECT tag FROM lanes WHERE kind = ?1 AND standing = 'ready' ORDER BY tag LIMIT 1";
const THROTTLED: &str =
    "SELECT parked_until FROM lanes WHERE kind = ?1 AND standing = 'throttled' ORDER BY parked_until LIMIT 1";
const DUE: &str = "SELECT run_at FROM jobs WHERE kind = ?1 AND state IN ('scheduled', 'retrying')
    ORDER BY run_at LIMIT 1";
/// Of all kinds: a lapse in one may free a tenant's cap for another.
const LEASED: &str = "SELECT lease_until FROM jobs WHERE state = 'running' AND lease_until > ?1
    ORDER BY lease_until LIMIT 1";

#[cfg(test)]
pub(super) const LOOKS: [&str; 4] = [READY, THROTTLED, DUE, LEASED];

/// A kind's prospect. Lanes in the ring that are about to be parked count as ready: the claim finds out.
pub(super) fn prospect(
    connection: &Connection,
    kind: &KindName,
    now: Timestamp,
) -> rusqlite::Result<Prospect> {
    let sql =
        "SELECT max_running IS NOT NULL AND running >= max_running FROM kinds WHERE name = ?1 AND NOT EXISTS
        (SELECT 1 FROM pauses WHERE (scope, pauses.name) IN (('everything', ''), ('kind', ?1)))";
    let mut statement = connection.prepare_cached(sql)?;
    let full: Option<bool> = statement.query_row([kind.as_str()], |row| row.get(0)).optional()?;
    let looks: &[&str] = match full {
        None => return Ok(Prospect::Later(None)),
        // Only a lapsed lease makes room by itself.
        Some(true) => &[],
        Some(false) if first(connection, READY, kind)?.is_some() => return Ok(Prospect::Now),
        Some(false) => &[THROTTLED, DUE],
    };
    let mut leased = connection.prepare_cached(LEASED)?;
    let mut next: Option<i64> = leased.query_row([i64::MIN], |row| row.get(0)).optional()?;
    for sql in looks {
        next = [next, first(connection, sql, kind)?].into_iter().flatten().min();
    }
    let next = next.map(Timestamp::from_micros);
    Ok(match next {
        Some(at) if at <= now => Prospect::Now,
        at => Prospect::Later(at.map(|at| at.since(now))),
    })
}

fn first(connection: &Connection, sql: &str, kind: &KindName) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(sql)?.query_row(params![kind.as_str()], |row| row.get(0)).optional()
}
