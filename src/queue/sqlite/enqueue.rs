//! The door: checks, caps, duplicates, acceptance. Owns: which jobs and batches come in. Must not know: who is served when.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    batch,
    row::{Place, job_id, key},
    tally::Tally,
    tenant::Tenants,
    ties::{self, Ties},
};
use crate::{
    domain::{BatchId, JobId, KindName, NewBatch, NewJob, State, TenantId, Timestamp},
    queue::{
        Enqueued, Opened, Refusal,
        checks::{RETRY_AFTER, batch_problem, job_problem},
    },
};

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
    let mut door = Door::new(connection, now);
    let answers = jobs.iter().map(|job| door.admit(job, None)).collect::<rusqlite::Result<_>>()?;
    door.tally.apply(connection)?;
    Ok(answers)
}

/// Opens a batch and accepts its callback, or neither.
pub(super) fn open_batch(
    connection: &Connection,
    new: &NewBatch,
    now: Timestamp,
) -> rusqlite::Result<Result<Opened, Refusal>> {
    if let Some(problem) = batch_problem(new) {
        return Ok(Err(Refusal::Invalid(problem)));
    }
    if batch::find(connection, &new.tenant, new.id)?.is_some() {
        return Ok(Ok(Opened::Before));
    }
    if let Some(callback) = &new.callback {
        let mut door = Door::new(connection, now);
        match door.admit(callback, Some(new.id))? {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Enqueued::Accepted(_)) => door.tally.apply(connection)?,
            Ok(Enqueued::Duplicate(known)) => {
                let is_its_own = ties::follows(connection, callback)? == Some(new.id);
                let another = Refusal::Invalid(format!(
                    "the callback stands for {known}, which is there already and does not follow this batch"
                ));
                return Ok(if is_its_own { Ok(Opened::Before) } else { Err(another) });
            }
        }
    }
    batch::insert(connection, new, now)?;
    Ok(Ok(Opened::Now))
}

struct Door<'c> {
    connection: &'c Connection,
    now: Timestamp,
    tenants: Tenants<'c>,
    lanes: HashMap<(TenantId, KindName), i64>,
    tally: Tally,
}

impl<'c> Door<'c> {
    fn new(connection: &'c Connection, now: Timestamp) -> Self {
        let (tenants, tally) = (Tenants::new(connection), Tally::default());
        Self { connection, now, tenants, lanes: HashMap::new(), tally }
    }

    /// Judges a job by itself first, then asks whether it is there already, then what it names, and last the caps.
    fn admit(
        &mut self,
        job: &NewJob,
        follows: Option<BatchId>,
    ) -> rusqlite::Result<Result<Enqueued, Refusal>> {
        if let Some(problem) = job_problem(job) {
            return Ok(Err(Refusal::Invalid(problem)));
        }
        let mut ties = None;
        if follows.is_some() || ties::has_ties(job) {
            if let Some(known) = self.known(job)? {
                return Ok(Ok(Enqueued::Duplicate(known)));
            }
            match Ties::of(self.connection, job, follows)? {
                Ok(found) => ties = Some(found),
                Err(problem) => return Ok(Err(Refusal::Invalid(problem))),
            }
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
        if !self.insert(job, &place, ties.as_ref())? {
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
    fn insert(&mut self, job: &NewJob, place: &Place, ties: Option<&Ties>) -> rusqlite::Result<bool> {
        let run_at = job.run_at.unwrap_or(self.now);
        let state = match ties {
            Some(ties) if ties.block() => State::Blocked,
            _ if run_at > self.now => State::Scheduled,
            _ => State::Waiting,
        };
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
        if let Some(ties) = ties {
            ties.save(self.connection, job, place.lane, sequence)?;
        }
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

    /// The job of the tenant that has this id, or this key in this kind, or that takes the unique window.
    fn known(&self, job: &NewJob) -> rusqlite::Result<Option<JobId>> {
        let sql = "SELECT id FROM jobs WHERE id = ?1 AND tenant = ?2";
        let parameters = params![key(job.id), job.tenant.as_str()];
        let mut by_id = self.connection.prepare_cached(sql)?;
        if let Some(id) = by_id.query_row(parameters, |row| job_id(row, 0)).optional()? {
            return Ok(Some(id));
        }
        let Some(name) = &job.idempotency_key else { return ties::rival(self.connection, job) };
        let sql = "SELECT id FROM jobs WHERE idempotency_key = ?3
            AND lane = (SELECT lanes.id FROM lanes WHERE tenant = ?1 AND kind = ?2)";
        let parameters = params![job.tenant.as_str(), job.kind.as_str(), name.as_str()];
        let mut by_key = self.connection.prepare_cached(sql)?;
        match by_key.query_row(parameters, |row| job_id(row, 0)).optional()? {
            None => ties::rival(self.connection, job),
            known => Ok(known),
        }
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
