//! What the model shows: listings and counts, and which differences between it and an engine are none.

use std::{cmp::Reverse, collections::BTreeMap};

use presswork::{
    domain::{Job, JobId, KindName, State, TenantId, Timestamp, model::Model},
    queue::{Cursor, Filter, LaneStats, Page, Stats},
};

use super::chance::CALLBACK;

pub(crate) fn list(
    model: &Model,
    tenant: &TenantId,
    filter: &Filter,
    after: Option<&Cursor>,
    most: usize,
) -> Page<Job> {
    let place = |job: &Job| (Reverse(job.created_at), job.id);
    let wanted = |job: &&Job| {
        job.tenant == *tenant
            && filter.state.is_none_or(|state| job.state == state)
            && filter.kind.as_ref().is_none_or(|kind| job.kind == *kind)
    };
    let mut jobs: Vec<&Job> = model.jobs().filter(wanted).collect();
    jobs.sort_by_key(|job| place(job));
    if let Some(Cursor(text)) = after {
        let (micros, id) = text.split_once('/').unwrap();
        let created_at = Timestamp::from_micros(micros.parse().unwrap());
        let behind = (Reverse(created_at), id.parse::<JobId>().unwrap());
        jobs.retain(|job| place(job) > behind);
    }
    let more = jobs.len() > most;
    jobs.truncate(most);
    let cursor = |job: &&Job| Cursor(format!("{}/{}", job.created_at.as_micros(), job.id));
    let next = jobs.last().filter(|_| more).map(cursor);
    Page { items: jobs.into_iter().cloned().collect(), next }
}

pub(crate) fn stats(model: &Model, tenant: Option<&TenantId>) -> Stats {
    let mut lanes: BTreeMap<(&TenantId, &KindName), Vec<&Job>> = BTreeMap::new();
    for job in model.jobs().filter(|job| tenant.is_none_or(|tenant| job.tenant == *tenant)) {
        lanes.entry((&job.tenant, &job.kind)).or_default().push(job);
    }
    let lane = |((tenant, kind), jobs): ((&TenantId, &KindName), Vec<&Job>)| {
        let count = |state| jobs.iter().filter(|job| job.state == state).count() as u64;
        LaneStats {
            tenant: tenant.clone(),
            kind: kind.clone(),
            jobs: State::ALL.map(|state| (state, count(state))).into_iter().filter(|(_, n)| *n > 0).collect(),
            oldest_waiting: jobs.iter().filter(|job| job.state == State::Waiting).map(|job| job.run_at).min(),
        }
    };
    Stats { lanes: lanes.into_iter().map(lane).collect() }
}

/// A job without what an engine is free to show in its own way: a delay that is over may still be shown as one
/// until a claim moves it, the instant and the words of an end by lapse are the engine's own, and what a job has
/// no more use for may be kept or dropped. So is the instant at which an end by lapse has let a callback go.
pub(crate) fn essence(mut job: Job, now: Timestamp) -> Job {
    if matches!(job.state, State::Scheduled | State::Retrying) && job.run_at <= now {
        job.state = State::Waiting;
    }
    let has_a_time = matches!(job.state, State::Scheduled | State::Retrying);
    if job.payload.version == CALLBACK && !has_a_time {
        job.run_at = Timestamp::EPOCH;
    }
    job.cancel_asked &= job.state == State::Running;
    job.reason = job.reason.filter(|_| job.state == State::Retrying);
    job.checkpoint = job.checkpoint.filter(|_| job.state != State::Completed);
    job.finished_at = job.finished_at.map(|_| Timestamp::EPOCH);
    job
}
