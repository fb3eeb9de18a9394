//! The level in this process' memory. Owns: both its bounds, the ends of its entries, and the rule that nothing is kept that
//! was invalidated while it was on its way.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lru::LruCache;

use super::key::{CacheKey, Pattern};
use crate::domain::{TenantId, Timestamp};

/// What an entry costs beside its value and its names: the table's slot, the list's links, the counters of its parts.
pub(super) const OVERHEAD: usize = 192;
/// How many invalidations are remembered for those on their way.
const MOST_REMEMBERED: usize = 256;

/// An entry's full name.
pub(super) type Name = (TenantId, CacheKey);

/// Entries, the least lately used of which go first.
pub(super) struct Memory {
    most_entries: usize,
    most_bytes: usize,
    /// Held for a few instructions at a time (for one pass over the entries to invalidate), never across an await.
    level: Mutex<Level>,
}

struct Level {
    entries: LruCache<Name, Entry>,
    bytes: usize,
    evictions: u64,
    /// Counts the invalidations.
    now: u64,
    /// The last of them, with their numbers; without a name all entries are meant.
    invalidations: VecDeque<(u64, Option<(TenantId, Pattern)>)>,
}

struct Entry {
    value: Bytes,
    ends: Timestamp,
}

/// The moment at which somebody went to fetch a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64);

fn size(name: &Name, value: &Bytes) -> usize {
    value.len() + name.0.as_str().len() + name.1.as_str().len() + OVERHEAD
}

impl Memory {
    pub(super) fn new(most_entries: usize, most_bytes: usize) -> Self {
        let level = Level {
            entries: LruCache::unbounded(),
            bytes: 0,
            evictions: 0,
            now: 0,
            invalidations: VecDeque::with_capacity(MOST_REMEMBERED),
        };
        Self { most_entries, most_bytes, level: Mutex::new(level) }
    }

    pub(super) fn get(&self, name: &Name, now: Timestamp) -> Option<Bytes> {
        let mut level = self.level();
        let entry = level.entries.get(name)?;
        if entry.ends > now {
            return Some(entry.value.clone());
        }
        level.remove(name);
        None
    }

    /// To be taken before a value is fetched.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.level().now)
    }

    /// Keeps a value that was fetched after `mark`, unless it was invalidated since. A value larger than the whole level
    /// is not kept.
    pub(super) fn keep(&self, name: &Name, value: &Bytes, ends: Timestamp, mark: Mark) {
        let mut level = self.level();
        level.remove(name);
        let size = size(name, value);
        if size > self.most_bytes || self.most_entries == 0 || level.was_invalidated_since(name, mark) {
            return;
        }
        while level.entries.len() >= self.most_entries || level.bytes + size > self.most_bytes {
            let Some((name, entry)) = level.entries.pop_lru() else { break };
            level.bytes -= self::size(&name, &entry.value);
            level.evictions += 1;
        }
        level.bytes += size;
        // A copy: the value may be a small piece of something large.
        level.entries.put(name.clone(), Entry { value: Bytes::copy_from_slice(value), ends });
    }

    pub(super) fn invalidate(&self, tenant: &TenantId, pattern: &Pattern) {
        let mut level = self.level();
        level.remember(Some((tenant.clone(), pattern.clone())));
        let mut gone = 0;
        level.entries.retain(|name, entry| {
            let stays = name.0 != *tenant || !pattern.matches(&name.1);
            if !stays {
                gone += size(name, &entry.value);
            }
            stays
        });
        level.bytes -= gone;
    }

    /// Drops everything: something may have been missed.
    pub(super) fn clear(&self) {
        let mut level = self.level();
        level.remember(None);
        level.entries.clear();
        level.bytes = 0;
    }

    /// Entries, bytes and evictions.
    pub(super) fn counts(&self) -> (usize, usize, u64) {
        let level = self.level();
        (level.entries.len(), level.bytes, level.evictions)
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    fn remove(&mut self, name: &Name) {
        if let Some(entry) = self.entries.pop(name) {
            self.bytes -= size(name, &entry.value);
        }
    }

    fn remember(&mut self, what: Option<(TenantId, Pattern)>) {
        self.now += 1;
        if self.invalidations.len() == MOST_REMEMBERED {
            self.invalidations.pop_front();
        }
        self.invalidations.push_back((self.now, what));
    }

    /// Also where nobody can say any more.
    fn was_invalidated_since(&self, name: &Name, mark: Mark) -> bool {
        let forgotten = self.invalidations.front().is_some_and(|(first, _)| *first > mark.0 + 1);
        let hits = |what: &Option<(TenantId, Pattern)>| {
            what.as_ref().is_none_or(|(tenant, pattern)| *tenant == name.0 && pattern.matches(&name.1))
        };
        forgotten
            || self.invalidations.iter().rev().take_while(|(at, _)| *at > mark.0).any(|(_, what)| hits(what))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Random as _, SeededRandom};

    const LATER: Timestamp = Timestamp::from_millis(1_000_000);

    fn name(tenant: &str, key: &str) -> Name {
        (tenant.parse().unwrap(), key.parse().unwrap())
    }

    fn keep(memory: &Memory, name: &Name, bytes: usize) {
        memory.keep(name, &Bytes::from(vec![0; bytes]), LATER, memory.mark());
    }

    #[test]
    fn both_bounds_hold_under_any_load_and_the_count_of_bytes_is_true() {
        for seed in 0..20 {
            let (random, memory) = (SeededRandom::new(seed), Memory::new(50, 40_000));
            for _ in 0..5_000 {
                let name = name(["a", "b"][usize::from(random.below(2) > 0)], &random.below(200).to_string());
                match random.below(20) {
                    0 => memory.invalidate(&name.0, &format!("{}*", random.below(30)).parse().unwrap()),
                    1..8 => drop(memory.get(&name, Timestamp::EPOCH)),
                    _ => {
                        let most = if random.below(50) == 0 { 60_000 } else { 3_000 };
                        keep(&memory, &name, usize::try_from(random.below(most)).unwrap());
                    }
                }
                let level = memory.level();
                let sum: usize = level.entries.iter().map(|(name, entry)| size(name, &entry.value)).sum();
                assert_eq!(level.bytes, sum);
                assert!(level.entries.len() <= 50 && sum <= 40_000, "{} {sum}", level.entries.len());
            }
            assert!(memory.counts().2 > 0);
            memory.clear();
            assert_eq!((memory.counts().0, memory.counts().1), (0, 0));
        }
    }

    #[test]
    fn what_is_larger_than_the_level_is_not_kept_and_displaces_nothing() {
        let memory = Memory::new(10, 5_000);
        keep(&memory, &name("a", "small"), 100);
        keep(&memory, &name("a", "large"), 5_000);
        assert!(memory.get(&name("a", "small"), Timestamp::EPOCH).is_some());
        assert_eq!(memory.counts().0, 1);
        // A larger value in the place of a smaller one leaves neither.
        keep(&memory, &name("a", "small"), 5_000);
        assert_eq!((memory.counts().0, memory.counts().1), (0, 0));
    }

    #[test]
    fn an_entry_ends_at_its_time() {
        let memory = Memory::new(10, 5_000);
        keep(&memory, &name("a", "k"), 1);
        assert!(memory.get(&name("a", "k"), LATER.before(Duration::from_micros(1))).is_some());
        assert!(memory.get(&name("a", "k"), LATER).is_none());
        assert_eq!((memory.counts().0, memory.counts().1), (0, 0));
    }

    #[test]
    fn what_was_invalidated_on_its_way_is_not_kept() {
        let memory = Memory::new(10, 5_000);
        let (name, other) = (name("a", "chapter:1"), name("b", "chapter:1"));
        let value = Bytes::from_static(b"old");
        let mark = memory.mark();
        memory.invalidate(&name.0, &"chapter:*".parse().unwrap());
        memory.keep(&name, &value, LATER, mark);
        memory.keep(&other, &value, LATER, mark);
        assert!(memory.get(&name, Timestamp::EPOCH).is_none());
        assert!(memory.get(&other, Timestamp::EPOCH).is_some());
        memory.keep(&name, &value, LATER, memory.mark());
        assert!(memory.get(&name, Timestamp::EPOCH).is_some());
        // Where too much has happened since, nobody can say.
        let mark = memory.mark();
        (0..=MOST_REMEMBERED).for_each(|_| memory.invalidate(&other.0, &"x".parse().unwrap()));
        memory.keep(&name, &value, LATER, mark);
        assert!(memory.get(&name, Timestamp::EPOCH).is_none());
    }
}
