//! Rows of `jobs` and the values they hold. Owns: how a job is read. Must not know: what becomes of it.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params, types::Type};

use crate::domain::{
    BatchId, Checkpoint, Job, JobId, KindName, Output, Payload, Priority, Reason, State, TenantId, Timestamp,
    Unique, WorkerId, id::IdempotencyKeyError,
};

/// `SELECT` of whole jobs, as [`read_job`] reads them, with what follows `FROM`.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT jobs.id, jobs.tenant, jobs.kind, payload_version, payloads.bytes, priority, cost, state,
                attempt, max_attempts, epoch, created_at, run_at, started_at, finished_at, cancel_asked, worker,
                lease_until, checkpoints.bytes, output, reason, idempotency_key, unique_key,
                unique_window, dependencies, batch, jobs.sequence
            FROM jobs JOIN payloads USING (sequence) LEFT JOIN checkpoints USING (sequence) ",
            $rest
        )
    };
}
pub(super) use select_jobs;

/// The column of [`select_jobs`] that holds the job's sequence.
pub(super) const SEQUENCE: usize = 26;

/// A job's id as it is stored.
pub(super) fn key(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// A value of a column that can't be read.
pub(super) fn unreadable(
    column: usize,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}

/// A column's text as a value of the domain.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| unreadable(column, error))
}

/// The id in a column.
pub(super) fn job_id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    Ok(JobId::from_u128(u128::from_be_bytes(row.get(column)?)))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

/// The job in a row of [`select_jobs`].
pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let rank: u8 = row.get(5)?;
    let priority = Priority::ALL.into_iter().find(|priority| priority.rank() == rank);
    let output = row.get_ref(19)?.as_str_or_null()?;
    let output: Option<Output> =
        output.map(serde_json::from_str).transpose().map_err(|error| unreadable(19, error))?;
    let key = row.get_ref(21)?.as_str_or_null()?;
    Ok(Job {
        id: job_id(row, 0)?,
        tenant: parsed(row, 1)?,
        kind: parsed(row, 2)?,
        payload: Payload { version: row.get(3)?, bytes: Bytes::from(row.get::<_, Vec<u8>>(4)?) },
        priority: priority.ok_or_else(|| unreadable(5, "no such priority"))?,
        cost: row.get(6)?,
        state: parsed(row, 7)?,
        attempt: row.get(8)?,
        max_attempts: row.get(9)?,
        epoch: row.get(10)?,
        created_at: Timestamp::from_micros(row.get(11)?),
        run_at: Timestamp::from_micros(row.get(12)?),
        started_at: time(row, 13)?,
        finished_at: time(row, 14)?,
        cancel_asked: row.get(15)?,
        worker: row.get_ref(16)?.as_str_or_null()?.map(WorkerId::new),
        lease_until: time(row, 17)?,
        checkpoint: row.get::<_, Option<Vec<u8>>>(18)?.map(|bytes| Checkpoint(Bytes::from(bytes))),
        output,
        reason: row.get_ref(20)?.as_str_or_null()?.map(Reason::new),
        idempotency_key: key.map(str::parse).transpose().map_err(|error| unreadable(21, error))?,
        unique: unique(row)?,
        after: row.get::<_, Option<Vec<u8>>>(24)?.map_or_else(Vec::new, |bytes| unpacked(&bytes)),
        batch: batch_id(row, 25)?,
    })
}

fn unique(row: &Row<'_>) -> rusqlite::Result<Option<Unique>> {
    let Some(key) = row.get_ref(22)?.as_str_or_null()? else { return Ok(None) };
    let key = key.parse().map_err(|error: IdempotencyKeyError| unreadable(22, error))?;
    Ok(Some(Unique { key, window: parsed(row, 23)? }))
}

/// Ids in one value.
pub(super) fn packed(ids: &[JobId]) -> Vec<u8> {
    ids.iter().flat_map(|id| key(*id)).collect()
}

fn unpacked(bytes: &[u8]) -> Vec<JobId> {
    let id = |bytes: &[u8]| bytes.iter().fold(0, |bits, byte| (bits << 8) | u128::from(*byte));
    bytes.chunks_exact(16).map(|bytes| JobId::from_u128(id(bytes))).collect()
}

/// A batch's id as it is stored.
pub(super) fn batch_key(id: BatchId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// The batch's id in a column, where there is one.
pub(super) fn batch_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<BatchId>> {
    let bytes: Option<[u8; 16]> = row.get(column)?;
    Ok(bytes.map(|bytes| BatchId::from_u128(u128::from_be_bytes(bytes))))
}

/// A tenant's job.
pub(super) fn find_job(
    connection: &Connection,
    tenant: &TenantId,
    id: JobId,
) -> rusqlite::Result<Option<Job>> {
    let sql = select_jobs!("WHERE id = ?1 AND tenant = ?2");
    connection.prepare_cached(sql)?.query_row(params![key(id), tenant.as_str()], read_job).optional()
}

/// Where a job counts.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) lane: i64,
    pub(super) tenant: TenantId,
    pub(super) kind: KindName,
    /// Bytes of its payload.
    pub(super) bytes: i64,
}

/// What a transition has to know of a job.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) sequence: i64,
    pub(super) id: JobId,
    pub(super) place: Place,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) epoch: u64,
    pub(super) run_at: Timestamp,
    pub(super) cancel_asked: bool,
    /// The batch that it belongs to.
    pub(super) batch: Option<BatchId>,
    pub(super) lease_until: Option<Timestamp>,
    /// The last settlement that was applied: the lease's epoch, the verdict's fingerprint, the answer.
    pub(super) settled: Option<(u64, i64, State)>,
}

/// `SELECT` of heads, as [`Head::read`] reads them, with what follows `FROM jobs`.
macro_rules! select_heads {
    ($rest:literal) => {
        concat!(
            "SELECT sequence, id, lane, tenant, kind, payload_bytes, state, attempt, max_attempts, epoch,
                cancel_asked, lease_until, settled_epoch, settled_verdict, settled_state, run_at, batch FROM jobs ",
            $rest
        )
    };
}
pub(super) use select_heads;

impl Head {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let settled = match row.get::<_, Option<u64>>(12)? {
            Some(epoch) => Some((epoch, row.get(13)?, parsed(row, 14)?)),
            None => None,
        };
        Ok(Self {
            sequence: row.get(0)?,
            id: job_id(row, 1)?,
            place: Place {
                lane: row.get(2)?,
                tenant: parsed(row, 3)?,
                kind: parsed(row, 4)?,
                bytes: row.get(5)?,
            },
            state: parsed(row, 6)?,
            attempt: row.get(7)?,
            max_attempts: row.get(8)?,
            epoch: row.get(9)?,
            run_at: Timestamp::from_micros(row.get(15)?),
            cancel_asked: row.get(10)?,
            batch: batch_id(row, 16)?,
            lease_until: time(row, 11)?,
            settled,
        })
    }

    /// A tenant's job.
    pub(super) fn find(
        connection: &Connection,
        tenant: &TenantId,
        id: JobId,
    ) -> rusqlite::Result<Option<Self>> {
        let sql = select_heads!("WHERE id = ?1 AND tenant = ?2");
        connection.prepare_cached(sql)?.query_row(params![key(id), tenant.as_str()], Self::read).optional()
    }

    /// The job of a row.
    pub(super) fn at(connection: &Connection, sequence: i64) -> rusqlite::Result<Option<Self>> {
        let sql = select_heads!("WHERE sequence = ?1");
        connection.prepare_cached(sql)?.query_row([sequence], Self::read).optional()
    }

    /// All that a statement gives.
    pub(super) fn all(
        mut statement: CachedStatement<'_>,
        parameters: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<Self>> {
        statement.query_map(parameters, Self::read)?.collect()
    }

    /// Whether a lease of this epoch holds at `now`.
    pub(super) fn is_leased(&self, epoch: u64, now: Timestamp) -> bool {
        self.state == State::Running
            && self.epoch == epoch
            && self.lease_until.is_some_and(|until| now < until)
    }
}
