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
    Bucket, Decision, LimitError, Limiter, Reservation, Reserved, Resource, ResourceStatistics, Settlement,
    new_reservation, statistics::Counters,
};
use crate::{
    domain::{Clock, Random, Rate, clock::micros},
    store::{
        redis::{READ, Redis, Script},
        together::Together,
    },
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
/// trip a call, or one for all calls of this process that take the same of a bucket while one is under way; some 100 bytes a
/// bucket that is not full, and as much an open reservation.
pub struct RedisLimiter {
    buckets: Buckets,
    takes: Together<(Bucket, Rate, u32), Result<Decision, LimitError>>,
    random: Arc<dyn Random>,
    counters: Counters,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisLimiter").field(&self.buckets.redis).finish()
    }
}

impl RedisLimiter {
    /// Buckets in this Redis, under its namespace.
    pub fn new(redis: Redis, random: Arc<dyn Random>) -> Self {
        let buckets = Buckets { redis, clock: None };
        Self { buckets, takes: Together::default(), random, counters: Counters::default() }
    }

    /// The same by another clock than the server's: for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { buckets: Buckets { clock: Some(clock), ..self.buckets }, ..self }
    }
}

/// What the scripts are run with.
#[derive(Clone)]
struct Buckets {
    redis: Redis,
    clock: Option<Arc<dyn Clock>>,
}

impl Buckets {
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

    /// One call.
    async fn ask(
        &self,
        bucket: &Bucket,
        rate: Rate,
        cost: u32,
        doing: &'static str,
        how: [Word<'_>; 3],
    ) -> Result<Decision, LimitError> {
        let mut answers = self.ask_all(bucket, rate, cost, 1, doing, how).await?;
        answers.pop().ok_or_else(|| broken(&"a call was not answered"))
    }

    /// So many calls, in the order of their answers.
    async fn ask_all(
        &self,
        bucket: &Bucket,
        rate: Rate,
        cost: u32,
        calls: usize,
        doing: &'static str,
        [mode, id, hold]: [Word<'_>; 3],
    ) -> Result<Vec<Decision>, LimitError> {
        let (interval, burst) = (rate.interval_micros(), rate.burst());
        let words: [Word<'_>; 7] = [&interval, &burst, &cost, mode, id, hold, &calls];
        let answer = self.run(&TAKE, bucket, doing, &words).await?;
        let numbers = Vec::<u64>::from_redis_value(answer).map_err(|error| broken(&error))?;
        let (answers, rest) = numbers.as_chunks::<5>();
        if answers.len() != calls || !rest.is_empty() {
            return Err(broken(&format_args!("{calls} calls were answered with {} numbers", numbers.len())));
        }
        let answers = answers.iter().map(|&[allowed, remaining, wait, reset, parked]| Decision {
            allowed: allowed == 1,
            limit: burst,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            retry_after: Duration::from_micros(wait),
            reset: Duration::from_micros(reset),
            parked: (parked > 0).then(|| Duration::from_micros(parked)),
        });
        Ok(answers.collect())
    }

    /// Takes the same so many times.
    async fn take(
        self,
        (bucket, rate, cost): (Bucket, Rate, u32),
        calls: usize,
    ) -> Vec<Result<Decision, LimitError>> {
        match self.ask_all(&bucket, rate, cost, calls, TAKING, [&"take", &"", &0]).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => {
                let mut all: Vec<_> = (1..calls).map(|_| Err(error.again())).collect();
                all.push(Err(error));
                all
            }
        }
    }
}

/// What is done where tokens are taken.
const TAKING: &str = "take tokens";

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
        let (buckets, same) = (self.buckets.clone(), (bucket.clone(), rate, cost));
        let call = {
            let same = same.clone();
            move |calls| buckets.clone().take(same.clone(), calls)
        };
        let answer = self.takes.ask(same, call).await;
        let lost = || LimitError::Unavailable { doing: TAKING, cause: "the call was given up".into() };
        let decision = answer.unwrap_or_else(|| Err(lost()))?;
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
        let how: [Word<'_>; 3] = [&"take", &id, &hold];
        let decision = self.buckets.ask(bucket, rate, estimate, "reserve tokens", how).await?;
        self.counters.count(&bucket.resource, &decision);
        Ok(Reserved::new(bucket, rate, estimate, id, decision))
    }

    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        let Reservation { bucket, rate, id, .. } = reservation;
        let used = rate.interval_micros().saturating_mul(i64::from(actual));
        let answer = self.buckets.run(&SETTLE, bucket, "settle a reservation", &[id, &used]).await?;
        match bool::from_redis_value(answer).map_err(|error| broken(&error))? {
            true => Ok(Settlement::Settled),
            false => Ok(Settlement::Gone),
        }
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.buckets.run(&PARK, bucket, "park a resource", &[&micros(wait)]).await.map(drop)
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        let answer = self.buckets.run(&PARK, bucket, "see whether a resource is parked", &[&""]).await?;
        let wait = u64::from_redis_value(answer).map_err(|error| broken(&error))?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        self.buckets.ask(bucket, rate, 1, "read a level", [&"peek", &"", &0]).await
    }

    fn count(&self, resource: &Resource, decision: &Decision) {
        self.counters.count(resource, decision);
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.counters.all()
    }
}
