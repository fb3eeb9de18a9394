//! What is stored of a tenant's keys, and how a data key is wrapped under a master key. Pure. Must not know: stores, caches.

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _, Nonce, aead::consts::U12};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::KeyringError;
use crate::{
    domain::{Random, TenantId, Timestamp},
    security::{
        master::{MasterKeyId, MasterKeys},
        seal::{DataKey, KeyId},
        text::{from_hex, hex},
    },
};

/// How many data keys a tenant may have: one a day for years, and their document stays small.
const MOST_KEYS: usize = 2_000;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// A tenant's document: whether it seals, and its data keys, the newest last. None is ever taken out: something may be sealed
/// with it still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TenantKeys {
    #[serde(default)]
    pub(super) seal: bool,
    #[serde(default)]
    pub(super) keys: Vec<WrappedKey>,
}

/// A data key as it is stored: AES-256-GCM under a master key, bound to its tenant, id and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrappedKey {
    pub(super) id: KeyId,
    /// 1 for the tenant's first.
    pub(super) version: u32,
    pub(super) created_at: Timestamp,
    pub(super) master: MasterKeyId,
    nonce: String,
    wrapped: String,
}

impl TenantKeys {
    pub(super) fn find(&self, id: KeyId) -> Option<&WrappedKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Adds a new data key, which is the newest from now on.
    pub(super) fn add(
        &mut self,
        tenant: &TenantId,
        masters: &MasterKeys,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(), KeyringError> {
        if self.keys.len() >= MOST_KEYS {
            return Err(KeyringError::TooMany { tenant: tenant.clone(), most: MOST_KEYS });
        }
        let version = self.keys.iter().map(|key| key.version).max().unwrap_or(0).saturating_add(1);
        let key = DataKey::random(random);
        self.keys.push(wrap(tenant, KeyId::random(random), version, now, &key, masters, random)?);
        Ok(())
    }

    /// Wraps with the newest master key what is wrapped with another one; answers how many were, and the master keys that
    /// were missed.
    pub(super) fn rewrap(
        &mut self,
        tenant: &TenantId,
        masters: &MasterKeys,
        random: &dyn Random,
    ) -> Result<(u64, Vec<MasterKeyId>), KeyringError> {
        let (mut count, mut missed) = (0, Vec::new());
        for stored in &mut self.keys {
            if stored.master == masters.newest().0 {
                continue;
            }
            if masters.find(stored.master).is_none() {
                missed.push(stored.master);
                continue;
            }
            let key = unwrap(tenant, stored, masters)?;
            *stored = wrap(tenant, stored.id, stored.version, stored.created_at, &key, masters, random)?;
            count += 1;
        }
        Ok((count, missed))
    }
}

fn wrap(
    tenant: &TenantId,
    id: KeyId,
    version: u32,
    created_at: Timestamp,
    key: &DataKey,
    masters: &MasterKeys,
    random: &dyn Random,
) -> Result<WrappedKey, KeyringError> {
    let (master, master_key) = masters.newest();
    // Random, for a master key wraps few: far from the 2^32 at which two nonces may meet.
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce);
    let mut bytes = Zeroizing::new(*key.expose());
    let cipher = Aes256Gcm::new(master_key.expose().into());
    let sealed = cipher.encrypt_inout_detached(
        &Nonce::<U12>::from(nonce),
        &bound_to(tenant, id, version),
        bytes.as_mut_slice().into(),
    );
    let tag = sealed.map_err(|_| KeyringError::Damaged { tenant: tenant.clone(), key: id })?;
    let wrapped = hex(&[bytes.as_slice(), &tag].concat());
    Ok(WrappedKey { id, version, created_at, master, nonce: hex(&nonce), wrapped })
}

pub(super) fn unwrap(
    tenant: &TenantId,
    stored: &WrappedKey,
    masters: &MasterKeys,
) -> Result<DataKey, KeyringError> {
    let damaged = || KeyringError::Damaged { tenant: tenant.clone(), key: stored.id };
    let away =
        || KeyringError::MasterKeyAway { tenant: tenant.clone(), key: stored.id, master: stored.master };
    let master_key = masters.find(stored.master).ok_or_else(away)?;
    let nonce: [u8; NONCE_BYTES] = from_hex(&stored.nonce).ok_or_else(damaged)?;
    let wrapped: [u8; WRAPPED_BYTES] = from_hex(&stored.wrapped).ok_or_else(damaged)?;
    let (encrypted, tag) = wrapped.split_last_chunk::<TAG_BYTES>().ok_or_else(damaged)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    bytes.copy_from_slice(encrypted);
    let cipher = Aes256Gcm::new(master_key.expose().into());
    let context = bound_to(tenant, stored.id, stored.version);
    let opened =
        cipher.decrypt_inout_detached(&nonce.into(), &context, bytes.as_mut_slice().into(), tag.into());
    opened.map_err(|_| damaged())?;
    Ok(DataKey::from_bytes(&bytes))
}

/// What a wrapped key is authenticated with: it opens as nothing else.
fn bound_to(tenant: &TenantId, id: KeyId, version: u32) -> Vec<u8> {
    let name = tenant.as_str().as_bytes();
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes();
    [b"presswork data key v1\0".as_slice(), &length, name, &id.bytes(), &version.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    fn masters(text: &str) -> MasterKeys {
        text.parse().unwrap()
    }

    #[test]
    fn a_wrapped_key_opens_for_its_tenant_id_and_version_alone() {
        let (random, masters) = (SeededRandom::new(1), masters(&"11".repeat(32)));
        let (acme, zeta): (TenantId, TenantId) = ("acme".parse().unwrap(), "zeta".parse().unwrap());
        let mut document = TenantKeys::default();
        document.add(&acme, &masters, Timestamp::EPOCH, &random).unwrap();
        document.add(&acme, &masters, Timestamp::EPOCH, &random).unwrap();
        let [first, second] = [&document.keys[0], &document.keys[1]];
        assert_eq!((first.version, second.version), (1, 2));
        let keys = [unwrap(&acme, first, &masters).unwrap(), unwrap(&acme, second, &masters).unwrap()];
        assert_ne!(keys[0].expose(), keys[1].expose());
        let json = serde_json::to_string(&document).unwrap();
        assert!(!json.contains(&hex(keys[0].expose())), "{json}");
        assert_eq!(serde_json::from_str::<TenantKeys>(&json).unwrap(), document);

        assert!(matches!(unwrap(&zeta, first, &masters), Err(KeyringError::Damaged { .. })));
        let flipped = |text: &str, place: usize| {
            let digit = if text.as_bytes()[place] == b'0' { "1" } else { "0" };
            format!("{}{digit}{}", &text[..place], &text[place + 1..])
        };
        let mut forged = vec![
            WrappedKey { id: second.id, ..first.clone() },
            WrappedKey { version: 2, ..first.clone() },
            WrappedKey { nonce: flipped(&first.nonce, 3), ..first.clone() },
            WrappedKey { wrapped: second.wrapped.clone(), ..first.clone() },
            WrappedKey { wrapped: String::new(), ..first.clone() },
        ];
        let digits = 0..2 * WRAPPED_BYTES;
        forged.extend(digits.map(|at| WrappedKey { wrapped: flipped(&first.wrapped, at), ..first.clone() }));
        for forged in forged {
            assert!(
                matches!(unwrap(&acme, &forged, &masters), Err(KeyringError::Damaged { .. })),
                "{forged:?}"
            );
        }
    }

    #[test]
    fn rewrapping_keeps_the_keys_and_leaves_those_of_a_master_key_that_is_away() {
        let random = SeededRandom::new(1);
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let acme: TenantId = "acme".parse().unwrap();
        let mut document = TenantKeys::default();
        document.add(&acme, &masters(&old), Timestamp::EPOCH, &random).unwrap();
        let before = *unwrap(&acme, &document.keys[0], &masters(&old)).unwrap().expose();

        let missed = document.rewrap(&acme, &masters(&new), &random).unwrap();
        assert_eq!(missed, (0, masters(&old).ids()));
        let error = unwrap(&acme, &document.keys[0], &masters(&new)).unwrap_err();
        assert!(matches!(error, KeyringError::MasterKeyAway { .. }), "{error}");

        let both = masters(&format!("{new},{old}"));
        assert_eq!(document.rewrap(&acme, &both, &random).unwrap(), (1, Vec::new()));
        assert_eq!(document.rewrap(&acme, &both, &random).unwrap(), (0, Vec::new()));
        assert_eq!(*unwrap(&acme, &document.keys[0], &masters(&new)).unwrap().expose(), before);
    }
}
