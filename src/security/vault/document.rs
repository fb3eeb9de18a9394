//! A secret as it is stored, and how it is sealed. Pure. Must not know: stores, where keys come from.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SecretName;
use crate::{
    domain::{Random, TenantId, Timestamp},
    security::seal::{self, DataKey, KeyId, Preamble, SealContext, SealError},
};

/// So many characters of what is sealed, in base64, hold its salt and its commitment: no other value has the same.
const STAMP: usize = 120;

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) created_at: Timestamp,
    pub(super) changed_at: Timestamp,
    pub(super) changed_by: String,
    /// In base64.
    pub(super) sealed: String,
}

/// What may be shown of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretFacts {
    /// What it is called.
    pub name: SecretName,
    /// Rises with each new value; 1 for the first.
    pub version: u64,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
    /// With which data key it is sealed; nothing where that can't be read.
    pub sealed_with: Option<KeyId>,
}

impl Stored {
    /// What may be shown of it.
    pub(super) fn facts(&self, name: SecretName) -> SecretFacts {
        SecretFacts {
            name,
            version: self.version,
            created_at: self.created_at,
            changed_at: self.changed_at,
            changed_by: self.changed_by.clone(),
            sealed_with: self.sealed_with().ok(),
        }
    }

    /// Tells it from whatever else is stored under its name.
    pub(super) fn stamp(&self) -> &str {
        self.sealed.get(..STAMP).unwrap_or(&self.sealed)
    }

    pub(super) fn sealed_with(&self) -> Result<KeyId, SealError> {
        let sealed = STANDARD.decode(&self.sealed).map_err(|_| SealError::NotSealed)?;
        Preamble::split(&sealed).map(|(preamble, _)| preamble.key)
    }

    pub(super) fn open(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        key: &DataKey,
    ) -> Result<SecretString, SealError> {
        let sealed = STANDARD.decode(&self.sealed).map_err(|_| SealError::NotSealed)?;
        let object = object(name, self.version);
        // At most 64 KiB: some ten microseconds.
        let plain = Zeroizing::new(seal::open(key, &SealContext { tenant, object: &object }, &sealed)?);
        let text = std::str::from_utf8(&plain).map_err(|_| SealError::NotSealed)?;
        // Of its exact size at once, so that no copy is left behind.
        Ok(SecretString::from(text))
    }
}

/// A value, sealed as this version of a tenant's secret, in base64.
pub(super) fn seal(
    (tenant, name, version): (&TenantId, &SecretName, u64),
    value: &SecretString,
    id: KeyId,
    key: &DataKey,
    random: &dyn Random,
) -> Result<String, SealError> {
    let object = object(name, version);
    let context = SealContext { tenant, object: &object };
    let plain = value.expose_secret().as_bytes();
    seal::seal(key, id, &context, plain, random).map(|sealed| STANDARD.encode(sealed))
}

/// The key of a secret's document.
pub(super) fn place(tenant: &TenantId, name: &SecretName) -> String {
    format!("{tenant}/{name}")
}

fn object(name: &SecretName, version: u64) -> String {
    format!("secret/{name}/{version}")
}
