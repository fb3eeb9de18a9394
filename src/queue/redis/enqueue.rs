//! The door. Owns: checks, and how a batch is cut into sections and runs that cost the script little. Must not know: caps.
//!
//! A section is a tenant's part of a batch, a run are jobs of it that follow each other with the same kind and priority. Where
//! a tenant's jobs are all plain and different, they are sorted into few runs and taken as a whole; where the tenant has no
//! room for all of them the order decides who comes in, so they are sent again in the order asked.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::try_join_all;
use redis::Value;

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    body, scripts,
};
use crate::{
    domain::{BatchId, JobId, NewJob, TenantId, Unique, Window},
    queue::{
        Enqueued, QueueError, Refusal,
        checks::{RETRY_AFTER, job_problem},
    },
};

/// Jobs and bytes of one script: bounds how long others wait for it.
pub(super) const MOST_JOBS: usize = 1_000;
pub(super) const MOST_BYTES: usize = 4 << 20;
/// Lua's numbers are exact up to here: the year 2255.
pub(super) const MOST_TIME: i64 = 1 << 53;

type Answers = Vec<Option<Result<Enqueued, Refusal>>>;

/// Accepts a batch. What may have been lost on the way is sent again, a few times: a job comes in once, and is told as
/// accepted. Where that fails in the middle of a large one some jobs may have come in: the same call may be made again.
pub(super) async fn enqueue(
    queue: &RedisQueue,
    jobs: Vec<NewJob>,
) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
    let mut shards: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    let mut answers: Answers = vec![None; jobs.len()];
    for (place, job) in jobs.iter().enumerate() {
        match job_problem(job) {
            Some(problem) => answers[place] = Some(Err(Refusal::Invalid(problem))),
            None => shards.entry(queue.shard_of(&job.tenant)).or_default().push(place),
        }
    }
    let parts = shards.into_iter().map(|(shard, places)| enqueue_on(queue, shard, &jobs, places));
    for (place, answer) in try_join_all(parts).await?.into_iter().flatten() {
        answers[place] = Some(answer);
    }
    let answers: Option<Vec<_>> = answers.into_iter().collect();
    answers.ok_or_else(|| unreadable("the door left a job without an answer"))
}

type Placed = Vec<(usize, Result<Enqueued, Refusal>)>;

async fn enqueue_on(
    queue: &RedisQueue,
    shard: u16,
    jobs: &[NewJob],
    places: Vec<usize>,
) -> Result<Placed, QueueError> {
    let mut answers = Vec::with_capacity(places.len());
    let mut rest = &places[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |place: &&usize| {
            bytes += jobs[**place].payload.bytes.len();
            bytes <= MOST_BYTES
        };
        let count = rest.iter().take(MOST_JOBS).take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let mut is_repeated = false;
        let first = answers.len();
        let again =
            send(queue, shard, jobs, sections(jobs, now, true), &mut answers, &mut is_repeated).await?;
        if !again.is_empty() {
            let sections = sections(jobs, &again, false);
            send(queue, shard, jobs, sections, &mut answers, &mut is_repeated).await?;
        }
        if is_repeated {
            own_up(jobs, &mut answers[first..]);
        }
        rest = later;
    }
    Ok(answers)
}

/// After a call whose answer may have been lost: a job that is there under its own id came with it, the first time that it
/// is named.
fn own_up(jobs: &[NewJob], answers: &mut [(usize, Result<Enqueued, Refusal>)]) {
    answers.sort_unstable_by_key(|(place, _)| *place);
    let mut seen = HashSet::with_capacity(answers.len());
    for (place, answer) in answers {
        let job = &jobs[*place];
        let is_first = seen.insert((&job.tenant, job.id));
        if is_first && *answer == Ok(Enqueued::Duplicate(job.id)) {
            *answer = Ok(Enqueued::Accepted(job.id));
        }
    }
}

/// A tenant's part of a batch.
struct Section<'j> {
    tenant: &'j TenantId,
    /// Taken whole or not at all.
    is_grouped: bool,
    runs: Vec<Vec<usize>>,
}

fn is_plain(job: &NewJob) -> bool {
    job.run_at.is_none()
        && job.idempotency_key.is_none()
        && job.unique.is_none()
        && job.after.is_empty()
        && job.batch.is_none()
}

/// The batch by tenant; in the order asked within each, or grouped where that makes no difference.
fn sections<'j>(jobs: &'j [NewJob], places: &[usize], may_group: bool) -> Vec<Section<'j>> {
    let mut tenants: Vec<(&TenantId, Vec<usize>)> = Vec::new();
    let mut known: BTreeMap<&TenantId, usize> = BTreeMap::new();
    for place in places {
        let tenant = &jobs[*place].tenant;
        let section = *known.entry(tenant).or_insert_with(|| {
            tenants.push((tenant, Vec::new()));
            tenants.len() - 1
        });
        tenants[section].1.push(*place);
    }
    let section = |(tenant, mut places): (&'j TenantId, Vec<usize>)| {
        let mut ids = HashSet::with_capacity(places.len());
        let repeated: HashSet<usize> =
            places.iter().copied().filter(|place| !ids.insert(jobs[*place].id)).collect();
        let lane = |place: &usize| (&jobs[*place].kind, jobs[*place].priority);
        let is_grouped = may_group
            && repeated.is_empty()
            && places.iter().any(|place| lane(place) != lane(&places[0]))
            && places.iter().all(|place| is_plain(&jobs[*place]));
        if is_grouped {
            places.sort_by_key(lane);
        }
        let mut runs: Vec<Vec<usize>> = Vec::new();
        for place in places {
            let belongs = |run: &Vec<usize>| {
                let first = &run[0];
                lane(first) == lane(&place)
                    && is_plain(&jobs[*first]) == is_plain(&jobs[place])
                    && !repeated.contains(&place)
            };
            match runs.last_mut() {
                Some(run) if belongs(run) => run.push(place),
                _ => runs.push(vec![place]),
            }
        }
        Section { tenant, is_grouped, runs }
    };
    tenants.into_iter().map(section).collect()
}

/// Sends sections; the places of those that have to be sent in the order asked.
async fn send(
    queue: &RedisQueue,
    shard: u16,
    jobs: &[NewJob],
    sections: Vec<Section<'_>>,
    answers: &mut Placed,
    is_repeated: &mut bool,
) -> Result<Vec<usize>, QueueError> {
    let mut arguments = queue.arguments();
    for section in &sections {
        write_section(&mut arguments, jobs, section);
    }
    let answer =
        queue.run_until_heard("enqueue jobs", &scripts::ENQUEUE, shard, &arguments, is_repeated).await?;
    let (mut answer, mut again) = (Answer::of(answer)?, Vec::new());
    for section in sections {
        match answer.value() {
            Some(Value::Array(values)) => {
                let mut told = Answer::of(Value::Array(values))?;
                let waiting = told.text();
                if section.is_grouped && waiting.as_deref() == Some("0") && told.is_empty() {
                    again.extend(section.runs.into_iter().flatten());
                    continue;
                }
                let limits = [waiting, told.text()].map(|limit| limit.and_then(|text| text.parse().ok()));
                for run in &section.runs {
                    read_run(&mut told, jobs, run, limits, answers)?;
                }
            }
            problem => {
                tracing::warn!(tenant = %section.tenant, ?problem, "a tenant's keys in Redis can't be used");
                let refusal = Refusal::Invalid(format!(
                    "what is stored of tenant {} can't be read: an operator has to mend it",
                    section.tenant
                ));
                let all = section.runs.into_iter().flatten();
                answers.extend(all.map(|place| (place, Err(refusal.clone()))));
            }
        }
    }
    again.sort_unstable();
    Ok(again)
}

pub(super) fn text(arguments: &mut Vec<Vec<u8>>, text: impl ToString) {
    arguments.push(text.to_string().into_bytes());
}

fn write_section(arguments: &mut Vec<Vec<u8>>, jobs: &[NewJob], section: &Section<'_>) {
    text(arguments, section.tenant);
    text(arguments, u8::from(section.is_grouped));
    text(arguments, section.runs.len());
    for run in &section.runs {
        let first = &jobs[run[0]];
        let bytes: usize = run.iter().map(|place| jobs[*place].payload.bytes.len()).sum();
        text(arguments, &first.kind);
        text(arguments, first.priority.rank());
        text(arguments, if is_plain(first) { "p" } else { "o" });
        text(arguments, run.len());
        text(arguments, bytes);
        for job in run.iter().map(|place| &jobs[*place]) {
            arguments.push(job.id.as_u128().to_be_bytes().to_vec());
            arguments.push(body::encode(job));
            if !is_plain(job) {
                write_times_and_keys(arguments, job);
                arguments.push(ids(&job.dependencies()));
                arguments
                    .push(job.batch.map_or_else(Vec::new, |batch| batch.as_u128().to_be_bytes().to_vec()));
            }
        }
    }
}

pub(super) fn write_times_and_keys(arguments: &mut Vec<Vec<u8>>, job: &NewJob) {
    let run_at = job.run_at.map(|at| at.as_micros().clamp(0, MOST_TIME).to_string());
    text(arguments, run_at.unwrap_or_default());
    text(arguments, job.idempotency_key.as_ref().map_or("", |key| key.as_str()));
    let unique = job.unique.as_ref().map(|Unique { key, window }| match window {
        Window::Waiting => format!("w{}", key.as_str()),
        Window::Unfinished => format!("u{}", key.as_str()),
    });
    text(arguments, unique.unwrap_or_default());
}

fn ids(ids: &[JobId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.as_u128().to_be_bytes()).collect()
}

fn read_run(
    told: &mut Answer,
    jobs: &[NewJob],
    run: &[usize],
    [waiting, bytes]: [Option<u64>; 2],
    answers: &mut Placed,
) -> Result<(), QueueError> {
    let mut each = match told.value() {
        Some(Value::Array(values)) => Answer::of(Value::Array(values))?,
        Some(Value::Int(1)) => {
            answers.extend(run.iter().map(|place| (*place, Ok(Enqueued::Accepted(jobs[*place].id)))));
            return Ok(());
        }
        _ => return Err(unreadable("the door answered a run with something unknown")),
    };
    for place in run {
        answers.push((*place, read_answer(each.value(), &jobs[*place], [waiting, bytes])?));
    }
    Ok(())
}

/// What the door answered of one job (`lua/door.lua`).
pub(super) fn read_answer(
    answer: Option<Value>,
    job: &NewJob,
    [waiting, bytes]: [Option<u64>; 2],
) -> Result<Result<Enqueued, Refusal>, QueueError> {
    let (tenant, retry_after) = (|| job.tenant.clone(), RETRY_AFTER);
    let invalid = |problem: String| Err(Refusal::Invalid(problem));
    Ok(match answer {
        Some(Value::Int(1)) => Ok(Enqueued::Accepted(job.id)),
        Some(Value::Int(2)) => Ok(Enqueued::Duplicate(job.id)),
        Some(Value::Int(3)) => {
            Err(Refusal::TooMany { tenant: tenant(), limit: waiting.unwrap_or(u64::MAX), retry_after })
        }
        Some(Value::Int(4)) => {
            Err(Refusal::TooLarge { tenant: tenant(), limit: bytes.unwrap_or(u64::MAX), retry_after })
        }
        Some(Value::BulkString(word)) => match &word[..] {
            id if id.len() == 16 => Ok(Enqueued::Duplicate(id_of(id))),
            [b'u', id @ ..] => invalid(format!(
                "{} is not there, so {} can't wait for it: enqueue it first",
                id_of(id),
                job.id
            )),
            [b'm', id @ ..] => invalid(format!(
                "{} jobs wait for {}, as many as may: use a batch and its callback",
                NewJob::MOST_DEPENDENTS,
                id_of(id)
            )),
            [b'n', ..] => invalid(format!("{} is not open: open it first", named(job.batch))),
            [b'f', size @ ..] => invalid(format!(
                "{} is full: it was opened for {} jobs",
                named(job.batch),
                String::from_utf8_lossy(size)
            )),
            _ => return Err(unreadable("the door answered a job with something unknown")),
        },
        _ => return Err(unreadable("the door answered a job with something unknown")),
    })
}

fn id_of(bytes: &[u8]) -> JobId {
    JobId::from_u128(bytes.iter().fold(0, |bits, byte| (bits << 8) | u128::from(*byte)))
}

fn named(batch: Option<BatchId>) -> String {
    batch.map(|batch| batch.to_string()).unwrap_or_default()
}
