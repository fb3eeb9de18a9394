//! Limits of this process alone. Owns: how many buckets are kept.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use lru::LruCache;

use super::{
    Bucket, Decision, LimitError, Limiter, Reservation, Reserved, Resource, ResourceStatistics, Settlement,
    level::Level, new_reservation, statistics::Counters,
};
use crate::domain::{Clock, Random, Rate};

/// How many buckets are kept unless somebody says otherwise: some 20 MB.
const MOST_BUCKETS: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Buckets in memory, a bounded number: those that are full again make room first, then the one that was used least
/// lately, which is full then for whoever uses it next.
#[derive(Debug)]
pub struct MemoryLimiter {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held for a few instructions at a time, never across an await.
    levels: Mutex<LruCache<Bucket, Level>>,
    counters: Counters,
}

impl MemoryLimiter {
    /// Keeps at most 100,000 buckets.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::with_bound(clock, random, MOST_BUCKETS)
    }

    /// Keeps at most so many buckets.
    pub fn with_bound(clock: Arc<dyn Clock>, random: Arc<dyn Random>, most: NonZeroUsize) -> Self {
        Self { clock, random, levels: Mutex::new(LruCache::new(most)), counters: Counters::default() }
    }

    /// How many buckets are kept now.
    pub fn len(&self) -> usize {
        self.levels().len()
    }

    /// Whether no bucket is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same as [`Limiter::parked`], for those who can't wait.
    pub(super) fn parked_now(&self, bucket: &Bucket) -> Option<Duration> {
        let now = self.clock.now();
        self.levels().peek(bucket).and_then(|level| level.parked(now))
    }

    /// The same as [`Limiter::park`].
    pub(super) fn park_now(&self, bucket: &Bucket, wait: Duration) {
        self.change(bucket, |level, now| level.park(wait, now));
    }

    /// The same as [`Limiter::take`], not counted.
    pub(super) fn take_now(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Decision {
        self.change(bucket, |level, now| level.take(rate, cost, now))
    }

    /// Takes one token: the same as [`Limiter::take`] for those who need not wait.
    pub fn take_one(&self, bucket: &Bucket, rate: Rate) -> Decision {
        let decision = self.take_now(bucket, rate, 1);
        self.counters.count(&bucket.resource, &decision);
        decision
    }

    /// The same as [`Limiter::reserve`], not counted.
    pub(super) fn reserve_now(&self, bucket: &Bucket, rate: Rate, estimate: u32, hold: Duration) -> Reserved {
        let id = new_reservation(&*self.random);
        let decision = self.change(bucket, |level, now| level.reserve(rate, estimate, id.clone(), hold, now));
        Reserved::new(bucket, rate, estimate, id, decision)
    }

    /// The same as [`Limiter::settle`].
    pub(super) fn settle_now(&self, reservation: &Reservation, actual: u32) -> Settlement {
        let Reservation { bucket, rate, id, .. } = reservation;
        let now = self.clock.now();
        let mut levels = self.levels();
        levels.get_mut(bucket).map_or(Settlement::Gone, |level| level.settle(id, *rate, actual, now))
    }

    /// The same as [`Limiter::level`].
    pub(super) fn level_now(&self, bucket: &Bucket, rate: Rate) -> Decision {
        let now = self.clock.now();
        self.levels()
            .peek(bucket)
            .map_or_else(|| Level::default().level(rate, now), |level| level.level(rate, now))
    }

    fn change<T>(
        &self,
        bucket: &Bucket,
        change: impl FnOnce(&mut Level, crate::domain::Timestamp) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut levels = self.levels();
        let answer = change(levels.get_or_insert_mut_ref(bucket, Level::default), now);
        // Two a call, so that it costs nothing and still keeps up with one new bucket a call.
        for _ in 0..2 {
            if levels.peek_lru().is_some_and(|(_, level)| level.idle_at() <= now) {
                levels.pop_lru();
            }
        }
        answer
    }

    fn levels(&self) -> std::sync::MutexGuard<'_, LruCache<Bucket, Level>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError> {
        let decision = self.take_now(bucket, rate, cost);
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
        let reserved = self.reserve_now(bucket, rate, estimate, hold);
        self.counters.count(&bucket.resource, reserved.decision());
        Ok(reserved)
    }

    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        Ok(self.settle_now(reservation, actual))
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.park_now(bucket, wait);
        Ok(())
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        Ok(self.parked_now(bucket))
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        Ok(self.level_now(bucket, rate))
    }

    fn count(&self, resource: &Resource, decision: &Decision) {
        self.counters.count(resource, decision);
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.counters.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ManualClock, SystemRandom, Timestamp},
        limits::Scope,
    };

    fn bucket(n: usize) -> Bucket {
        Bucket::new(Scope::Other(n.to_string()), &"x".parse().unwrap())
    }

    #[test]
    fn full_buckets_take_no_room_and_the_bound_holds() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let bound = NonZeroUsize::new(100).unwrap();
        let limiter = MemoryLimiter::with_bound(clock.clone(), Arc::new(SystemRandom), bound);
        let rate: Rate = "1/s".parse().unwrap();
        for n in 0..1_000 {
            limiter.take_now(&bucket(n), rate, 1);
            assert!(limiter.len() <= 100);
        }
        assert_eq!(limiter.len(), 100);
        clock.advance(Duration::from_secs(2));
        for _ in 0..100 {
            limiter.take_now(&bucket(0), rate, 1);
        }
        assert_eq!(limiter.len(), 1);
    }

    #[test]
    fn one_subscriber_has_one_bucket_however_many_addresses_he_calls_from() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let limiter = MemoryLimiter::new(clock, Arc::new(SystemRandom));
        let (rate, resource) = ("1/h:2".parse().unwrap(), "anonymous".parse().unwrap());
        let take = |address: &str| {
            let scope = Scope::Address(address.parse().unwrap());
            limiter.take_now(&Bucket::new(scope, &resource), rate, 1).allowed
        };
        assert!(take("2001:db8:1:2::1") && take("2001:db8:1:2:ffff::2"));
        assert!(!take("2001:db8:1:2:3:4:5:6") && take("2001:db8:1:3::1"));
        assert!(take("192.0.2.1") && take("::ffff:192.0.2.1") && !take("192.0.2.1"));
        // What somebody has made long takes no room.
        let long = |end: char| Bucket::new(Scope::Other(format!("{}{end}", "x".repeat(1 << 20))), &resource);
        assert!(format!("{:?}", long('a')).len() < 200 && long('a') != long('b'));
    }
}
