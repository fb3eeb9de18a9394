//! Values that were opened, for a short while, in memory that is wiped. Owns: [`Opened`]. Must not know: stores, keys.

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use super::SecretName;
use crate::domain::TenantId;

/// How long an opened value stays in memory at most.
pub(super) const OPENED_FOR: Duration = Duration::from_secs(5 * 60);
/// How long an opened value is given out without a look whether it is still the stored one.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(10);
/// How many values are kept open.
const MOST: usize = 1_000;
/// How many bytes of them.
const MOST_BYTES: usize = 8 << 20;

type Key = (TenantId, SecretName);

/// An opened value.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) value: Arc<SecretString>,
    /// Tells what was opened from whatever else is stored under the name.
    pub(super) stamp: Arc<str>,
    opened_at: Duration,
    checked_at: Duration,
}

impl Value {
    /// Whether it may be given out without a look at the store.
    pub(super) fn is_trusted(&self, now: Duration) -> bool {
        now.checked_sub(self.checked_at).is_some_and(|age| age < TRUSTED_FOR)
    }

    fn is_open(&self, now: Duration) -> bool {
        now.checked_sub(self.opened_at).is_some_and(|age| age < OPENED_FOR)
    }
}

/// The opened values of a process, of all tenants, each under its own. What leaves it is wiped once nobody holds it.
#[derive(Default)]
pub(super) struct Opened {
    values: HashMap<Key, Value>,
    bytes: usize,
    /// Rises with each change: what was read before one is not put in after it.
    changes: u64,
}

impl Opened {
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A value that is still open.
    pub(super) fn get(&mut self, key: &Key, now: Duration) -> Option<Value> {
        let found = self.values.get(key)?;
        if found.is_open(now) {
            return Some(found.clone());
        }
        self.remove(key);
        None
    }

    /// Keeps a value that was read when there had been so many changes.
    pub(super) fn put(
        &mut self,
        key: Key,
        value: Arc<SecretString>,
        stamp: Arc<str>,
        read: u64,
        now: Duration,
    ) {
        if read != self.changes {
            return;
        }
        self.remove(&key);
        self.wipe(now);
        let size = value.expose_secret().len();
        while self.values.len() >= MOST || self.bytes + size > MOST_BYTES {
            let oldest = self.values.iter().min_by_key(|(_, value)| value.opened_at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.remove(&oldest);
        }
        self.bytes += size;
        self.values.insert(key, Value { value, stamp, opened_at: now, checked_at: now });
    }

    /// What is stored is what was opened.
    pub(super) fn confirm(&mut self, key: &Key, stamp: &str, now: Duration) {
        if let Some(value) = self.values.get_mut(key).filter(|value| *value.stamp == *stamp) {
            value.checked_at = now;
        }
    }

    /// The secret was changed or removed.
    pub(super) fn forget(&mut self, key: &Key) {
        self.changes += 1;
        self.remove(key);
    }

    /// Drops what is open for too long; answers when the next one will be.
    pub(super) fn wipe(&mut self, now: Duration) -> Option<Duration> {
        let over = self.values.iter().filter(|(_, value)| !value.is_open(now));
        let over: Vec<Key> = over.map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.remove(key);
        }
        self.values.values().map(|value| value.opened_at + OPENED_FOR).min()
    }

    fn remove(&mut self, key: &Key) {
        if let Some(gone) = self.values.remove(key) {
            self.bytes -= gone.value.expose_secret().len();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str, name: &str) -> Key {
        (tenant.parse().unwrap(), name.parse().unwrap())
    }

    fn put(opened: &mut Opened, key: &Key, size: usize, now: Duration) {
        let value = Arc::new(SecretString::from("x".repeat(size)));
        opened.put(key.clone(), value, "stamp".into(), opened.changes(), now);
    }

    #[test]
    fn a_value_is_gone_after_five_minutes_and_belongs_to_one_tenant() {
        let (mut opened, start) = (Opened::default(), Duration::from_secs(100));
        let mine = key("acme", "openai");
        put(&mut opened, &mine, 10, start);
        assert!(opened.get(&key("globex", "openai"), start).is_none());
        let last = start + OPENED_FOR - Duration::from_nanos(1);
        opened.confirm(&mine, "stamp", last);
        assert!(opened.get(&mine, last).unwrap().is_trusted(last));
        assert_eq!(opened.wipe(last), Some(start + OPENED_FOR));
        assert_eq!((opened.wipe(start + OPENED_FOR), opened.len(), opened.bytes), (None, 0, 0));
    }

    #[test]
    fn there_are_only_so_many_and_the_oldest_goes() {
        let (mut opened, start) = (Opened::default(), Duration::from_secs(100));
        for n in 0..=MOST as u32 {
            put(&mut opened, &key("acme", &format!("n{n}")), 10, start + Duration::from_millis(u64::from(n)));
        }
        let now = start + Duration::from_secs(2);
        assert_eq!((opened.len(), opened.bytes), (MOST, 10 * MOST));
        assert!(
            opened.get(&key("acme", "n0"), now).is_none() && opened.get(&key("acme", "n1"), now).is_some()
        );
        put(&mut opened, &key("acme", "large"), MOST_BYTES, now);
        assert_eq!((opened.len(), opened.bytes), (1, MOST_BYTES));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (mut opened, now) = (Opened::default(), Duration::from_secs(100));
        let (mine, read) = (key("acme", "openai"), opened.changes());
        opened.forget(&mine);
        opened.put(mine.clone(), Arc::new(SecretString::from("old")), "stamp".into(), read, now);
        assert!(opened.get(&mine, now).is_none());
    }
}
