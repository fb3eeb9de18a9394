//! Kept events, read page by page. Owns: what the script `replay` answers.

use redis::{FromRedisValue as _, Value};

use super::{REPLAY, unavailable};
use crate::{
    domain::{Event, EventBody, JobId, TenantId, Timestamp},
    progress::{ProgressError, Rest},
    store::redis::Redis,
};

/// Beyond this Lua's numbers have gaps; no job has so many events.
const HIGHEST: u64 = 1 << 53;

/// A piece of a job's events, and what there is behind it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    /// The number of the last thing that was read, also where that is no event.
    pub(super) last: Option<u64>,
    pub(super) rest: Rest,
}

/// At most `most` events above `after`, in order.
pub(super) async fn page(
    redis: &Redis,
    tenant: &TenantId,
    job: JobId,
    after: u64,
    most: usize,
) -> Result<Page, ProgressError> {
    let tag = redis.tag(redis.shard(tenant));
    let arguments = [
        Vec::new(),
        tenant.as_str().as_bytes().to_vec(),
        job.as_u128().to_be_bytes().to_vec(),
        after.min(HIGHEST).to_string().into_bytes(),
        most.to_string().into_bytes(),
    ];
    let answer = redis.run(&REPLAY, tag.as_bytes(), &arguments).await;
    let answer = answer.map_err(|error| unavailable("read events", error))?;
    let Value::Array(parts) = answer else {
        return Err(unavailable("read events", "an answer of another kind"));
    };
    let Some((state, parts)) = parts.split_first() else { return Err(ProgressError::UnknownJob { job }) };
    let has_ended =
        matches!(state, Value::BulkString(letter) if matches!(letter.as_slice(), b"c" | b"x" | b"d"));
    let found = parts.len() / 3;
    let rest = match (found < most, has_ended) {
        (false, _) => Rest::Unread,
        (true, false) => Rest::ToCome,
        (true, true) => Rest::Nothing,
    };
    // What somebody has put there that is no event is left out.
    let events = parts.chunks_exact(3).filter_map(|parts| event(parts, tenant, job)).collect();
    let last = parts.chunks_exact(3).next_back().and_then(|parts| match parts {
        [Value::Int(sequence), ..] => u64::try_from(*sequence).ok(),
        _ => None,
    });
    Ok(Page { events, last, rest })
}

fn event(parts: &[Value], tenant: &TenantId, job: JobId) -> Option<Event> {
    let [Value::Int(sequence), Value::Int(at), body] = parts else { return None };
    let body = String::from_redis_value_ref(body).ok()?;
    let body: EventBody = serde_json::from_str(&format!("{{{body}}}")).ok()?;
    let sequence = u64::try_from(*sequence).ok()?;
    Some(Event { tenant: tenant.clone(), job, sequence, at: Timestamp::from_micros(*at), body })
}
