//! The one way in which a job leaves a state other than by being claimed or falling due: row, counts and event at
//! once, and what hangs on it: its batch, the jobs that wait for it. Owns: the statement. Must not know: which trigger
//! is right.

use rusqlite::{Connection, params};

use super::{batch, row::Head, tally::Tally, waits};
use crate::{
    domain::{EventBody, Reason, State, Timestamp, Trigger},
    progress::sqlite as progress,
};

/// How a job's row changes; what is `None` stays.
#[derive(Debug)]
pub(super) struct Transition<'a> {
    pub(super) trigger: Trigger,
    pub(super) attempt: u32,
    pub(super) cancel_asked: bool,
    pub(super) run_at: Option<Timestamp>,
    pub(super) reason: Option<&'a Reason>,
    /// JSON.
    pub(super) output: Option<&'a str>,
    /// Fingerprint of the verdict, where it is a settlement.
    pub(super) settled: Option<i64>,
}

impl<'a> Transition<'a> {
    /// `trigger` and nothing else.
    pub(super) fn of(head: &Head, trigger: Trigger) -> Self {
        Self {
            trigger,
            attempt: head.attempt,
            cancel_asked: head.cancel_asked,
            run_at: None,
            reason: None,
            output: None,
            settled: None,
        }
    }

    /// The same, for this reason.
    pub(super) fn because(self, reason: &'a Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// The state that the table of transitions names.
pub(super) fn next_state(from: State, trigger: Trigger) -> rusqlite::Result<State> {
    from.on(trigger).ok_or_else(|| {
        rusqlite::Error::ToSqlConversionFailure(format!("no transition from {from} on {trigger:?}").into())
    })
}

const MOVE: &str = "UPDATE jobs SET state = ?2, attempt = ?3, cancel_asked = ?4, run_at = coalesce(?5, run_at),
        reason = coalesce(?6, reason), output = coalesce(?7, output), finished_at = ?8,
        settled_epoch = iif(?9 IS NULL, settled_epoch, epoch), settled_verdict = coalesce(?9, settled_verdict),
        settled_state = iif(?9 IS NULL, settled_state, ?2), worker = NULL, lease_until = NULL
    WHERE sequence = ?1";

/// Applies a transition and answers the new state.
pub(super) fn apply(
    connection: &Connection,
    tally: &mut Tally,
    head: &Head,
    change: &Transition<'_>,
    now: Timestamp,
) -> rusqlite::Result<State> {
    let to = next_state(head.state, change.trigger)?;
    connection.prepare_cached(MOVE)?.execute(params![
        head.sequence,
        to.name(),
        change.attempt,
        change.cancel_asked,
        change.run_at.map(Timestamp::as_micros),
        change.reason.map(Reason::as_str),
        change.output,
        to.is_final().then_some(now.as_micros()),
        change.settled,
    ])?;
    tally.moved(&head.place, Some(head.state), Some(to));
    // A snoozed attempt is taken off again, but the event tells of it.
    let attempt = if head.state == State::Running { head.attempt } else { change.attempt };
    let body = EventBody::State { state: to, attempt, reason: change.reason.cloned() };
    progress::append(connection, head.id, now, &body)?;
    if let Some(batch) = head.batch.filter(|_| head.state.is_final() || to.is_final()) {
        batch::count(connection, tally, (&head.place.tenant, batch), (head.state, to), now)?;
    }
    match (head.state, to) {
        (_, State::Completed) => waits::release(connection, tally, head.sequence, now)?,
        (State::Blocked, _) => waits::forget(connection, head.sequence)?,
        _ => {}
    }
    Ok(to)
}
