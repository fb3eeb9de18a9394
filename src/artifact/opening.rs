//! The seal of an artifact, with the key that opens it.

use std::sync::Arc;

use super::address::Address;
use crate::{
    domain::{SealedAs, TenantId},
    security::seal::{self, DataKey, KeyId, Opener, PREAMBLE_BYTES, Preamble, Salt, SealContext, SealError},
};

/// The seal of an artifact's bytes, with the key that opens it.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    tenant: TenantId,
    object: String,
    preamble: Preamble,
    key: Arc<DataKey>,
}

impl Sealed {
    /// What the artifact's pointer says of its seal; the object's own preamble is not believed.
    pub(super) fn new(object: &Address, seal: &SealedAs, key: Arc<DataKey>) -> Self {
        let preamble = Preamble {
            key: key_id(seal),
            salt: Salt::from_bytes(seal.salt.0),
            commitment: seal.commitment.0,
        };
        Self { tenant: object.tenant.clone(), object: object.sealed_object(), preamble, key }
    }

    /// What opens its segments from one on.
    pub(super) fn opener(&self, segment: u64) -> Result<Opener, SealError> {
        let context = SealContext { tenant: &self.tenant, object: &self.object };
        Opener::at(&self.key, &context, &self.preamble, segment)
    }

    /// What its object has to begin with.
    pub(super) fn preamble(&self) -> [u8; PREAMBLE_BYTES] {
        self.preamble.bytes()
    }
}

/// Which data key.
pub(super) fn key_id(seal: &SealedAs) -> KeyId {
    KeyId::from_bytes(seal.key.0)
}

/// Opens a manifest.
pub(super) fn open_manifest(address: &Address, key: &DataKey, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let object = format!("{}/manifest", address.sealed_object());
    seal::open(key, &SealContext { tenant: &address.tenant, object: &object }, sealed)
}
