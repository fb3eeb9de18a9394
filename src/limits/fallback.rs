//! Limits that hold also while the fleet's are away. Owns: what is done then, and the way back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    Bucket, Decision, Health, LimitError, Limiter, MemoryLimiter, Reservation, Reserved, Resource,
    ResourceStatistics, Settlement, redis::is_refusal, statistics::Counters,
};
use crate::{
    domain::{Clock, Random, Rate, Timestamp},
    store::breaker::{Breaker, Outcome},
};

/// How long the fleet's limits may take to answer before a call goes on without them.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many times as long a job waits for them that reserves: what it is about to do takes seconds, and a limit that does not hold
/// for the fleet is a provider's refusal.
const PATIENT: u32 = 20;
/// How often one call tries whether they are back.
const PAUSE: Duration = Duration::from_secs(1);
/// How many parks are kept to be told to the fleet when it is back.
const MOST_UNTOLD: usize = 10_000;

/// The fleet's limits, or this process' own while those are away: each process allows the whole rate then. An outage costs
/// one call a second at most a tenth of a second, or two seconds where a job reserves; it is logged when it begins and when it ends, shows in
/// [`Limiter::health`], and ends by itself. No call fails because of it.
///
/// Parks that this process has seen hold throughout; those that it made meanwhile are told to the fleet afterwards.
pub struct FallbackLimiter {
    shared: Arc<dyn Limiter>,
    own: MemoryLimiter,
    breaker: Breaker,
    /// Of whoever reserves.
    patience: Duration,
    clock: Arc<dyn Clock>,
    /// Parks that the fleet does not know of, with their ends.
    untold: Mutex<HashMap<Bucket, Timestamp>>,
    counters: Counters,
}

impl std::fmt::Debug for FallbackLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FallbackLimiter").field("health", &self.breaker.health()).finish_non_exhaustive()
    }
}

impl FallbackLimiter {
    /// The limits of `shared`, with this process' own to fall back to.
    pub fn new(shared: Arc<dyn Limiter>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::with_patience(shared, clock, random, PATIENCE)
    }

    /// The same with another patience than a tenth of a second.
    pub fn with_patience(
        shared: Arc<dyn Limiter>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        patience: Duration,
    ) -> Self {
        Self {
            shared,
            own: MemoryLimiter::new(clock.clone(), random),
            breaker: Breaker::new("limits in Redis", clock.clone(), patience, PAUSE),
            patience: patience.saturating_mul(PATIENT),
            clock,
            untold: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Asks the fleet; `None` where it is away.
    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, LimitError>>,
    ) -> Result<Option<T>, LimitError> {
        match self.breaker.call(call, is_refusal).await {
            Outcome::Answered(answer) => {
                self.tell_parks().await;
                Ok(Some(answer))
            }
            Outcome::Refused(error) => Err(error),
            Outcome::Away => Ok(None),
        }
    }

    /// The same with the patience of whoever reserves.
    async fn ask_patiently<T>(
        &self,
        call: impl Future<Output = Result<T, LimitError>>,
    ) -> Result<Option<T>, LimitError> {
        match self.breaker.call_within(self.patience, call, is_refusal).await {
            Outcome::Answered(answer) => {
                self.tell_parks().await;
                Ok(Some(answer))
            }
            Outcome::Refused(error) => Err(error),
            Outcome::Away => Ok(None),
        }
    }

    /// Tells the fleet what it has missed.
    async fn tell_parks(&self) {
        let untold = std::mem::take(&mut *self.untold());
        let mut untold = untold.into_iter();
        for (bucket, until) in untold.by_ref() {
            let wait = until.since(self.clock.now());
            if wait.is_zero() {
                continue;
            }
            if !matches!(
                self.breaker.call(self.shared.park(&bucket, wait), is_refusal).await,
                Outcome::Answered(())
            ) {
                self.keep_untold(bucket, until);
                break;
            }
        }
        for (bucket, until) in untold {
            self.keep_untold(bucket, until);
        }
    }

    fn keep_untold(&self, bucket: Bucket, until: Timestamp) {
        let now = self.clock.now();
        let mut untold = self.untold();
        if untold.len() >= MOST_UNTOLD {
            untold.retain(|_, until| *until > now);
        }
        if untold.len() < MOST_UNTOLD || untold.contains_key(&bucket) {
            let kept = untold.entry(bucket).or_insert(until);
            *kept = until.max(*kept);
        }
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, HashMap<Bucket, Timestamp>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket as it is, with the later of the parks that the fleet and this process know of.
    async fn seen(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        let seen = self.ask(self.shared.level(bucket, rate)).await?;
        let seen = seen.unwrap_or_else(|| self.own.level_now(bucket, rate));
        Ok(match self.own.parked_now(bucket) {
            None => seen,
            Some(wait) => {
                let parked = seen.parked.max(Some(wait));
                Decision { allowed: false, parked, retry_after: seen.retry_after.max(wait), ..seen }
            }
        })
    }

    /// The answer where this process knows that the bucket is parked, for so long at least: whether the fleet knows or not.
    async fn refused(&self, bucket: &Bucket, rate: Rate, wait: Duration) -> Result<Decision, LimitError> {
        let seen = self.seen(bucket, rate).await?;
        Ok(Decision { allowed: false, parked: seen.parked.or(Some(wait)), ..seen })
    }

    /// Remembers a park that the fleet has told of, and counts what it has answered.
    fn learn(&self, bucket: &Bucket, decision: &Decision) {
        if let Some(wait) = decision.parked {
            self.own.park_now(bucket, wait);
        }
        self.counters.count(&bucket.resource, decision);
    }
}

#[async_trait]
impl Limiter for FallbackLimiter {
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError> {
        let decision = match self.own.parked_now(bucket) {
            Some(wait) => self.refused(bucket, rate, wait).await?,
            None => {
                let answer = self.ask(self.shared.take(bucket, rate, cost)).await?;
                answer.unwrap_or_else(|| self.own.take_now(bucket, rate, cost))
            }
        };
        self.learn(bucket, &decision);
        Ok(decision)
    }

    async fn reserve(
        &self,
        bucket: &Bucket,
        rate: Rate,
        estimate: u32,
        hold: Duration,
    ) -> Result<Reserved, LimitError> {
        let reserved = match self.own.parked_now(bucket) {
            Some(wait) => Reserved::Denied(self.refused(bucket, rate, wait).await?),
            None => {
                let answer = self.ask_patiently(self.shared.reserve(bucket, rate, estimate, hold)).await?;
                answer.unwrap_or_else(|| self.own.reserve_now(bucket, rate, estimate, hold))
            }
        };
        self.learn(bucket, reserved.decision());
        Ok(reserved)
    }

    /// A reservation of the fleet whose settlement finds it away counts as its estimate.
    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        if self.own.settle_now(reservation, actual) == Settlement::Settled {
            return Ok(Settlement::Settled);
        }
        Ok(self.ask_patiently(self.shared.settle(reservation, actual)).await?.unwrap_or(Settlement::Gone))
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.own.park_now(bucket, wait);
        if self.ask_patiently(self.shared.park(bucket, wait)).await?.is_none() {
            self.keep_untold(bucket.clone(), self.clock.now().after(wait));
        }
        Ok(())
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        let own = self.own.parked_now(bucket);
        let told = self.ask_patiently(self.shared.parked(bucket)).await?.flatten();
        Ok(own.max(told))
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        self.seen(bucket, rate).await
    }

    fn health(&self) -> Health {
        self.breaker.health()
    }

    fn count(&self, resource: &Resource, decision: &Decision) {
        self.counters.count(resource, decision);
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.counters.all()
    }
}
