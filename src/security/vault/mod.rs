//! The vault: keys of providers and other secrets of tenants, sealed. Owns: [`Vault`], its documents in the records, and the
//! values that are open in memory for at most five minutes. Must not know: HTTP, handlers.
//!
//! Write-only from outside: no way leads from here to an API or a command. Only a worker reads, for a handler that holds its
//! lease. A value is sealed with the newest data key of its tenant, as the object `secret/<name>/<version>`, so that it opens
//! neither for another tenant nor under another name. The container is that of [`seal`](super::seal).

mod cache;
mod document;
mod error;
mod name;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

pub use document::SecretFacts;
pub use error::VaultError;
pub use name::{SecretName, SecretNameError};

use self::{
    cache::Opened,
    document::{Stored, place, seal},
};
use super::{
    Acting, Keyring, Recorder,
    audit::{Action, Entry},
    seal::{DataKey, KeyId, SealError},
};
use crate::{
    domain::{Clock, Random, TenantId},
    store::{Collection, Expect, Records, StoreError},
};

/// The most bytes of a secret.
pub const MOST_SECRET_BYTES: usize = 64 << 10;
/// The most secrets of a tenant.
const MOST_SECRETS: usize = 1_000;
/// How many secrets are looked at at once where all are gone through.
const PAGE: usize = 50;

/// A piece of a tenant's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPage {
    /// By name.
    pub items: Vec<SecretFacts>,
    /// Go on after this one; `None` at the end.
    pub next: Option<SecretName>,
}

/// What a rewrapping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// Secrets that are now sealed with the newest data key.
    pub resealed: u64,
    /// Secrets that can't be opened, and were left as they are: store them anew.
    pub broken: u64,
}

/// The secrets of all tenants. Cheap to clone; clones share what is open.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    documents: Collection<Stored>,
    keyring: Keyring,
    audit: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held for a few instructions at a time, never across an await.
    opened: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    values: Opened,
    /// Whether a task wipes what is over.
    is_watched: bool,
}

impl Vault {
    /// The secrets in these records.
    pub fn new(
        records: &Arc<dyn Records>,
        keyring: &Keyring,
        audit: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (documents, keyring) = (Collection::new(records.clone(), "secrets"), keyring.clone());
        Self(Arc::new(Inner { documents, keyring, audit, clock, random, opened: Mutex::default() }))
    }

    /// Stores a value: the secret's first, or a new version of it. In this process it is read from now on; in others within
    /// ten seconds, and where the store is away within five minutes.
    ///
    /// # Errors
    /// [`VaultError`]; nothing was changed then.
    pub async fn set(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        value: &SecretString,
        by: &Acting,
    ) -> Result<SecretFacts, VaultError> {
        check(value)?;
        if self.facts(tenant, name).await?.is_none() {
            let known = self.0.documents.list(&format!("{tenant}/"), None, MOST_SECRETS).await?;
            if known.items.len() >= MOST_SECRETS {
                return Err(VaultError::TooMany { tenant: tenant.clone(), most: MOST_SECRETS });
            }
        }
        let (id, key) = self.0.keyring.newest(tenant).await?;
        let (now, changed_by) = (self.0.clock.now(), by.name());
        let mut outcome = Ok(());
        let place = place(tenant, name);
        let written = self.0.documents.update(&place, |stored| {
            let version = stored.as_ref().map_or(1, |stored| stored.version.saturating_add(1));
            match seal((tenant, name, version), value, id, &key, &*self.0.random) {
                Ok(sealed) => {
                    let created_at = stored.as_ref().map_or(now, |stored| stored.created_at);
                    let changed_by = changed_by.clone();
                    *stored = Some(Stored { version, created_at, changed_at: now, changed_by, sealed });
                }
                Err(error) => outcome = Err(error),
            }
        });
        let written = written.await;
        // Also where nobody knows whether it was written.
        self.forget(tenant, name);
        let written = written?;
        outcome.map_err(|cause| broken(tenant, name, cause))?;
        let facts = written.map(|stored| stored.facts(name.clone()));
        let facts = facts.ok_or_else(|| unknown(tenant, name))?;
        let entry = by.entry(Action::SecretStored).of(tenant).to(name.as_str());
        self.record(entry.with("version", facts.version)).await;
        Ok(facts)
    }

    /// Removes a secret; `false` where there is none of that name.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn remove(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        by: &Acting,
    ) -> Result<bool, VaultError> {
        let removed = self.0.documents.delete(&place(tenant, name), Expect::Anything).await;
        self.forget(tenant, name);
        let removed = removed?;
        if removed {
            self.record(by.entry(Action::SecretRemoved).of(tenant).to(name.as_str())).await;
        }
        Ok(removed)
    }

    /// What may be shown of a secret.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn facts(
        &self,
        tenant: &TenantId,
        name: &SecretName,
    ) -> Result<Option<SecretFacts>, VaultError> {
        let found = self.0.documents.get(&place(tenant, name)).await?;
        Ok(found.map(|found| found.value.facts(name.clone())))
    }

    /// A tenant's secrets by name, at most `most` (1 to 1,000) from behind `after`.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&SecretName>,
        most: usize,
    ) -> Result<SecretPage, VaultError> {
        let prefix = format!("{tenant}/");
        let after = after.map(|name| place(tenant, name));
        let page = self.0.documents.list(&prefix, after.as_deref(), most).await?;
        let name = |key: &str| key.strip_prefix(&prefix)?.parse::<SecretName>().ok();
        let items = page.items.iter().filter_map(|item| Some(item.value.facts(name(&item.key)?)));
        Ok(SecretPage { items: items.collect(), next: page.next.as_deref().and_then(name) })
    }

    /// Seals a tenant's secrets with its newest data key where they are sealed with another. Values and versions stay.
    ///
    /// # Errors
    /// [`VaultError`]; what was sealed anew by then stays so.
    pub async fn rewrap(&self, tenant: &TenantId, by: &Acting) -> Result<Resealed, VaultError> {
        let (id, key) = self.0.keyring.newest(tenant).await?;
        let (mut done, mut after) = (Resealed::default(), None);
        loop {
            let page = self.list(tenant, after.as_ref(), PAGE).await?;
            for SecretFacts { name, sealed_with, .. } in page.items {
                if sealed_with == Some(id) {
                    continue;
                }
                match self.reseal(tenant, &name, id, &key).await {
                    Ok(true) => done.resealed += 1,
                    Ok(false) => {}
                    Err(VaultError::Broken { .. }) => done.broken += 1,
                    Err(error) => return Err(error),
                }
                self.forget(tenant, &name);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let entry = by.entry(Action::KeyringRotated).of(tenant).to("secrets");
        self.record(entry.with("resealed", done.resealed).with("broken", done.broken)).await;
        Ok(done)
    }

    /// A secret's value: whoever asks has made sure that he may have it, and [records](Self::record) that he has. What is
    /// open already is given out for ten seconds without a look at the store, and as long as it is open where the store is
    /// away.
    ///
    /// # Errors
    /// [`VaultError`].
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        name: &SecretName,
    ) -> Result<Arc<SecretString>, VaultError> {
        let key = (tenant.clone(), name.clone());
        let (found, changes) = {
            let mut cache = self.opened();
            (cache.values.get(&key, self.0.clock.elapsed()), cache.values.changes())
        };
        let now = self.0.clock.elapsed();
        if let Some(found) = &found
            && found.is_trusted(now)
        {
            return Ok(found.value.clone());
        }
        let stored = match (self.0.documents.get(&place(tenant, name)).await, found.clone()) {
            (Ok(stored), _) => stored.map(|stored| stored.value),
            (Err(StoreError::Unavailable { .. }), Some(found)) => return Ok(found.value),
            (Err(error), _) => return Err(error.into()),
        };
        let Some(stored) = stored else {
            self.forget(tenant, name);
            return Err(unknown(tenant, name));
        };
        let stamp = stored.stamp();
        if let Some(found) = found.filter(|found| *found.stamp == *stamp) {
            self.opened().values.confirm(&key, stamp, now);
            return Ok(found.value);
        }
        let value = Arc::new(self.open(tenant, name, &stored).await?);
        let mut cache = self.opened();
        cache.values.put(key, value.clone(), stamp.into(), changes, now);
        self.watch(&mut cache);
        Ok(value)
    }

    /// Tells the audit log.
    pub(crate) async fn record(&self, entry: Entry) {
        self.0.audit.record(entry).await;
    }

    async fn reseal(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        id: KeyId,
        key: &DataKey,
    ) -> Result<bool, VaultError> {
        let place = place(tenant, name);
        let Some(found) = self.0.documents.get(&place).await? else { return Ok(false) };
        let value = self.open(tenant, name, &found.value).await?;
        let what = (tenant, name, found.value.version);
        let sealed = seal(what, &value, id, key, &*self.0.random);
        let sealed = sealed.map_err(|cause| broken(tenant, name, cause))?;
        let stored = Stored { sealed, ..found.value };
        match self.0.documents.put(&place, &stored, Expect::Version(found.version), found.expires_at).await {
            Ok(_) => Ok(true),
            // Whoever was faster has stored a new value, which is sealed with the newest key, or removed it.
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn open(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        stored: &Stored,
    ) -> Result<SecretString, VaultError> {
        let broken = |cause| broken(tenant, name, cause);
        let id = stored.sealed_with().map_err(broken)?;
        let key = self.0.keyring.key(tenant, &id).await?;
        stored.open(tenant, name, &key).map_err(broken)
    }

    fn forget(&self, tenant: &TenantId, name: &SecretName) {
        self.opened().values.forget(&(tenant.clone(), name.clone()));
    }

    /// Sees to it that what is open is wiped when its time is over, though nobody asks for it.
    fn watch(&self, cache: &mut Cache) {
        if cache.is_watched {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        cache.is_watched = true;
        // What is dropped with the vault is wiped by that.
        let vault = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            while let Some(wait) = wipe(&vault) {
                tokio::time::sleep(wait).await;
            }
        });
    }

    fn opened(&self) -> MutexGuard<'_, Cache> {
        opened(&self.0)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

fn opened(inner: &Inner) -> MutexGuard<'_, Cache> {
    inner.opened.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wipes what is over; how long until there is more, `None` where nothing is open any more.
fn wipe(vault: &Weak<Inner>) -> Option<std::time::Duration> {
    let inner = vault.upgrade()?;
    let now = inner.clock.elapsed();
    let mut cache = opened(&inner);
    let next = cache.values.wipe(now);
    cache.is_watched = next.is_some();
    next.map(|next| next.saturating_sub(now))
}

fn check(value: &SecretString) -> Result<(), VaultError> {
    let bytes = value.expose_secret().len();
    if (1..=MOST_SECRET_BYTES).contains(&bytes) {
        return Ok(());
    }
    let problem = if bytes == 0 { "the value is empty" } else { "the value is too long" };
    Err(VaultError::Invalid(format!("{problem}: a secret has 1 to {MOST_SECRET_BYTES} bytes")))
}

fn unknown(tenant: &TenantId, name: &SecretName) -> VaultError {
    VaultError::Unknown { tenant: tenant.clone(), name: name.clone() }
}

fn broken(tenant: &TenantId, name: &SecretName, cause: SealError) -> VaultError {
    VaultError::Broken { tenant: tenant.clone(), name: name.clone(), cause }
}
