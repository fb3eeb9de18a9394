//! The model's answers in the words of the queue's seam.

use std::time::Duration;

use presswork::{
    domain::{
        JobId, NewBatch, NewJob, State, TenantId, Timestamp, Verdict,
        model::{Door, Hindrance, Hold, Model},
    },
    queue::{
        CancelOutcome, Constraint, Enqueued, Lease, Opened, Refusal, Renewal, RequeueOutcome, Scope, Settled,
        Standing, Why,
    },
};

pub(crate) fn door(model: &mut Model, job: NewJob, now: Timestamp) -> Result<Enqueued, Refusal> {
    let (id, tenant) = (job.id, job.tenant.clone());
    let named: Vec<String> = job.after.iter().map(ToString::to_string).collect();
    match model.enqueue(job, now) {
        Door::Invalid => Err(Refusal::Invalid(format!(
            "out of bounds, or naming what is not there ({}), or what is full, where a batch has more room",
            named.join(", ")
        ))),
        Door::Accepted => Ok(Enqueued::Accepted(id)),
        Door::Duplicate(known) => Ok(Enqueued::Duplicate(known)),
        refused => Err(refusal(model, &tenant, refused)),
    }
}

pub(crate) fn opened(model: &mut Model, batch: NewBatch, now: Timestamp) -> Result<Opened, Refusal> {
    let tenant = batch.tenant.clone();
    match model.open_batch(batch, now) {
        Ok(true) => Ok(Opened::Now),
        Ok(false) => Ok(Opened::Before),
        Err(door) => Err(refusal(model, &tenant, door)),
    }
}

fn refusal(model: &Model, tenant: &TenantId, door: Door) -> Refusal {
    let (tenant, limits) = (tenant.clone(), model.tenant_limits(tenant));
    let retry_after = Duration::from_secs(5);
    match door {
        Door::TooMany => {
            Refusal::TooMany { tenant, limit: limits.max_waiting.unwrap_or_default(), retry_after }
        }
        Door::TooLarge => {
            let limit = limits.max_waiting_bytes.unwrap_or_default();
            Refusal::TooLarge { tenant, limit, retry_after }
        }
        _ => Refusal::Invalid("it is out of bounds, or names what is not there".to_owned()),
    }
}

/// Why a job does not run, as the model says it: with its own figure for what goes ahead, the least.
pub(crate) fn why(model: &mut Model, tenant: &TenantId, id: JobId, now: Timestamp) -> Option<Why> {
    let kind = model.job(tenant, id)?.kind.clone();
    let why = model.why(tenant, id, now)?;
    let limits = model.tenant_limits(tenant);
    let lane = limits.kinds.get(&kind).copied().unwrap_or_default();
    let constraint = match why.hold {
        Hold::Nothing => Constraint::Nothing,
        Hold::Time(until) => Constraint::Time { until },
        Hold::Jobs(pending) => {
            Constraint::Jobs { first: pending.first().copied(), left: pending.len() as u64 }
        }
        Hold::Batch(batch, left) => Constraint::Batch { batch, left },
        Hold::Rate(until) => Constraint::Rate { until },
        Hold::Lane(Hindrance::Paused) => {
            let widest = [Scope::Everything, Scope::Tenant(tenant.clone()), Scope::Kind(kind)];
            let paused = paused(model);
            let scope = widest.into_iter().find(|scope| paused.contains(scope)).unwrap();
            Constraint::Paused { scope }
        }
        Hold::Lane(Hindrance::TenantCap) => Constraint::TenantRunning { limit: limits.max_running.unwrap() },
        Hold::Lane(Hindrance::LaneCap) => Constraint::LaneRunning { limit: lane.max_running.unwrap() },
        Hold::Lane(Hindrance::KindCap) => {
            Constraint::KindRunning { limit: model.kind_limits(&kind).max_running.unwrap() }
        }
        Hold::Lane(other) => panic!("{other:?} is no answer for a job that waits"),
        Hold::Turn => Constraint::Turn,
    };
    Some(Why { state: why.state, constraint, ahead: why.ahead.0, estimate: why.estimate })
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
