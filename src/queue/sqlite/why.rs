//! Why a job does not run, and when it may. Owns: the order in which constraints are told. Must not know: how they are
//! obeyed.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    batch,
    row::{batch_id, job_id, key, parsed},
    tenant::Tenants,
};
use crate::{
    domain::{BatchId, JobId, KindName, LaneLimits, Rate, State, TenantId, Timestamp, TokenBucket},
    queue::{Constraint, Scope, Why},
};

pub(super) const AHEAD: &str = "SELECT (SELECT count(*) FROM jobs WHERE lane = ?1 AND state = 'waiting' AND priority < ?2)
        + (SELECT count(*) FROM jobs WHERE lane = ?1 AND state = 'waiting' AND priority = ?2 AND sequence < ?3)";

/// Where a job stands.
struct Place {
    sequence: i64,
    lane: i64,
    kind: KindName,
    priority: u8,
    state: State,
    run_at: Timestamp,
    follows: Option<BatchId>,
}

/// Answers for one job.
pub(super) fn why(
    connection: &Connection,
    tenant: &TenantId,
    id: JobId,
    now: Timestamp,
) -> rusqlite::Result<Option<Why>> {
    let sql = "SELECT sequence, lane, kind, priority, state, run_at, follows FROM jobs
        WHERE id = ?1 AND tenant = ?2";
    let read = |row: &Row<'_>| {
        Ok(Place {
            sequence: row.get(0)?,
            lane: row.get(1)?,
            kind: parsed(row, 2)?,
            priority: row.get(3)?,
            state: parsed(row, 4)?,
            run_at: Timestamp::from_micros(row.get(5)?),
            follows: batch_id(row, 6)?,
        })
    };
    let parameters = params![key(id), tenant.as_str()];
    let Some(place) = connection.prepare_cached(sql)?.query_row(parameters, read).optional()? else {
        return Ok(None);
    };
    let told = |constraint, estimate| Why { state: place.state, constraint, ahead: 0, estimate };
    let until = place.run_at;
    Ok(Some(match place.state {
        State::Running | State::Completed | State::Cancelled | State::Dead => told(Constraint::Nothing, None),
        State::Scheduled | State::Retrying | State::Blocked if until > now => {
            told(Constraint::Time { until }, Some(until))
        }
        State::Blocked => told(blocked_by(connection, tenant, &place)?, None),
        // The next claim moves what is due.
        State::Scheduled | State::Retrying | State::Waiting => in_lane(connection, tenant, &place, now)?,
    }))
}

fn blocked_by(connection: &Connection, tenant: &TenantId, place: &Place) -> rusqlite::Result<Constraint> {
    if let Some(id) = place.follows {
        let found = batch::find(connection, tenant, id)?;
        let left = found.map_or(0, |batch| u64::from(batch.size.saturating_sub(batch.ended())));
        return Ok(Constraint::Batch { batch: id, left });
    }
    let sql = "SELECT count(*) FROM waits WHERE dependent = ?1";
    let left = connection.prepare_cached(sql)?.query_row([place.sequence], |row| row.get(0))?;
    let sql = "SELECT id FROM jobs WHERE sequence = (SELECT min(dependency) FROM waits WHERE dependent = ?1)";
    let first =
        connection.prepare_cached(sql)?.query_row([place.sequence], |row| job_id(row, 0)).optional()?;
    Ok(Constraint::Jobs { first, left })
}

fn in_lane(
    connection: &Connection,
    tenant: &TenantId,
    place: &Place,
    now: Timestamp,
) -> rusqlite::Result<Why> {
    let parameters = params![place.lane, place.priority, place.sequence];
    let ahead: u64 = connection.prepare_cached(AHEAD)?.query_row(parameters, |row| row.get(0))?;
    let sql = "SELECT bucket, running, pace FROM lanes WHERE id = ?1";
    let read = |row: &Row<'_>| {
        let bucket = TokenBucket::from_stored(Timestamp::from_micros(row.get(0)?));
        Ok((bucket, row.get::<_, u64>(1)?, row.get::<_, Option<u64>>(2)?))
    };
    let (bucket, running, pace) = connection.prepare_cached(sql)?.query_row([place.lane], read)?;
    let mut tenants = Tenants::new(connection);
    let whole = tenants.get(tenant)?;
    let lane = whole.limits.kinds.get(&place.kind).copied().unwrap_or_default();
    let reached = |cap: Option<u32>, running: u64| cap.filter(|cap| running >= u64::from(*cap));

    let constraint = if let Some(scope) = paused(connection, tenant, &place.kind)? {
        Constraint::Paused { scope }
    } else if let Some(limit) = reached(whole.limits.max_running, whole.running) {
        Constraint::TenantRunning { limit }
    } else if let Some(limit) = reached(lane.max_running, running) {
        Constraint::LaneRunning { limit }
    } else if let Some(limit) = full_kind(connection, &place.kind)? {
        Constraint::KindRunning { limit }
    } else if let Some((_, until)) = next_token(lane, bucket, now) {
        Constraint::Rate { until }
    } else {
        Constraint::Turn
    };
    let steps = |each: u64, count: u64| Duration::from_micros(each.saturating_mul(count));
    let estimate = match (&constraint, next_token(lane, bucket, now)) {
        (Constraint::Rate { .. }, Some((rate, until))) => {
            Some(until.after(steps(rate.interval_micros().unsigned_abs(), ahead)))
        }
        (Constraint::Turn, _) => pace.map(|pace| now.after(steps(pace, ahead + 1))),
        _ => None,
    };
    Ok(Why { state: State::Waiting, constraint, ahead, estimate })
}

/// The lane's rate and when its next token comes, where it has none.
fn next_token(lane: LaneLimits, bucket: TokenBucket, now: Timestamp) -> Option<(Rate, Timestamp)> {
    let rate = lane.rate?;
    let until = bucket.clipped(rate, now).next_token_at(rate, now);
    (until > now).then_some((rate, until))
}

/// The widest pause that covers a lane.
fn paused(connection: &Connection, tenant: &TenantId, kind: &KindName) -> rusqlite::Result<Option<Scope>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pauses WHERE (scope, name) = ('everything', '')),
        EXISTS (SELECT 1 FROM pauses WHERE (scope, name) = ('tenant', ?1)),
        EXISTS (SELECT 1 FROM pauses WHERE (scope, name) = ('kind', ?2))";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let parameters = [tenant.as_str(), kind.as_str()];
    Ok(match connection.prepare_cached(sql)?.query_row(parameters, read)? {
        (true, _, _) => Some(Scope::Everything),
        (_, true, _) => Some(Scope::Tenant(tenant.clone())),
        (_, _, true) => Some(Scope::Kind(kind.clone())),
        (false, false, false) => None,
    })
}

/// The kind's cap, where it is reached.
fn full_kind(connection: &Connection, kind: &KindName) -> rusqlite::Result<Option<u32>> {
    let sql = "SELECT max_running FROM kinds WHERE name = ?1 AND running >= max_running";
    connection.prepare_cached(sql)?.query_row([kind.as_str()], |row| row.get(0)).optional()
}
