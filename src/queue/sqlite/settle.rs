//! Ends attempts. Owns: which trigger a verdict pulls, and what counts as a repeated settlement. Must not know: lanes.

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::{
    row::Head,
    tally::Tally,
    transition::{Transition, apply},
};
use crate::{
    domain::{Timestamp, Trigger, Verdict},
    queue::{Lease, QueueError, Settled, checks::output_json},
};

/// A verdict on its way into the store.
#[derive(Debug)]
pub(super) struct Settlement {
    lease: Lease,
    verdict: Verdict,
    /// JSON.
    output: Option<String>,
}

/// Writes outputs down, and refuses a call with one that is too large.
pub(super) fn prepare(settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settlement>, QueueError> {
    let prepared = settlements.into_iter().map(|(lease, verdict)| {
        let output = match &verdict {
            Verdict::Done(output) => Some(output_json(&lease, output)?),
            _ => None,
        };
        Ok(Settlement { lease, verdict, output })
    });
    prepared.collect()
}

/// Settles a batch, in order.
pub(super) fn settle(
    connection: &Connection,
    settlements: &[Settlement],
    now: Timestamp,
) -> rusqlite::Result<Vec<Settled>> {
    let mut tally = Tally::default();
    let answers = settlements
        .iter()
        .map(|settlement| settle_one(connection, &mut tally, settlement, now))
        .collect::<rusqlite::Result<_>>()?;
    tally.apply(connection)?;
    Ok(answers)
}

fn settle_one(
    connection: &Connection,
    tally: &mut Tally,
    settlement: &Settlement,
    now: Timestamp,
) -> rusqlite::Result<Settled> {
    let Settlement { lease, verdict, output } = settlement;
    let Some(head) = Head::find(connection, &lease.tenant, lease.job)? else { return Ok(Settled::LeaseLost) };
    let fingerprint = fingerprint(verdict, output.as_deref());
    if !head.is_leased(lease.epoch, now) {
        return Ok(match head.settled {
            Some((epoch, verdict, state)) if (epoch, verdict) == (lease.epoch, fingerprint) => {
                Settled::Now(state)
            }
            _ => Settled::LeaseLost,
        });
    }
    let change =
        Transition { output: output.as_deref(), settled: Some(fingerprint), ..judge(&head, verdict) };
    apply(connection, tally, &head, &change, now).map(Settled::Now)
}

/// What a verdict does to a job whose lease holds.
fn judge<'v>(head: &Head, verdict: &'v Verdict) -> Transition<'v> {
    let on = |trigger| Transition::of(head, trigger);
    match verdict {
        Verdict::Done(_) => on(Trigger::Done),
        Verdict::Cancelled => on(Trigger::Cancelled),
        Verdict::Dead(reason) => on(Trigger::Dead).because(reason),
        Verdict::Retry { reason, .. } if head.cancel_asked => on(Trigger::Cancelled).because(reason),
        Verdict::Retry { reason, .. } if head.attempt >= head.max_attempts => {
            on(Trigger::Dead).because(reason)
        }
        Verdict::Retry { at, reason } => {
            Transition { run_at: Some(*at), ..on(Trigger::Retry).because(reason) }
        }
        Verdict::Snooze { .. } if head.cancel_asked => on(Trigger::Cancelled),
        Verdict::Snooze { until } => Transition {
            run_at: Some(*until),
            attempt: head.attempt.saturating_sub(1),
            ..on(Trigger::Snooze)
        },
    }
}

/// Tells a repeated settlement from another one for the same lease.
fn fingerprint(verdict: &Verdict, output: Option<&str>) -> i64 {
    let (name, at, text) = match verdict {
        Verdict::Done(_) => ("done", None, output.unwrap_or_default()),
        Verdict::Retry { at, reason } => ("retry", Some(*at), reason.as_str()),
        Verdict::Snooze { until } => ("snooze", Some(*until), ""),
        Verdict::Cancelled => ("cancelled", None, ""),
        Verdict::Dead(reason) => ("dead", None, reason.as_str()),
    };
    let at = at.map_or(0, Timestamp::as_micros);
    let digest =
        Sha256::new().chain_update(name).chain_update(at.to_be_bytes()).chain_update(text).finalize();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | i64::from(*byte))
}
