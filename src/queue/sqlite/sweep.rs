//! Keeps everything bounded: lapsed leases, finished jobs, lanes that nobody needs. Owns: what is forgotten, and when.
//! Must not know: retention's length.

use rusqlite::{Connection, params};

use super::{
    due::{MOST_MOVED, lapse},
    row::{Head, parsed, select_heads},
    tally::Tally,
};
use crate::{
    domain::{KindName, TenantId, Timestamp},
    progress::sqlite as progress,
    queue::Swept,
};

pub(super) const FINISHED: &str = select_heads!("WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2");

/// Lanes without jobs that would begin anew just where they are: the bucket is full, and either the virtual time
/// has passed theirs or nobody waits in the kind, so that there is nobody to be ahead of.
pub(super) const FORGETTABLE: &str = "SELECT id, tenant, kind FROM lanes WHERE jobs = 0 AND bucket <= ?1
        AND (tag <= (SELECT kinds.tag FROM kinds WHERE name = kind) OR NOT EXISTS
            (SELECT 1 FROM lanes AS busy WHERE busy.kind = lanes.kind AND busy.standing = 'ready'))
    ORDER BY bucket LIMIT ?2";

/// Sweeps a bounded batch.
pub(super) fn sweep(
    connection: &Connection,
    finished_before: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Swept> {
    let mut tally = Tally::default();
    let lapsed = lapse(connection, &mut tally, now)?;
    let parameters = params![finished_before.as_micros(), MOST_MOVED];
    let finished = Head::all(connection.prepare_cached(FINISHED)?, parameters)?;
    for head in &finished {
        for sql in [
            "DELETE FROM jobs WHERE sequence = ?1",
            "DELETE FROM payloads WHERE sequence = ?1",
            "DELETE FROM checkpoints WHERE sequence = ?1",
        ] {
            connection.prepare_cached(sql)?.execute([head.sequence])?;
        }
        progress::remove(connection, head.id)?;
        tally.moved(&head.place, Some(head.state), None);
    }
    tally.apply(connection)?;
    forget_lanes(connection, now)?;
    Ok(Swept { lapsed, removed: finished.len() })
}

fn forget_lanes(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(FORGETTABLE)?;
    let lanes: Vec<(i64, TenantId, KindName)> = statement
        .query_map(params![now.as_micros(), MOST_MOVED], |row| {
            Ok((row.get(0)?, parsed(row, 1)?, parsed(row, 2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (lane, tenant, kind) in lanes {
        connection.prepare_cached("DELETE FROM lanes WHERE id = ?1")?.execute([lane])?;
        for (sql, name) in [
            ("UPDATE tenants SET lanes = lanes - 1 WHERE name = ?1", tenant.as_str()),
            ("DELETE FROM tenants WHERE name = ?1 AND limits IS NULL AND lanes = 0", tenant.as_str()),
            ("UPDATE kinds SET lanes = lanes - 1 WHERE name = ?1", kind.as_str()),
            ("DELETE FROM kinds WHERE name = ?1 AND max_running IS NULL AND lanes = 0", kind.as_str()),
        ] {
            connection.prepare_cached(sql)?.execute([name])?;
        }
    }
    Ok(())
}
