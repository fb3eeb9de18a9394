//! The bytes of a job that never change: written when it is enqueued, read by claims and by readers.
//!
//! In Redis they follow the acceptance (8 bytes, microseconds) and the sequence (8 bytes), which the script puts before
//! them. Numbers are big-endian. Scripts read what is fixed; what follows it is Rust's alone.
//!
//! | place | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | acceptance |
//! | 8 | 8 | sequence |
//! | 16 | 1 | [`FORMAT`] |
//! | 17 | 2 | where the payload begins, counted from 0 |
//! | 19 | 1 | flags: 1 idempotency key, 2 unique, 4 after, 8 batch |
//! | 20 | 1 | rank of the priority |
//! | 21 | 4 | cost |
//! | 25 | 4 | attempts it has |
//! | 29 | 2 | version of the payload |
//! | 31 | 1 + n | kind |
//! | … | 1 + n | idempotency key, where it has one |
//! | … | 1 + 1 + n | window (0 waiting, 1 unfinished) and unique key |
//! | … | 1 + 16 n | jobs that have to complete first |
//! | … | 16 | batch |
//! | … | … | payload |
//!
//! Owns: that layout. Must not know: the record, keys, connections.

use bytes::Bytes;

use crate::domain::{
    BatchId, Job, JobId, NewJob, Payload, Priority, State, TenantId, Timestamp, Unique, Window,
};

/// The layout above.
pub(super) const FORMAT: u8 = 1;
/// Bytes before what [`encode`] writes.
const PREFIX: usize = 16;

const KEYED: u8 = 1;
const UNIQUE: u8 = 2;
const AFTER: u8 = 4;
const BATCHED: u8 = 8;

/// What Rust writes of a job; at most 100 jobs in `after`, as the door sees to.
pub(super) fn encode(job: &NewJob) -> Vec<u8> {
    let kind = job.kind.as_str();
    let mut bytes = Vec::with_capacity(48 + kind.len() + job.payload.bytes.len());
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    bytes.extend([FORMAT, 0, 0]);
    bytes.push(
        flag(job.idempotency_key.is_some(), KEYED)
            | flag(job.unique.is_some(), UNIQUE)
            | flag(!job.after.is_empty(), AFTER)
            | flag(job.batch.is_some(), BATCHED),
    );
    bytes.push(job.priority.rank());
    bytes.extend(job.cost.to_be_bytes());
    bytes.extend(job.max_attempts.to_be_bytes());
    bytes.extend(job.payload.version.to_be_bytes());
    put(&mut bytes, kind.as_bytes());
    if let Some(key) = &job.idempotency_key {
        put(&mut bytes, key.as_str().as_bytes());
    }
    if let Some(Unique { key, window }) = &job.unique {
        bytes.push(u8::from(*window == Window::Unfinished));
        put(&mut bytes, key.as_str().as_bytes());
    }
    if !job.after.is_empty() {
        let after = job.dependencies();
        bytes.push(u8::try_from(after.len()).unwrap_or(u8::MAX));
        for first in after.iter().take(usize::from(u8::MAX)) {
            bytes.extend(first.as_u128().to_be_bytes());
        }
    }
    if let Some(batch) = job.batch {
        bytes.extend(batch.as_u128().to_be_bytes());
    }
    let payload = u16::try_from(PREFIX + bytes.len()).unwrap_or(u16::MAX);
    bytes[1..3].copy_from_slice(&payload.to_be_bytes());
    bytes.extend_from_slice(&job.payload.bytes);
    bytes
}

/// A text of at most 255 bytes, as all of ours are.
fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    bytes.push(length);
    bytes.extend(text.iter().take(usize::from(length)));
}

/// The job as it was accepted: waiting, never claimed. What has become of it since is for the caller to put in.
///
/// # Errors
/// What can't be read of it.
pub(super) fn decode(tenant: &TenantId, id: JobId, body: Vec<u8>) -> Result<Job, String> {
    let body = Bytes::from(body);
    let mut rest = Rest(&body);
    let created_at = Timestamp::from_micros(i64::from_be_bytes(rest.array("acceptance")?));
    rest.take(8, "sequence")?;
    let format = rest.byte("format")?;
    if format != FORMAT {
        return Err(format!("its body has format {format}, this version reads {FORMAT}"));
    }
    let payload = usize::from(u16::from_be_bytes(rest.array("place of the payload")?));
    let flags = rest.byte("flags")?;
    let rank = rest.byte("priority")?;
    let priority = Priority::ALL.into_iter().find(|priority| priority.rank() == rank);
    let cost = u32::from_be_bytes(rest.array("cost")?);
    let max_attempts = u32::from_be_bytes(rest.array("attempts")?);
    let version = u16::from_be_bytes(rest.array("version")?);
    let kind = rest.parsed("kind")?;
    let has = |flag: u8| flags & flag != 0;
    let idempotency_key = has(KEYED).then(|| rest.parsed("idempotency key")).transpose()?;
    let unique = has(UNIQUE).then(|| rest.unique()).transpose()?;
    let after = if has(AFTER) { rest.after()? } else { Vec::new() };
    let batch = has(BATCHED).then(|| rest.id("batch")).transpose()?.map(BatchId::from_u128);
    if body.len() - rest.0.len() != payload {
        return Err("the place of its payload is not where its header ends".to_owned());
    }
    Ok(Job {
        id,
        tenant: tenant.clone(),
        kind,
        payload: Payload { version, bytes: body.slice(payload..) },
        priority: priority.ok_or_else(|| format!("its priority is {rank}"))?,
        cost,
        state: State::Waiting,
        attempt: 0,
        max_attempts,
        epoch: 0,
        created_at,
        run_at: created_at,
        started_at: None,
        finished_at: None,
        cancel_asked: false,
        worker: None,
        lease_until: None,
        checkpoint: None,
        output: None,
        reason: None,
        idempotency_key,
        unique,
        after,
        batch,
    })
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'b [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| format!("its {what} is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self, what: &str) -> Result<[u8; COUNT], String> {
        self.take(COUNT, what)?.try_into().map_err(|_| format!("its {what} is cut off"))
    }

    fn byte(&mut self, what: &str) -> Result<u8, String> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    fn id(&mut self, what: &str) -> Result<u128, String> {
        self.array(what).map(u128::from_be_bytes)
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, what: &str) -> Result<T, String> {
        let length = usize::from(self.byte(what)?);
        let text = std::str::from_utf8(self.take(length, what)?);
        let text = text.map_err(|_| format!("its {what} is no text"))?;
        text.parse().map_err(|error| format!("its {what}: {error}"))
    }

    fn unique(&mut self) -> Result<Unique, String> {
        let window = match self.byte("window")? {
            0 => Window::Waiting,
            1 => Window::Unfinished,
            other => return Err(format!("its window is {other}")),
        };
        Ok(Unique { key: self.parsed("unique key")?, window })
    }

    fn after(&mut self) -> Result<Vec<JobId>, String> {
        let count = self.byte("number of jobs before it")?;
        (0..count).map(|_| self.id("jobs before it").map(JobId::from_u128)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KindName;

    fn stored(job: &NewJob) -> Vec<u8> {
        let mut bytes = 7_i64.to_be_bytes().to_vec();
        bytes.extend(9_u64.to_be_bytes());
        bytes.extend(encode(job));
        bytes
    }

    fn job() -> NewJob {
        let payload = Payload { version: 258, bytes: vec![0, 255, b'{'].into() };
        let kind = KindName::literal("export");
        NewJob::new(JobId::from_u128(5), "acme".parse().unwrap(), kind, payload)
    }

    fn whole() -> NewJob {
        NewJob {
            priority: Priority::Low,
            cost: 1_000_000,
            max_attempts: u32::MAX,
            idempotency_key: Some("k".repeat(200).parse().unwrap()),
            unique: Some(Unique { key: "u".parse().unwrap(), window: Window::Unfinished }),
            after: (0..100).map(JobId::from_u128).collect(),
            batch: Some(BatchId::from_u128(3)),
            ..job()
        }
    }

    #[test]
    fn a_job_survives_its_bytes() {
        for given in [job(), whole()] {
            let read = decode(&given.tenant, given.id, stored(&given)).unwrap();
            assert_eq!((read.id, read.tenant, read.kind), (given.id, given.tenant, given.kind));
            assert_eq!((read.payload, read.priority, read.cost), (given.payload, given.priority, given.cost));
            assert_eq!((read.max_attempts, read.batch), (given.max_attempts, given.batch));
            assert_eq!((read.idempotency_key, read.unique), (given.idempotency_key, given.unique));
            assert_eq!((read.after, read.created_at), (given.after, Timestamp::from_micros(7)));
            assert_eq!((read.state, read.run_at), (State::Waiting, read.created_at));
        }
    }

    #[test]
    fn bytes_that_are_cut_off_or_changed_are_refused_or_read_as_something_never_a_panic() {
        for bytes in [stored(&job()), stored(&whole())] {
            let tenant = "acme".parse().unwrap();
            let header = usize::from(u16::from_be_bytes([bytes[17], bytes[18]]));
            for length in 0..header {
                assert!(decode(&tenant, JobId::from_u128(5), bytes[..length].to_vec()).is_err(), "{length}");
            }
            for place in 0..bytes.len() {
                for wrong in [0, 1, 127, 255] {
                    let mut changed = bytes.clone();
                    changed[place] = wrong;
                    drop(decode(&tenant, JobId::from_u128(5), changed));
                }
            }
        }
    }

    #[test]
    fn a_payload_of_200_bytes_stays_within_an_allocation_of_256() {
        let payload = Payload { version: 1, bytes: vec![b'x'; 200].into() };
        // Redis adds a header of three bytes and a closing zero.
        assert!(stored(&NewJob { payload, ..job() }).len() + 4 <= 256);
    }
}
