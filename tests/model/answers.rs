//! The model's answers in the words of the queue's seam.

use std::time::Duration;

use presswork::{
    domain::{
        JobId, NewJob, State, TenantId, Timestamp, Verdict,
        model::{Door, Model},
    },
    queue::{CancelOutcome, Enqueued, Lease, Refusal, Renewal, RequeueOutcome, Scope, Settled, Standing},
};

pub(crate) fn door(model: &mut Model, job: NewJob, now: Timestamp) -> Result<Enqueued, Refusal> {
    let (id, tenant) = (job.id, job.tenant.clone());
    let limits = model.tenant_limits(&tenant);
    let retry_after = Duration::from_secs(5);
    match model.enqueue(job, now) {
        Door::Accepted => Ok(Enqueued::Accepted(id)),
        Door::Duplicate(known) => Ok(Enqueued::Duplicate(known)),
        Door::TooMany => {
            Err(Refusal::TooMany { tenant, limit: limits.max_waiting.unwrap_or_default(), retry_after })
        }
        Door::TooLarge => {
            let limit = limits.max_waiting_bytes.unwrap_or_default();
            Err(Refusal::TooLarge { tenant, limit, retry_after })
        }
        Door::Invalid => Err(Refusal::Invalid("cost, attempts and payload are bounded".to_owned())),
    }
}

pub(crate) fn standing(model: &mut Model, renewal: Renewal, now: Timestamp) -> Standing {
    let Lease { tenant, job, epoch } = &renewal.lease;
    model
        .renew((tenant, *job, *epoch), now.after(renewal.lease_for), renewal.checkpoint, now)
        .map_or(Standing::Lost, |(until, cancel_asked)| Standing::Held { until, cancel_asked })
}

pub(crate) fn settled(model: &mut Model, lease: &Lease, verdict: &Verdict, now: Timestamp) -> Settled {
    model
        .settle((&lease.tenant, lease.job, lease.epoch), verdict, now)
        .map_or(Settled::LeaseLost, Settled::Now)
}

pub(crate) fn cancelled(model: &mut Model, tenant: &TenantId, id: JobId, now: Timestamp) -> CancelOutcome {
    match model.cancel(tenant, id, now) {
        None => CancelOutcome::Unknown,
        Some(Ok(State::Running)) => CancelOutcome::Asked,
        Some(Ok(_)) => CancelOutcome::Cancelled,
        Some(Err(ended)) => CancelOutcome::Ended(ended),
    }
}

pub(crate) fn requeued(model: &mut Model, tenant: &TenantId, id: JobId, now: Timestamp) -> RequeueOutcome {
    match model.requeue(tenant, id, now) {
        None => RequeueOutcome::Unknown,
        Some(Ok(())) => RequeueOutcome::Requeued,
        Some(Err(state)) => RequeueOutcome::NotEnded(state),
    }
}

pub(crate) fn set_paused(model: &mut Model, scope: &Scope, paused: bool) {
    let pauses = &mut model.pauses;
    match scope {
        Scope::Everything => pauses.everything = paused,
        Scope::Tenant(tenant) if paused => drop(pauses.tenants.insert(tenant.clone())),
        Scope::Tenant(tenant) => drop(pauses.tenants.remove(tenant)),
        Scope::Kind(kind) if paused => drop(pauses.kinds.insert(kind.clone())),
        Scope::Kind(kind) => drop(pauses.kinds.remove(kind)),
    }
}

pub(crate) fn paused(model: &Model) -> Vec<Scope> {
    let pauses = &model.pauses;
    let everything = pauses.everything.then_some(Scope::Everything);
    let tenants = pauses.tenants.iter().cloned().map(Scope::Tenant);
    let kinds = pauses.kinds.iter().cloned().map(Scope::Kind);
    everything.into_iter().chain(tenants).chain(kinds).collect()
}
