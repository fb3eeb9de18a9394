//! API keys: what apps prove with who they are. Owns: [`ApiKeys`], the documents behind them, the form of the key's text, and
//! what is written down of uses and refusals. Must not know: HTTP. The text is shown once, when a key is made; only its hash
//! is kept.
//!
//! A key's record is read after a request that shows it has come, once for all that have come meanwhile, and what it says is
//! trusted for a quarter of a second (`trust`): what was revoked is refused at once by the process that has revoked it, and by
//! every other one within that time.

mod key;
mod ledger;
mod range;
mod room;
#[cfg(test)]
mod tests;
mod text;
mod trust;
mod verify;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::{
    ledger::Ledger,
    room::Room,
    trust::{Digest as Digested, Trust},
};
use super::{
    Acting, Recorder,
    audit::Action,
    text::{from_hex, hex},
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{Collection, Expect, Records, StoreError, together::Together},
};

pub use key::{ApiKey, KeyUse, NewApiKey, Standing};
pub use range::{AddressRange, AddressRangeError};
pub use text::{ApiKeyText, ApiKeyTextError, find_keys};
pub use trust::Known;

/// How long a key that has ended can still be looked up.
const KEPT_AFTER_END: std::time::Duration = std::time::Duration::from_secs(90 * 86_400);
/// How many keys of a page are read at one time.
const AT_ONCE: usize = 16;
/// How often a change is tried where somebody else is faster.
const MOST_TRIES: usize = 32;

/// Where a key's document is, by its tenant and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    hash: String,
    /// When the key ends, or has ended; what was written before this was says nothing, and counts as if it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// When the key was made; what was written before this was says nothing, and is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
}

impl Place {
    fn of(hash: &str, key: &ApiKey) -> Self {
        Self { hash: hash.to_owned(), ends_at: end_of(key), made_at: Some(key.created_at) }
    }
}

/// What is known of a key.
type Found = Result<Option<ApiKey>, StoreError>;

/// A piece of a tenant's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys, by id, each with how it was used.
    pub items: Vec<(ApiKey, Option<KeyUse>)>,
    /// Go on after this id; `None` at the end.
    pub next: Option<String>,
}

/// The keys of all tenants. Cheap to clone; clones share what they count.
#[derive(Clone)]
pub struct ApiKeys {
    /// By the hash of their text.
    keys: Collection<ApiKey>,
    /// By tenant and id.
    places: Collection<Place>,
    /// Those of one key who ask at the same time.
    finds: Arc<Together<Digested, Found>>,
    trust: Arc<Trust>,
    room: Arc<Room>,
    ledger: Arc<Ledger>,
    audit: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl ApiKeys {
    /// The keys in these records.
    pub fn new(
        records: &Arc<dyn Records>,
        audit: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (keys, places) = (
            Collection::new(records.clone(), "api_keys"),
            Collection::new(records.clone(), "api_key_places"),
        );
        let ledger = Arc::new(Ledger::new(records, audit.clone(), clock.clone()));
        let trust = Arc::new(Trust::new(clock.clone()));
        let (finds, room) = (Arc::default(), Arc::default());
        Self { keys, places, finds, trust, room, ledger, audit, clock, random }
    }

    /// Makes a key; its text is never to be had again.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Invalid`] where the name is not 1 to 100 characters, the end is not ahead, there are too
    /// many ranges, or the tenant has 1,000 keys that hold.
    pub async fn create(&self, new: NewApiKey, by: &Acting) -> Result<(ApiKey, ApiKeyText), StoreError> {
        self.check(&new)?;
        let made = self.make(new, by).await?;
        let key = &made.0;
        let entry = by.entry(Action::KeyCreated).of(&key.tenant).to(key.id.clone());
        let entry = entry.with("name", &key.name).with("permissions", words(key));
        self.audit.record(entry).await;
        Ok(made)
    }

    /// A tenant's key, and how it was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<(ApiKey, Option<KeyUse>)>, StoreError> {
        let Some(hash) = self.hash_of(tenant, id).await? else { return Ok(None) };
        let Some(found) = self.keys.get(&hash).await? else { return Ok(None) };
        Ok(Some((found.value, self.ledger.look(tenant, id).await?)))
    }

    /// A tenant's keys by id, at most `most` (1 to 1,000) from behind `after`; those that have ended are left out 90 days
    /// later. [`StoreError::Invalid`] where `after` is no id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        most: usize,
    ) -> Result<KeyPage, StoreError> {
        let after = after.map(|id| place(tenant, id).ok_or_else(no_id)).transpose()?;
        let prefix = format!("{tenant}/");
        let found = self.places.list(&prefix, after.as_deref(), most).await?;
        let next = found.next.and_then(|place| Some(place.strip_prefix(&prefix)?.to_owned()));
        let read = found.items.into_iter().map(|item| async move {
            let key = self.keys.get(&item.value.hash).await?.map(|found| found.value);
            let Some(key) = key else { return Ok(None) };
            let used = self.ledger.look(tenant, &key.id).await?;
            Ok::<_, StoreError>(Some((key, used)))
        });
        let items: Vec<_> = stream::iter(read).buffered(AT_ONCE).try_collect().await?;
        Ok(KeyPage { items: items.into_iter().flatten().collect(), next })
    }

    /// Ends a key, at once and for good; `None` where the tenant has none of this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke(
        &self,
        tenant: &TenantId,
        id: &str,
        by: &Acting,
    ) -> Result<Option<ApiKey>, StoreError> {
        let Some(hash) = self.hash_of(tenant, id).await? else { return Ok(None) };
        let now = self.clock.now();
        let revoked = self.change(&hash, |key| key.revoked_at = key.revoked_at.or(Some(now))).await?;
        if revoked.is_some() {
            let entry = by.entry(Action::KeyRevoked).of(tenant).to(id);
            self.audit.record(entry).await;
        }
        Ok(revoked)
    }

    /// Makes a key like one that holds, which goes on for `overlap` and then ends; `None` where the tenant has none of this id.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Invalid`] where it does not hold any more, or was rotated before.
    pub async fn rotate(
        &self,
        tenant: &TenantId,
        id: &str,
        overlap: std::time::Duration,
        by: &Acting,
    ) -> Result<Option<(ApiKey, ApiKeyText)>, StoreError> {
        let Some(hash) = self.hash_of(tenant, id).await? else { return Ok(None) };
        let Some(old) = self.keys.get(&hash).await?.map(|found| found.value) else { return Ok(None) };
        let now = self.clock.now();
        if old.standing(now) != Standing::Holds {
            return Err(StoreError::Invalid(format!("the key {id} has ended: make a new one")));
        }
        if let Some(next) = &old.replaced_by {
            return Err(StoreError::Invalid(format!("the key {id} was rotated already: rotate {next}")));
        }
        let ApiKey { tenant, name, grants, from, expires_at, .. } = old;
        let new = NewApiKey { tenant: tenant.clone(), name, grants, from, expires_at };
        let made = self.make(new, by).await?;
        let (successor, end) = (made.0.id.clone(), now.after(overlap));
        // Two who rotate at one time both make a key, and both are told theirs; the first one's name stays.
        self.change(&hash, |key| {
            key.replaced_by.get_or_insert_with(|| successor.clone());
            key.expires_at = Some(key.expires_at.map_or(end, |known| known.min(end)));
        })
        .await?;
        let entry = by.entry(Action::KeyCreated).of(&tenant).to(successor.clone());
        let entry = entry.with("replaces", id).with("old_ends", end).with("permissions", words(&made.0));
        self.audit.record(entry).await;
        Ok(Some(made))
    }

    /// The id of the key of this text, whether it was made here or not.
    pub fn id_of(text: &ApiKeyText) -> String {
        id(&hash(text))
    }

    /// Writes down at once what is only counted yet: at the end of a process.
    pub async fn settle(&self) {
        self.ledger.settle().await;
    }

    fn check(&self, new: &NewApiKey) -> Result<(), StoreError> {
        let length = new.name.chars().count();
        let problem = if !(1..=100).contains(&length) || new.name.chars().any(char::is_control) {
            "a key's name has 1 to 100 characters, none of which controls a terminal"
        } else if new.from.len() > ApiKey::MOST_RANGES {
            "a key is bound to 32 ranges of addresses at most"
        } else if new.expires_at.is_some_and(|end| end <= self.clock.now()) {
            "the key would have ended already: choose an end that is ahead"
        } else if new.grants.0.is_empty() {
            "a key without a permission is of no use: name at least one"
        } else {
            return Ok(());
        };
        Err(StoreError::Invalid(problem.to_owned()))
    }

    async fn make(&self, new: NewApiKey, by: &Acting) -> Result<(ApiKey, ApiKeyText), StoreError> {
        self.room.check(self, &new.tenant).await?;
        let text = ApiKeyText::new(&*self.random);
        let hash = hash(&text);
        let NewApiKey { tenant, name, grants, from, expires_at } = new;
        let (id, created_at, created_by) = (id(&hash), self.clock.now(), by.name());
        let (revoked_at, replaced_by) = (None, None);
        let key = ApiKey {
            id,
            tenant,
            name,
            grants,
            from,
            created_by,
            created_at,
            expires_at,
            revoked_at,
            replaced_by,
        };
        let place = place(&key.tenant, &key.id).ok_or_else(no_id)?;
        let gone = gone_at(&key);
        // The place first: a key that nobody can list could not be revoked.
        self.places.put(&place, &Place::of(&hash, &key), Expect::Nothing, gone).await?;
        self.keys.put(&hash, &key, Expect::Nothing, gone).await?;
        Ok((key, text))
    }

    async fn hash_of(&self, tenant: &TenantId, id: &str) -> Result<Option<String>, StoreError> {
        let Some(place) = place(tenant, id) else { return Ok(None) };
        Ok(self.places.get(&place).await?.map(|found| found.value.hash))
    }

    /// Changes a key as if in one step, and puts off or sets the end of what is kept of it.
    async fn change(
        &self,
        hash: &str,
        mut change: impl FnMut(&mut ApiKey) + Send,
    ) -> Result<Option<ApiKey>, StoreError> {
        let mut tries = 1;
        loop {
            let Some(found) = self.keys.get(hash).await? else { return Ok(None) };
            let mut key = found.value.clone();
            change(&mut key);
            let gone = gone_at(&key);
            if key != found.value {
                let put = self.keys.put(hash, &key, Expect::Version(found.version), gone).await;
                // Also where it has failed: it may be written.
                self.forget(hash);
                match put {
                    Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
            // Where it is so already another process has done it, perhaps within the moment.
            self.forget(hash);
            let place = place(&key.tenant, &key.id).ok_or_else(no_id)?;
            // Not before the key itself: where this fails it counts on, until the change is repeated or the keys are counted.
            self.places.put(&place, &Place::of(hash, &key), Expect::Anything, gone).await?;
            return Ok(Some(key));
        }
    }

    /// Trusts no more what was read of a key.
    fn forget(&self, hash: &str) {
        if let Some(digest) = from_hex(hash) {
            self.trust.forget(&digest);
        }
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKeys")
    }
}

/// When nothing is known of a key any more.
fn gone_at(key: &ApiKey) -> Option<Timestamp> {
    end_of(key).map(|end| end.after(KEPT_AFTER_END))
}

/// When it ends, or has ended.
fn end_of(key: &ApiKey) -> Option<Timestamp> {
    [key.expires_at, key.revoked_at].into_iter().flatten().min()
}

fn words(key: &ApiKey) -> String {
    let names: Vec<&str> = key.grants.0.iter().map(super::access::Grant::as_str).collect();
    names.join(" ")
}

/// 256 random bits need no slow hash.
fn digest(text: &ApiKeyText) -> Digested {
    Sha256::digest(text.reveal()).into()
}

fn hash(text: &ApiKeyText) -> String {
    hex(&digest(text))
}

fn id(hash: &str) -> String {
    format!("key_{}", &hash[..20])
}

/// The key of what belongs to a key; nothing where that is no id, and so nobody's.
fn place(tenant: &TenantId, id: &str) -> Option<String> {
    let digits = id.strip_prefix("key_")?;
    let is_id = digits.len() == 20 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| format!("{tenant}/{id}"))
}

fn no_id() -> StoreError {
    StoreError::Invalid("not a key's id: `key_` and 20 hexadecimal digits".to_owned())
}
