//! Limits of the fleet: buckets in Redis. Owns: the keys `{<namespace>:limits:<scope>}:<resource>`; what is in them stands in
//! `lua/level.lua`. Must not know: what happens while Redis is away.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use ::redis::{ErrorKind, FromRedisValue as _, RedisError, ServerErrorKind, Value};
use async_trait::async_trait;

use super::{
    Bucket, Decision, LimitError, Limiter, Reservation, Reserved, ResourceStatistics, Settlement,
    new_reservation, statistics::Counters,
};
use crate::{
    domain::{Clock, Random, Rate, clock::micros},
    store::redis::{READ, Redis, Script},
};

/// A script that stands in `lua/`, behind what all of them share.
macro_rules! script {
    ($name:literal, $file:literal) => {
        LazyLock::new(|| {
            let own = include_str!(concat!("lua/", $file, ".lua"));
            Script::new($name, &[READ, include_str!("lua/level.lua"), own])
        })
    };
}

static TAKE: LazyLock<Script> = script!("limits.take", "take");
static SETTLE: LazyLock<Script> = script!("limits.settle", "settle");
static PARK: LazyLock<Script> = script!("limits.park", "park");

/// An argument of a script, as text.
type Word<'a> = &'a (dyn fmt::Display + Sync);

/// How much longer than needed a key is kept where the caller's clock counts: that one may stand still.
const SLACK: Duration = Duration::from_secs(3_600);

/// Buckets in Redis: exact across the fleet, by the server's clock. All buckets of a scope are on one node. One round
/// trip a call; some 100 bytes a bucket that is not full, and as much an open reservation.
pub struct RedisLimiter {
    redis: Redis,
    clock: Option<Arc<dyn Clock>>,
    random: Arc<dyn Random>,
    counters: Counters,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisLimiter").field(&self.redis).finish()
    }
}

impl RedisLimiter {
    /// Buckets in this Redis, under its namespace.
    pub fn new(redis: Redis, random: Arc<dyn Random>) -> Self {
        Self { redis, clock: None, random, counters: Counters::default() }
    }

    /// The same by another clock than the server's: for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    async fn run(
        &self,
        script: &Script,
        bucket: &Bucket,
        doing: &'static str,
        arguments: &[Word<'_>],
    ) -> Result<Value, LimitError> {
        let key = format!("{{{}:limits:{}}}:{}", self.redis.namespace(), bucket.scope.tag(), bucket.resource);
        let now = self.clock.as_ref().map(|clock| clock.now().as_micros().to_string()).unwrap_or_default();
        let slack = if self.clock.is_some() { SLACK.as_millis() } else { 0 };
        let all: Vec<Vec<u8>> = [now, slack.to_string()]
            .into_iter()
            .chain(arguments.iter().map(ToString::to_string))
            .map(String::into_bytes)
            .collect();
        self.redis.run(script, key.as_bytes(), &all).await.map_err(|error| failure(doing, error))
    }

    async fn ask(
        &self,
        bucket: &Bucket,
        rate: Rate,
        cost: u32,
        doing: &'static str,
        how: [Word<'_>; 3],
    ) -> Result<Decision, LimitError> {
        let [mode, id, hold] = how;
        let (interval, burst) = (rate.interval_micros(), rate.burst());
        let answer = self.run(&TAKE, bucket, doing, &[&interval, &burst, &cost, mode, id, hold]).await?;
        let (allowed, remaining, wait, reset, parked) =
            <(bool, u32, u64, u64, u64)>::from_redis_value(answer).map_err(|error| broken(&error))?;
        Ok(Decision {
            allowed,
            limit: burst,
            remaining,
            retry_after: Duration::from_micros(wait),
            reset: Duration::from_micros(reset),
            parked: (parked > 0).then(|| Duration::from_micros(parked)),
        })
    }
}

/// Whether the server is there and refuses the call: a script broke, not the way to it.
pub(super) fn is_refusal(error: &LimitError) -> bool {
    matches!(error, LimitError::Broken(_))
}

fn failure(doing: &'static str, error: RedisError) -> LimitError {
    if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) {
        broken(&error)
    } else {
        LimitError::Unavailable { doing, cause: error.into() }
    }
}

fn broken(error: &dyn fmt::Display) -> LimitError {
    LimitError::Broken(error.to_string())
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError> {
        let decision = self.ask(bucket, rate, cost, "take tokens", [&"take", &"", &0]).await?;
        self.counters.count(&bucket.resource, &decision);
        Ok(decision)
    }

    async fn reserve(
        &self,
        bucket: &Bucket,
        rate: Rate,
        estimate: u32,
        hold: Duration,
    ) -> Result<Reserved, LimitError> {
        let (id, hold) = (new_reservation(&*self.random), micros(hold));
        let decision = self.ask(bucket, rate, estimate, "reserve tokens", [&"take", &id, &hold]).await?;
        self.counters.count(&bucket.resource, &decision);
        Ok(Reserved::new(bucket, rate, estimate, id, decision))
    }

    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        let Reservation { bucket, rate, id, .. } = reservation;
        let used = rate.interval_micros().saturating_mul(i64::from(actual));
        let answer = self.run(&SETTLE, bucket, "settle a reservation", &[id, &used]).await?;
        match bool::from_redis_value(answer).map_err(|error| broken(&error))? {
            true => Ok(Settlement::Settled),
            false => Ok(Settlement::Gone),
        }
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.run(&PARK, bucket, "park a resource", &[&micros(wait)]).await.map(drop)
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        let answer = self.run(&PARK, bucket, "see whether a resource is parked", &[&""]).await?;
        let wait = u64::from_redis_value(answer).map_err(|error| broken(&error))?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        self.ask(bucket, rate, 1, "read a level", [&"peek", &"", &0]).await
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.counters.all()
    }
}
