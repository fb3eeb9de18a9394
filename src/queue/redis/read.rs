//! What people look at: single jobs, listings, counts, batches. Owns: the page order, and how what a script answers becomes
//! a job. Must not know: transitions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use redis::{Cmd, Value};

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    body, queue_error, scripts, settle,
};
use crate::{
    domain::{Batch, BatchId, Checkpoint, Job, JobId, KindName, Output, State, TenantId},
    queue::{Cursor, Filter, LaneStats, Page, QueueError, Stats},
    store::redis::Script,
};

/// The most that one page may hold.
const MOST_LISTED: usize = 1_000;
/// A page ends with the job that reaches so many bytes of payload and checkpoint: bounds what a reader has to hold.
const MOST_BYTES: usize = 8 << 20;
/// How many entries of a listing one script looks at: bounds how long it holds up the others.
const LOOKS: usize = 500;
/// How many scripts one page may take. Where nothing is found in so long a stretch, the page is short.
const MOST_STRETCHES: usize = 200;
/// How many jobs one script looks up.
const INSPECTED: usize = 50;
/// How many members of a set one scan looks at.
const SCANNED: usize = 1_000;
/// How many lanes one script counts.
const COUNTED: usize = 50;

/// The letters of [`State::ALL`], as in the record.
const LETTERS: &[u8; State::ALL.len()] = b"swbrtcxd";

/// The letter of a state.
fn letter(state: State) -> u8 {
    LETTERS[state as usize]
}

impl RedisQueue {
    /// Looks jobs up, in order. One that can't be read is an error that names it.
    pub(super) async fn inspect_jobs(
        &self,
        tenant: &TenantId,
        jobs: &[JobId],
    ) -> Result<Vec<Option<Job>>, QueueError> {
        let mut found = Vec::with_capacity(jobs.len());
        for some in jobs.chunks(INSPECTED) {
            let mut arguments = vec![tenant.as_str().into()];
            arguments.extend(some.iter().map(|id| key(*id).to_vec()));
            let mut answers = Answer::of(
                self.ask("look at jobs", &scripts::INSPECT, self.shard_of(tenant), arguments).await?,
            )?;
            for _ in some {
                let answer = answers.array()?;
                found.push(if answer.is_empty() { None } else { Some(job(tenant, answer)?) });
            }
        }
        Ok(found)
    }

    /// Lists jobs by acceptance, downwards.
    pub(super) async fn list_jobs(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page<Job>, QueueError> {
        let most = most.clamp(1, MOST_LISTED);
        let mut position = position(after)?;
        let (mut items, mut last, mut bytes) = (Vec::new(), position, 0);
        for _ in 0..MOST_STRETCHES {
            // A full page needs to know only whether there is more.
            let is_full = items.len() >= most || bytes >= MOST_BYTES;
            let (wanted, room) = if is_full { (1, 1) } else { (most - items.len(), MOST_BYTES - bytes) };
            let stretch = self.stretch(tenant, filter, position, wanted, room).await?;
            for (sequence, job) in stretch.jobs {
                if is_full {
                    return Ok(Page { items, next: last.map(cursor) });
                }
                bytes += weight(&job);
                items.push(job);
                last = Some(sequence);
            }
            position = stretch.end;
            if position.is_none() {
                return Ok(Page { items, next: None });
            }
        }
        // Nothing the filter wants in all that: the caller may go on from here.
        Ok(Page { items, next: position.map(cursor) })
    }

    /// The jobs that the filter wants of the next entries.
    async fn stretch(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        from: Option<u64>,
        most: usize,
        bytes: usize,
    ) -> Result<Stretch, QueueError> {
        let number = |number: usize| number.to_string().into_bytes();
        let arguments = vec![
            tenant.as_str().into(),
            from.map_or_else(Vec::new, |from| from.to_string().into_bytes()),
            filter.state.map_or_else(Vec::new, |state| vec![letter(state)]),
            filter.kind.as_ref().map_or_else(Vec::new, |kind| kind.as_str().into()),
            number(most),
            number(bytes),
            number(LOOKS),
        ];
        let mut answers =
            Answer::of(self.ask("list jobs", &scripts::LIST, self.shard_of(tenant), arguments).await?)?;
        let end = answers.text().and_then(|end| end.parse().ok());
        let mut jobs = Vec::new();
        while !answers.is_empty() {
            let mut answer = answers.array()?;
            let sequence = answer.text().and_then(|sequence| sequence.parse().ok());
            let sequence = sequence.ok_or_else(|| unreadable("a job's sequence"))?;
            match job(tenant, answer.array()?) {
                Ok(job) => jobs.push((sequence, job)),
                // One that somebody has spoilt must not hide the others.
                Err(error) => tracing::warn!(%tenant, %error, "a job is left out of a listing"),
            }
        }
        Ok(Stretch { jobs, end })
    }

    /// Counts by lane and state.
    pub(super) async fn count_jobs(&self, tenant: Option<&TenantId>) -> Result<Stats, QueueError> {
        let mut lanes = BTreeMap::new();
        match tenant {
            Some(tenant) => {
                let shard = self.shard_of(tenant);
                let kinds = self.scan(shard, "kinds").await?;
                let kinds: Vec<KindName> = kinds.iter().filter_map(|kind| kind.parse().ok()).collect();
                let of_tenant: Vec<_> = kinds.into_iter().map(|kind| (tenant.clone(), kind)).collect();
                self.count_lanes(shard, &of_tenant, &mut lanes).await?;
            }
            None => {
                for shard in 0..self.shards() {
                    let mut found = Vec::new();
                    for name in self.scan(shard, "lanes").await? {
                        let lane = name.split_once(':');
                        let lane =
                            lane.and_then(|(kind, tenant)| Some((tenant.parse().ok()?, kind.parse().ok()?)));
                        match lane {
                            Some(lane) => found.push(lane),
                            None => tracing::warn!(name, "a lane's name can't be read"),
                        }
                    }
                    self.count_lanes(shard, &found, &mut lanes).await?;
                }
            }
        }
        Ok(Stats { lanes: lanes.into_values().collect() })
    }
}

/// What one script found of a listing.
struct Stretch {
    jobs: Vec<(u64, Job)>,
    /// The sequence it came to; nothing at the end.
    end: Option<u64>,
}

impl RedisQueue {
    /// Runs a script on a shard; the time goes before `more`.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        script: &Script,
        shard: u16,
        more: Vec<Vec<u8>>,
    ) -> Result<Value, QueueError> {
        let mut arguments = self.arguments();
        arguments.extend(more);
        self.run(doing, script, shard, &arguments).await
    }

    async fn command(&self, doing: &'static str, command: &Cmd) -> Result<Value, QueueError> {
        self.redis.command(command).await.map_err(|error| queue_error(doing, error))
    }
}

type Lanes = BTreeMap<(TenantId, KindName), LaneStats>;

impl RedisQueue {
    async fn count_lanes(
        &self,
        shard: u16,
        lanes: &[(TenantId, KindName)],
        counted: &mut Lanes,
    ) -> Result<(), QueueError> {
        for some in lanes.chunks(COUNTED) {
            let names = some.iter().flat_map(|(tenant, kind)| [kind.as_str(), tenant.as_str()]);
            let arguments = names.map(|name| name.as_bytes().to_vec()).collect();
            let mut answers = Answer::of(self.ask("count jobs", &scripts::STATS, shard, arguments).await?)?;
            for (tenant, kind) in some {
                let mut answer = answers.array()?;
                let jobs = State::ALL.map(|state| (state, answer.count())).into_iter();
                let jobs: Vec<_> = jobs.filter(|(_, count)| *count > 0).collect();
                let oldest_waiting = answer.time();
                if !jobs.is_empty() {
                    let (tenant, kind) = (tenant.clone(), kind.clone());
                    let key = (tenant.clone(), kind.clone());
                    counted.insert(key, LaneStats { tenant, kind, jobs, oldest_waiting });
                }
            }
        }
        Ok(())
    }

    /// All members of a set, read piece by piece; each once.
    async fn scan(&self, shard: u16, set: &str) -> Result<BTreeSet<String>, QueueError> {
        let (mut members, mut cursor) = (BTreeSet::new(), b"0".to_vec());
        loop {
            let mut command = redis::cmd("SSCAN");
            command.arg(format!("{}:{set}", self.tag(shard))).arg(cursor).arg("COUNT").arg(SCANNED);
            let mut answer = Answer::of(self.command("count jobs", &command).await?)?;
            cursor = answer.bytes().ok_or_else(|| unreadable("the answer to SSCAN"))?;
            let mut found = answer.array()?;
            while !found.is_empty() {
                members.extend(found.text());
            }
            if cursor == b"0" {
                return Ok(members);
            }
        }
    }

    /// What is known of a batch.
    pub(super) async fn find_batch(
        &self,
        tenant: &TenantId,
        id: BatchId,
    ) -> Result<Option<Batch>, QueueError> {
        let arguments = vec![tenant.as_str().into(), id.as_u128().to_be_bytes().to_vec()];
        let mut answer = Answer::of(
            self.ask("look at a batch", &scripts::BATCH, self.shard_of(tenant), arguments).await?,
        )?;
        if answer.is_empty() {
            return Ok(None);
        }
        let mut number = || answer.limit().ok_or_else(|| unreadable(&format!("{id} of tenant {tenant}")));
        let (size, enqueued, completed) = (number()?, number()?, number()?);
        let (dead, cancelled) = (number()?, number()?);
        let (tenant, callback) = (tenant.clone(), answer.id());
        Ok(Some(Batch { id, tenant, size, enqueued, completed, dead, cancelled, callback }))
    }
}

/// A job's id as it is stored.
pub(super) fn key(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// Where a listing goes on.
fn position(after: Option<&Cursor>) -> Result<Option<u64>, QueueError> {
    let invalid = |_| QueueError::Invalid("not a cursor of this listing: start it again".to_owned());
    after.map(|Cursor(text)| text.parse().map_err(invalid)).transpose()
}

fn cursor(sequence: u64) -> Cursor {
    Cursor(sequence.to_string())
}

/// What a job weighs in memory.
fn weight(job: &Job) -> usize {
    job.payload.bytes.len() + job.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.0.len())
}

/// A job, from what `look.lua` says of it.
fn job(tenant: &TenantId, mut answer: Answer) -> Result<Job, QueueError> {
    let id = answer.id().ok_or_else(|| unreadable("a job's id"))?;
    let corrupt = |what: &str| QueueError::Corrupt(format!("job {id} of tenant {tenant}: {what}"));
    let body = answer.bytes().ok_or_else(|| corrupt("it has no body"))?;
    let mut job = body::decode(tenant, id, body).map_err(|problem| corrupt(&problem))?;
    let output = answer.bytes().map(|json| serde_json::from_slice(&json)).transpose();
    let checkpoint = answer.bytes();
    job.lease_until = answer.time();
    if answer.is_empty() {
        return Ok(job);
    }
    let state = answer.bytes().and_then(|letter| settle::state(*letter.first()?));
    job.state = state.ok_or_else(|| corrupt("its record can't be read"))?;
    let number = |answer: &mut Answer| answer.limit().ok_or_else(|| corrupt("its record lacks a number"));
    job.attempt = number(&mut answer)?;
    job.epoch = answer.count();
    job.run_at = answer.time().unwrap_or(job.created_at);
    (job.started_at, job.finished_at) = (answer.time(), answer.time());
    job.cancel_asked = answer.flag();
    job.worker = answer.worker();
    job.reason = answer.reason();
    job.checkpoint = checkpoint.map(|bytes| Checkpoint(Bytes::from(bytes)));
    job.output = output.map_err(|error| corrupt(&format!("its output: {error}")))?;
    if job.state == State::Completed && job.output.is_none() {
        job.output = Some(Output::default());
    }
    Ok(job)
}

impl Answer {
    /// A number that counts something; 0 where it is absent.
    pub(super) fn count(&mut self) -> u64 {
        self.number().and_then(|number| number.try_into().ok()).unwrap_or(0)
    }

    /// A number that may be absent.
    pub(super) fn limit(&mut self) -> Option<u32> {
        self.number().and_then(|number| number.try_into().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_states_are_read_as_they_are_written() {
        for one in State::ALL {
            assert_eq!(settle::state(letter(one)), Some(one));
        }
    }
}
