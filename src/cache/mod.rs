//! The cache: what was hard to get, kept for a while. Owns: both levels, who loads what is missing, invalidation.
//! Must not know: what entries mean.
//!
//! Two levels: the memory of each process, bounded by entries and by bytes, over Redis, which the fleet shares. An
//! entry belongs to a tenant and is reached through its [`TenantCache`] only. An invalidation removes entries from Redis
//! and tells every process; a process that may have missed one drops its memory. While Redis is away each process goes on
//! with its memory alone, says so, and comes back by itself. A lost entry costs a load, never an error.

mod core;
mod flight;
mod key;
mod memory;
mod news;
mod shared;
mod statistics;
mod tenant;

use std::{sync::Arc, time::Duration};

use self::{
    core::{Core, Fleet},
    flight::Flights,
    memory::Memory,
    shared::Shared,
    statistics::Counters,
};
pub use self::{
    key::{CacheKey, CacheKeyError, Pattern},
    statistics::CacheStatistics,
    tenant::{TenantCache, Warmed},
};
use crate::{
    domain::{Clock, Random, TenantId},
    store::{
        breaker::{Breaker, Health},
        redis::Redis,
    },
};

/// How large a cache may be and how long things may take.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Entries in a process' memory. Default 1,000.
    pub most_entries: usize,
    /// Bytes that they may take there, with their names and tables. Default 512 MiB.
    pub most_bytes: usize,
    /// The largest value that the fleet shares; larger ones stay in memory. Default 8 MiB.
    pub most_shared_value: usize,
    /// The most entries of a tenant that the fleet shares; those that end first make room. Default 10,000.
    pub most_shared_entries: usize,
    /// The longest that an entry may live. Default 7 days.
    pub longest_life: Duration,
    /// How long a process that loads for the fleet is waited for once it has crashed. Default 10 s.
    pub hold: Duration,
    /// How long Redis may take to answer before a call goes on without it. Default half a second.
    pub patience: Duration,
    /// How often one call tries whether Redis is back. Default 1 s.
    pub pause: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            most_entries: 1_000,
            most_bytes: 512 << 20,
            most_shared_value: 8 << 20,
            most_shared_entries: 10_000,
            longest_life: Duration::from_secs(7 * 86_400),
            hold: Duration::from_secs(10),
            patience: Duration::from_millis(500),
            pause: Duration::from_secs(1),
        }
    }
}

/// How far an invalidation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To every process that shares the entries.
    Everywhere,
    /// To this process. The fleet is told when Redis is back; until then others may still find the entries.
    Here,
}

/// A cache. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Cache(Arc<Core>);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cache").field(&self.health()).finish()
    }
}

impl Cache {
    /// A cache in this process' memory alone.
    pub fn in_memory(options: CacheOptions, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::over(None, options, clock, random)
    }

    /// A cache that the fleet shares. From its first use on it listens for invalidations, as long as a clone of it lives.
    pub fn shared(
        redis: Redis,
        options: CacheOptions,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let level = Shared::new(redis, options.most_shared_entries, options.hold);
        let breaker = Breaker::new("cache in Redis", clock.clone(), options.patience, options.pause);
        Self::over(Some(Fleet::new(level, breaker)), options, clock, random)
    }

    fn over(
        shared: Option<Fleet>,
        options: CacheOptions,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self(Arc::new_cyclic(|me| Core {
            memory: Memory::new(options.most_entries, options.most_bytes),
            flights: Arc::new(Flights::default()),
            counters: Counters::default(),
            clock,
            random,
            options,
            shared,
            removing: tokio::sync::Mutex::default(),
            me: me.clone(),
        }))
    }

    /// A tenant's entries.
    pub fn tenant(&self, tenant: &TenantId) -> TenantCache {
        TenantCache::new(self.0.clone(), tenant.clone())
    }

    /// How this process' cache fares.
    pub fn statistics(&self) -> CacheStatistics {
        self.0.counters.read(self.0.memory.counts())
    }

    /// How many entries this process is loading or waiting for.
    pub fn loading(&self) -> usize {
        self.0.flights.len()
    }

    /// Whether the fleet's level is there; a cache that has none is well.
    pub fn health(&self) -> Health {
        self.0.shared.as_ref().map_or(Health::Well, |fleet| fleet.breaker.health())
    }

    /// Asks the fleet's level whether it is there; a cache that has none is well.
    pub async fn check(&self) -> Health {
        // What came of it is told by the health.
        let _ = self.0.ask(|level| level.check()).await;
        self.health()
    }

    /// Ends once invalidations of other processes are heard: at once where there are none. From then on until the
    /// connection is lost this process' memory is used.
    pub async fn hearing(&self) {
        self.0.hearing().await;
    }
}
