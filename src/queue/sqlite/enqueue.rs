//! The door: checks, caps, duplicates, acceptance. Owns: which jobs come in. Must not know: who is served when.

use std::{collections::HashMap, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    row::{Place, job_id, key},
    tally::Tally,
    tenant::Tenants,
};
use crate::{
    domain::{JobId, KindName, NewJob, State, TenantId, Timestamp},
    queue::{Enqueued, Refusal},
};

/// The most that a job may weigh: virtual times stay far from overflowing.
const MOST_COST: u32 = 1_000_000;
/// When a full tenant may try again: a few jobs later, without a storm of retries.
const RETRY_AFTER: Duration = Duration::from_secs(5);

const INSERT: &str =
    "INSERT INTO jobs (id, tenant, kind, lane, state, priority, cost, attempt, max_attempts, epoch,
        created_at, run_at, cancel_asked, payload_version, payload_bytes, idempotency_key)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, ?9, ?10, 0, ?11, ?12, ?13) ON CONFLICT DO NOTHING";

/// Accepts a batch, job by job.
pub(super) fn enqueue(
    connection: &Connection,
    jobs: &[NewJob],
    now: Timestamp,
) -> rusqlite::Result<Vec<Result<Enqueued, Refusal>>> {
    let mut door = Door {
        connection,
        now,
        tenants: Tenants::new(connection),
        lanes: HashMap::new(),
        tally: Tally::default(),
    };
    let answers = jobs.iter().map(|job| door.admit(job)).collect::<rusqlite::Result<_>>()?;
    door.tally.apply(connection)?;
    Ok(answers)
}

struct Door<'c> {
    connection: &'c Connection,
    now: Timestamp,
    tenants: Tenants<'c>,
    lanes: HashMap<(TenantId, KindName), i64>,
    tally: Tally,
}

impl Door<'_> {
    fn admit(&mut self, job: &NewJob) -> rusqlite::Result<Result<Enqueued, Refusal>> {
        if let Some(problem) = problem(job) {
            return Ok(Err(Refusal::Invalid(problem)));
        }
        if let Some(refusal) = self.full(job)? {
            return Ok(self.known(job)?.map(Enqueued::Duplicate).ok_or(refusal));
        }
        let place = Place {
            lane: self.lane(&job.tenant, &job.kind)?,
            tenant: job.tenant.clone(),
            kind: job.kind.clone(),
            bytes: i64::try_from(job.payload.bytes.len()).unwrap_or(i64::MAX),
        };
        if !self.insert(job, &place)? {
            let stranger =
                || Refusal::Invalid(format!("the id {} can't be used: make a new one for this job", job.id));
            return Ok(self.known(job)?.map(Enqueued::Duplicate).ok_or_else(stranger));
        }
        let tenant = self.tenants.get(&job.tenant)?;
        tenant.waiting += 1;
        tenant.waiting_bytes += place.bytes.unsigned_abs();
        Ok(Ok(Enqueued::Accepted(job.id)))
    }

    /// Writes the job; `false` where its id or key is taken.
    fn insert(&mut self, job: &NewJob, place: &Place) -> rusqlite::Result<bool> {
        let run_at = job.run_at.unwrap_or(self.now);
        let state = if run_at > self.now { State::Scheduled } else { State::Waiting };
        let inserted = self.connection.prepare_cached(INSERT)?.execute(params![
            key(job.id),
            job.tenant.as_str(),
            job.kind.as_str(),
            place.lane,
            state.name(),
            job.priority.rank(),
            job.cost,
            job.max_attempts,
            self.now.as_micros(),
            run_at.as_micros(),
            job.payload.version,
            place.bytes,
            job.idempotency_key.as_ref().map(|key| key.as_str()),
        ])?;
        if inserted == 0 {
            return Ok(false);
        }
        let sequence = self.connection.last_insert_rowid();
        let sql = "INSERT INTO payloads (sequence, bytes) VALUES (?1, ?2)";
        self.connection.prepare_cached(sql)?.execute(params![sequence, &job.payload.bytes[..]])?;
        self.tally.moved(place, None, Some(state));
        Ok(true)
    }

    /// Why the tenant may not bring this job now.
    fn full(&mut self, job: &NewJob) -> rusqlite::Result<Option<Refusal>> {
        let tenant = self.tenants.get(&job.tenant)?;
        let bytes = tenant.waiting_bytes.saturating_add(job.payload.bytes.len() as u64);
        let (whose, retry_after) = (|| job.tenant.clone(), RETRY_AFTER);
        Ok(match (tenant.limits.max_waiting, tenant.limits.max_waiting_bytes) {
            (Some(limit), _) if tenant.waiting >= limit => {
                Some(Refusal::TooMany { tenant: whose(), limit, retry_after })
            }
            (_, Some(limit)) if bytes > limit => {
                Some(Refusal::TooLarge { tenant: whose(), limit, retry_after })
            }
            _ => None,
        })
    }

    /// The job of the tenant that has this id, or this key in this kind.
    fn known(&self, job: &NewJob) -> rusqlite::Result<Option<JobId>> {
        let sql = "SELECT id FROM jobs WHERE id = ?1 AND tenant = ?2";
        let parameters = params![key(job.id), job.tenant.as_str()];
        let mut by_id = self.connection.prepare_cached(sql)?;
        if let Some(id) = by_id.query_row(parameters, |row| job_id(row, 0)).optional()? {
            return Ok(Some(id));
        }
        let Some(name) = &job.idempotency_key else { return Ok(None) };
        let sql = "SELECT id FROM jobs WHERE idempotency_key = ?3
            AND lane = (SELECT lanes.id FROM lanes WHERE tenant = ?1 AND kind = ?2)";
        let parameters = params![job.tenant.as_str(), job.kind.as_str(), name.as_str()];
        self.connection.prepare_cached(sql)?.query_row(parameters, |row| job_id(row, 0)).optional()
    }

    /// The lane of a tenant and kind, made where it is new.
    fn lane(&mut self, tenant: &TenantId, kind: &KindName) -> rusqlite::Result<i64> {
        let names = (tenant.clone(), kind.clone());
        if let Some(lane) = self.lanes.get(&names) {
            return Ok(*lane);
        }
        let connection = self.connection;
        let sql = "SELECT id FROM lanes WHERE tenant = ?1 AND kind = ?2";
        let parameters = [tenant.as_str(), kind.as_str()];
        let found = connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0)).optional()?;
        let lane = match found {
            Some(lane) => lane,
            None => {
                for (sql, name) in [
                    (
                        "INSERT INTO tenants (name, lanes) VALUES (?1, 1)
                            ON CONFLICT DO UPDATE SET lanes = lanes + 1",
                        tenant.as_str(),
                    ),
                    (
                        "INSERT INTO kinds (name, lanes) VALUES (?1, 1)
                            ON CONFLICT DO UPDATE SET lanes = lanes + 1",
                        kind.as_str(),
                    ),
                ] {
                    connection.prepare_cached(sql)?.execute([name])?;
                }
                let sql = "INSERT INTO lanes (tenant, kind, tag) VALUES (?1, ?2, 0)";
                connection.prepare_cached(sql)?.execute(parameters)?;
                connection.last_insert_rowid()
            }
        };
        self.lanes.insert(names, lane);
        Ok(lane)
    }
}

/// What is wrong with a job, for its producer.
fn problem(job: &NewJob) -> Option<String> {
    let (most, bytes) = (NewJob::MOST_PAYLOAD_BYTES, job.payload.bytes.len());
    if bytes > most {
        Some(format!(
            "the payload has {bytes} bytes, {most} are allowed: put what is large into storage and name it here"
        ))
    } else if !(1..=MOST_COST).contains(&job.cost) {
        Some(format!("the cost is {}: it must be 1 to {MOST_COST}", job.cost))
    } else if job.max_attempts == 0 {
        Some("a job needs at least one attempt".to_owned())
    } else {
        None
    }
}
