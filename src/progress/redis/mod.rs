//! Progress on Redis: events that any process publishes and any other follows.
//!
//! Sequence numbers are given by scripts. The queue notes changes of state in the job's record, in the script that makes
//! them (`lua/events.lua`, which says which keys there are); workers publish in batches (`lua/publish.lua`), where each
//! event is checked against the record: the lease must hold, else it is dropped.
//!
//! What happens is told at once on the tenant's channel, as the JSON of [`Event`]: `SSUBSCRIBE pw:progress:acme`, where
//! `pw` is the namespace and `acme` the tenant. On a Cluster a channel lives in a slot, as a key does, and the tenant's
//! is in that of its shard: `pw:progress:{pw:0}:acme`, where `{pw:0}` is the shard's hash tag.
//!
//! A follower listens first and reads then, so that nothing falls between the two, and goes by numbers, so that nothing
//! comes twice: the next one is given, a lower one is known already, a higher one means that some were missed, and
//! these are read. However many follow, a process has one connection a server for all of them. A follower that is slow
//! misses news and reads; nothing piles up for it.

mod follow;
mod hub;
mod read;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};

use self::{follow::Follower, hub::Hub, read::page};
use super::{MOST_EVENTS, ProgressBus, ProgressError, Publication};
use crate::{
    domain::{Clock, Event, EventBody, JobId, Progress, TenantId, progress::tenths},
    store::redis::{Redis, Script},
};

/// What scripts must bring along that call `note_state` or `forget_events`; behind the queue's `prelude.lua`.
pub const EVENTS: &str = concat!(include_str!("lua/id_text.lua"), include_str!("lua/events.lua"));
const PRELUDE: &str = include_str!("../../queue/redis/lua/prelude.lua");

static PUBLISH: LazyLock<Script> =
    LazyLock::new(|| Script::new("publish", &[PRELUDE, EVENTS, include_str!("lua/publish.lua")]));
static REPLAY: LazyLock<Script> =
    LazyLock::new(|| Script::new("replay", &[PRELUDE, EVENTS, include_str!("lua/replay.lua")]));

/// How many events a script is given at most, and of how many bytes: nobody else is served while it runs.
const MOST_AT_ONCE: usize = 500;
const MOST_BYTES_AT_ONCE: usize = 1 << 20;

/// The progress of the jobs in a Redis.
#[derive(Clone, Debug)]
pub struct RedisProgress {
    redis: Redis,
    clock: Option<Arc<dyn Clock>>,
    hub: Arc<Hub>,
}

impl RedisProgress {
    /// The progress in a Redis. Without a clock events have the server's time.
    pub fn new(redis: Redis, clock: Option<Arc<dyn Clock>>) -> Self {
        let hub = Arc::new(Hub::new(redis.clone()));
        Self { redis, clock, hub }
    }

    fn now(&self) -> Vec<u8> {
        self.clock.as_ref().map_or_else(Vec::new, |clock| clock.now().as_micros().to_string().into_bytes())
    }
}

#[async_trait]
impl ProgressBus for RedisProgress {
    async fn publish(&self, publications: Vec<Publication>) -> Result<(), ProgressError> {
        let mut batches: Vec<Batch> = Vec::new();
        for publication in publications {
            let shard = self.redis.shard(&publication.tenant);
            // The last one of the shard: events of a job stay in order.
            let open =
                batches.iter_mut().rev().find(|batch| batch.shard == shard).filter(|batch| batch.has_room());
            match open {
                Some(batch) => batch.add(&publication)?,
                None => {
                    let mut batch = Batch { shard, count: 0, bytes: 0, arguments: vec![self.now()] };
                    batch.add(&publication)?;
                    batches.push(batch);
                }
            }
        }
        for batch in batches {
            let tag = self.redis.tag(batch.shard);
            let published = self.redis.run(&PUBLISH, tag.as_bytes(), &batch.arguments).await;
            published.map_err(|error| unavailable("publish progress", error))?;
        }
        Ok(())
    }

    async fn replay(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Event>, ProgressError> {
        let page = page(&self.redis, tenant, job, after, most.min(MOST_EVENTS)).await?;
        Ok(page.events)
    }

    async fn follow(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        let follower = Follower::begin(&self.hub, self.redis.clone(), tenant, job, after).await?;
        Ok(Box::pin(stream::try_unfold(follower, Follower::next)))
    }
}

/// What one script publishes.
struct Batch {
    shard: u16,
    count: usize,
    bytes: usize,
    arguments: Vec<Vec<u8>>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.count < MOST_AT_ONCE && self.bytes < MOST_BYTES_AT_ONCE
    }

    fn add(&mut self, publication: &Publication) -> Result<(), ProgressError> {
        let Publication { tenant, job, epoch, body } = publication;
        let (reached, head, tail) = pieces(body)?;
        self.count += 1;
        self.bytes += head.len() + tail.len();
        self.arguments.extend([
            tenant.as_str().as_bytes().to_vec(),
            job.as_u128().to_be_bytes().to_vec(),
            epoch.to_string().into_bytes(),
            reached.map_or_else(Vec::new, |reached| reached.to_string().into_bytes()),
            head.into_bytes(),
            tail.into_bytes(),
        ]);
        Ok(())
    }
}

/// An event as JSON without its braces; where it has a percentage, that in tenths, and the text around it.
fn pieces(body: &EventBody) -> Result<(Option<u32>, String, String), ProgressError> {
    const PERCENT: &str = "\"percent\":";
    let EventBody::Progress(progress) = body else { return Ok((None, inner(body)?, String::new())) };
    let reached = tenths(progress.percent);
    let text = inner(&EventBody::Progress(Progress { percent: 0.0, ..progress.clone() }))?;
    // In a message each quotation mark has a backslash before it, so this is the field.
    let split = text.split_once("\"percent\":0.0");
    let (head, tail) = split.ok_or_else(|| unavailable("publish progress", "its JSON has no percentage"))?;
    Ok((Some(reached), format!("{head}{PERCENT}"), tail.to_owned()))
}

fn inner(body: &EventBody) -> Result<String, ProgressError> {
    let json = serde_json::to_string(body).map_err(|error| unavailable("publish progress", error))?;
    Ok(json.trim_start_matches('{').strip_suffix('}').unwrap_or_default().to_owned())
}

fn unavailable(
    doing: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ProgressError {
    ProgressError::Unavailable { doing, cause: error.into() }
}
