//! How a process' cache fares.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Counts since the process started, and what is in memory now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheStatistics {
    /// Found in this process' memory.
    pub memory_hits: u64,
    /// Found in the fleet's level.
    pub shared_hits: u64,
    /// Given what another caller of this process was loading.
    pub joined: u64,
    /// Found nowhere.
    pub misses: u64,
    /// Loads that this process made and that gave a value.
    pub loads: u64,
    /// Loads that failed or were dropped.
    pub failed_loads: u64,
    /// Entries that made room for others in memory.
    pub evictions: u64,
    /// Invalidations asked for in this process.
    pub invalidations: u64,
    /// Values that made no sense, messages of the fleet's level that made none, and calls that it refused.
    pub errors: u64,
    /// Entries in memory.
    pub entries: u64,
    /// Bytes of memory that they take, with their names and tables.
    pub bytes: u64,
}

impl CacheStatistics {
    /// The share of askings that needed no load, from 0 to 1; 0 where nobody has asked.
    pub fn hit_rate(&self) -> f64 {
        let hits = self.memory_hits + self.shared_hits + self.joined;
        let all = hits + self.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        if all == 0 { 0.0 } else { hits as f64 / all as f64 }
    }
}

/// The counters behind it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) memory_hits: AtomicU64,
    pub(super) shared_hits: AtomicU64,
    pub(super) joined: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) failed_loads: AtomicU64,
    pub(super) invalidations: AtomicU64,
    pub(super) errors: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(super) fn read(&self, (entries, bytes, evictions): (usize, usize, u64)) -> CacheStatistics {
        CacheStatistics {
            memory_hits: self.memory_hits.load(Relaxed),
            shared_hits: self.shared_hits.load(Relaxed),
            joined: self.joined.load(Relaxed),
            misses: self.misses.load(Relaxed),
            loads: self.loads.load(Relaxed),
            failed_loads: self.failed_loads.load(Relaxed),
            evictions,
            invalidations: self.invalidations.load(Relaxed),
            errors: self.errors.load(Relaxed),
            entries: entries as u64,
            bytes: bytes as u64,
        }
    }
}
