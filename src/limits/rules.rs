//! Which rate holds for whom. Owns: [`LimitRules`] (the defaults), [`Rules`] (with what is set for single tenants), the
//! collection `limit-rules`. Must not know: buckets.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{
    domain::{Clock, Rate, TenantId},
    store::{
        Records, StoreError,
        overrides::{Overrides, Set},
    },
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

/// How many resources may be set for a tenant.
const MOST_SET: usize = 1_000;

/// The rates that hold for each tenant: the defaults, and over them what is set for it. A change is in force everywhere
/// within a second.
pub struct Rules {
    defaults: LimitRules,
    set: Overrides<Resource, Rate>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rules").field(&self.defaults).finish()
    }
}

impl Rules {
    /// These defaults, and what is set in these records.
    pub fn new(defaults: LimitRules, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { defaults, set: Overrides::new(records, "limit-rules", clock) }
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
        let set = self.set.of(tenant).await?;
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
        let set = self.set.of(tenant).await?;
        Ok(resources.map(|resource| self.of(&set, resource)))
    }

    /// The same where it is known without asking: where it was read within a second.
    pub fn recall<const N: usize>(
        &self,
        tenant: &TenantId,
        resources: [&Resource; N],
    ) -> Option<[Option<Rate>; N]> {
        let set = self.set.recall(tenant)?;
        Some(resources.map(|resource| self.of(&set, resource)))
    }

    fn of(&self, set: &Set<Resource, Rate>, resource: &Resource) -> Option<Rate> {
        set.get(resource).copied().unwrap_or_else(|| self.defaults.0.get(resource).copied())
    }

    /// All that holds for a tenant; what is named with `None` is not limited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all(&self, tenant: &TenantId) -> Result<BTreeMap<Resource, Option<Rate>>, StoreError> {
        let defaults = self.defaults.0.iter().map(|(resource, rate)| (resource.clone(), Some(*rate)));
        let mut all: Set<Resource, Rate> = defaults.collect();
        all.extend((*self.set.of(tenant).await?).clone());
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
        let change = |set: &mut Option<Set<Resource, Rate>>| {
            let set = set.get_or_insert_default();
            full = set.len() >= MOST_SET && !set.contains_key(resource);
            if !full {
                set.insert(resource.clone(), rate);
            }
        };
        self.set.update(tenant, change).await?;
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
        self.set.reset(tenant, resource).await
    }
}
