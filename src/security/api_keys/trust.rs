//! Keys that a process has just read, trusted for a moment without reading them again. Owns: [`Trust`], for how long, and that
//! what this process changes is forgotten at once. Must not know: how keys are read.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use super::{ApiKey, place};
use crate::{domain::Clock, security::access::Principal};

/// For how long what was read is trusted: how late another process may refuse a key that was revoked.
pub(super) const MOMENT: Duration = Duration::from_millis(250);
/// How many keys are remembered: some megabytes.
const MOST_KEYS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// SHA-256 of a key's text.
pub(super) type Digest = [u8; 32];

/// A key as it was read, with what every use of it needs.
#[derive(Debug)]
pub struct Known {
    /// The key.
    pub key: ApiKey,
    /// Who calls with it.
    pub principal: Arc<Principal>,
    /// His name, for the audit log.
    pub(super) name: String,
    /// Where its uses are written down.
    pub(super) place: Option<String>,
}

impl Known {
    pub(super) fn new(key: ApiKey) -> Self {
        let principal = Arc::new(key.principal());
        let (name, place) = (principal.subject.name(), place(&key.tenant, &key.id));
        Self { key, principal, name, place }
    }
}

/// Keys that were read within the moment. What this process changes is forgotten before the change is answered, and no reading
/// that began before that is remembered after it.
pub(super) struct Trust {
    clock: Arc<dyn Clock>,
    /// Held for a few instructions at a time, never across an await.
    state: Mutex<State>,
}

struct State {
    known: LruCache<Digest, (Duration, Arc<Known>)>,
    /// How often one was forgotten.
    changes: u64,
}

/// When a reading began. Time that [passes](Clock::elapsed): whoever sets the time of day back prolongs no trust.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    at: Duration,
    changes: u64,
}

impl Trust {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { known: LruCache::new(MOST_KEYS), changes: 0 };
        Self { clock, state: Mutex::new(state) }
    }

    /// What was read of a key within the moment.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Known>> {
        let passed = self.clock.elapsed();
        let mut state = self.state();
        let (at, known) = state.known.get(digest)?;
        if passed.saturating_sub(*at) < MOMENT {
            return Some(known.clone());
        }
        state.known.pop(digest);
        None
    }

    /// To be called before a reading begins.
    pub(super) fn begin(&self) -> Begun {
        let at = self.clock.elapsed();
        Begun { at, changes: self.state().changes }
    }

    /// Remembers what was read, for the rest of the moment since the reading began.
    pub(super) fn keep(&self, digest: Digest, known: &Arc<Known>, begun: Begun) {
        let mut state = self.state();
        if state.changes == begun.changes {
            state.known.put(digest, (begun.at, known.clone()));
        }
    }

    /// Forgets a key: it has changed. What is being read just now of others is not remembered either: it can't be told apart.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut state = self.state();
        state.changes += 1;
        state.known.pop(digest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ManualClock, Timestamp},
        security::access::Grants,
    };

    fn known() -> Arc<Known> {
        let key = ApiKey {
            id: "key_00000000000000000000".to_owned(),
            tenant: "acme".parse().unwrap(),
            name: "app".to_owned(),
            grants: Grants::default(),
            from: Vec::new(),
            created_by: "system".to_owned(),
            created_at: Timestamp::EPOCH,
            expires_at: None,
            revoked_at: None,
            replaced_by: None,
        };
        Arc::new(Known::new(key))
    }

    #[test]
    fn trust_ends_a_moment_after_the_reading_began() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let trust = Trust::new(clock.clone());
        let begun = trust.begin();
        clock.advance(MOMENT / 2);
        trust.keep([1; 32], &known(), begun);
        assert!(trust.get(&[1; 32]).is_some() && trust.get(&[2; 32]).is_none());
        clock.advance(MOMENT / 2);
        assert!(trust.get(&[1; 32]).is_none());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let trust = Trust::new(Arc::new(ManualClock::at(Timestamp::EPOCH)));
        let (before, known) = (trust.begin(), known());
        trust.keep([1; 32], &known, before);
        trust.keep([2; 32], &known, before);
        trust.forget(&[1; 32]);
        assert!(trust.get(&[1; 32]).is_none());
        assert!(trust.get(&[2; 32]).is_some(), "whoever changes his keys makes nobody else's be read again");
        trust.keep([1; 32], &known, before);
        assert!(trust.get(&[1; 32]).is_none());
        trust.keep([1; 32], &known, trust.begin());
        assert!(trust.get(&[1; 32]).is_some());
    }

    #[test]
    fn so_many_are_remembered_at_most() {
        let trust = Trust::new(Arc::new(ManualClock::at(Timestamp::EPOCH)));
        let (begun, known) = (trust.begin(), known());
        for number in 0..u32::try_from(2 * MOST_KEYS.get()).unwrap() {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&number.to_le_bytes());
            trust.keep(digest, &known, begun);
        }
        assert_eq!(trust.state().known.len(), MOST_KEYS.get());
    }
}
