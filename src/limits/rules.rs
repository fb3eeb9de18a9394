//! Which rate holds for whom. Owns: [`LimitRules`] (the defaults), [`Rules`] (with what is set for single tenants), the
//! collection `limit-rules`. Must not know: buckets.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{
    domain::{Clock, Rate, TenantId, Timestamp},
    store::{Collection, Records, StoreError},
};

/// Rates by resource. What has none is not limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LimitRules(pub BTreeMap<Resource, Rate>);

impl LimitRules {
    /// Texts that a model writes.
    pub const GENERATION: Resource = Resource::literal("generation");
    /// Books that are exported.
    pub const EXPORT: Resource = Resource::literal("export");
    /// Calls of the API.
    pub const API: Resource = Resource::literal("api");
    /// Characters that are made up.
    pub const CHARACTER: Resource = Resource::literal("character");
    /// HTTP requests of those who have not said who they are; by address.
    pub const ANONYMOUS: Resource = Resource::literal("anonymous");
}

impl Default for LimitRules {
    /// A minute: 10 generations, 20 exports, 100 API calls, 50 characters; 60 anonymous requests, at most 10 at once.
    fn default() -> Self {
        Self(BTreeMap::from([
            (Self::GENERATION, Rate::per_minute(10, 10)),
            (Self::EXPORT, Rate::per_minute(20, 20)),
            (Self::API, Rate::per_minute(100, 100)),
            (Self::CHARACTER, Rate::per_minute(50, 50)),
            (Self::ANONYMOUS, Rate::per_minute(60, 10)),
        ]))
    }
}

/// What is set for a tenant: a rate, or `None` for no limit.
type Overrides = BTreeMap<Resource, Option<Rate>>;

/// How long what is set for a tenant is taken to be what was read last.
const FRESH: Duration = Duration::from_secs(1);
/// For how many tenants it is remembered.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How many resources may be set for a tenant.
const MOST_SET: usize = 1_000;

/// The rates that hold for each tenant: the defaults, and over them what is set for it. A change is in force everywhere
/// within a second.
pub struct Rules {
    defaults: LimitRules,
    set: Collection<Overrides>,
    clock: Arc<dyn Clock>,
    read: Mutex<LruCache<TenantId, (Timestamp, Arc<Overrides>)>>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rules").field(&self.defaults).finish()
    }
}

impl Rules {
    /// These defaults, and what is set in these records.
    pub fn new(defaults: LimitRules, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let set = Collection::new(records, "limit-rules");
        Self { defaults, set, clock, read: Mutex::new(LruCache::new(MOST_REMEMBERED)) }
    }

    /// The defaults: what holds for those who are no tenant.
    pub fn defaults(&self) -> &LimitRules {
        &self.defaults
    }

    /// The rate of a tenant's bucket; `None` where the resource is not limited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rate(&self, tenant: &TenantId, resource: &Resource) -> Result<Option<Rate>, StoreError> {
        let set = self.overrides(tenant).await?;
        Ok(self.of(&set, resource))
    }

    /// The rates of several of its buckets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rates<const N: usize>(
        &self,
        tenant: &TenantId,
        resources: [&Resource; N],
    ) -> Result<[Option<Rate>; N], StoreError> {
        let set = self.overrides(tenant).await?;
        Ok(resources.map(|resource| self.of(&set, resource)))
    }

    /// The same where it is known without asking: where it was read within a second.
    pub fn recall<const N: usize>(
        &self,
        tenant: &TenantId,
        resources: [&Resource; N],
    ) -> Option<[Option<Rate>; N]> {
        let set = self.fresh(tenant, self.clock.now())?;
        Some(resources.map(|resource| self.of(&set, resource)))
    }

    fn of(&self, set: &Overrides, resource: &Resource) -> Option<Rate> {
        set.get(resource).copied().unwrap_or_else(|| self.defaults.0.get(resource).copied())
    }

    /// All that holds for a tenant; what is named with `None` is not limited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all(&self, tenant: &TenantId) -> Result<BTreeMap<Resource, Option<Rate>>, StoreError> {
        let defaults = self.defaults.0.iter().map(|(resource, rate)| (resource.clone(), Some(*rate)));
        let mut all: Overrides = defaults.collect();
        all.extend((*self.overrides(tenant).await?).clone());
        Ok(all)
    }

    /// Sets a tenant's rate, or `None` for no limit.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Invalid`] where more than 1,000 resources would be set.
    pub async fn set(
        &self,
        tenant: &TenantId,
        resource: &Resource,
        rate: Option<Rate>,
    ) -> Result<(), StoreError> {
        let mut full = false;
        let change = |set: &mut Option<Overrides>| {
            let set = set.get_or_insert_default();
            full = set.len() >= MOST_SET && !set.contains_key(resource);
            if !full {
                set.insert(resource.clone(), rate);
            }
        };
        self.set.update(tenant.as_str(), change).await?;
        self.forget(tenant);
        if full {
            return Err(StoreError::Invalid(format!("a tenant may have {MOST_SET} limits at most")));
        }
        Ok(())
    }

    /// Lets the default hold again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset(&self, tenant: &TenantId, resource: &Resource) -> Result<(), StoreError> {
        let change = |set: &mut Option<Overrides>| {
            if let Some(found) = set {
                found.remove(resource);
            }
            if set.as_ref().is_some_and(BTreeMap::is_empty) {
                *set = None;
            }
        };
        self.set.update(tenant.as_str(), change).await?;
        self.forget(tenant);
        Ok(())
    }

    async fn overrides(&self, tenant: &TenantId) -> Result<Arc<Overrides>, StoreError> {
        let now = self.clock.now();
        if let Some(set) = self.fresh(tenant, now) {
            return Ok(set);
        }
        let set =
            Arc::new(self.set.get(tenant.as_str()).await?.map(|document| document.value).unwrap_or_default());
        self.remembered().put(tenant.clone(), (now, set.clone()));
        Ok(set)
    }

    /// What was read lately.
    fn fresh(&self, tenant: &TenantId, now: Timestamp) -> Option<Arc<Overrides>> {
        let mut remembered = self.remembered();
        let (read_at, set) = remembered.get(tenant)?;
        (now.since(*read_at) < FRESH).then(|| set.clone())
    }

    fn forget(&self, tenant: &TenantId) {
        self.remembered().pop(tenant);
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, LruCache<TenantId, (Timestamp, Arc<Overrides>)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
