//! The keyring: which tenants seal, and with which data keys. Owns: [`Keyring`], its documents in the records, what is
//! remembered of them. Must not know: what is sealed.
//!
//! A tenant's document in collection `tenant-keys` is changed by compare-and-set, so that processes which race for a tenant's
//! first key make one. What is read of it holds for [`FRESH`]: so long may a rotation elsewhere, or that a tenant seals from
//! now on, go unnoticed.

mod document;
mod error;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::sync::OnceCell;

pub use error::KeyringError;

use self::document::{TenantKeys, unwrap};
use super::{
    master::{MasterKeyId, MasterKeys, MasterSource},
    seal::{DataKey, KeyId},
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{Collection, Records},
};

/// How long what was read of a tenant is taken to hold.
const FRESH: Duration = Duration::from_secs(10);
/// How many tenants are remembered.
const MOST_REMEMBERED: usize = 10_000;
/// How many tenants are read at once where all are gone through.
const PAGE: usize = 200;

/// The master keys at hand, and the tenants' data keys in the records. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    documents: Collection<TenantKeys>,
    source: MasterSource,
    /// Those that are made when they are needed first.
    made: OnceCell<MasterKeys>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held for a few instructions at a time, never across an await.
    remembered: Mutex<HashMap<TenantId, Remembered>>,
}

struct Remembered {
    read_at: Duration,
    document: Arc<TenantKeys>,
    opened: HashMap<KeyId, Arc<DataKey>>,
}

/// What may be shown of a data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataKeyFacts {
    /// Its id, as it stands in what is sealed with it.
    pub id: KeyId,
    /// 1 for the tenant's first.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Under which master key it is wrapped.
    pub master: MasterKeyId,
    /// Whether that one is at hand.
    pub at_hand: bool,
}

/// What may be shown of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantFacts {
    /// Who.
    pub tenant: TenantId,
    /// Whether what is new is sealed.
    pub seal: bool,
    /// The data keys, the newest first.
    pub keys: Vec<DataKeyFacts>,
}

/// What a rewrapping did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rewrapped {
    /// Data keys that are now under the newest master key.
    pub rewrapped: u64,
    /// Master keys that are not at hand, so that their data keys were left: give them as well.
    pub missed: Vec<MasterKeyId>,
}

/// How it stands with the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The master keys at hand, the newest first.
    pub masters: Vec<MasterKeyId>,
    /// Whether the one at hand was made by Presswork, so that nobody else may have a copy.
    pub made: bool,
    /// How many tenants seal.
    pub sealing: u64,
    /// How many data keys there are.
    pub keys: u64,
    /// Master keys that wrap data keys and are not at hand.
    pub missing: Vec<MasterKeyId>,
}

impl Keyring {
    /// The keyring on these records.
    pub fn new(
        records: &Arc<dyn Records>,
        source: MasterSource,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let documents = Collection::new(records.clone(), "tenant-keys");
        let (made, remembered) = (OnceCell::new(), Mutex::default());
        Self(Arc::new(Inner { documents, source, made, clock, random, remembered }))
    }

    /// Whether what is new of the tenant is to be sealed.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn seals(&self, tenant: &TenantId) -> Result<bool, KeyringError> {
        Ok(self.document(tenant, FRESH).await?.seal)
    }

    /// Says whether what is new of the tenant is to be sealed, and makes its first key where it has none. What is sealed
    /// stays so, and can be read.
    ///
    /// # Errors
    /// [`KeyringError`]; nothing was changed then.
    pub async fn set_seals(&self, tenant: &TenantId, seal: bool) -> Result<(), KeyringError> {
        if seal {
            self.newest(tenant).await?;
        }
        self.change(tenant, |document| {
            document.seal = seal;
            Ok(())
        })
        .await
    }

    /// The key that new things of the tenant are to be sealed with; made where there is none.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn newest(&self, tenant: &TenantId) -> Result<(KeyId, Arc<DataKey>), KeyringError> {
        let mut document = self.document(tenant, FRESH).await?;
        if document.keys.is_empty() {
            let masters = self.masters_to_wrap().await?;
            self.change(tenant, |document| {
                // Another process may have been faster.
                if document.keys.is_empty() { self.add(tenant, document, &masters) } else { Ok(()) }
            })
            .await?;
            document = self.document(tenant, Duration::ZERO).await?;
        }
        let newest = document.keys.last().ok_or_else(|| KeyringError::NoKey { tenant: tenant.clone() })?.id;
        Ok((newest, self.open(tenant, &document, newest).await?))
    }

    /// The key of something that is sealed.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn key(&self, tenant: &TenantId, id: &KeyId) -> Result<Arc<DataKey>, KeyringError> {
        let mut document = self.document(tenant, FRESH).await?;
        if document.find(*id).is_none() {
            // It may be newer than what is remembered.
            document = self.document(tenant, Duration::ZERO).await?;
        }
        self.open(tenant, &document, *id).await
    }

    /// Makes a new data key for the tenant, for all that is sealed from now on; the old ones stay for what they have sealed.
    /// Other processes use it within ten seconds.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn rotate(&self, tenant: &TenantId) -> Result<TenantFacts, KeyringError> {
        let masters = self.masters_to_wrap().await?;
        self.change(tenant, |document| self.add(tenant, document, &masters)).await?;
        self.facts(tenant).await
    }

    /// Wraps the tenant's data keys with the newest master key. Nothing that is sealed changes.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn rewrap(&self, tenant: &TenantId) -> Result<Rewrapped, KeyringError> {
        let masters = self.masters().await?.ok_or(KeyringError::NoMasterKey)?;
        let mut done = Rewrapped::default();
        self.change(tenant, |document| {
            let (rewrapped, missed) = document.rewrap(tenant, &masters, &*self.0.random)?;
            done = Rewrapped { rewrapped, missed };
            Ok(())
        })
        .await?;
        Ok(done)
    }

    /// What may be shown of a tenant, read now.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn facts(&self, tenant: &TenantId) -> Result<TenantFacts, KeyringError> {
        let document = self.document(tenant, Duration::ZERO).await?;
        let masters = self.masters().await?;
        Ok(facts(tenant, &document, masters.as_ref()))
    }

    /// What may be shown of tenants that have a key or seal, by name, some of those behind `after`; goes on behind the last
    /// of them, until none are left.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn list(&self, after: Option<&TenantId>) -> Result<Vec<TenantFacts>, KeyringError> {
        let masters = self.masters().await?;
        let mut after = after.map(ToString::to_string);
        loop {
            let page = self.0.documents.list("", after.as_deref(), PAGE).await?;
            let known = page.items.iter().filter_map(|item| Some((item.key.parse().ok()?, &item.value)));
            let facts: Vec<_> =
                known.map(|(tenant, document)| facts(&tenant, document, masters.as_ref())).collect();
            after = page.next;
            // A page may hold nothing that can be read, and yet not be the last.
            if !facts.is_empty() || after.is_none() {
                return Ok(facts);
            }
        }
    }

    /// How it stands with the keys; goes through all tenants.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn health(&self) -> Result<Health, KeyringError> {
        let masters = self.masters().await?.map_or_else(Vec::new, |masters| masters.ids());
        let made = matches!(self.0.source, MasterSource::Made(_)) && !masters.is_empty();
        let mut health = Health { masters, made, sealing: 0, keys: 0, missing: Vec::new() };
        let mut after = None;
        loop {
            let page = self.list(after.as_ref()).await?;
            for TenantFacts { seal, keys, .. } in &page {
                health.sealing += u64::from(*seal);
                health.keys += keys.len() as u64;
                health.missing.extend(keys.iter().filter(|key| !key.at_hand).map(|key| key.master));
                health.missing.sort_unstable();
                health.missing.dedup();
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.tenant),
                None => return Ok(health),
            }
        }
    }

    /// The master keys at hand; none where one is made only when it is needed, and was not yet.
    async fn masters(&self) -> Result<Option<MasterKeys>, KeyringError> {
        match &self.0.source {
            MasterSource::Absent => Ok(None),
            MasterSource::Given(masters) => Ok(Some(masters.clone())),
            MasterSource::Made(path) => {
                let there = self.0.made.initialized() || tokio::fs::try_exists(path).await.unwrap_or(true);
                if there { self.read_or_make().await.map(Some) } else { Ok(None) }
            }
        }
    }

    /// The master keys that something new is to be wrapped with.
    async fn masters_to_wrap(&self) -> Result<MasterKeys, KeyringError> {
        if let Some(masters) = self.masters().await? {
            return Ok(masters);
        }
        let MasterSource::Made(path) = &self.0.source else { return Err(KeyringError::NoMasterKey) };
        // A second master key beside a lost one would hide that it is lost.
        match self.list(None).await?.into_iter().find(|facts| !facts.keys.is_empty()) {
            Some(_) => Err(KeyringError::MasterKeyLost { path: path.clone() }),
            None => self.read_or_make().await,
        }
    }

    async fn read_or_make(&self) -> Result<MasterKeys, KeyringError> {
        let MasterSource::Made(path) = &self.0.source else { return Err(KeyringError::NoMasterKey) };
        let made = self.0.made.get_or_try_init(|| async {
            let (path, random) = (path.clone(), self.0.random.clone());
            let read = tokio::task::spawn_blocking(move || MasterKeys::read_or_make(&path, &*random)).await;
            Ok::<_, KeyringError>(read.map_err(|error| KeyringError::Broken(error.to_string()))??)
        });
        made.await.cloned()
    }

    fn add(
        &self,
        tenant: &TenantId,
        document: &mut TenantKeys,
        masters: &MasterKeys,
    ) -> Result<(), KeyringError> {
        document.add(tenant, masters, self.0.clock.now(), &*self.0.random)
    }

    /// Changes a tenant's document as if in one step, and forgets what was remembered of it.
    async fn change(
        &self,
        tenant: &TenantId,
        mut change: impl FnMut(&mut TenantKeys) -> Result<(), KeyringError> + Send,
    ) -> Result<(), KeyringError> {
        let mut outcome = Ok(());
        let written = self.0.documents.update(tenant.as_str(), |document| {
            let mut changed = document.clone().unwrap_or_default();
            outcome = change(&mut changed);
            if outcome.is_ok() && document.as_ref() != Some(&changed) {
                *document = Some(changed);
            }
        });
        let written = written.await;
        if let Some(remembered) = self.remembered().get_mut(tenant) {
            remembered.read_at = Duration::MAX;
        }
        written?;
        outcome
    }

    /// A tenant's document, not older than `most`; an empty one where there is none.
    async fn document(&self, tenant: &TenantId, most: Duration) -> Result<Arc<TenantKeys>, KeyringError> {
        let now = self.0.clock.elapsed();
        if let Some(remembered) = self.remembered().get(tenant)
            && now.checked_sub(remembered.read_at).is_some_and(|age| age < most)
        {
            return Ok(remembered.document.clone());
        }
        let read = self.0.documents.get(tenant.as_str()).await?;
        let document = Arc::new(read.map_or_else(TenantKeys::default, |read| read.value));
        let mut all = self.remembered();
        if all.len() >= MOST_REMEMBERED && !all.contains_key(tenant) {
            all.retain(|_, known| now.checked_sub(known.read_at).is_some_and(|age| age < FRESH));
            // Many tenants at once: what is needed again is read again.
            if all.len() >= MOST_REMEMBERED {
                all.clear();
            }
        }
        let opened = all.remove(tenant).map(|known| known.opened).unwrap_or_default();
        all.insert(tenant.clone(), Remembered { read_at: now, document: document.clone(), opened });
        Ok(document)
    }

    async fn open(
        &self,
        tenant: &TenantId,
        document: &TenantKeys,
        id: KeyId,
    ) -> Result<Arc<DataKey>, KeyringError> {
        if let Some(opened) = self.remembered().get(tenant).and_then(|known| known.opened.get(&id)) {
            return Ok(opened.clone());
        }
        let unknown = || KeyringError::UnknownKey { tenant: tenant.clone(), key: id };
        let stored = document.find(id).ok_or_else(unknown)?;
        let masters = self.masters().await?.ok_or(KeyringError::NoMasterKey)?;
        let key = Arc::new(unwrap(tenant, stored, &masters)?);
        if let Some(remembered) = self.remembered().get_mut(tenant) {
            remembered.opened.insert(id, key.clone());
        }
        Ok(key)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Remembered>> {
        self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("source", &self.0.source).finish_non_exhaustive()
    }
}

fn facts(tenant: &TenantId, document: &TenantKeys, masters: Option<&MasterKeys>) -> TenantFacts {
    let keys = document.keys.iter().rev().map(|key| DataKeyFacts {
        id: key.id,
        version: key.version,
        created_at: key.created_at,
        master: key.master,
        at_hand: masters.is_some_and(|masters| masters.find(key.master).is_some()),
    });
    TenantFacts { tenant: tenant.clone(), seal: document.seal, keys: keys.collect() }
}
