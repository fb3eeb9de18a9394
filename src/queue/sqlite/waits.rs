//! Jobs that wait for others: who waits for whom, and who may go on. Owns: the table `waits`. Must not know: how a job
//! ends.

use rusqlite::{Connection, params};

use super::{
    row::Head,
    tally::Tally,
    transition::{Transition, apply},
};
use crate::domain::{NewJob, Reason, State, Timestamp, Trigger};

pub(super) const DEPENDENTS: &str = "SELECT dependent FROM waits WHERE dependency = ?1";
const IS_FREE: &str = "SELECT NOT EXISTS (SELECT 1 FROM waits WHERE dependent = ?1)";

/// Lets a job wait for another.
pub(super) fn add(connection: &Connection, dependency: i64, dependent: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO waits (dependency, dependent) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![dependency, dependent]).map(drop)
}

/// Whether as many wait for a job as may.
pub(super) fn is_full(connection: &Connection, dependency: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM waits WHERE dependency = ?1 LIMIT 1 OFFSET ?2";
    connection.prepare_cached(sql)?.exists(params![dependency, NewJob::MOST_DEPENDENTS - 1])
}

/// A job has completed: who waits for no other may run.
pub(super) fn release(
    connection: &Connection,
    tally: &mut Tally,
    dependency: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let dependents = dependents(connection, dependency)?;
    if dependents.is_empty() {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM waits WHERE dependency = ?1")?.execute([dependency])?;
    for dependent in dependents {
        if connection.prepare_cached(IS_FREE)?.query_row([dependent], |row| row.get(0))?
            && let Some(head) = Head::at(connection, dependent)?
        {
            unblock(connection, tally, &head, now)?;
        }
    }
    Ok(())
}

/// Lets a blocked job run: from now on, or from its own time on where that is later. Others stay as they are.
pub(super) fn unblock(
    connection: &Connection,
    tally: &mut Tally,
    head: &Head,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if head.state != State::Blocked {
        return Ok(());
    }
    let trigger = if head.run_at > now { Trigger::UnblockedEarly } else { Trigger::Unblocked };
    let change = Transition { run_at: Some(head.run_at.max(now)), ..Transition::of(head, trigger) };
    apply(connection, tally, head, &change, now).map(drop)
}

/// A job waits no more.
pub(super) fn forget(connection: &Connection, dependent: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM waits WHERE dependent = ?1")?.execute([dependent]).map(drop)
}

/// A job is removed: whoever still waits for it is cancelled. Answers how many that were.
pub(super) fn orphan(
    connection: &Connection,
    tally: &mut Tally,
    dependency: &Head,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let dependents = dependents(connection, dependency.sequence)?;
    let reason = Reason::new(format!(
        "{}, which this job waited for, was removed and had not completed: it was {}",
        dependency.id, dependency.state
    ));
    for dependent in &dependents {
        if let Some(head) = Head::at(connection, *dependent)? {
            cancel(connection, tally, &head, &reason, now)?;
        }
    }
    Ok(dependents.len())
}

/// Cancels a job that is blocked; another stays as it is.
pub(super) fn cancel(
    connection: &Connection,
    tally: &mut Tally,
    head: &Head,
    reason: &Reason,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if head.state != State::Blocked {
        return Ok(());
    }
    let change = Transition::of(head, Trigger::CancelAsked).because(reason);
    apply(connection, tally, head, &change, now).map(drop)
}

fn dependents(connection: &Connection, dependency: i64) -> rusqlite::Result<Vec<i64>> {
    connection.prepare_cached(DEPENDENTS)?.query_map([dependency], |row| row.get(0))?.collect()
}
