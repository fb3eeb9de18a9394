//! What people ask of single jobs: cancel, requeue. Owns: their answers. Must not know: leases.

use rusqlite::Connection;

use super::{
    row::Head,
    tally::Tally,
    transition::{Transition, apply},
};
use crate::{
    domain::{JobId, State, TenantId, Timestamp, Trigger},
    queue::{CancelOutcome, RequeueOutcome},
};

/// Cancels a batch, in order.
pub(super) fn cancel(
    connection: &Connection,
    tenant: &TenantId,
    jobs: &[JobId],
    now: Timestamp,
) -> rusqlite::Result<Vec<CancelOutcome>> {
    each(connection, tenant, jobs, CancelOutcome::Unknown, |tally, head| {
        match head.state.on(Trigger::CancelAsked) {
            None => Ok(CancelOutcome::Ended(head.state)),
            Some(State::Running) => {
                let sql = "UPDATE jobs SET cancel_asked = 1 WHERE sequence = ?1";
                connection.prepare_cached(sql)?.execute([head.sequence])?;
                Ok(CancelOutcome::Asked)
            }
            Some(_) => {
                let change = Transition::of(head, Trigger::CancelAsked);
                apply(connection, tally, head, &change, now)?;
                Ok(CancelOutcome::Cancelled)
            }
        }
    })
}

/// Requeues a batch, in order.
pub(super) fn requeue(
    connection: &Connection,
    tenant: &TenantId,
    jobs: &[JobId],
    now: Timestamp,
) -> rusqlite::Result<Vec<RequeueOutcome>> {
    each(connection, tenant, jobs, RequeueOutcome::Unknown, |tally, head| {
        if head.state.on(Trigger::Requeued).is_none() {
            return Ok(RequeueOutcome::NotEnded(head.state));
        }
        let anew = Transition::of(head, Trigger::Requeued);
        let change = Transition { attempt: 0, cancel_asked: false, run_at: Some(now), ..anew };
        apply(connection, tally, head, &change, now)?;
        Ok(RequeueOutcome::Requeued)
    })
}

fn each<A: Copy>(
    connection: &Connection,
    tenant: &TenantId,
    jobs: &[JobId],
    unknown: A,
    mut ask: impl FnMut(&mut Tally, &Head) -> rusqlite::Result<A>,
) -> rusqlite::Result<Vec<A>> {
    let mut tally = Tally::default();
    let mut answer = |id: &JobId| match Head::find(connection, tenant, *id)? {
        Some(head) => ask(&mut tally, &head),
        None => Ok(unknown),
    };
    let answers = jobs.iter().map(&mut answer).collect::<rusqlite::Result<_>>()?;
    tally.apply(connection)?;
    Ok(answers)
}
