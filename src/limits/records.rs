//! Limits of one machine: buckets as records, shared by all processes that share them. Owns: the collection `limits`.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::{
    Bucket, Decision, LimitError, Limiter, Reservation, Reserved, Resource, ResourceStatistics, Settlement,
    level::Level, new_reservation, statistics::Counters,
};
use crate::{
    domain::{Clock, Random, Rate, Timestamp},
    store::{Expect, Records, StoreError},
};

const COLLECTION: &str = "limits";
/// How often a change is tried. This process stands in line for a bucket, so it has one rival for each other process.
const MOST_TRIES: usize = 64;
/// How many lines this process stands in.
const LINES: usize = 64;

/// Buckets in [`Records`]: exact across the processes that share them. A change of a bucket is a durable write, so this
/// is for hundreds of calls a second, not for hundreds of thousands. A call that is refused writes nothing.
pub struct RecordsLimiter {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Who changes a bucket holds its line, so that the tasks of a process don't race each other.
    lines: Vec<Mutex<()>>,
    hasher: RandomState,
    counters: Counters,
}

impl std::fmt::Debug for RecordsLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordsLimiter")
    }
}

impl RecordsLimiter {
    /// Buckets in these records; both read the same clock.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let lines = (0..LINES).map(|_| Mutex::default()).collect();
        Self { records, clock, random, lines, hasher: RandomState::new(), counters: Counters::default() }
    }

    async fn read(&self, bucket: &Bucket, doing: &'static str) -> Result<(Level, Expect), LimitError> {
        let record = self.records.get(COLLECTION, &key(bucket)).await.map_err(|error| away(doing, error))?;
        Ok(record.map_or((Level::default(), Expect::Nothing), |record| {
            // What makes no sense counts as a full bucket: it will be written anew.
            let level = serde_json::from_slice(&record.value).unwrap_or_default();
            (level, Expect::Version(record.version))
        }))
    }

    /// Changes a bucket in one step: `change` is called again where another process was faster.
    async fn change<T>(
        &self,
        bucket: &Bucket,
        doing: &'static str,
        mut change: impl FnMut(&mut Level, Timestamp) -> T + Send,
    ) -> Result<T, LimitError> {
        let line = self.hasher.hash_one(bucket) % LINES as u64;
        let line = usize::try_from(line).unwrap_or(0);
        let _turn = self.lines[line].lock().await;
        let mut tries = 1;
        loop {
            let (mut level, expect) = self.read(bucket, doing).await?;
            let (before, now) = (level.clone(), self.clock.now());
            let answer = change(&mut level, now);
            if level == before {
                return Ok(answer);
            }
            let value = serde_json::to_vec(&level).map_err(|error| LimitError::Broken(error.to_string()))?;
            let end = Some(level.idle_at());
            match self.records.put(COLLECTION, &key(bucket), Bytes::from(value), expect, end).await {
                Ok(_) => return Ok(answer),
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(away(doing, error)),
            }
        }
    }
}

fn key(bucket: &Bucket) -> String {
    format!("{}/{}", bucket.scope.tag(), bucket.resource)
}

fn away(doing: &'static str, error: StoreError) -> LimitError {
    LimitError::Unavailable { doing, cause: error.into() }
}

#[async_trait]
impl Limiter for RecordsLimiter {
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError> {
        let decision = self.change(bucket, "take tokens", |level, now| level.take(rate, cost, now)).await?;
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
        let id = new_reservation(&*self.random);
        let reserve = |level: &mut Level, now| level.reserve(rate, estimate, id.clone(), hold, now);
        let decision = self.change(bucket, "reserve tokens", reserve).await?;
        self.counters.count(&bucket.resource, &decision);
        Ok(Reserved::new(bucket, rate, estimate, id, decision))
    }

    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError> {
        let Reservation { bucket, rate, id, .. } = reservation;
        self.change(bucket, "settle a reservation", |level, now| level.settle(id, *rate, actual, now)).await
    }

    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError> {
        self.change(bucket, "park a resource", |level, now| level.park(wait, now)).await
    }

    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError> {
        let (level, _) = self.read(bucket, "see whether a resource is parked").await?;
        Ok(level.parked(self.clock.now()))
    }

    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        let (level, _) = self.read(bucket, "read a level").await?;
        Ok(level.level(rate, self.clock.now()))
    }

    fn count(&self, resource: &Resource, decision: &Decision) {
        self.counters.count(resource, decision);
    }

    fn statistics(&self) -> Vec<ResourceStatistics> {
        self.counters.all()
    }
}
