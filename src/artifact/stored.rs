//! An artifact's bytes for who has its manifest already: the plain ones, or those that are stored.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use super::{
    error::ArtifactError,
    manifest::Manifest,
    published::PlainBytes,
    reader::{Fetched, fetch},
    span::Span,
    store::ArtifactStore,
};
use crate::security::text::hex;

/// Stored bytes are handed on in pieces of this.
const PIECE_BYTES: usize = 64 << 10;

impl ArtifactStore {
    /// The plain bytes, or a range of them that is not empty and ends within them, of an artifact whose
    /// [`manifest`](Self::manifest) was read here: as [`read`](Self::read) and [`read_range`](Self::read_range) give them.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ArtifactError::Invalid`] where the range is none of the artifact's.
    pub async fn read_plain(
        &self,
        manifest: Manifest,
        range: Option<Range<u64>>,
    ) -> Result<PlainBytes, ArtifactError> {
        self.check_owner(&manifest)?;
        let span = match range {
            None => Span::whole(&manifest),
            Some(range) => {
                check_range(&range, manifest.plain_bytes)?;
                Span::of(&manifest, range)
            }
        };
        Ok(self.reading(manifest, span).await?.plain)
    }

    /// The stored bytes, compressed as they are, or a range of them that is not empty and ends within them. The last item
    /// of all of them is an error where they are not what was written.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ArtifactError::Invalid`] where the artifact is sealed, as nobody could use the bytes, and
    /// where the range is none of the stored bytes.
    pub async fn read_stored(
        &self,
        manifest: &Manifest,
        range: Option<Range<u64>>,
    ) -> Result<PlainBytes, ArtifactError> {
        self.check_owner(manifest)?;
        if manifest.seal.is_some() {
            let problem = format!("{} is sealed: only its plain bytes are of use", manifest.name);
            return Err(ArtifactError::Invalid(problem));
        }
        if let Some(range) = &range {
            check_range(range, manifest.stored_bytes)?;
        }
        let is_whole = range.is_none();
        let key = manifest.object.clone();
        let damaged =
            move |problem: &str| ArtifactError::Damaged { key: key.clone(), problem: problem.to_owned() };
        let failed = |error| ArtifactError::reading("read an artifact", error);
        let path = Path::parse(&manifest.object).map_err(|error| damaged(&error.to_string()))?;
        let range = range.unwrap_or(0..manifest.stored_bytes);
        let Fetched { size, bytes } =
            fetch(self.storage().objects().clone(), path, range, None).await.map_err(failed)?;
        if size != manifest.stored_bytes {
            return Err(damaged("it has another length on storage than its manifest says"));
        }
        let pieces = bytes.map(move |piece| piece.map_err(failed)).flat_map(in_pieces).boxed();
        if !is_whole {
            return Ok(pieces);
        }
        let wanted = manifest.stored_sha256.clone();
        let checked = stream::try_unfold(Some((pieces, Sha256::new())), move |reading| {
            let (damaged, wanted) = (damaged.clone(), wanted.clone());
            async move {
                let Some((mut pieces, mut hash)) = reading else { return Ok(None) };
                match pieces.next().await.transpose()? {
                    Some(piece) => {
                        hash.update(&piece);
                        Ok(Some((piece, Some((pieces, hash)))))
                    }
                    None if hex(&hash.finalize()) == wanted => Ok(None),
                    None => Err(damaged("its stored bytes are not those that were written (SHA-256)")),
                }
            }
        });
        Ok(checked.boxed())
    }

    fn check_owner(&self, manifest: &Manifest) -> Result<(), ArtifactError> {
        match self.tenant() {
            Some(tenant) if manifest.tenant != *tenant => {
                Err(ArtifactError::Invalid(format!("{} is no artifact of tenant {tenant}", manifest.object)))
            }
            _ => Ok(()),
        }
    }
}

fn check_range(range: &Range<u64>, bytes: u64) -> Result<(), ArtifactError> {
    if range.is_empty() || range.end > bytes {
        let (start, end) = (range.start, range.end);
        return Err(ArtifactError::Invalid(format!("{start} to {end} is no range of {bytes} bytes")));
    }
    Ok(())
}

/// A piece in smaller ones, which share its memory.
pub(super) fn in_pieces(
    piece: Result<Bytes, ArtifactError>,
) -> impl futures_util::Stream<Item = Result<Bytes, ArtifactError>> {
    let (error, mut bytes) = match piece {
        Ok(bytes) => (None, bytes),
        Err(error) => (Some(error), Bytes::new()),
    };
    let pieces = std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(PIECE_BYTES))))
    });
    stream::iter(pieces.chain(error.map(Err)))
}
