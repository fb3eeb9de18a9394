//! What a process remembers of sessions for when the store is away: those in use, and those that ended here. Bounded. Must not
//! know: the store.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use super::{Session, SessionRules};
use crate::{domain::Timestamp, security::access::Principal};

/// The most sessions that are remembered: those used last.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// How long a session goes on without the store having said that it holds.
pub(super) const MOST_ALONE: Duration = Duration::from_secs(5 * 60);

struct Known {
    session: Session,
    principal: Principal,
    /// When the store said so, in time passed.
    checked: Duration,
}

#[derive(Default)]
pub(super) struct Memory(Mutex<Kept>);

struct Kept {
    known: LruCache<String, Known>,
    /// Ended here, but perhaps not yet in the store: by the hash of their secret.
    ended: LruCache<String, Session>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { known: LruCache::new(MOST), ended: LruCache::new(MOST) }
    }
}

impl Memory {
    /// The store has just said that a session holds.
    pub(super) fn remember(&self, key: &str, session: &Session, principal: &Principal, passed: Duration) {
        let known = Known { session: session.clone(), principal: principal.clone(), checked: passed };
        self.kept().known.put(key.to_owned(), known);
    }

    /// A session as it was when the store said that it holds, where that is not long ago and it has not expired since.
    pub(super) fn recall(
        &self,
        key: &str,
        rules: &SessionRules,
        now: Timestamp,
        passed: Duration,
    ) -> Option<(Session, Principal)> {
        let mut kept = self.kept();
        let known = kept.known.get_mut(key)?;
        if passed.saturating_sub(known.checked) > MOST_ALONE || now >= known.session.expires_at(rules) {
            return None;
        }
        known.session.seen_at = now;
        Some((known.session.clone(), known.principal.clone()))
    }

    pub(super) fn forget(&self, key: &str) {
        self.kept().known.pop(key);
    }

    /// The session has ended here, whatever the store says later.
    pub(super) fn bury(&self, key: &str, session: Session) {
        let mut kept = self.kept();
        kept.known.pop(key);
        kept.ended.put(key.to_owned(), session);
    }

    /// The store knows by now that it has ended.
    pub(super) fn settle(&self, key: &str) {
        self.kept().ended.pop(key);
    }

    pub(super) fn has_ended(&self, key: &str) -> bool {
        self.kept().ended.contains(key)
    }

    /// One that ended here and that the store may not know of.
    pub(super) fn unsettled(&self) -> Option<(String, Session)> {
        let kept = self.kept();
        kept.ended.iter().next_back().map(|(key, session)| (key.clone(), session.clone()))
    }

    /// The session of a user that is remembered under this id.
    pub(super) fn find(&self, user: &str, id: &str) -> Option<(String, Session)> {
        let kept = self.kept();
        let mut known = kept.known.iter();
        let found = known.find(|(_, known)| known.session.id == id && known.session.user == user);
        found.map(|(key, known)| (key.clone(), known.session.clone()))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
