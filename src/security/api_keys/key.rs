//! What is kept of a key, and what may be shown of it. Must not know: where it is kept.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::AddressRange;
use crate::{
    domain::{TenantId, Timestamp},
    security::access::{Grants, Principal, Subject},
};

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
    /// From where it may be used; from everywhere where none is named.
    #[serde(default)]
    pub from: Vec<AddressRange>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
    /// The key that was made in its place, where it was rotated.
    #[serde(default)]
    pub replaced_by: Option<String>,
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
    /// From where it may be used: at most [`ApiKey::MOST_RANGES`]; from everywhere where none is named.
    pub from: Vec<AddressRange>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Whether a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It does.
    Holds,
    /// It has ended by itself.
    Expired,
    /// Somebody has ended it.
    Revoked,
}

/// How a key was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The latest use that was written down: within the minute.
    pub last_at: Timestamp,
    /// Where it came from, where that was known.
    pub last_address: Option<IpAddr>,
    /// How many uses were written down.
    pub uses: u64,
}

impl ApiKey {
    /// The most ranges of addresses of a key.
    pub const MOST_RANGES: usize = 32;

    /// Who calls with it.
    pub fn principal(&self) -> Principal {
        Principal {
            tenant: self.tenant.clone(),
            subject: Subject::ApiKey { key: self.id.clone(), from: self.from.clone() },
            grants: self.grants.clone(),
            until: self.expires_at,
        }
    }

    /// Whether it holds at that time.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Holds
        }
    }

    /// Whether it may be used from there. Where it is bound to addresses, one that is not known is none of them.
    pub(super) fn takes(&self, address: Option<IpAddr>) -> bool {
        self.from.is_empty()
            || address.is_some_and(|address| self.from.iter().any(|range| range.contains(address)))
    }
}
