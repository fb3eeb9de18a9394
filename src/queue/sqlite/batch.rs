//! Batches: their counts, and when the job that follows is let go. Owns: the table `batches`. Must not know: why a job
//! ended.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    row::{Head, batch_key, job_id, key, parsed},
    tally::Tally,
    waits,
};
use crate::domain::{Batch, BatchId, JobId, NewBatch, Reason, State, TenantId, Timestamp};

pub(super) const OVER: &str = "SELECT tenant, id, callback FROM batches
    WHERE size - completed - dead - cancelled <= 0 AND ended_at < ?1 ORDER BY ended_at LIMIT ?2";
pub(super) const ABANDONED: &str = "SELECT tenant, id, callback FROM batches
    WHERE size - enqueued > 0 AND enqueued - completed - dead - cancelled <= 0 AND opened_at < ?1
    ORDER BY opened_at LIMIT ?2";

/// A tenant's batch.
pub(super) fn find(
    connection: &Connection,
    tenant: &TenantId,
    id: BatchId,
) -> rusqlite::Result<Option<Batch>> {
    let sql = "SELECT size, enqueued, completed, dead, cancelled, callback FROM batches
        WHERE tenant = ?1 AND id = ?2";
    let read = |row: &Row<'_>| {
        Ok(Batch {
            id,
            tenant: tenant.clone(),
            size: row.get(0)?,
            enqueued: row.get(1)?,
            completed: row.get(2)?,
            dead: row.get(3)?,
            cancelled: row.get(4)?,
            callback: callback(row, 5)?,
        })
    };
    let parameters = params![tenant.as_str(), batch_key(id)];
    connection.prepare_cached(sql)?.query_row(parameters, read).optional()
}

fn callback(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<JobId>> {
    let is_there = row.get_ref(column)? != rusqlite::types::ValueRef::Null;
    is_there.then(|| job_id(row, column)).transpose()
}

/// Writes a batch without jobs.
pub(super) fn insert(connection: &Connection, batch: &NewBatch, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO batches (tenant, id, size, callback, opened_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let callback = batch.callback.as_ref().map(|callback| key(callback.id));
    let parameters =
        params![batch.tenant.as_str(), batch_key(batch.id), batch.size, callback, now.as_micros()];
    connection.prepare_cached(sql)?.execute(parameters).map(drop)
}

/// A job has been accepted into a batch.
pub(super) fn enqueued(connection: &Connection, tenant: &TenantId, id: BatchId) -> rusqlite::Result<()> {
    let sql = "UPDATE batches SET enqueued = enqueued + 1 WHERE tenant = ?1 AND id = ?2";
    connection.prepare_cached(sql)?.execute(params![tenant.as_str(), batch_key(id)]).map(drop)
}

/// One of a batch's jobs has ended, or was requeued. Once all have ended, what follows is let go.
pub(super) fn count(
    connection: &Connection,
    tally: &mut Tally,
    (tenant, id): (&TenantId, BatchId),
    (from, to): (State, State),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let by = |state: State| i64::from(to == state) - i64::from(from == state);
    let sql = "UPDATE batches SET completed = max(completed + ?3, 0), dead = max(dead + ?4, 0),
            cancelled = max(cancelled + ?5, 0), ended_at = coalesce(?6, ended_at)
        WHERE tenant = ?1 AND id = ?2";
    connection.prepare_cached(sql)?.execute(params![
        tenant.as_str(),
        batch_key(id),
        by(State::Completed),
        by(State::Dead),
        by(State::Cancelled),
        to.is_final().then_some(now.as_micros()),
    ])?;
    let sql = "SELECT callback FROM batches
        WHERE tenant = ?1 AND id = ?2 AND over = 0 AND completed + dead + cancelled >= size";
    let parameters = params![tenant.as_str(), batch_key(id)];
    let ended = connection.prepare_cached(sql)?.query_row(parameters, |row| callback(row, 0)).optional()?;
    let Some(follower) = ended else { return Ok(()) };
    let sql = "UPDATE batches SET over = 1 WHERE tenant = ?1 AND id = ?2";
    connection.prepare_cached(sql)?.execute(parameters)?;
    if let Some(follower) = follower
        && let Some(head) = Head::find(connection, tenant, follower)?
    {
        waits::unblock(connection, tally, &head, now)?;
    }
    Ok(())
}

/// Removes at most so many batches: those that are over and were so before a time, and those that were opened before
/// it, are not full, and have no unfinished job; what follows such a one is cancelled. Answers how many.
pub(super) fn sweep(
    connection: &Connection,
    tally: &mut Tally,
    before: Timestamp,
    most: usize,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let mut removed = 0;
    for sql in [OVER, ABANDONED] {
        let read =
            |row: &Row<'_>| Ok((parsed::<TenantId>(row, 0)?, row.get::<_, [u8; 16]>(1)?, callback(row, 2)?));
        let parameters = params![before.as_micros(), most - removed];
        let gone: Vec<_> =
            connection.prepare_cached(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<_>>()?;
        removed += gone.len();
        for (tenant, id, follower) in gone {
            let sql = "DELETE FROM batches WHERE tenant = ?1 AND id = ?2";
            connection.prepare_cached(sql)?.execute(params![tenant.as_str(), id])?;
            let Some(follower) = follower else { continue };
            if let Some(head) = Head::find(connection, &tenant, follower)? {
                let reason = Reason::new(format!(
                    "{}, which this job was to follow, never got all of its jobs and was removed",
                    BatchId::from_u128(u128::from_be_bytes(id))
                ));
                waits::cancel(connection, tally, &head, &reason, now)?;
            }
        }
    }
    Ok(removed)
}
