//! API keys: what apps prove with who they are. Owns: [`ApiKeys`], the documents behind them, and the form of the key's text.
//! Must not know: HTTP. The text is shown once, when a key is made; only its hash is kept.

mod text;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    access::{Grants, Principal, Subject},
    text::hex,
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{Collection, Expect, Records, StoreError},
};

pub use text::{ApiKeyText, ApiKeyTextError};

/// What is known of a key; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// `key_` and 20 hexadecimal digits.
    pub id: String,
    /// For whom it acts.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub grants: Grants,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// For whom it acts.
    pub tenant: TenantId,
    /// What people call it: 1 to 100 characters.
    pub name: String,
    /// What it allows.
    pub grants: Grants,
    /// Who makes it.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Where a key's document is, by its tenant and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    hash: String,
}

/// The keys of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    /// By the hash of their text.
    keys: Collection<ApiKey>,
    /// By tenant and id.
    places: Collection<Place>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl ApiKeys {
    /// The keys in these records.
    pub fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let (keys, places) = (
            Collection::new(records.clone(), "api_keys"),
            Collection::new(records.clone(), "api_key_places"),
        );
        Self { keys, places, clock, random }
    }

    /// Makes a key; its text is never to be had again.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Invalid`] where the name is not 1 to 100 characters.
    pub async fn create(&self, new: NewApiKey) -> Result<(ApiKey, ApiKeyText), StoreError> {
        if !(1..=100).contains(&new.name.chars().count()) || new.name.chars().any(char::is_control) {
            return Err(StoreError::Invalid("a key's name has 1 to 100 characters".to_owned()));
        }
        let text = ApiKeyText::new(&*self.random);
        let hash = hash(&text);
        let NewApiKey { tenant, name, grants, created_by, expires_at } = new;
        let (id, created_at) = (format!("key_{}", &hash[..20]), self.clock.now());
        let key = ApiKey { id, tenant, name, grants, created_by, created_at, expires_at, revoked_at: None };
        // The place first: a key that nobody can list could not be revoked.
        self.places
            .put(&place(&key.tenant, &key.id), &Place { hash: hash.clone() }, Expect::Nothing, None)
            .await?;
        self.keys.put(&hash, &key, Expect::Nothing, None).await?;
        Ok((key, text))
    }

    /// The key of this text, where it holds now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify(&self, text: &ApiKeyText) -> Result<Option<ApiKey>, StoreError> {
        let now = self.clock.now();
        let key = self.keys.get(&hash(text)).await?.map(|found| found.value);
        Ok(key.filter(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end)))
    }

    /// A tenant's key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let Some(found) = self.places.get(&place(tenant, id)).await? else { return Ok(None) };
        Ok(self.keys.get(&found.value.hash).await?.map(|found| found.value))
    }

    /// Ends a key, at once and for good; `None` where the tenant has none of this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke(&self, tenant: &TenantId, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let Some(found) = self.places.get(&place(tenant, id)).await? else { return Ok(None) };
        let now = self.clock.now();
        let revoke = |key: &mut Option<ApiKey>| {
            if let Some(key) = key {
                key.revoked_at.get_or_insert(now);
            }
        };
        self.keys.update(&found.value.hash, revoke).await
    }
}

impl ApiKey {
    /// Who calls with it.
    pub fn principal(&self) -> Principal {
        Principal {
            tenant: self.tenant.clone(),
            subject: Subject::ApiKey { key: self.id.clone() },
            grants: self.grants.clone(),
            until: self.expires_at,
        }
    }
}

/// 256 random bits need no slow hash.
fn hash(text: &ApiKeyText) -> String {
    hex(&Sha256::digest(text.reveal()))
}

fn place(tenant: &TenantId, id: &str) -> String {
    format!("{tenant}/{id}")
}
