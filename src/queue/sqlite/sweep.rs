//! Keeps everything bounded: lapsed leases, finished jobs, lanes that nobody needs. Owns: what is forgotten, and when.
//! Must not know: retention's length.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    batch,
    due::{MOST_MOVED, lapse},
    row::{Head, parsed, select_heads},
    tally::Tally,
    waits,
};
use crate::{
    domain::{KindName, TenantId, Timestamp},
    progress::sqlite as progress,
    queue::{Retention, Swept},
};

pub(super) const FINISHED: &str = select_heads!("WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2");

pub(super) const CROWDED: &str =
    "SELECT name, finished FROM tenants WHERE finished > ?1 ORDER BY finished DESC LIMIT 1";
pub(super) const OLDEST: &str =
    select_heads!("WHERE tenant = ?1 AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ?2");

/// Lanes without jobs that would begin anew just where they are: the bucket is full, and either the virtual time
/// has passed theirs or nobody waits in the kind, so that there is nobody to be ahead of.
pub(super) const FORGETTABLE: &str = "SELECT id, tenant, kind FROM lanes WHERE jobs = 0 AND bucket <= ?1
        AND (tag <= (SELECT kinds.tag FROM kinds WHERE name = kind) OR NOT EXISTS
            (SELECT 1 FROM lanes AS busy WHERE busy.kind = lanes.kind AND busy.standing = 'ready'))
    ORDER BY bucket LIMIT ?2";

/// Sweeps a bounded batch.
pub(super) fn sweep(
    connection: &Connection,
    retention: &Retention,
    now: Timestamp,
) -> rusqlite::Result<Swept> {
    let mut tally = Tally::default();
    let lapsed = lapse(connection, &mut tally, now)?;
    tally.apply(connection)?;
    let mut broom = Broom { connection, now, room: MOST_MOVED, removed: 0 };
    broom.by_age(retention.finished_before)?;
    if let Some(kept) = retention.most_finished {
        broom.by_number(kept)?;
    }
    broom.batches(retention.finished_before)?;
    let removed = broom.removed;
    forget_lanes(connection, now)?;
    Ok(Swept { lapsed, removed })
}

struct Broom<'c> {
    connection: &'c Connection,
    now: Timestamp,
    /// How many jobs and batches may yet be removed or cancelled.
    room: usize,
    removed: usize,
}

impl Broom<'_> {
    fn by_age(&mut self, finished_before: Timestamp) -> rusqlite::Result<()> {
        let parameters = params![finished_before.as_micros(), self.room];
        let finished = Head::all(self.connection.prepare_cached(FINISHED)?, parameters)?;
        self.remove(&finished)
    }

    /// Of the tenants that have too many, those with the most come first.
    fn by_number(&mut self, kept: u64) -> rusqlite::Result<()> {
        let kept = i64::try_from(kept).unwrap_or(i64::MAX);
        while self.room > 0 {
            let read = |row: &Row<'_>| Ok((parsed::<TenantId>(row, 0)?, row.get::<_, i64>(1)?));
            let found = self.connection.prepare_cached(CROWDED)?.query_row([kept], read).optional()?;
            let Some((tenant, finished)) = found else { break };
            let beyond = usize::try_from(finished - kept).unwrap_or(usize::MAX).min(self.room);
            let statement = self.connection.prepare_cached(OLDEST)?;
            let oldest = Head::all(statement, params![tenant.as_str(), beyond])?;
            if oldest.is_empty() {
                break;
            }
            self.remove(&oldest)?;
        }
        Ok(())
    }

    /// Batches go after their jobs: while there is no room for all of those, they stay.
    fn batches(&mut self, before: Timestamp) -> rusqlite::Result<()> {
        let mut tally = Tally::default();
        let gone = batch::sweep(self.connection, &mut tally, before, self.room, self.now)?;
        (self.removed, self.room) = (self.removed + gone, self.room - gone);
        tally.apply(self.connection)
    }

    /// Removes finished jobs, in order, as long as there is room; who waits for one of them is cancelled.
    fn remove(&mut self, finished: &[Head]) -> rusqlite::Result<()> {
        let (connection, mut tally) = (self.connection, Tally::default());
        for head in finished {
            if self.room == 0 {
                break;
            }
            let orphans = waits::orphan(connection, &mut tally, head, self.now)?;
            for sql in [
                "DELETE FROM jobs WHERE sequence = ?1",
                "DELETE FROM payloads WHERE sequence = ?1",
                "DELETE FROM checkpoints WHERE sequence = ?1",
            ] {
                connection.prepare_cached(sql)?.execute([head.sequence])?;
            }
            progress::remove(connection, head.id)?;
            tally.moved(&head.place, Some(head.state), None);
            self.removed += 1;
            self.room = self.room.saturating_sub(1 + orphans);
        }
        tally.apply(connection)
    }
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
