//! Checkpoints and heads are signed: HMAC-SHA-256 by a key that is derived from a master key. Whoever can rewrite the files, and
//! with them every hash, can't rewrite those.
//!
//! ```text
//! key = HMAC-SHA-256(master key, "presswork audit checkpoint key v1")
//! mac = HMAC-SHA-256(key, label 00 | u32 bytes of node | node | u64 seq | 32 bytes hash)     numbers big-endian
//! ```
//!
//! of a checkpoint: label `presswork audit checkpoint v1`, its own seq, and its `prev`; of a head: `presswork audit head v1`, the
//! seq and the hash of the last entry that the store has.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::line::{Hash, Line};
use crate::security::{
    master::{MasterKeyId, MasterKeys, MasterSource},
    text::{from_hex, hex},
};

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    pub(super) label: &'static [u8],
    pub(super) node: &'a str,
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

pub(super) const CHECKPOINT: &[u8] = b"presswork audit checkpoint v1\0";
pub(super) const HEAD: &[u8] = b"presswork audit head v1\0";

/// Whether a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Good,
    Forged,
    /// The master key is not at hand.
    NoKey,
}

/// Signs and checks, where there is a master key.
#[derive(Clone, Debug)]
pub struct Signer(Option<MasterKeys>);

impl Signer {
    /// By the master keys of this source; one that is made when it is needed is not made for this. Blocks for the time of
    /// reading a small file.
    pub fn new(source: &MasterSource) -> Self {
        Self(match source {
            MasterSource::Absent => None,
            MasterSource::Given(keys) => Some(keys.clone()),
            // One that can't be read is told of by the keyring.
            MasterSource::Made(path) => MasterKeys::read(path).ok(),
        })
    }

    /// Whether there is a key.
    pub fn is_able(&self) -> bool {
        self.0.is_some()
    }

    /// The key's id and the signature.
    pub(super) fn sign(&self, statement: &Statement<'_>) -> Option<(MasterKeyId, String)> {
        let (id, key) = self.0.as_ref()?.newest();
        Some((id, hex(&mac(key.expose(), statement).finalize().into_bytes())))
    }

    pub(super) fn check(&self, key: &str, signature: &str, statement: &Statement<'_>) -> Checked {
        let Some(signature) = from_hex::<32>(signature) else { return Checked::Forged };
        let id = self.0.as_ref().and_then(|keys| keys.ids().into_iter().find(|id| id.to_string() == key));
        let Some(key) = id.and_then(|id| self.0.as_ref()?.find(id)) else { return Checked::NoKey };
        match mac(key.expose(), statement).verify_slice(&signature) {
            Ok(()) => Checked::Good,
            Err(_) => Checked::Forged,
        }
    }

    /// The signature of a checkpoint; `None` where the line is none, or has none.
    pub(super) fn check_line(&self, line: &Line) -> Option<Checked> {
        let (key, signature) = (line.detail.get("key")?, line.detail.get("mac")?);
        let statement = Statement { label: CHECKPOINT, node: &line.node, seq: line.seq, hash: line.prev };
        (line.event() == Some("checkpoint")).then(|| self.check(key, signature, &statement))
    }
}

fn mac(master: &[u8], statement: &Statement<'_>) -> Hmac<Sha256> {
    // A key of any length will do.
    let keyed = |key: &[u8]| {
        let mut block = Zeroizing::new([0; 64]);
        let length = key.len().min(64);
        block[..length].copy_from_slice(&key[..length]);
        Hmac::<Sha256>::new((&*block).into())
    };
    let mut derive = keyed(master);
    derive.update(b"presswork audit checkpoint key v1");
    let key = Zeroizing::new(<[u8; 32]>::from(derive.finalize().into_bytes()));
    let mut mac = keyed(&*key);
    mac.update(statement.label);
    mac.update(&u32::try_from(statement.node.len()).unwrap_or(u32::MAX).to_be_bytes());
    mac.update(statement.node.as_bytes());
    mac.update(&statement.seq.to_be_bytes());
    mac.update(&statement.hash.0);
    mac
}
