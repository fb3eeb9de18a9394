//! The door. Owns: checks, and how a batch is cut into sections and runs that cost the script little. Must not know: caps.
//!
//! A section is a tenant's part of a batch, a run are jobs of it that follow each other with the same kind and priority. Where
//! a tenant's jobs are all plain and different, they are sorted into few runs and taken as a whole; where the tenant has no
//! room for all of them the order decides who comes in, so they are sent again in the order asked.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures_util::future::try_join_all;

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    body, scripts,
};
use crate::{
    domain::{JobId, NewJob, TenantId},
    queue::{Enqueued, QueueError, Refusal},
};

/// The most that a job may weigh: virtual times stay far from overflowing.
const MOST_COST: u32 = 1_000_000;
/// When a full tenant may try again: a few jobs later, without a storm of retries.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Jobs and bytes of one script: bounds how long others wait for it.
const MOST_JOBS: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

type Answers = Vec<Option<Result<Enqueued, Refusal>>>;

/// Accepts a batch. Where it fails in the middle of a large one some jobs may have come in: the same call may be made again.
pub(super) async fn enqueue(
    queue: &RedisQueue,
    jobs: Vec<NewJob>,
) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
    let mut shards: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    let mut answers: Answers = vec![None; jobs.len()];
    for (place, job) in jobs.iter().enumerate() {
        match problem(job) {
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
        let again = send(queue, shard, jobs, sections(jobs, now, true), &mut answers).await?;
        if !again.is_empty() {
            send(queue, shard, jobs, sections(jobs, &again, false), &mut answers).await?;
        }
        rest = later;
    }
    Ok(answers)
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
) -> Result<Vec<usize>, QueueError> {
    let mut arguments = queue.arguments();
    for section in &sections {
        write_section(&mut arguments, jobs, section);
    }
    let answer = queue.run("enqueue jobs", &scripts::ENQUEUE, shard, &arguments).await?;
    let (mut answer, mut again) = (Answer::of(answer)?, Vec::new());
    for section in sections {
        match answer.value() {
            Some(redis::Value::Array(values)) => {
                let mut told = Answer::of(redis::Value::Array(values))?;
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

fn text(arguments: &mut Vec<Vec<u8>>, text: impl ToString) {
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
                text(arguments, job.run_at.map(|at| at.as_micros().to_string()).unwrap_or_default());
                text(arguments, job.idempotency_key.as_ref().map_or("", |key| key.as_str()));
            }
        }
    }
}

fn read_run(
    told: &mut Answer,
    jobs: &[NewJob],
    run: &[usize],
    [waiting, bytes]: [Option<u64>; 2],
    answers: &mut Placed,
) -> Result<(), QueueError> {
    let mut each = match told.value() {
        Some(redis::Value::Array(values)) => Answer::of(redis::Value::Array(values))?,
        Some(redis::Value::Int(1)) => {
            answers.extend(run.iter().map(|place| (*place, Ok(Enqueued::Accepted(jobs[*place].id)))));
            return Ok(());
        }
        _ => return Err(unreadable("the door answered a run with something unknown")),
    };
    for place in run {
        let job = &jobs[*place];
        let tenant = || job.tenant.clone();
        let answer = match each.value() {
            Some(redis::Value::Int(1)) => Ok(Enqueued::Accepted(job.id)),
            Some(redis::Value::Int(2)) => Ok(Enqueued::Duplicate(job.id)),
            Some(redis::Value::Int(3)) => Err(Refusal::TooMany {
                tenant: tenant(),
                limit: waiting.unwrap_or(u64::MAX),
                retry_after: RETRY_AFTER,
            }),
            Some(redis::Value::Int(4)) => Err(Refusal::TooLarge {
                tenant: tenant(),
                limit: bytes.unwrap_or(u64::MAX),
                retry_after: RETRY_AFTER,
            }),
            Some(redis::Value::BulkString(id)) if id.len() == 16 => {
                let bits = id.iter().fold(0, |bits, byte| (bits << 8) | u128::from(*byte));
                Ok(Enqueued::Duplicate(JobId::from_u128(bits)))
            }
            _ => return Err(unreadable("the door answered a job with something unknown")),
        };
        answers.push((*place, answer));
    }
    Ok(())
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
