//! The queue without a worker: what a benchmark claims and settles itself. Must not know: what is measured.

use std::time::Duration;

use presswork::{
    cli::CliError,
    domain::{Output, TenantId, Verdict, WorkerId},
    queue::{Ask, Claim, Settled},
    worker::Kind as _,
};

use super::{
    noop::{Noop, noops},
    place::Place,
};

/// How many jobs are made and enqueued at a time, so that a million of them need not be in memory.
const PIECE: usize = 50_000;

/// Enqueues so many no-op jobs, of the tenants in turn.
pub(super) async fn fill(place: &Place, owners: &[TenantId], jobs: usize) -> Result<(), CliError> {
    for begun in (0..jobs).step_by(PIECE) {
        let piece = noops(&place.engine, owners, begun, PIECE.min(jobs - begun))?;
        place.enqueue(&piece, 500).await?;
    }
    Ok(())
}

/// Claims at most so many.
pub(super) async fn claim(place: &Place, most: usize) -> Result<Vec<Claim>, CliError> {
    let ask = Ask { kinds: vec![Noop::NAME], most, lease: Duration::from_secs(600) };
    Ok(place.engine.queue.claim(&WorkerId::new("bench"), &ask).await?)
}

/// Settles them as completed.
pub(super) async fn settle(place: &Place, claims: Vec<Claim>) -> Result<(), CliError> {
    if claims.is_empty() {
        return Ok(());
    }
    let done = |claim: Claim| (claim.lease, Verdict::Done(Output::default()));
    let settled = place.engine.queue.settle(claims.into_iter().map(done).collect()).await?;
    if settled.contains(&Settled::LeaseLost) {
        return Err(CliError::unavailable("a lease was lost while nobody else was there"));
    }
    Ok(())
}
