//! Counts that all processes on one store share, so that they alert once, and at what happens to all of them together. Owns: the
//! collection `alert_counts`: a document a rule and subject, changed by compare-and-set; who makes the change that reaches the
//! threshold tells. Must not know: who is told.
//!
//! Hits are gathered and brought to the store by a task, so that nobody who records waits. A subject's document has its hits by
//! step of the window, so a storm costs one change a round and subject.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{
    count::{Count, subject_of},
    rule::{Hit, Rule, Threshold},
};
use crate::{
    domain::{Clock, TenantId, Timestamp},
    security::{audit::Entry, text::hex},
    store::{
        Collection, Expect, Records, StoreError,
        breaker::{Breaker, Outcome},
    },
};

/// How long the store may take for a change, with its repetitions.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a store that is away is tried.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a change is tried where another process is faster.
const MOST_TRIES: usize = 64;
/// How many subjects wait for the store at most; hits of others are counted by this process alone.
const MOST_GATHERED: usize = 10_000;
/// How many of them are brought in one round.
const MOST_A_ROUND: usize = 512;
/// How many accounts of the rule that counts accounts the processes tell apart together.
const MOST_ACCOUNTS: usize = 2_000;
/// How many windows a document is kept behind its latest hit: what was held back is told with the next alert.
const WINDOWS_KEPT: u32 = 4;

/// A rule and a subject.
pub(super) type Key = (Rule, String);

/// Hits of one subject that the store does not know of yet.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) weight: u64,
    /// When the latest was.
    pub(super) at: Timestamp,
    pub(super) what: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) address: Option<std::net::IpAddr>,
    /// Of the rule that counts accounts: hashes of them, and when last.
    pub(super) accounts: BTreeMap<String, Timestamp>,
}

/// What is kept of a rule and subject.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    count: Count,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    accounts: BTreeMap<String, Timestamp>,
}

impl Kept {
    fn add(&mut self, hits: &Gathered, threshold: Threshold) -> Option<(u64, u64)> {
        let begin = hits.at.before(threshold.window);
        self.accounts.retain(|_, last| *last > begin);
        for (account, last) in &hits.accounts {
            if self.accounts.len() < MOST_ACCOUNTS || self.accounts.contains_key(account) {
                self.accounts.insert(account.clone(), *last);
            }
        }
        let accounts = (!hits.accounts.is_empty()).then_some(self.accounts.len() as u64);
        self.count.hit(hits.weight, threshold, hits.at, accounts)
    }
}

/// What the processes count together.
pub(super) struct Fleet {
    counts: Collection<Kept>,
    breaker: Breaker,
    gathered: Mutex<HashMap<Key, Gathered>>,
    /// There is something to bring to the store.
    pub(super) news: Arc<Notify>,
    /// One brings at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Fleet {
    pub(super) fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self {
            counts: Collection::new(records.clone(), "alert_counts"),
            breaker: Breaker::new("counts of alerts", clock, PATIENCE, PAUSE),
            gathered: Mutex::default(),
            news: Arc::new(Notify::new()),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a hit to be counted by all; `false` where this process has to count it for itself.
    pub(super) fn gather(&self, hit: &Hit, entry: &Entry, threshold: Threshold, at: Timestamp) -> bool {
        let counts_accounts = hit.rule == Rule::LoginsSpread;
        // That the log is broken is the node's own matter; more accounts than a document has room for are told apart in memory.
        let is_own = hit.rule == Rule::AuditBroken
            || counts_accounts && threshold.count > MOST_ACCOUNTS as u64
            || self.breaker.is_away() && self.gathered().len() >= MOST_A_ROUND;
        if is_own {
            return false;
        }
        let subject = if counts_accounts { "many accounts".to_owned() } else { subject_of(&hit.subject) };
        let (key, mut gathered) = ((hit.rule, subject), self.gathered());
        if gathered.len() >= MOST_GATHERED && !gathered.contains_key(&key) {
            return false;
        }
        let hits = gathered.entry(key).or_insert_with(|| Gathered {
            weight: 0,
            at,
            what: String::new(),
            tenant: None,
            address: None,
            accounts: BTreeMap::new(),
        });
        hits.weight = hits.weight.saturating_add(hit.weight);
        hits.at = hits.at.max(at);
        (hits.what, hits.tenant, hits.address) = (hit.what.clone(), entry.tenant.clone(), entry.address);
        if counts_accounts && hits.accounts.len() < MOST_ACCOUNTS {
            hits.accounts.insert(hash(&hit.subject), at);
        }
        drop(gathered);
        self.news.notify_one();
        true
    }

    /// The turn to bring what is gathered; also who only wants to know that all is brought waits for it.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Some of what is gathered; nothing where nothing is left. Only by who has the turn.
    pub(super) fn take(&self) -> Vec<(Key, Gathered)> {
        let mut gathered = self.gathered();
        if gathered.len() <= MOST_A_ROUND {
            return gathered.drain().collect();
        }
        let keys: Vec<Key> = gathered.keys().take(MOST_A_ROUND).cloned().collect();
        keys.into_iter().filter_map(|key| gathered.remove_entry(&key)).collect()
    }

    /// Counts hits in the store. `None` where that can't be done now; else the count of the window and how many were held back
    /// before, where this process is to tell.
    pub(super) async fn count(
        &self,
        (rule, subject): &Key,
        hits: &Gathered,
        threshold: Threshold,
    ) -> Option<Option<(u64, u64)>> {
        let key = format!("{}/{}", rule.name(), hash(subject));
        let is_refusal = |error: &StoreError| !matches!(error, StoreError::Unavailable { .. });
        match self.breaker.call(self.change(&key, hits, threshold), is_refusal).await {
            Outcome::Answered(told) => Some(told),
            Outcome::Refused(error) => {
                tracing::warn!(%error, "hits of an alert's rule are counted by this process alone");
                None
            }
            Outcome::Away => None,
        }
    }

    async fn change(
        &self,
        key: &str,
        hits: &Gathered,
        threshold: Threshold,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let mut tries = 1;
        loop {
            let (mut kept, expect) = match self.counts.get(key).await {
                Ok(Some(found)) => (found.value, Expect::Version(found.version)),
                Ok(None) => (Kept::default(), Expect::Nothing),
                // Of another version: counted anew.
                Err(StoreError::Corrupt(_)) => (Kept::default(), Expect::Anything),
                Err(error) => return Err(error),
            };
            let told = kept.add(hits, threshold);
            let end = Some(hits.at.after(threshold.window * WINDOWS_KEPT));
            match self.counts.put(key, &kept, expect, end).await {
                Ok(_) => return Ok(told),
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn gathered(&self) -> MutexGuard<'_, HashMap<Key, Gathered>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subject may be anything that somebody has sent.
fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))[..24].to_owned()
}
