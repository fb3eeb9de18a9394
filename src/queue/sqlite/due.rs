//! What time moves: delays that are over, leases that have lapsed, lanes whose next token is there. Owns: the bound
//! on how much of it one call does. Must not know: who asks.

use rusqlite::{Connection, params};

use super::{
    row::{Head, select_heads},
    tally::Tally,
    transition::{Transition, apply, next_state},
};
use crate::domain::{KindName, Reason, Timestamp, Trigger};

/// How many jobs or lanes one call moves at most, of each sort and kind.
pub(super) const MOST_MOVED: usize = 500;

pub(super) const DUE: &str = select_heads!(
    "WHERE kind = ?1 AND state IN ('scheduled', 'retrying') AND run_at <= ?2 ORDER BY run_at LIMIT ?3"
);
pub(super) const LAPSED: &str =
    select_heads!("WHERE state = 'running' AND lease_until <= ?1 ORDER BY lease_until LIMIT ?2");
pub(super) const UNTHROTTLE: &str = "UPDATE lanes SET standing = 'ready', parked_until = NULL,
        tag = max(tag, (SELECT kinds.tag FROM kinds WHERE name = ?1))
    WHERE id IN (SELECT id FROM lanes WHERE kind = ?1 AND standing = 'throttled' AND parked_until <= ?2
        ORDER BY parked_until LIMIT ?3)";

/// Moves a kind's due jobs into their lanes and its lanes into the ring.
pub(super) fn move_in(connection: &Connection, kind: &KindName, now: Timestamp) -> rusqlite::Result<()> {
    let mut tally = Tally::default();
    let parameters = params![kind.as_str(), now.as_micros(), MOST_MOVED];
    for head in Head::all(connection.prepare_cached(DUE)?, parameters)? {
        let to = next_state(head.state, Trigger::Due)?;
        let sql = "UPDATE jobs SET state = ?2 WHERE sequence = ?1";
        connection.prepare_cached(sql)?.execute(params![head.sequence, to.name()])?;
        tally.moved(&head.place, Some(head.state), Some(to));
    }
    tally.apply(connection)?;
    connection.prepare_cached(UNTHROTTLE)?.execute(parameters)?;
    Ok(())
}

/// Ends lapsed leases, of whatever kind: until then they count against their tenants' caps, which hold for all kinds
/// together.
pub(super) fn lapse_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let mut tally = Tally::default();
    lapse(connection, &mut tally, now)?;
    tally.apply(connection)
}

/// Ends a bounded number of lapsed leases; answers how many.
pub(super) fn lapse(connection: &Connection, tally: &mut Tally, now: Timestamp) -> rusqlite::Result<usize> {
    let parameters = params![now.as_micros(), MOST_MOVED];
    let heads = Head::all(connection.prepare_cached(LAPSED)?, parameters)?;
    for head in &heads {
        let died = Reason::new("its worker died or lost its lease on the last attempt");
        let change = if head.cancel_asked {
            Transition::of(head, Trigger::Cancelled)
        } else if head.attempt >= head.max_attempts {
            Transition::of(head, Trigger::Dead).because(&died)
        } else {
            Transition::of(head, Trigger::Lapsed)
        };
        apply(connection, tally, head, &change, now)?;
    }
    Ok(heads.len())
}
