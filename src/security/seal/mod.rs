//! Sealing: bytes that nobody reads or changes without the key, bound to the tenant and the object that they belong to.
//! Owns: the container around `cobblestone`, with its key's id and its context. Pure. Must not know: where keys come from,
//! where bytes go.
//!
//! ```text
//! preamble  0  4  magic "PWSE"            sealed segments follow: 16 KiB of plain bytes and a tag of 16 each,
//!           4  1  version, 1              the last one always shorter, perhaps empty: a cut end shows.
//!           5  1  algorithm, 1            Context of the key derivation:
//!           6  1  log2 of the segment, 14   these first 32 bytes
//!           7  1  flags, 0                  ‖ length of the tenant, 4 bytes big-endian ‖ the tenant
//!           8 16  id of the data key        ‖ length of the object's id, likewise ‖ the object's id
//!          24  8  reserved, 0
//!          32 24  salt
//!          56 32  commitment
//! ```

mod cobblestone;
mod preamble;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;

pub use cobblestone::{DataKey, SEGMENT_BYTES, Salt, TAG_BYTES};
pub use preamble::{KeyId, KeyIdError, PREAMBLE_BYTES, Preamble, looks_sealed};

use self::cobblestone::{Decrypter, Encrypter, Secrets};
use crate::domain::{Random, TenantId};

/// What is sealed can't be opened, or more can't be sealed; one variant per next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was never sealed, or its beginning was lost: look at where it came from.
    #[error("this is not sealed: the {PREAMBLE_BYTES} bytes that sealed data begins with are not there")]
    NotSealed,
    /// Use the Presswork that sealed it, or a later one.
    #[error(
        "it was sealed in a form that this Presswork does not know (version {version}, algorithm {algorithm}): upgrade it"
    )]
    Newer {
        /// Of the container.
        version: u8,
        /// Of the segments.
        algorithm: u8,
    },
    /// Restore it from a backup, and find out who changed it.
    #[error(
        "the seal does not hold: its preamble was changed, or it was sealed for another tenant, as another object or with another key"
    )]
    Foreign,
    /// Restore it from a backup, and find out who changed it.
    #[error("the seal of segment {segment} does not hold: its bytes were changed, moved or cut")]
    Tampered {
        /// Counted from 0; each has [`SEGMENT_BYTES`] plain bytes.
        segment: u64,
    },
    /// Restore it from a backup: its end is missing.
    #[error("the sealed data is cut short: it ends in segment {segment}")]
    Cut {
        /// The segment that is not whole, or not there.
        segment: u64,
    },
    /// Seal less at once: 4 PiB are the most.
    #[error("more than 4 PiB can't be sealed as one")]
    TooLong,
}

/// What sealed bytes belong to. Opening them as anything else fails.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// Whose they are.
    pub tenant: &'a TenantId,
    /// The object's id, which is never given to another one: `<job>/<epoch of its key>/<name>` of an artifact, that and
    /// `/manifest` of its manifest, `job/<id>` of a payload.
    pub object: &'a str,
}

impl SealContext<'_> {
    fn derive(&self, key: &DataKey, id: KeyId, salt: &Salt) -> Secrets {
        let mut context = preamble::header(id).to_vec();
        for part in [self.tenant.as_str(), self.object] {
            // A name of 4 GiB does not fit into memory beside its object.
            context.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        Secrets::derive(key, salt, &context)
    }

    /// What opens the object that begins with `preamble`.
    fn open(&self, key: &DataKey, preamble: &Preamble, segment: u64) -> Result<Decrypter, SealError> {
        let secrets = self.derive(key, preamble.key, &preamble.salt);
        if !secrets.commit_to(&preamble.commitment) {
            return Err(SealError::Foreign);
        }
        Ok(Decrypter::at(secrets, segment))
    }
}

/// Seals one object, piece by piece. What comes out is to be stored behind the [`Preamble`].
#[derive(Debug)]
pub struct Sealer(Encrypter);

impl Sealer {
    /// Begins an object. The salt must be a new one for each object and each version of it: [`Salt::random`].
    pub fn begin(key: &DataKey, id: KeyId, context: &SealContext<'_>, salt: Salt) -> (Self, Preamble) {
        let secrets = context.derive(key, id, &salt);
        let preamble = Preamble { key: id, commitment: secrets.commitment(), salt };
        (Self(Encrypter::at(secrets, 0)), preamble)
    }

    /// Goes on with an object whose first `segment` segments are stored: the next plain byte is number
    /// `segment * SEGMENT_BYTES`. Only for the same plain bytes as the first time: two texts under one salt give away both.
    pub fn resume(key: &DataKey, id: KeyId, context: &SealContext<'_>, salt: Salt, segment: u64) -> Self {
        Self(Encrypter::at(context.derive(key, id, &salt), segment))
    }

    /// Takes plain bytes; whole sealed segments are appended to `out`.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.write(plain, out)
    }

    /// Appends the last segment, which is always a short one.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.finish(out)
    }
}

/// Opens one object, piece by piece; gives out only what has been verified.
#[derive(Debug)]
pub struct Opener(Decrypter);

impl Opener {
    /// Begins behind the preamble.
    ///
    /// # Errors
    /// [`SealError::Foreign`] where key, context and preamble do not belong together.
    pub fn begin(key: &DataKey, context: &SealContext<'_>, preamble: &Preamble) -> Result<Self, SealError> {
        Self::at(key, context, preamble, 0)
    }

    /// Begins at a segment, whose sealed bytes are at [`sealed_offset`]. That all before it and behind it is there is not
    /// checked: compare the object's length with what its record says.
    ///
    /// # Errors
    /// [`SealError::Foreign`] where key, context and preamble do not belong together.
    pub fn at(
        key: &DataKey,
        context: &SealContext<'_>,
        preamble: &Preamble,
        segment: u64,
    ) -> Result<Self, SealError> {
        context.open(key, preamble, segment).map(Self)
    }

    /// Takes sealed bytes; the plain bytes of whole segments that hold are appended to `out`. Once it has failed it
    /// fails for ever.
    ///
    /// # Errors
    /// [`SealError::Tampered`]; nothing of that segment is in `out`.
    pub fn write(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.write(sealed, out)
    }

    /// Ends behind the object's last byte. Who reads a range that ends before that leaves this out.
    ///
    /// # Errors
    /// [`SealError::Cut`], [`SealError::Tampered`]; nothing of the last segment is in `out`.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.finish(out)
    }
}

/// How many bytes an object of `plain` bytes has when it is sealed, preamble included; saturates.
pub fn sealed_bytes(plain: u64) -> u64 {
    let tags = (plain / SEGMENT_BYTES as u64 + 1) * TAG_BYTES as u64;
    plain.saturating_add(tags).saturating_add(PREAMBLE_BYTES as u64)
}

/// Where in a sealed object the sealed bytes of a segment begin; saturates.
pub fn sealed_offset(segment: u64) -> u64 {
    segment.saturating_mul((SEGMENT_BYTES + TAG_BYTES) as u64).saturating_add(PREAMBLE_BYTES as u64)
}

/// Seals a small object as a whole.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn seal(
    key: &DataKey,
    id: KeyId,
    context: &SealContext<'_>,
    plain: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, SealError> {
    let (mut sealer, preamble) = Sealer::begin(key, id, context, Salt::random(random));
    let whole = sealed_bytes(plain.len() as u64);
    let mut sealed = Vec::with_capacity(usize::try_from(whole).unwrap_or(0));
    sealed.extend_from_slice(&preamble.bytes());
    sealer.write(plain, &mut sealed)?;
    sealer.finish(&mut sealed)?;
    Ok(sealed)
}

/// Opens a small object as a whole; nothing of it is given out unless all of it holds.
///
/// # Errors
/// [`SealError`].
pub fn open(key: &DataKey, context: &SealContext<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (preamble, segments) = Preamble::split(sealed)?;
    let mut opener = Opener::begin(key, context, &preamble)?;
    let mut plain = Vec::with_capacity(segments.len());
    opener.write(segments, &mut plain)?;
    opener.finish(&mut plain)?;
    Ok(plain)
}
