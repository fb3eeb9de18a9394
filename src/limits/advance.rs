//! Tokens that a process takes of a shared bucket before they are asked for, so that not each call is a round trip. Owns:
//! [`Advance`]: how many, and for how long they are good. Must not know: what engine the buckets are in.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use super::{Bucket, Decision, LimitError, Limiter};
use crate::domain::{Clock, Rate};

/// How long tokens that were taken in advance are good; what is left then is lost. Also how long calls are counted to tell how
/// many will come.
const PERIOD: Duration = Duration::from_millis(100);
/// Of the calls of a period so many are asked for together: one in eight.
const PARTS: u32 = 8;
/// Of a bucket's burst a process takes so little in advance: a hundredth. Nothing of a burst below 200.
const SHARE: u32 = 100;
/// And never more than this.
const MOST: u32 = 1_024;
/// For how many buckets it does so.
const MOST_BUCKETS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// One token a call, of a shared limiter. Where calls of a bucket come faster than `PARTS` times two a `PERIOD`, and its burst
/// is 200 at least, some are taken together and handed out from memory. Its promise:
///
/// In any stretch of time no more calls are let through than the shared limiter would, and one in a hundred of the burst for
/// each process beside it: those are tokens that were taken before the stretch and handed out in it. As many may be lost
/// where calls stop coming. Where the bucket refuses to give several, each call asks for its own again.
pub struct Advance {
    shared: Arc<dyn Limiter>,
    clock: Arc<dyn Clock>,
    shelves: Mutex<LruCache<Bucket, Arc<Shelf>>>,
}

/// What there is of one bucket.
struct Shelf {
    /// Whoever fills the shelf holds it; the others wait for him.
    filling: tokio::sync::Mutex<()>,
    /// Held for a few instructions at a time, never across an await.
    stock: Mutex<Stock>,
}

#[derive(Clone, Copy)]
struct Stock {
    rate: Rate,
    left: u32,
    good_until: Duration,
    /// What the bucket said last.
    last: Option<Decision>,
    /// When the period began in which calls are counted, and how many there were in it and in the one before.
    since: Duration,
    calls: u32,
    calls_before: u32,
    /// Each call asks for itself until then.
    alone_until: Duration,
}

/// Where a call's token comes from.
enum Source {
    Shelf(Decision),
    /// The bucket, alone.
    Bucket,
    /// The bucket, with so many for those who come next.
    Together(u32),
}

impl Stock {
    fn new(rate: Rate, now: Duration) -> Self {
        let (left, good_until, alone_until) = (0, Duration::ZERO, Duration::ZERO);
        Self { rate, left, good_until, last: None, since: now, calls: 0, calls_before: 0, alone_until }
    }

    /// Counts a call.
    fn count(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= PERIOD {
            self.calls_before = if passed < 2 * PERIOD { self.calls } else { 0 };
            (self.since, self.calls) = (now, 0);
        }
        self.calls = self.calls.saturating_add(1);
    }

    fn source(&mut self, now: Duration) -> Source {
        if self.left > 0
            && now < self.good_until
            && let Some(last) = self.last
        {
            self.left -= 1;
            return Source::Shelf(Decision { remaining: last.remaining + self.left, ..last });
        }
        self.left = 0;
        let wanted = (self.calls_before / PARTS).min(self.rate.burst() / SHARE).min(MOST);
        if wanted < 2 || now < self.alone_until { Source::Bucket } else { Source::Together(wanted) }
    }
}

impl Advance {
    /// Tokens of this limiter's buckets.
    pub fn new(shared: Arc<dyn Limiter>, clock: Arc<dyn Clock>) -> Self {
        Self { shared, clock, shelves: Mutex::new(LruCache::new(MOST_BUCKETS)) }
    }

    /// Takes a token that is on the shelf; `None` where there is none, which [`take`](Self::take) is for then.
    pub fn take_at_once(&self, bucket: &Bucket, rate: Rate) -> Option<Decision> {
        if rate.burst() / SHARE < 2 {
            return None;
        }
        match self.shelf(bucket, rate).ask(rate, self.clock.elapsed(), true) {
            Source::Shelf(decision) => Some(self.counted(bucket, decision)),
            Source::Bucket | Source::Together(_) => None,
        }
    }

    /// Takes a token where there was none on the shelf, or says how long until there is one.
    ///
    /// # Errors
    /// [`LimitError`]; whether it was taken is unknown then.
    pub async fn take(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        if rate.burst() / SHARE < 2 {
            return self.shared.take(bucket, rate, 1).await;
        }
        let shelf = self.shelf(bucket, rate);
        match shelf.ask(rate, self.clock.elapsed(), false) {
            Source::Shelf(decision) => return Ok(self.counted(bucket, decision)),
            Source::Bucket => return self.shared.take(bucket, rate, 1).await,
            Source::Together(_) => {}
        }
        let filling = shelf.filling.lock().await;
        let begun = self.clock.elapsed();
        match shelf.ask(rate, begun, false) {
            Source::Shelf(decision) => return Ok(self.counted(bucket, decision)),
            Source::Bucket => {}
            Source::Together(wanted) => {
                let decision = self.shared.take(bucket, rate, wanted).await?;
                let mut stock = shelf.stock();
                if decision.allowed && stock.rate != rate {
                    // It was changed meanwhile: nothing is kept at the old one.
                    return Ok(decision);
                }
                if decision.allowed {
                    // The time counts from before they were taken.
                    (stock.left, stock.good_until) = (wanted - 1, begun + PERIOD);
                    stock.last = Some(decision);
                    return Ok(Decision { remaining: decision.remaining + stock.left, ..decision });
                }
                stock.alone_until = begun + PERIOD;
            }
        }
        drop(filling);
        self.shared.take(bucket, rate, 1).await
    }

    fn counted(&self, bucket: &Bucket, decision: Decision) -> Decision {
        self.shared.count(&bucket.resource, &decision);
        decision
    }

    fn shelf(&self, bucket: &Bucket, rate: Rate) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let stock = Mutex::new(Stock::new(rate, self.clock.elapsed()));
            Arc::new(Shelf { filling: tokio::sync::Mutex::default(), stock })
        };
        shelves.get_or_insert_ref(bucket, make).clone()
    }
}

impl Shelf {
    fn ask(&self, rate: Rate, now: Duration, is_new: bool) -> Source {
        let mut stock = self.stock();
        if stock.rate != rate {
            *stock = Stock::new(rate, now);
        }
        if is_new {
            stock.count(now);
        }
        stock.source(now)
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ManualClock, Random as _, SeededRandom, Timestamp},
        limits::{LimitRules, MemoryLimiter},
    };

    struct World {
        clock: Arc<ManualClock>,
        shared: Arc<MemoryLimiter>,
        bucket: Bucket,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
            let shared = Arc::new(MemoryLimiter::new(clock.clone(), Arc::new(SeededRandom::new(1))));
            Self { clock, shared, bucket: Bucket::new(&"acme".parse().unwrap(), &LimitRules::API) }
        }

        fn process(&self) -> Advance {
            Advance::new(self.shared.clone(), self.clock.clone())
        }

        async fn left(&self, rate: Rate) -> u32 {
            self.shared.level(&self.bucket, rate).await.unwrap().remaining
        }

        /// So many calls in each of so many milliseconds; how many were let through.
        async fn call(&self, process: &Advance, rate: Rate, calls: u32, milliseconds: u32) -> u32 {
            let mut allowed = 0;
            for _ in 0..milliseconds {
                self.clock.advance(Duration::from_millis(1));
                for _ in 0..calls {
                    allowed += u32::from(take(process, &self.bucket, rate).await.unwrap().allowed);
                }
            }
            allowed
        }
    }

    async fn take(process: &Advance, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        match process.take_at_once(bucket, rate) {
            Some(decision) => Ok(decision),
            None => process.take(bucket, rate).await,
        }
    }

    fn on_the_shelf(process: &Advance, bucket: &Bucket) -> u32 {
        process.shelves.lock().unwrap().peek(bucket).map_or(0, |shelf| shelf.stock().left)
    }

    #[tokio::test]
    async fn a_bucket_with_little_in_it_is_asked_for_each_call() {
        let world = World::new();
        let (process, rate) = (world.process(), "1/h:100".parse().unwrap());
        for call in 1..=100 {
            assert!(take(&process, &world.bucket, rate).await.unwrap().allowed);
            assert_eq!(world.left(rate).await, 100 - call);
        }
        assert!(!take(&process, &world.bucket, rate).await.unwrap().allowed);
    }

    #[tokio::test]
    async fn what_comes_fast_is_taken_together_and_every_token_is_one_of_the_buckets() {
        let world = World::new();
        let (process, rate) = (world.process(), "1/h:1000000".parse().unwrap());
        let mut most = 0;
        for _ in 0..50 {
            assert_eq!(world.call(&process, rate, 4, 10).await, 40);
            most = most.max(on_the_shelf(&process, &world.bucket));
        }
        assert!(most > 20, "{most}");
        let taken = 1_000_000 - world.left(rate).await;
        assert!((2_000..=2_200).contains(&taken), "{taken}");
        let decision = take(&process, &world.bucket, rate).await.unwrap();
        let shelf = on_the_shelf(&process, &world.bucket);
        assert_eq!(decision.remaining, world.left(rate).await + shelf);
        // Every call is counted, wherever its token came from.
        assert_eq!(world.shared.statistics()[0].allowed, 2_001);
    }

    #[tokio::test]
    async fn no_more_is_let_through_than_the_bucket_would_and_a_hundredth_of_it_for_each_process() {
        let (world, random) = (World::new(), SeededRandom::new(7));
        let (rate, processes) = ("2000/s:2000".parse().unwrap(), [(); 3].map(|()| world.process()));
        let (mut allowed, mut most) = (Vec::new(), 0);
        for _ in 0..3_000 {
            let mut now = 0;
            world.clock.advance(Duration::from_millis(1));
            for process in &processes {
                for _ in 0..random.below(6) {
                    now += i64::from(take(process, &world.bucket, rate).await.unwrap().allowed);
                }
                most = most.max(on_the_shelf(process, &world.bucket));
            }
            allowed.push(now);
        }
        assert!(most > 10, "nothing was taken in advance: {most}");
        // A line of slope 2 that all stretches have to stay below.
        let (mut above, mut lowest, mut worst) = (0, 0, 0);
        for now in &allowed {
            lowest = lowest.min(above);
            above += now - 2;
            worst = worst.max(above - lowest);
        }
        assert!(worst <= 2_000 + 2 + 3 * 20, "{worst}");
        let all: i64 = allowed.iter().sum();
        assert!(all > 7_800, "{all} of 8,000 were used");
    }

    #[tokio::test]
    async fn what_was_taken_in_advance_does_not_last_and_a_new_rate_holds_at_once() {
        let world = World::new();
        let (process, rate) = (world.process(), "1/h:1000000".parse().unwrap());
        while on_the_shelf(&process, &world.bucket) < 20 {
            world.call(&process, rate, 4, 1).await;
        }
        let before = world.left(rate).await;
        world.clock.advance(PERIOD);
        take(&process, &world.bucket, rate).await.unwrap();
        assert!(world.left(rate).await < before, "it was asked for again");

        while on_the_shelf(&process, &world.bucket) < 20 {
            world.call(&process, rate, 4, 1).await;
        }
        let other = "1/h:5000".parse().unwrap();
        let before = world.left(other).await;
        take(&process, &world.bucket, other).await.unwrap();
        assert_eq!(world.left(other).await, before - 1);
    }

    #[tokio::test]
    async fn where_there_are_few_left_each_call_takes_its_own() {
        let world = World::new();
        let (process, rate) = (world.process(), "1/h:3000".parse().unwrap());
        let allowed = world.call(&process, rate, 10, 400).await;
        // Not more than there were; and hardly any were lost, for the last ones are not taken together.
        assert!((2_960..=3_000).contains(&allowed), "{allowed}");
        assert_eq!(world.left(rate).await, 0);
    }
}
