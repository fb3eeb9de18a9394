//! How many calls are let through, and what becomes of tokens that nobody fetches.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    domain::{ManualClock, Random as _, SeededRandom, Timestamp},
    limits::{LimitRules, MemoryLimiter, Reservation, Reserved, Resource, ResourceStatistics, Settlement},
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

/// A limiter that gives several tokens only when it is told to.
struct Slow {
    inner: Arc<MemoryLimiter>,
    told: Semaphore,
}

#[async_trait]
impl Limiter for Slow {
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError> {
        let decision = self.inner.take(bucket, rate, cost).await;
        if cost > 1 {
            self.told.acquire().await.unwrap().forget();
        }
        decision
    }

    async fn reserve(
        &self,
        bucket: &Bucket,
        rate: Rate,
        estimate: u32,
        hold: Duration,
    ) -> Result<Reserved, LimitError> {
        self.inner.reserve(bucket, rate, estimate, hold).await
    }

    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        self.inner.settle(reservation, actual).await
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.inner.park(bucket, wait).await
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        self.inner.parked(bucket).await
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        self.inner.level(bucket, rate).await
    }

    fn count(&self, resource: &Resource, decision: &Decision) {
        self.inner.count(resource, decision);
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.inner.statistics()
    }
}

#[tokio::test]
async fn who_goes_away_while_tokens_are_fetched_takes_only_his_own_with_him() {
    let world = World::new();
    let slow = Arc::new(Slow { inner: world.shared.clone(), told: Semaphore::new(0) });
    let (process, rate) = (Advance::new(slow.clone(), world.clock.clone()), "1/h:1000000".parse().unwrap());
    // So many that the next period's are fetched together.
    for _ in 0..400 {
        assert!(take(&process, &world.bucket, rate).await.unwrap().allowed);
    }
    world.clock.advance(PERIOD);
    assert!(process.take_at_once(&world.bucket, rate).is_none());
    let mut call = Box::pin(process.take(&world.bucket, rate));
    while world.left(rate).await == 1_000_000 - 400 {
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    let fetched = 1_000_000 - 400 - world.left(rate).await;
    assert_eq!(fetched, 400 / PARTS);
    drop(call);
    slow.told.add_permits(1);
    // The next one finds them there, and asks for none.
    assert!(process.take(&world.bucket, rate).await.unwrap().allowed);
    assert_eq!(on_the_shelf(&process, &world.bucket), fetched - 2);
    assert_eq!(world.left(rate).await, 1_000_000 - 400 - fetched);
}
