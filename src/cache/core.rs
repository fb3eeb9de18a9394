//! What all handles of a cache share: both levels, and the way between them. Owns: the order in which levels are asked, what
//! is owed to the fleet's level after an outage. Must not know: loaders.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::{sync::watch, task::AbortHandle};

use super::{
    CacheOptions, Reach,
    flight::Flights,
    key::Pattern,
    memory::{Mark, Memory, Name},
    news::{self, News},
    shared::{Fetched, Generation, Shared},
    statistics::{Counters, count},
};
use crate::{
    domain::{Clock, Random, TenantId},
    store::{
        breaker::{Breaker, Outcome},
        redis::channels::Ear,
    },
};

/// How many patterns of a tenant are owed before all of its entries are.
const MOST_OWED: usize = 100;
/// To how many tenants something may be owed.
const MOST_OWED_TENANTS: usize = 10_000;

pub(super) struct Core {
    pub(super) memory: Memory,
    pub(super) flights: Arc<Flights>,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) options: CacheOptions,
    pub(super) shared: Option<Fleet>,
    /// Held by the one who removes what nobody can read.
    pub(super) removing: tokio::sync::Mutex<()>,
    /// Itself, for the one who listens.
    pub(super) me: Weak<Core>,
}

/// Whether invalidations of other processes are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// Nobody has subscribed yet.
    NotYet,
    /// All that is told is heard.
    All,
    /// What is told now is missed.
    Lost,
}

/// Invalidations by tenant, each with a number of its own: one that was asked for again meanwhile is owed again.
#[derive(Default)]
struct Owed {
    by_tenant: BTreeMap<TenantId, BTreeMap<Pattern, u64>>,
    last: u64,
}

/// The way to the fleet's level.
pub(super) struct Fleet {
    pub(super) level: Arc<Shared>,
    pub(super) breaker: Breaker,
    hearing: watch::Sender<Hearing>,
    /// Invalidations that the fleet does not know of.
    owed: Mutex<Owed>,
    /// Held by the one who tells it of them.
    paying: tokio::sync::Mutex<()>,
    /// Subscribes; begun with the first use, for many a process never uses its cache.
    listener: OnceLock<AbortHandle>,
    ear: OnceLock<Ear>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

/// Where the search for an entry has led.
pub(super) enum Found {
    /// The entry.
    Value(Bytes),
    /// It has to be loaded, and may be written where the fleet's generation still holds.
    Load(Generation),
    /// Somebody else in the fleet loads it; his right ends by then.
    Taken(Duration),
    /// It has to be loaded, and the fleet's level can't be written.
    LoadAlone,
}

impl Fleet {
    pub(super) fn new(level: Shared, breaker: Breaker) -> Self {
        let (hearing, _) = watch::channel(Hearing::NotYet);
        Self {
            level: Arc::new(level),
            breaker,
            hearing,
            owed: Mutex::default(),
            paying: tokio::sync::Mutex::default(),
            listener: OnceLock::new(),
            ear: OnceLock::new(),
        }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owe(&self, tenant: &TenantId, pattern: &Pattern) {
        let mut owed = self.owed();
        if owed.by_tenant.len() >= MOST_OWED_TENANTS && !owed.by_tenant.contains_key(tenant) {
            tracing::warn!(%tenant, "an invalidation is lost to the fleet: its entries live until their ends");
            return;
        }
        owed.last += 1;
        let number = owed.last;
        let patterns = owed.by_tenant.entry(tenant.clone()).or_default();
        patterns.insert(pattern.clone(), number);
        if patterns.len() > MOST_OWED {
            *patterns = BTreeMap::from([(Pattern::everything(), number)]);
        }
    }

    /// What is owed next, with its number.
    fn next_owed(&self) -> Option<(TenantId, Pattern, u64)> {
        let owed = self.owed();
        let (tenant, patterns) = owed.by_tenant.first_key_value()?;
        let (pattern, number) = patterns.first_key_value()?;
        Some((tenant.clone(), pattern.clone(), *number))
    }

    fn paid(&self, tenant: &TenantId, pattern: &Pattern, number: u64) {
        let mut owed = self.owed();
        if let Some(patterns) = owed.by_tenant.get_mut(tenant) {
            if patterns.get(pattern) == Some(&number) {
                patterns.remove(pattern);
            }
            if patterns.is_empty() {
                owed.by_tenant.remove(tenant);
            }
        }
    }
}

/// Whether the server is there and refuses the call.
fn is_refusal(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError)
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Parse
    )
}

impl Core {
    /// Looks in memory. Where invalidations can't be heard and the fleet's level is there, that one knows better.
    pub(super) fn in_memory(&self, name: &Name) -> Option<Bytes> {
        let is_deaf = |fleet: &Fleet| {
            self.listen(fleet);
            *fleet.hearing.borrow() != Hearing::All && !fleet.breaker.is_away()
        };
        if self.shared.as_ref().is_some_and(is_deaf) { None } else { self.memory.get(name, self.clock.now()) }
    }

    /// Looks in the fleet's level, and keeps what is found. With a token asks for the right to load.
    pub(super) async fn in_fleet(&self, name: &Name, token: Option<&str>, mark: Mark) -> Found {
        // A spoilt value is removed by whoever finds it, so the second look finds another.
        for _ in 0..3 {
            let Some(fetched) = self.ask(|level| level.fetch(name, token)).await else { break };
            match fetched {
                Fetched::Hit(value, left) => {
                    self.memory.keep(name, &value, self.clock.now().after(left), mark);
                    return Found::Value(value);
                }
                Fetched::Miss(generation) => return Found::Load(generation),
                Fetched::Taken(left) => return Found::Taken(left),
                Fetched::Spoilt => count(&self.counters.errors),
            }
        }
        // Away meanwhile: memory is all there is.
        match self.memory.get(name, self.clock.now()) {
            Some(value) => Found::Value(value),
            None => Found::LoadAlone,
        }
    }

    /// Writes an entry to both levels; what was invalidated since the mark or the generation, to neither. Whether the fleet's
    /// level has answered, which has taken the token back then.
    pub(super) async fn write(
        &self,
        name: &Name,
        value: &Bytes,
        lives: Duration,
        mark: Mark,
        generation: Option<&Generation>,
        token: Option<&str>,
    ) -> bool {
        let lives = lives.min(self.options.longest_life);
        if lives < Duration::from_millis(1) {
            return false;
        }
        let ends = self.clock.now().after(lives);
        let fits = value.len() <= self.options.most_shared_value;
        let stored = if fits {
            self.ask(|level| level.store(name, value, lives, generation, token)).await
        } else {
            None
        };
        if stored != Some(false) {
            self.memory.keep(name, value, ends, mark);
        }
        stored.is_some()
    }

    /// Invalidates in both levels and in every process.
    pub(super) async fn invalidate(&self, tenant: &TenantId, pattern: &Pattern) -> Reach {
        count(&self.counters.invalidations);
        self.forget(tenant, pattern);
        let Some(fleet) = &self.shared else { return Reach::Everywhere };
        // Owed until it is done: should this future be dropped half way, the next caller goes on.
        fleet.owe(tenant, pattern);
        if self.pay(fleet).await { Reach::Everywhere } else { Reach::Here }
    }

    /// Another process says that entries are out of date.
    pub(super) fn hear(&self, message: &[u8]) {
        match News::read(message) {
            Some((tenant, pattern)) => self.forget(&tenant, &pattern),
            None => count(&self.counters.errors),
        }
    }

    /// What the listener learns about itself. Where all is heard from now on, anything may have been missed before.
    pub(super) fn hears(&self, hearing: Hearing) {
        if hearing == Hearing::All {
            self.memory.clear();
        }
        if let Some(fleet) = &self.shared {
            fleet.hearing.send_replace(hearing);
        }
    }

    /// There is an ear. What it has lost already it will tell when it is back.
    pub(super) fn listens(&self, ear: Ear) {
        let Some(fleet) = &self.shared else { return };
        // There is one listener, and it makes one ear.
        let _ = fleet.ear.set(ear);
        self.memory.clear();
        fleet.hearing.send_if_modified(|hearing| {
            let begins = *hearing == Hearing::NotYet;
            if begins {
                *hearing = Hearing::All;
            }
            begins
        });
    }

    fn listen(&self, fleet: &Fleet) {
        fleet
            .listener
            .get_or_init(|| tokio::spawn(news::listen(self.me.clone(), fleet.level.clone())).abort_handle());
    }

    /// Ends once invalidations of other processes are heard.
    pub(super) async fn hearing(&self) {
        if let Some(fleet) = &self.shared {
            self.listen(fleet);
            // The sender lives as long as the fleet.
            drop(fleet.hearing.subscribe().wait_for(|hearing| *hearing == Hearing::All).await);
        }
    }

    /// Asks the fleet's level; `None` where there is none, it is away, or it refuses.
    pub(super) async fn ask<'a, T, F>(&'a self, call: impl FnOnce(&'a Shared) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let fleet = self.shared.as_ref()?;
        // First of all what is out of date: the answer could be it.
        if fleet.next_owed().is_some() && !self.pay(fleet).await {
            return None;
        }
        self.outcome(fleet.breaker.call(call(&fleet.level), is_refusal).await)
    }

    /// Tells the fleet's level what is out of date; whether all of it was told.
    async fn pay(&self, fleet: &Fleet) -> bool {
        let _turn = fleet.paying.lock().await;
        while let Some((tenant, pattern, number)) = fleet.next_owed() {
            let message = News::message(&tenant, &pattern);
            let call = fleet.level.invalidate(&tenant, &pattern, &message);
            let outcome = fleet.breaker.call(call, is_refusal).await;
            if matches!(outcome, Outcome::Away) {
                return false;
            }
            // A refusal is told in the log and not repeated for ever.
            self.outcome(outcome);
            fleet.paid(&tenant, &pattern, number);
        }
        true
    }

    fn outcome<T>(&self, outcome: Outcome<T, RedisError>) -> Option<T> {
        match outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Away => None,
            Outcome::Refused(error) => {
                count(&self.counters.errors);
                tracing::warn!(%error, "the shared cache refused a call; going on without it");
                None
            }
        }
    }

    fn forget(&self, tenant: &TenantId, pattern: &Pattern) {
        self.memory.invalidate(tenant, pattern);
        self.flights.detach(tenant, pattern);
    }
}
