//! What is known of an upload that is not finished: enough for another attempt to go on with it. Owns: that document, kept
//! in the job's checkpoint. Must not know: who keeps it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{
    Sha256,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};

use super::error::ArtifactError;
use crate::{
    domain::{Encoding, FileName, Hex, SealedAs},
    security::text::hex,
};

/// An upload, as another attempt finds it. The lists of part ids and frames have their older pieces in objects beside the
/// artifact, so that this stays small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadState {
    pub(super) version: u32,
    /// The program that began it: another one may make other bytes of the same source.
    pub(super) program: String,
    /// The epoch in its key: the attempt that began it.
    pub epoch: u64,
    /// By what the storage knows it.
    pub(super) upload: String,
    pub(super) encoding: Encoding,
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seal: Option<SealedAs>,
    /// What is durable; nothing before the first part is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) point: Option<Point>,
    /// The pieces of the lists that are in objects of their own, in order: by the epoch of who wrote them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<u64>,
    /// What follows those.
    #[serde(default)]
    pub(super) tail: Piece,
}

/// A piece of the lists of parts and frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    /// Part ids.
    pub(super) ids: Vec<String>,
    /// Stored lengths of frames, before sealing.
    pub(super) frames: Vec<u64>,
}

/// How far an upload has got without a gap, and what its bytes were until there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    /// So many parts are stored, the first ones.
    pub(super) parts: u32,
    /// The frame that was open where compressing has to go on from.
    pub(super) frame: u64,
    /// SHA-256 of the plain bytes before that frame.
    pub(super) plain: Hex<32>,
    /// SHA-256 of that frame's compressed bytes until there.
    pub(super) compressed: Hex<32>,
    /// The SHA-256 of the stored bytes where storing has to go on from, half done.
    pub(super) stored_from: HashState,
    /// SHA-256 of the stored bytes in the parts.
    pub(super) stored: Hex<32>,
}

/// A SHA-256 half done, as text. Holds up to 63 bytes of what it has read: only of what is stored as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HashState(String);

impl HashState {
    pub(super) fn of(hash: &Sha256) -> Self {
        Self(hex(&hash.serialize()))
    }

    pub(super) fn hash(&self) -> Option<Sha256> {
        let (pairs, rest) = self.0.as_bytes().as_chunks::<2>();
        let bytes =
            pairs.iter().map(|pair| Some(std::str::from_utf8(pair).ok()?.parse::<Hex<1>>().ok()?.0[0]));
        let bytes = bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())?;
        Sha256::deserialize(<&SerializedState<Sha256>>::try_from(&bytes[..]).ok()?).ok()
    }
}

impl UploadState {
    pub(super) const VERSION: u32 = 1;
    /// More bytes of lists than this go into an object of their own.
    pub(super) const MOST_TAIL_BYTES: usize = 4 << 10;
    /// No state is larger, as JSON.
    pub const MOST_BYTES: usize = 8 << 10;
    /// What an upload is begun by: another version may compress the same bytes otherwise.
    pub(super) const PROGRAM: &str = concat!("presswork ", env!("CARGO_PKG_VERSION"));
}

/// Where the states of an attempt's uploads are kept, and who says whether the attempt still is the job's.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Keeps the state of an upload, in place of its last one, or forgets it. Durable once it answers.
    ///
    /// # Errors
    /// [`ArtifactError::LeaseLost`] where the attempt is not the job's any more, others where it can't be kept now.
    async fn keep(&self, name: &FileName, state: Option<UploadState>) -> Result<(), ArtifactError>;

    /// Whether the attempt is the job's for certain.
    fn holds(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_was_left() {
        let mut hash = Sha256::new();
        for bytes in [0, 1, 63, 64, 88, 16_400] {
            hash.update(vec![7; bytes]);
            let mut left = HashState::of(&hash).hash().unwrap();
            left.update(b"more");
            assert_eq!(left.finalize(), hash.clone().chain_update(b"more").finalize());
        }
        for wrong in ["", "00", "zz"] {
            assert!(HashState(wrong.to_owned()).hash().is_none(), "{wrong}");
        }
    }
}
