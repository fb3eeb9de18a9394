//! Refresh tokens: a family of them for each login, of which the newest one holds. Whoever shows an older one has a copy, or
//! somebody else has: the family ends.
//!
//! A token's text has two secrets: one finds the family, the other is new in each token. The successor is made of its
//! predecessor and a random salt that is kept, so that a second call with the same token can be answered with the same
//! successor for a while without keeping any token's text.

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{REFRESH_GRACE, REFRESH_IDLE, REFRESH_LIFE};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    limits::Scope,
    security::{
        text::{from_hex, hex},
        users::User,
    },
    store::{Collection, Expect, Records, StoreError},
};

const PREFIX: &str = "pw_refresh_";
const FINDS: usize = 16;
const SECRET: usize = 32;

/// A login, as long as it may be refreshed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Family {
    pub(super) tenant: TenantId,
    pub(super) user: String,
    pub(super) generation: u64,
    created_at: Timestamp,
    used_at: Timestamp,
    /// The hash of the secret that holds.
    current: String,
    /// The one before it, for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
    /// A token of it was shown again: it is kept so that this is answered as such.
    #[serde(default)]
    revoked: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Previous {
    hash: String,
    salt: String,
    at: Timestamp,
    /// From where it was shown, hashed.
    from: String,
}

/// The two secrets of a token.
struct Parts {
    finds: Zeroizing<[u8; FINDS]>,
    secret: Zeroizing<[u8; SECRET]>,
}

impl Parts {
    fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?);
        let (finds, secret) = bytes.split_at_checked(FINDS)?;
        Some(Self {
            finds: Zeroizing::new(finds.try_into().ok()?),
            secret: Zeroizing::new(secret.try_into().ok()?),
        })
    }

    fn text(&self) -> SecretString {
        let bytes = Zeroizing::new([self.finds.as_slice(), self.secret.as_slice()].concat());
        format!("{PREFIX}{}", Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())).as_str()).into()
    }

    /// Names the login without finding it: for access tokens.
    fn id(&self) -> String {
        format!("login_{}", &hex(&Sha256::digest(self.finds.as_slice()))[..24])
    }

    fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_slice()))
    }

    fn successor(&self, salt: &[u8; SECRET]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_slice());
        let mut secret = Zeroizing::new([0; SECRET]);
        secret.copy_from_slice(hmac::sign(&key, salt).as_ref());
        Self { finds: self.finds.clone(), secret }
    }
}

/// What became of a refresh token.
pub(super) enum Rotated {
    /// It was the one that holds, or is shown again at once: this is its successor.
    Successor { family: Box<Family>, login: String, text: SecretString },
    /// It is no token, or of a login that has ended.
    Unknown,
    /// It has been used: the family has ended now.
    Reused { family: Box<Family>, login: String },
}

#[derive(Clone)]
pub(super) struct Families {
    families: Collection<Family>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Families {
    pub(super) fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { families: Collection::new(records.clone(), "refresh_families"), clock, random }
    }

    /// Begins a family: its login's id, and its first token.
    pub(super) async fn begin(&self, user: &User) -> Result<(String, SecretString), StoreError> {
        let mut parts = Parts { finds: Zeroizing::new([0; FINDS]), secret: Zeroizing::new([0; SECRET]) };
        self.random.fill(parts.finds.as_mut_slice());
        self.random.fill(parts.secret.as_mut_slice());
        let now = self.clock.now();
        let family = Family {
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            generation: user.generation,
            created_at: now,
            used_at: now,
            current: parts.hash(),
            previous: None,
            revoked: false,
        };
        let end = Some(now.after(REFRESH_LIFE));
        self.families.put(&parts.id(), &family, Expect::Nothing, end).await?;
        Ok((parts.id(), parts.text()))
    }

    /// Gives a token's successor for it.
    pub(super) async fn rotate(&self, text: &str, address: Option<IpAddr>) -> Result<Rotated, StoreError> {
        let Some(parts) = Parts::read(text) else { return Ok(Rotated::Unknown) };
        let (login, now) = (parts.id(), self.clock.now());
        let from = address.map_or_else(String::new, |address| Scope::Address(address).tag());
        let mut salt = [0; SECRET];
        self.random.fill(&mut salt);
        let mut outcome = Outcome::Unknown;
        let changed = self.families.update(&login, |found| {
            let Some(family) = found else {
                outcome = Outcome::Unknown;
                return;
            };
            outcome = family.show(&parts, &from, &salt, now);
        });
        let family = changed.await?;
        let Some(family) = family.map(Box::new) else { return Ok(Rotated::Unknown) };
        Ok(match outcome {
            Outcome::Unknown => Rotated::Unknown,
            Outcome::Reused => Rotated::Reused { family, login },
            Outcome::Successor(salt) => {
                Rotated::Successor { text: parts.successor(&salt).text(), family, login }
            }
        })
    }

    /// Ends the family of a token that is in force; answers what it was, and its login's id.
    pub(super) async fn end(&self, text: &str) -> Result<Option<(Family, String)>, StoreError> {
        let Some(parts) = Parts::read(text) else { return Ok(None) };
        let login = parts.id();
        let Some(found) = self.families.get(&login).await? else { return Ok(None) };
        self.families.delete(&login, Expect::Anything).await?;
        Ok(Some((found.value, login)))
    }
}

enum Outcome {
    Unknown,
    Successor([u8; SECRET]),
    Reused,
}

impl Family {
    /// A token of the family is shown.
    fn show(&mut self, parts: &Parts, from: &str, salt: &[u8; SECRET], now: Timestamp) -> Outcome {
        if self.revoked
            || now.since(self.created_at) >= REFRESH_LIFE
            || now.since(self.used_at) >= REFRESH_IDLE
        {
            return Outcome::Unknown;
        }
        let hash = parts.hash();
        let is = |known: &str| bool::from(known.as_bytes().ct_eq(hash.as_bytes()));
        if is(&self.current) {
            let previous = Previous { hash, salt: hex(salt), at: now, from: from.to_owned() };
            (self.previous, self.used_at) = (Some(previous), now);
            self.current = parts.successor(salt).hash();
            return Outcome::Successor(*salt);
        }
        if let Some(previous) = self.previous.as_ref().filter(|previous| is(&previous.hash))
            && now.since(previous.at) < REFRESH_GRACE
            && previous.from == from
            && let Some(salt) = from_hex(&previous.salt)
        {
            return Outcome::Successor(salt);
        }
        self.revoked = true;
        Outcome::Reused
    }
}
