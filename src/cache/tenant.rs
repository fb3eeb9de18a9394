//! A tenant's view of the cache, the only one there is: no key leads to another tenant's entries. Owns: who loads an entry,
//! in this process and in the fleet.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    Reach,
    core::{Core, Found},
    key::{CacheKey, Pattern},
    memory::Name,
    statistics::count,
};
use crate::domain::TenantId;

/// How long one waits before looking again whether another process has loaded an entry, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// A tenant's entries. Cheap to clone.
#[derive(Clone)]
pub struct TenantCache {
    core: Arc<Core>,
    tenant: TenantId,
}

/// What a warm-up has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Entries that were there already.
    pub present: usize,
    /// Entries that were loaded.
    pub loaded: usize,
    /// Entries whose loader failed.
    pub failed: usize,
}

impl std::fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TenantCache").field(&self.tenant).finish()
    }
}

impl TenantCache {
    pub(super) fn new(core: Arc<Core>, tenant: TenantId) -> Self {
        Self { core, tenant }
    }

    /// The entry, where there is one.
    pub async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let name = self.name(key);
        if let Some(value) = self.core.in_memory(&name) {
            count(&self.core.counters.memory_hits);
            return Some(value);
        }
        let mark = self.core.memory.mark();
        if self.core.shared.is_some()
            && let Found::Value(value) = self.core.in_fleet(&name, None, mark).await
        {
            count(&self.core.counters.shared_hits);
            return Some(value);
        }
        count(&self.core.counters.misses);
        None
    }

    /// Writes an entry that lives so long. Less than a millisecond is not kept, more than
    /// [`longest_life`](super::CacheOptions::longest_life) is cut. Nothing in other processes' memories is replaced:
    /// [invalidate](Self::invalidate) it first where there may be something.
    pub async fn put(&self, key: &CacheKey, value: &Bytes, lives: Duration) {
        let mark = self.core.memory.mark();
        let _answered = self.core.write(&self.name(key), value, lives, mark, None, None).await;
    }

    /// The entry; where there is none, what `load` gives, which lives so long from now on.
    ///
    /// Of all who ask for it at one time one loads, in this process and in the fleet; the others wait for it. Where it
    /// fails, is dropped or crashes, the next one loads. What is invalidated while it is being loaded is given to those who
    /// wait for it, and not kept.
    ///
    /// # Errors
    /// What the loader says.
    pub async fn get_or_load<E, F>(
        &self,
        key: &CacheKey,
        lives: Duration,
        load: impl FnOnce() -> F,
    ) -> Result<Bytes, E>
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        let name = self.name(key);
        if let Some(value) = self.core.in_memory(&name) {
            count(&self.core.counters.memory_hits);
            return Ok(value);
        }
        let ticket = self.core.flights.join(&name);
        let mut turn = ticket.turn().await;
        if let Some(value) = &*turn {
            count(&self.core.counters.joined);
            return Ok(value.clone());
        }
        let value = self.find_or_load(&name, lives, load).await?;
        ticket.finish(&mut turn, &value);
        Ok(value)
    }

    /// Loads what is not there yet, so many at a time (at least one): what will be needed soon.
    pub async fn warm<E, F>(
        &self,
        keys: impl IntoIterator<Item = CacheKey, IntoIter: Send> + Send,
        lives: Duration,
        at_a_time: usize,
        load: impl Fn(CacheKey) -> F + Sync,
    ) -> Warmed
    where
        F: Future<Output = Result<Bytes, E>> + Send,
        E: Send,
    {
        let load = &load;
        let one = |key: CacheKey| async move {
            let mut loaded = false;
            let result = self.get_or_load(&key, lives, || {
                loaded = true;
                load(key.clone())
            });
            let failed = result.await.is_err();
            Warmed {
                present: usize::from(!loaded && !failed),
                loaded: usize::from(loaded && !failed),
                failed: usize::from(failed),
            }
        };
        let all = stream::iter(keys).map(one).buffer_unordered(at_a_time.max(1));
        all.fold(Warmed::default(), |sum, one| async move {
            Warmed {
                present: sum.present + one.present,
                loaded: sum.loaded + one.loaded,
                failed: sum.failed + one.failed,
            }
        })
        .await
    }

    /// Removes entries from both levels and from every process' memory. What is being loaded now will not be kept.
    pub async fn invalidate(&self, pattern: &Pattern) -> Reach {
        self.core.invalidate(&self.tenant, pattern).await
    }

    /// Removes an entry of which its reader can make nothing, where it is this one still: whoever finds it first removes it, and what
    /// was put in its place stays. Counted as an error; whether it was removed.
    pub async fn remove_spoilt(&self, key: &CacheKey, value: &Bytes) -> bool {
        let (core, name) = (&self.core, self.name(key));
        // One after the other: the second looks once the first has removed it.
        let _turn = core.removing.lock().await;
        let mark = core.memory.mark();
        let there = match core.in_memory(&name) {
            Some(there) => Some(there),
            None => match core.in_fleet(&name, None, mark).await {
                Found::Value(there) => Some(there),
                _ => None,
            },
        };
        let is_this = there.as_ref() == Some(value);
        if is_this {
            count(&core.counters.errors);
            let _reach = self.invalidate(&Pattern::from(key)).await;
        }
        is_this
    }

    fn name(&self, key: &CacheKey) -> Name {
        (self.tenant.clone(), key.clone())
    }

    /// Looks everywhere; loads where it is this process' turn in the fleet.
    async fn find_or_load<E, F>(
        &self,
        name: &Name,
        lives: Duration,
        load: impl FnOnce() -> F,
    ) -> Result<Bytes, E>
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        let core = &self.core;
        let mut right = core.shared.is_some().then(|| Right::new(core.clone(), name.clone()));
        let mut look = LOOKS.0;
        let (mark, generation) = loop {
            let mark = core.memory.mark();
            // Another caller may have been faster than this one got its turn.
            if let Some(value) = core.in_memory(name) {
                count(&core.counters.memory_hits);
                return Ok(value);
            }
            let Some(right) = &mut right else { break (mark, None) };
            right.asked = true;
            match core.in_fleet(name, Some(&right.token), mark).await {
                Found::Value(value) => {
                    right.asked = false;
                    count(&core.counters.shared_hits);
                    return Ok(value);
                }
                Found::Load(generation) => break (mark, Some(generation)),
                Found::LoadAlone => break (mark, None),
                Found::Taken(left) => {
                    right.asked = false;
                    sleep(look.min(left)).await;
                    look = (look * 2).min(LOOKS.1);
                }
            }
        };
        count(&core.counters.misses);
        let mut outcome = Outcome { core, loaded: false };
        let value = match &right {
            Some(right) if generation.is_some() => right.kept_while(load()).await?,
            _ => load().await?,
        };
        outcome.loaded = true;
        drop(outcome);
        let token = right.as_ref().map(|right| right.token.as_str());
        let given_back = core.write(name, &value, lives, mark, generation.as_ref(), token).await;
        if let Some(right) = &mut right {
            right.asked = !given_back;
        }
        Ok(value)
    }
}

/// Counts a load when it ends, however it ends.
struct Outcome<'a> {
    core: &'a Core,
    loaded: bool,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        let counters = &self.core.counters;
        count(if self.loaded { &counters.loads } else { &counters.failed_loads });
    }
}

/// This caller's right to load an entry for the fleet. Dropped, it is given back; where that can't be told, or the
/// process crashes, it ends by itself.
struct Right {
    core: Arc<Core>,
    name: Name,
    token: String,
    /// Whether it may be ours.
    asked: bool,
}

impl Right {
    fn new(core: Arc<Core>, name: Name) -> Self {
        let mut bytes = [0; 16];
        core.random.fill(&mut bytes);
        Self { core, name, token: format!("{:032x}", u128::from_le_bytes(bytes)), asked: false }
    }

    /// Renews the right at each third of its time for as long as the work takes.
    async fn kept_while<T>(&self, work: impl Future<Output = T>) -> T {
        let third = self.core.shared.as_ref().map_or(Duration::MAX, |fleet| fleet.level.hold() / 3);
        let mut beats = interval(third.max(Duration::from_millis(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        let renewing = async {
            loop {
                beats.tick().await;
                // Should it fail, others may load too: more work, and nothing wrong.
                self.core.ask(|level| async move { level.renew(&self.name, &self.token).await }).await;
            }
        };
        tokio::select! {
            value = work => value,
            () = renewing => unreachable!("renews for ever"),
        }
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        if !self.asked {
            return;
        }
        let (core, name, token) = (self.core.clone(), self.name.clone(), std::mem::take(&mut self.token));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                core.ask(|level| async move { level.give_up(&name, &token).await }).await;
            });
        }
    }
}
