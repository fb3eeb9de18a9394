//! What ties a new job to others: the jobs it waits for, its batch, its unique key. Owns: the checks of what it names,
//! and that they are written. Must not know: the caps.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    batch,
    row::{batch_key, job_id, key, packed, parsed},
    waits,
};
use crate::domain::{BatchId, JobId, NewJob, State};

pub(super) const LATEST: &str = "SELECT id, state FROM jobs WHERE unique_key = ?3 AND unique_latest = 1
    AND lane = (SELECT lanes.id FROM lanes WHERE tenant = ?1 AND kind = ?2)";

/// What a new job is tied to.
#[derive(Debug, Default)]
pub(super) struct Ties {
    /// The jobs that it names, each once.
    after: Vec<JobId>,
    /// Those of them, by their rows, that have not completed.
    pending: Vec<i64>,
    /// The batch whose callback it is.
    follows: Option<BatchId>,
}

impl Ties {
    /// Those of a job, or what is wrong with them.
    pub(super) fn of(
        connection: &Connection,
        job: &NewJob,
        follows: Option<BatchId>,
    ) -> rusqlite::Result<Result<Self, String>> {
        let mut ties = Self { after: job.dependencies(), pending: Vec::new(), follows };
        for id in &ties.after {
            let sql = "SELECT sequence, state FROM jobs WHERE id = ?1 AND tenant = ?2";
            let read = |row: &Row<'_>| Ok((row.get(0)?, parsed(row, 1)?));
            let parameters = params![key(*id), job.tenant.as_str()];
            match connection.prepare_cached(sql)?.query_row(parameters, read).optional()? {
                None => {
                    return Ok(Err(format!(
                        "{id} is not there, so {} can't wait for it: enqueue it first",
                        job.id
                    )));
                }
                Some((_, State::Completed)) => {}
                Some((sequence, _)) if waits::is_full(connection, sequence)? => {
                    return Ok(Err(format!(
                        "{} jobs wait for {id}, as many as may: use a batch and its callback",
                        NewJob::MOST_DEPENDENTS
                    )));
                }
                Some((sequence, _)) => ties.pending.push(sequence),
            }
        }
        if let Some(id) = job.batch {
            match batch::find(connection, &job.tenant, id)? {
                None => return Ok(Err(format!("{id} is not open: open it first"))),
                Some(batch) if batch.enqueued >= batch.size => {
                    return Ok(Err(format!("{id} is full: it was opened for {} jobs", batch.size)));
                }
                Some(_) => {}
            }
        }
        Ok(Ok(ties))
    }

    /// Whether the job has to wait for others.
    pub(super) fn block(&self) -> bool {
        !self.pending.is_empty() || self.follows.is_some()
    }

    /// Writes them down beside a job that has just been accepted.
    pub(super) fn save(
        &self,
        connection: &Connection,
        job: &NewJob,
        lane: i64,
        sequence: i64,
    ) -> rusqlite::Result<()> {
        if let Some(unique) = &job.unique {
            let sql = "UPDATE jobs SET unique_latest = NULL
                WHERE lane = ?1 AND unique_key = ?2 AND unique_latest = 1";
            connection.prepare_cached(sql)?.execute(params![lane, unique.key.as_str()])?;
        }
        let sql =
            "UPDATE jobs SET unique_key = ?2, unique_window = ?3, unique_latest = ?4, dependencies = ?5,
            batch = ?6, follows = ?7 WHERE sequence = ?1";
        connection.prepare_cached(sql)?.execute(params![
            sequence,
            job.unique.as_ref().map(|unique| unique.key.as_str()),
            job.unique.as_ref().map(|unique| unique.window.name()),
            job.unique.is_some().then_some(1),
            (!self.after.is_empty()).then(|| packed(&self.after)),
            job.batch.map(batch_key),
            self.follows.map(batch_key),
        ])?;
        for dependency in &self.pending {
            waits::add(connection, *dependency, sequence)?;
        }
        match job.batch {
            Some(id) => batch::enqueued(connection, &job.tenant, id),
            None => Ok(()),
        }
    }
}

/// Whether a job is tied to others at all.
pub(super) fn has_ties(job: &NewJob) -> bool {
    job.unique.is_some() || !job.after.is_empty() || job.batch.is_some()
}

/// The job in whose unique window a new one would come.
pub(super) fn rival(connection: &Connection, job: &NewJob) -> rusqlite::Result<Option<JobId>> {
    let Some(unique) = &job.unique else { return Ok(None) };
    let parameters = params![job.tenant.as_str(), job.kind.as_str(), unique.key.as_str()];
    let read = |row: &Row<'_>| Ok((job_id(row, 0)?, parsed(row, 1)?));
    let last = connection.prepare_cached(LATEST)?.query_row(parameters, read).optional()?;
    Ok(last.filter(|(_, state)| unique.window.covers(*state)).map(|(id, _)| id))
}

/// The batch whose callback a tenant's job is.
pub(super) fn follows(connection: &Connection, job: &NewJob) -> rusqlite::Result<Option<BatchId>> {
    let sql = "SELECT follows FROM jobs WHERE id = ?1 AND tenant = ?2";
    let parameters = params![key(job.id), job.tenant.as_str()];
    let read = |row: &Row<'_>| super::row::batch_id(row, 0);
    Ok(connection.prepare_cached(sql)?.query_row(parameters, read).optional()?.flatten())
}
