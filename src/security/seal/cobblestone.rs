//! Cobblestone-256 of C2SP `chunked-encryption` (<https://c2sp.org/chunked-encryption>): HKDF-Expand with SHA-512 makes an
//! object's own key, base nonce and commitment; AES-256-GCM encrypts segments of 16 KiB, numbered in the nonce. Must not
//! know: our container, tenants.

use std::fmt;

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _, Nonce, Tag, aead::consts::U12};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::SealError;
use crate::domain::Random;

/// How many plain bytes a segment has. Sealed it has [`TAG_BYTES`] more.
pub const SEGMENT_BYTES: usize = 16 << 10;
/// What sealing adds to a segment.
pub const TAG_BYTES: usize = 16;

const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// More segments would repeat a nonce's bits that the analysis of the format keeps apart.
const MOST_SEGMENTS: u64 = 1 << 38;

/// A key that objects are sealed under: 32 random bytes, never shown, wiped when dropped.
pub struct DataKey(SecretBox<[u8; KEY_BYTES]>);

impl DataKey {
    /// A new one.
    pub fn random(random: &dyn Random) -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| random.fill(bytes)))
    }

    /// The key of these bytes, which the caller should wipe.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| key.copy_from_slice(bytes)))
    }

    pub(in crate::security) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// What tells the objects under one data key apart. Not a secret; never to be used twice with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt([u8; Self::BYTES]);

impl Salt {
    /// How long it is.
    pub const BYTES: usize = 24;

    /// A new one: so long that two of them never meet.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; Self::BYTES];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// The salt of these bytes: of an object that is there already.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> [u8; Self::BYTES] {
        self.0
    }
}

/// What one object is sealed with.
pub(super) struct Secrets {
    cipher: Aes256Gcm,
    base_nonce: [u8; NONCE_BYTES],
    commitment: [u8; 32],
}

impl Secrets {
    /// HKDF-Expand (RFC 5869) to 76 bytes, of which 64 come from the first block and 12 from the second. The crate `hkdf` is not
    /// used: it refuses a key that is shorter than the hash.
    pub(super) fn derive(key: &DataKey, salt: &Salt, context: &[u8]) -> Self {
        let info = [LABEL, &salt.0, context];
        let first = block(key, &[], &info, 1);
        let second = block(key, &*first, &info, 2);
        let (mut cipher_key, mut base_nonce) = (Zeroizing::new([0; KEY_BYTES]), [0; NONCE_BYTES]);
        let mut commitment = [0; 32];
        cipher_key.copy_from_slice(&first[..32]);
        base_nonce.copy_from_slice(&first[32..44]);
        commitment[..20].copy_from_slice(&first[44..]);
        commitment[20..].copy_from_slice(&second[..12]);
        Self { cipher: Aes256Gcm::new((&*cipher_key).into()), base_nonce, commitment }
    }

    pub(super) fn commitment(&self) -> [u8; 32] {
        self.commitment
    }

    /// Whether the commitment is this one; takes as long wherever they differ.
    pub(super) fn commit_to(&self, commitment: &[u8; 32]) -> bool {
        let pairs = self.commitment.iter().zip(commitment);
        std::hint::black_box(pairs.fold(0, |differing, (ours, theirs)| differing | (ours ^ theirs))) == 0
    }

    fn nonce(&self, segment: u64) -> Result<Nonce<U12>, SealError> {
        if segment >= MOST_SEGMENTS {
            return Err(SealError::TooLong);
        }
        let mut nonce = self.base_nonce;
        for (byte, number) in nonce[NONCE_BYTES - 8..].iter_mut().zip(segment.to_be_bytes()) {
            *byte ^= number;
        }
        Ok(nonce.into())
    }

    fn encrypt(&self, segment: u64, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let nonce = self.nonce(segment)?;
        let start = out.len();
        out.reserve(plain.len() + TAG_BYTES);
        out.extend_from_slice(plain);
        // It only fails for 64 GiB at once.
        let tag = self.cipher.encrypt_inout_detached(&nonce, &[], out[start..].as_mut().into());
        match tag {
            Ok(tag) => {
                out.extend_from_slice(&tag);
                Ok(())
            }
            Err(_) => {
                out.truncate(start);
                Err(SealError::TooLong)
            }
        }
    }

    fn decrypt(&self, segment: u64, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let nonce = self.nonce(segment)?;
        let (encrypted, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(SealError::Cut { segment })?;
        let start = out.len();
        out.extend_from_slice(encrypted);
        let tag: &Tag = tag.into();
        let verified = self.cipher.decrypt_inout_detached(&nonce, &[], out[start..].as_mut().into(), tag);
        verified.map_err(|_| {
            out.truncate(start);
            SealError::Tampered { segment }
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// A block of HKDF-Expand: HMAC of the block before, the info and the block's number.
fn block(key: &DataKey, before: &[u8], info: &[&[u8]], number: u8) -> Zeroizing<[u8; 64]> {
    // So HMAC itself fills up a key that is shorter than the hash's own blocks.
    let mut padded = Zeroizing::new([0; 128]);
    padded[..KEY_BYTES].copy_from_slice(key.expose());
    let mut hmac = <Hmac<Sha512> as hmac::KeyInit>::new((&*padded).into());
    hmac.update(before);
    info.iter().for_each(|part| hmac.update(part));
    hmac.update(&[number]);
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

/// Encrypts segment after segment.
pub(super) struct Encrypter {
    secrets: Secrets,
    segment: u64,
    /// Less than a segment, plain.
    rest: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Encrypter {
    /// Without the plain bytes that wait for more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = format_args!("{} bytes", self.rest.len());
        f.debug_struct("Encrypter")
            .field("secrets", &self.secrets)
            .field("segment", &self.segment)
            .field("rest", &rest)
            .finish()
    }
}

impl Encrypter {
    pub(super) fn at(secrets: Secrets, segment: u64) -> Self {
        Self { secrets, segment, rest: Zeroizing::default() }
    }

    pub(super) fn write(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if !self.rest.is_empty() {
            let (missing, behind) = plain.split_at(plain.len().min(SEGMENT_BYTES - self.rest.len()));
            self.rest.extend_from_slice(missing);
            plain = behind;
            if self.rest.len() < SEGMENT_BYTES {
                return Ok(());
            }
            self.secrets.encrypt(self.segment, &self.rest, out)?;
            self.rest.clear();
            self.segment += 1;
        }
        let whole = plain.chunks_exact(SEGMENT_BYTES);
        self.rest.extend_from_slice(whole.remainder());
        for segment in whole {
            self.secrets.encrypt(self.segment, segment, out)?;
            self.segment += 1;
        }
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.secrets.encrypt(self.segment, &self.rest, out)
    }
}

/// Decrypts segment after segment.
pub(super) struct Decrypter {
    secrets: Secrets,
    segment: u64,
    /// Less than a sealed segment.
    rest: Vec<u8>,
    failed: Option<SealError>,
}

impl fmt::Debug for Decrypter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypter").field("segment", &self.segment).finish_non_exhaustive()
    }
}

impl Decrypter {
    pub(super) fn at(secrets: Secrets, segment: u64) -> Self {
        Self { secrets, segment, rest: Vec::new(), failed: None }
    }

    pub(super) fn write(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let outcome = self.failed.map_or_else(|| self.try_write(sealed, out), Err);
        self.failed = outcome.err();
        outcome
    }

    fn try_write(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if !self.rest.is_empty() {
            let (missing, behind) = sealed.split_at(sealed.len().min(SEALED_SEGMENT_BYTES - self.rest.len()));
            self.rest.extend_from_slice(missing);
            sealed = behind;
            if self.rest.len() < SEALED_SEGMENT_BYTES {
                return Ok(());
            }
            self.secrets.decrypt(self.segment, &self.rest, out)?;
            self.rest.clear();
            self.segment += 1;
        }
        let whole = sealed.chunks_exact(SEALED_SEGMENT_BYTES);
        self.rest.extend_from_slice(whole.remainder());
        for segment in whole {
            self.secrets.decrypt(self.segment, segment, out)?;
            self.segment += 1;
        }
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) -> Result<(), SealError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.secrets.decrypt(self.segment, &self.rest, out),
        }
    }
}
