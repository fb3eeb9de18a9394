//! What sealed bytes begin with: which form, which key, which salt. Must not know: the key itself.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{SealError, cobblestone::Salt};
use crate::domain::Random;

/// How many bytes stand before the segments: header 32, salt 24, commitment 32.
pub const PREAMBLE_BYTES: usize = 88;

const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 4] = *b"PWSE";
const VERSION: u8 = 1;
/// Cobblestone-256: HKDF-Expand with SHA-512, AES-256-GCM.
const ALGORITHM: u8 = 1;
const LOG2_SEGMENT: u8 = 14;
const FLAGS: u8 = 0;

/// Which data key something is sealed with: 16 random bytes, written as 32 hexadecimal digits. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// A new one.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// The id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

/// The text is no key's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id: 32 hexadecimal digits, as `presswork keys list` shows them")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        crate::security::text::from_hex(text).map(Self).ok_or(KeyIdError)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&crate::security::text::hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a sealed object begins with. Nothing in it is secret. Keep it also in the object's record: an older version of the
/// object, which was sealed just as well, has another salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Which data key.
    pub key: KeyId,
    /// What makes the object's own key.
    pub salt: Salt,
    /// Says that key, salt and context are the right ones, before any segment is read.
    pub commitment: [u8; 32],
}

impl Preamble {
    /// As it stands before the segments.
    pub fn bytes(&self) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0; PREAMBLE_BYTES];
        let (header, rest) = bytes.split_at_mut(HEADER_BYTES);
        let (salt, commitment) = rest.split_at_mut(Salt::BYTES);
        header.copy_from_slice(&self::header(self.key));
        salt.copy_from_slice(&self.salt.bytes());
        commitment.copy_from_slice(&self.commitment);
        bytes
    }

    /// Reads it. Whether it is genuine shows when the object is opened.
    ///
    /// # Errors
    /// [`SealError::NotSealed`], [`SealError::Newer`].
    pub fn parse(bytes: &[u8; PREAMBLE_BYTES]) -> Result<Self, SealError> {
        let (head, rest) = bytes.split_at(HEADER_BYTES);
        let (salt, commitment) = rest.split_at(Salt::BYTES);
        if head[..4] != MAGIC {
            return Err(SealError::NotSealed);
        }
        let (version, algorithm) = (head[4], head[5]);
        let mut id = [0; 16];
        id.copy_from_slice(&head[8..24]);
        let key = KeyId(id);
        // Whatever differs from what this build writes has a meaning that it does not know.
        if head != header(key) {
            return Err(SealError::Newer { version, algorithm });
        }
        let mut preamble = Self { key, salt: Salt::from_bytes([0; Salt::BYTES]), commitment: [0; 32] };
        preamble.commitment.copy_from_slice(commitment);
        preamble.salt = salt.try_into().map(Salt::from_bytes).map_err(|_| SealError::NotSealed)?;
        Ok(preamble)
    }

    /// Reads it from the beginning of an object, and answers the segments behind it.
    ///
    /// # Errors
    /// [`SealError::NotSealed`], [`SealError::Newer`].
    pub fn split(sealed: &[u8]) -> Result<(Self, &[u8]), SealError> {
        let (preamble, segments) = sealed.split_first_chunk().ok_or(SealError::NotSealed)?;
        Ok((Self::parse(preamble)?, segments))
    }
}

/// Whether bytes begin as sealed ones do.
pub fn looks_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(super) fn header(key: KeyId) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&[VERSION, ALGORITHM, LOG2_SEGMENT, FLAGS]);
    header[8..24].copy_from_slice(&key.0);
    header
}
