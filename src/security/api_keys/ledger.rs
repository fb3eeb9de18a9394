//! What is written down of uses and refusals of keys, beside the way of the requests. Owns: [`Ledger`], the documents of uses
//! and the policy of what the audit log is told. Must not know: whether a key holds.
//!
//! Uses are counted in memory and written by a task: the first one at once, then at most once a minute a key and process. The
//! audit log is told of a key's first use ever, of each use from an address (an IPv6 network of 64 bits) that is new among its
//! latest 32, and else of every thousandth use or, while there are any, every 15 minutes; of refusals of one sort the first,
//! and then once a minute. Every entry says how many it stands for. What is counted and not written yet is lost where the
//! process is killed: a minute of counts, never a first use's entry by more than a moment.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{ApiKey, KeyUse, Known, place, range::network};
use crate::{
    domain::{Clock, TenantId, Timestamp},
    security::{
        Acting, Recorder,
        audit::{Action, Actor, Entry, Outcome},
    },
    store::{Collection, Expect, Records, StoreError},
};

/// How often a key's uses are written, and refusals of one sort are told, at most.
const PERIOD: Duration = Duration::from_secs(60);
/// An entry stands for so many uses at most, and a few that came meanwhile.
const EVERY: u64 = 1_000;
/// How long uses may wait for an entry.
const TOLD_WITHIN: Duration = Duration::from_secs(15 * 60);
/// How many addresses of a key are remembered.
const MOST_ADDRESSES: usize = 32;
/// How many keys are counted at one time. Uses of others are not written down; that is told in the log.
const MOST_KEYS: usize = 10_000;
/// How many sorts of refusals are told apart at one time; the others are one sort.
const MOST_REFUSALS: usize = 1_000;
/// How long what is known of a key's uses is kept behind the latest.
const KEPT: Duration = Duration::from_secs(400 * 86_400);
/// How often a write is tried where another process is faster.
const MOST_TRIES: usize = 32;

/// Why a key, or another credential, was refused, for the audit log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    Malformed,
    Unknown,
    Expired,
    Revoked,
    Address,
    Token,
    Session,
}

impl Refusal {
    const fn words(self) -> &'static str {
        match self {
            Self::Malformed => "the key's form or checksum is wrong",
            Self::Unknown => "there is no such key",
            Self::Expired => "the key has expired",
            Self::Revoked => "the key was revoked",
            Self::Address => "the key may not be used from this address",
            Self::Token => "the access token does not hold",
            Self::Session => "the session does not hold",
        }
    }
}

/// What is kept of a key's uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Uses {
    #[serde(flatten)]
    told: KeyUse,
    /// Where it was used from, and when last.
    addresses: BTreeMap<IpAddr, Timestamp>,
}

/// Uses of a key that are not written yet.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    tenant: TenantId,
    id: String,
    count: u64,
    /// Written, but not told to the audit log.
    untold: u64,
    last_at: Timestamp,
    last: Acting,
    addresses: BTreeMap<IpAddr, Timestamp>,
    write_at: Duration,
    told_at: Duration,
}

/// Refusals of one sort.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    entry: Entry,
    count: u64,
    tell_at: Duration,
}

/// Of what sort a refusal is. From an address that is not known: all of these are one.
type Sort = (Option<Refusal>, Option<String>, Option<IpAddr>);

#[derive(Default)]
struct State {
    uses: HashMap<String, Counted>,
    refusals: HashMap<Sort, Refused>,
    is_running: bool,
}

pub(super) struct Ledger {
    documents: Collection<Uses>,
    audit: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    /// Held for a few instructions at a time, never across an await.
    state: Mutex<State>,
    /// Something new is to be written before what was known to be next.
    news: Notify,
    /// One writes at a time: whoever settles waits for what another has taken.
    turn: tokio::sync::Mutex<()>,
}

impl Ledger {
    pub(super) fn new(records: &Arc<dyn Records>, audit: Arc<dyn Recorder>, clock: Arc<dyn Clock>) -> Self {
        let documents = Collection::new(records.clone(), "api_key_uses");
        let (state, news, turn) = (Mutex::default(), Notify::new(), tokio::sync::Mutex::default());
        Self { documents, audit, clock, state, news, turn }
    }

    /// How a key was used.
    pub(super) async fn look(&self, tenant: &TenantId, id: &str) -> Result<Option<KeyUse>, StoreError> {
        let Some(place) = place(tenant, id) else { return Ok(None) };
        Ok(self.documents.get(&place).await?.map(|found| found.value.told))
    }

    /// Counts a use; some instructions.
    pub(super) fn used(self: &Arc<Self>, known: &Known, by: &Acting) {
        let (key, Some(place)) = (&known.key, &known.place) else { return };
        let now = self.clock.now();
        let mut state = self.state();
        if !state.uses.contains_key(place) {
            if state.uses.len() >= MOST_KEYS {
                drop(state);
                tracing::warn!(
                    key = key.id,
                    "too many keys are in use at one time: a use was not written down"
                );
                return;
            }
            self.news.notify_one();
            let passed = self.clock.elapsed();
            let actor = Actor::Subject(known.name.clone());
            let fresh = Counted {
                tenant: key.tenant.clone(),
                id: key.id.clone(),
                count: 0,
                untold: 0,
                last_at: now,
                last: Acting { actor, ..by.clone() },
                addresses: BTreeMap::new(),
                write_at: passed,
                told_at: passed,
            };
            state.uses.insert(place.clone(), fresh);
        }
        let Some(counted) = state.uses.get_mut(place) else { return };
        counted.count += 1;
        if let Some(address) = by.address.map(place_of)
            && (counted.addresses.len() < MOST_ADDRESSES || counted.addresses.contains_key(&address))
        {
            counted.addresses.insert(address, now);
        }
        counted.last_at = now;
        // Who it is stays the same.
        (counted.last.address, counted.last.request) = (by.address, by.request.clone());
        self.run(&mut state);
    }

    /// Tells of a refusal, or counts it where one of the sort was told within the minute.
    pub(super) async fn refused(self: &Arc<Self>, refusal: Refusal, key: Option<&ApiKey>, by: &Acting) {
        let mut entry = by.entry(Action::CredentialRefused).ended(Outcome::Refused);
        entry = entry.with("reason", refusal.words());
        if let Some(key) = key {
            entry = entry.of(&key.tenant).to(key.id.clone());
        }
        let passed = self.clock.elapsed();
        let first = {
            let mut state = self.state();
            let mut sort: Sort = (Some(refusal), key.map(|key| key.id.clone()), by.address.map(place_of));
            if state.refusals.len() >= MOST_REFUSALS && !state.refusals.contains_key(&sort) {
                sort = (None, None, None);
            }
            let known = state.refusals.contains_key(&sort);
            let refused = state.refusals.entry(sort).or_insert_with(|| Refused {
                entry: entry.clone(),
                count: 0,
                tell_at: passed + PERIOD,
            });
            if known {
                refused.count += 1;
                refused.entry = entry.clone();
            }
            self.run(&mut state);
            !known
        };
        if first {
            self.audit.record(entry.with("stands_for", 1)).await;
        }
    }

    /// Writes all that is counted, now.
    pub(super) async fn settle(&self) {
        let _turn = self.turn.lock().await;
        let (uses, refusals) = self.take(Duration::MAX);
        self.write(uses, refusals, true).await;
    }

    /// Sees to it that what is counted gets written, where a runtime is there to do it.
    fn run(self: &Arc<Self>, state: &mut State) {
        if state.is_running {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        state.is_running = true;
        let ledger = self.clone();
        runtime.spawn(async move {
            while let Some(wait) = ledger.wait() {
                // Whatever is new is looked at at once.
                drop(tokio::time::timeout(wait, ledger.news.notified()).await);
                let _turn = ledger.turn.lock().await;
                let (uses, refusals) = ledger.take(ledger.clock.elapsed());
                ledger.write(uses, refusals, false).await;
            }
        });
    }

    /// How long until something is to be written; `None` where nothing is left and the task has to end.
    pub(super) fn wait(&self) -> Option<Duration> {
        let passed = self.clock.elapsed();
        let mut state = self.state();
        state.uses.retain(|_, one| one.count + one.untold > 0 || one.write_at > passed);
        state.refusals.retain(|_, one| one.count > 0 || one.tell_at > passed);
        let times = state.uses.values().map(|one| one.write_at);
        let next = times.chain(state.refusals.values().map(|one| one.tell_at)).min();
        state.is_running = next.is_some();
        next.map(|next| next.saturating_sub(passed))
    }

    /// What is due by then.
    pub(super) fn take(&self, by: Duration) -> (Vec<Counted>, Vec<Refused>) {
        let next = self.clock.elapsed() + PERIOD;
        let mut state = self.state();
        let due = state.uses.values_mut().filter(|one| one.write_at <= by && one.count + one.untold > 0);
        let uses = due.map(|one| {
            let taken = one.clone();
            (one.count, one.untold, one.write_at) = (0, 0, next);
            one.addresses.clear();
            taken
        });
        let uses = uses.collect();
        let due = state.refusals.values_mut().filter(|one| one.tell_at <= by && one.count > 0);
        let refusals = due.map(|one| {
            let taken = one.clone();
            (one.count, one.tell_at) = (0, next);
            taken
        });
        (uses, refusals.collect())
    }

    pub(super) async fn write(&self, uses: Vec<Counted>, refusals: Vec<Refused>, all: bool) {
        for Refused { entry, count, .. } in refusals {
            self.audit.record(entry.with("stands_for", count)).await;
        }
        for mut counted in uses {
            let news = match self.write_uses(&counted).await {
                Ok(news) => news,
                // No time heals that: whoever can never be written would take one of the places for good.
                Err(error @ (StoreError::Corrupt(_) | StoreError::Invalid(_))) => {
                    tracing::warn!(%error, key = counted.id, "a key's uses can't be written down: only the audit log has them");
                    None
                }
                Err(error) => {
                    tracing::warn!(%error, key = counted.id, "a key's uses can't be written down; trying again");
                    self.give_back(counted);
                    continue;
                }
            };
            counted.untold += counted.count;
            counted.count = 0;
            let passed = self.clock.elapsed();
            let is_due = counted.untold >= EVERY || passed.saturating_sub(counted.told_at) >= TOLD_WITHIN;
            if counted.untold > 0 && (all || is_due || news.is_some()) {
                let entry = counted.last.entry(Action::KeyUsed).of(&counted.tenant).to(counted.id.clone());
                let entry = entry.with("stands_for", counted.untold);
                self.audit.record(entry.with("why", news.unwrap_or("sample"))).await;
                (counted.untold, counted.told_at) = (0, passed);
            }
            self.give_back(counted);
        }
    }

    /// Adds to what is written of a key; answers what was new of it.
    async fn write_uses(&self, counted: &Counted) -> Result<Option<&'static str>, StoreError> {
        let Some(place) = place(&counted.tenant, &counted.id) else { return Ok(None) };
        if counted.count == 0 {
            return Ok(None);
        }
        let mut tries = 1;
        loop {
            let found = self.documents.get(&place).await?;
            let expect = found.as_ref().map_or(Expect::Nothing, |found| Expect::Version(found.version));
            let before = found.map(|found| found.value);
            let (after, news) = added(before, counted);
            let gone = Some(after.told.last_at.after(KEPT));
            match self.documents.put(&place, &after, expect, gone).await {
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(_) => return Ok(news),
            }
        }
    }

    /// What could not be written, or not told yet, counts again.
    fn give_back(&self, counted: Counted) {
        let mut state = self.state();
        let Some(place) = place(&counted.tenant, &counted.id) else { return };
        let Some(one) = state.uses.get_mut(&place) else { return };
        one.count += counted.count;
        one.untold += counted.untold;
        one.told_at = counted.told_at;
        if counted.count > 0 {
            one.addresses.extend(counted.addresses);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where somebody is: his address, of IPv6 the network.
fn place_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        address @ IpAddr::V6(_) => network(address, 64),
    }
}

fn added(before: Option<Uses>, counted: &Counted) -> (Uses, Option<&'static str>) {
    let told = KeyUse { last_at: counted.last_at, last_address: counted.last.address, uses: counted.count };
    let Some(mut uses) = before else {
        return (Uses { told, addresses: counted.addresses.clone() }, Some("first use"));
    };
    let is_new = counted.addresses.keys().any(|address| !uses.addresses.contains_key(address));
    uses.addresses.extend(counted.addresses.iter().map(|(address, at)| (*address, *at)));
    while uses.addresses.len() > MOST_ADDRESSES {
        let oldest = uses.addresses.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address);
        let Some(oldest) = oldest else { break };
        uses.addresses.remove(&oldest);
    }
    uses.told.uses = uses.told.uses.saturating_add(counted.count);
    // Another process may have seen a later one.
    if told.last_at >= uses.told.last_at {
        (uses.told.last_at, uses.told.last_address) = (told.last_at, told.last_address);
    }
    (uses, is_new.then_some("new address"))
}
