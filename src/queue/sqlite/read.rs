//! What people look at: single jobs, listings, counts; on a snapshot, never in the writer's way. Owns: the page order.
//! Must not know: transitions.

use rusqlite::{Connection, Row, params};

use super::{
    row::{find_job, job_id, key, parsed},
    serve::weight,
};
use crate::{
    domain::{Job, JobId, State, TenantId, Timestamp},
    queue::{Cursor, Filter, LaneStats, Page, QueueError, Stats},
};

/// The most that one page may hold.
const MOST_LISTED: usize = 1_000;
/// A page ends with the job that reaches so many bytes of payload and checkpoint: bounds what a reader has to hold.
pub(super) const MOST_BYTES: usize = 8 << 20;

pub(super) const NEWEST: &str =
    "SELECT id FROM jobs WHERE lane = ?1 AND state = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";

const COUNTS: &str = "scheduled, waiting, blocked, running, retrying, completed, cancelled, dead";

/// Looks jobs up, in order.
pub(super) fn inspect(
    connection: &Connection,
    tenant: &TenantId,
    jobs: &[JobId],
) -> rusqlite::Result<Vec<Option<Job>>> {
    jobs.iter().map(|id| find_job(connection, tenant, *id)).collect()
}

/// Where a listing goes on.
pub(super) fn position(after: Option<&Cursor>) -> Result<Option<JobId>, QueueError> {
    let invalid = |_| QueueError::Invalid("not a cursor of this listing: start it again".to_owned());
    after.map(|Cursor(text)| text.parse().map_err(invalid)).transpose()
}

/// Lists jobs by id, downwards. Each lane keeps its jobs by state and id, and knows how many there are, so a page
/// reads only ids that it may show.
pub(super) fn list(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
    after: Option<JobId>,
    most: usize,
) -> rusqlite::Result<Page<Job>> {
    let most = most.clamp(1, MOST_LISTED);
    // Above every id there is, where the listing begins.
    let below = after.map_or([0xff; 17].to_vec(), |id| key(id).to_vec());
    let sql = format!(
        "SELECT {COUNTS}, id FROM lanes WHERE tenant = ?1 AND kind = coalesce(?2, kind) AND jobs > 0"
    );
    let kind = filter.kind.as_ref().map(|kind| kind.as_str());
    let mut ids = Vec::new();
    let mut lanes = connection.prepare_cached(&sql)?;
    let mut lanes = lanes.query(params![tenant.as_str(), kind])?;
    while let Some(lane) = lanes.next()? {
        let wanted = counts(lane, 0)?.into_iter().map(|(state, _)| state);
        for state in wanted.filter(|state| filter.state.is_none_or(|only| only == *state)) {
            let mut newest = connection.prepare_cached(NEWEST)?;
            let parameters = params![lane.get::<_, i64>(State::ALL.len())?, state.name(), below, most + 1];
            for id in newest.query_map(parameters, |row| job_id(row, 0))? {
                ids.push(id?);
            }
        }
    }
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let (mut items, mut bytes) = (Vec::new(), 0);
    for (place, id) in ids.iter().enumerate() {
        if place == most || bytes >= MOST_BYTES {
            let next = items.last().map(|last: &Job| Cursor(last.id.to_string()));
            return Ok(Page { items, next });
        }
        let job = find_job(connection, tenant, *id)?;
        bytes += job.as_ref().map_or(0, weight);
        items.extend(job);
    }
    Ok(Page { items, next: None })
}

/// Counts by lane and state.
pub(super) fn stats(connection: &Connection, tenant: Option<&TenantId>) -> rusqlite::Result<Stats> {
    let whose = if tenant.is_some() { "tenant = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT {COUNTS}, tenant, kind,
            (SELECT min(run_at) FROM jobs WHERE lane = lanes.id AND state = 'waiting')
        FROM lanes WHERE {whose} AND jobs > 0 ORDER BY tenant, kind"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let lanes = statement.query_map([tenant.map(TenantId::as_str)], |row| {
        let names = State::ALL.len();
        Ok(LaneStats {
            tenant: parsed(row, names)?,
            kind: parsed(row, names + 1)?,
            jobs: counts(row, 0)?,
            oldest_waiting: row.get::<_, Option<i64>>(names + 2)?.map(Timestamp::from_micros),
        })
    })?;
    Ok(Stats { lanes: lanes.collect::<rusqlite::Result<_>>()? })
}

/// A lane's counts, from a column on; states without a job are left out.
fn counts(row: &Row<'_>, first: usize) -> rusqlite::Result<Vec<(State, u64)>> {
    let count = |(place, state)| Ok((state, row.get(first + place)?));
    let all = State::ALL.into_iter().enumerate().map(count).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|(_, count)| *count > 0).collect())
}
