//! What is set for single tenants over defaults. Owns: [`Overrides`]. Must not know: what is set.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use serde::{Serialize, de::DeserializeOwned};

use super::{Collection, Records, StoreError};
use crate::domain::{Clock, TenantId, Timestamp};

/// How long what is set for a tenant is taken to be what was read last.
const FRESH: Duration = Duration::from_secs(1);
/// For how many tenants it is remembered.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// What is set for a tenant: a value, or `None` for no limit. What is not named has its default.
pub(crate) type Set<K, V> = BTreeMap<K, Option<V>>;

/// When it was read, and what there was.
type Read<K, V> = (Timestamp, Arc<Set<K, V>>);

/// What is set for each tenant, a document a tenant. A change is in force everywhere within a second, and in this process
/// at once.
pub(crate) struct Overrides<K, V> {
    set: Collection<Set<K, V>>,
    clock: Arc<dyn Clock>,
    read: Mutex<LruCache<TenantId, Read<K, V>>>,
}

impl<K, V> Overrides<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    /// What is set in the collection of this name.
    pub(crate) fn new(records: Arc<dyn Records>, collection: &'static str, clock: Arc<dyn Clock>) -> Self {
        let set = Collection::new(records, collection);
        Self { set, clock, read: Mutex::new(LruCache::new(MOST_REMEMBERED)) }
    }

    /// What is set for a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Arc<Set<K, V>>, StoreError> {
        let now = self.clock.now();
        if let Some(set) = self.fresh(tenant, now) {
            return Ok(set);
        }
        let set =
            Arc::new(self.set.get(tenant.as_str()).await?.map(|document| document.value).unwrap_or_default());
        self.remembered().put(tenant.clone(), (now, set.clone()));
        Ok(set)
    }

    /// The same where it is known without asking: where it was read within a second.
    pub(crate) fn recall(&self, tenant: &TenantId) -> Option<Arc<Set<K, V>>> {
        self.fresh(tenant, self.clock.now())
    }

    /// Changes what is set for a tenant, until the change has met no other. The change may run several times.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn update(
        &self,
        tenant: &TenantId,
        change: impl FnMut(&mut Option<Set<K, V>>) + Send,
    ) -> Result<(), StoreError> {
        self.set.update(tenant.as_str(), change).await?;
        self.remembered().pop(tenant);
        Ok(())
    }

    /// Lets the default hold again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn reset(&self, tenant: &TenantId, key: &K) -> Result<(), StoreError>
    where
        K: Sync,
    {
        let change = |set: &mut Option<Set<K, V>>| {
            if let Some(found) = set {
                found.remove(key);
            }
            if set.as_ref().is_some_and(BTreeMap::is_empty) {
                *set = None;
            }
        };
        self.update(tenant, change).await
    }

    /// What was read lately; nothing where the clock was put back since.
    fn fresh(&self, tenant: &TenantId, now: Timestamp) -> Option<Arc<Set<K, V>>> {
        let mut remembered = self.remembered();
        let (read_at, set) = remembered.get(tenant)?;
        (now >= *read_at && now.since(*read_at) < FRESH).then(|| set.clone())
    }

    fn remembered(&self) -> MutexGuard<'_, LruCache<TenantId, Read<K, V>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
