//! Prolongs leases and keeps checkpoints. Owns: what a renewal does. Must not know: how attempts end.

use rusqlite::{Connection, params};

use super::row::Head;
use crate::{
    domain::{Checkpoint, Timestamp},
    queue::{Renewal, Standing},
};

/// Renews a batch, in order.
pub(super) fn renew(
    connection: &Connection,
    renewals: &[Renewal],
    now: Timestamp,
) -> rusqlite::Result<Vec<Standing>> {
    renewals.iter().map(|renewal| renew_one(connection, renewal, now)).collect()
}

fn renew_one(connection: &Connection, renewal: &Renewal, now: Timestamp) -> rusqlite::Result<Standing> {
    let Renewal { lease, lease_for, checkpoint } = renewal;
    let found = Head::find(connection, &lease.tenant, lease.job)?;
    let Some(head) = found.filter(|head| head.is_leased(lease.epoch, now)) else { return Ok(Standing::Lost) };
    let until = now.after(*lease_for);
    let sql = "UPDATE jobs SET lease_until = ?2 WHERE sequence = ?1";
    connection.prepare_cached(sql)?.execute(params![head.sequence, until.as_micros()])?;
    if let Some(Checkpoint(bytes)) = checkpoint {
        let sql = "INSERT INTO checkpoints (sequence, bytes) VALUES (?1, ?2)
            ON CONFLICT DO UPDATE SET bytes = excluded.bytes";
        connection.prepare_cached(sql)?.execute(params![head.sequence, &bytes[..]])?;
    }
    Ok(Standing::Held { until, cancel_asked: head.cancel_asked })
}
