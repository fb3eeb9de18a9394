//! What can be done with a published artifact: read it, or a range of it; verify it; lend it by an address; remove it.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{
    ObjectStoreExt as _, PutPayload,
    path::Path,
    signer::{Method, Url},
};
use serde::Serialize;

use super::{
    PART_BYTES,
    address::Address,
    error::ArtifactError,
    manifest::{Gravestone, Manifest},
    opening::{Sealed, key_id, open_manifest},
    places,
    reader::{self, Reading},
    span::Span,
    store::ArtifactStore,
};
use crate::{
    domain::{ArtifactPointer, Encoding, FileName, Timestamp},
    security::seal::looks_sealed,
};

/// Plain bytes as they come.
pub type PlainBytes = BoxStream<'static, Result<Bytes, ArtifactError>>;

/// What was found to hold of an artifact, all bytes of which were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Its name within the job.
    pub name: FileName,
    /// Bytes when decoded.
    pub plain_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// How the stored bytes are compressed.
    pub encoding: Encoding,
    /// SHA-256 of the decoded bytes: the one that was read is the one in the job's record.
    pub plain_sha256: String,
    /// SHA-256 of the stored bytes: the one that was read is the one in the manifest.
    pub stored_sha256: String,
    /// How many frames decoded each to its length.
    pub frames: usize,
    /// In how many parts it was uploaded, which fit its size; 0 where one put was enough.
    pub parts: u32,
    /// Whether every segment was authenticated.
    pub sealed: bool,
}

impl ArtifactStore {
    /// For how long an address may be lent at most, as storages have it: 7 days.
    pub const MOST_LENT: Duration = Duration::from_secs(7 * 24 * 3_600);

    /// The manifest behind a pointer, opened where it is sealed and checked against the pointer.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Removed`], [`ArtifactError::Damaged`], [`ArtifactError::Keys`],
    /// [`ArtifactError::Storage`]; [`ArtifactError::Invalid`] where the pointer is another tenant's.
    pub async fn manifest(&self, pointer: &ArtifactPointer) -> Result<Manifest, ArtifactError> {
        let damaged = |problem: String| ArtifactError::Damaged { key: pointer.manifest.clone(), problem };
        let address = self.address(pointer)?;
        let key = Path::parse(&pointer.manifest).map_err(|error| damaged(error.to_string()))?;
        let failed = |error| ArtifactError::reading("read a manifest", error);
        let found = self.storage().objects().get(&key).await.map_err(failed)?;
        if found.meta.size > Manifest::MOST_BYTES {
            return Err(damaged("its manifest is too large".to_owned()));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        if let Some(stone) = Gravestone::read(&bytes) {
            return Err(ArtifactError::Removed { key: pointer.manifest.clone(), at: stone.removed_at });
        }
        let json = match (&pointer.seal, looks_sealed(&bytes)) {
            (None, false) => bytes.into(),
            (Some(seal), true) => {
                let data_key = self.data_key(&address.tenant, key_id(seal)).await?;
                open_manifest(&address, &data_key, &bytes)
                    .map_err(|error| damaged(format!("its manifest: {error}")))?
            }
            (None, true) => {
                return Err(damaged("its manifest is sealed, and its record says it is not".to_owned()));
            }
            (Some(_), false) => {
                return Err(damaged("its manifest is not sealed, and its record says it is".to_owned()));
            }
        };
        let manifest: Manifest =
            serde_json::from_slice(&json).map_err(|error| damaged(format!("its manifest: {error}")))?;
        // The pointer stands in the job's record, out of reach of whoever can write to the storage.
        let same = (manifest.plain_bytes, manifest.stored_bytes, manifest.encoding, &manifest.plain_sha256)
            == (pointer.plain_bytes, pointer.stored_bytes, pointer.encoding, &pointer.sha256)
            && manifest.seal == pointer.seal
            && (&manifest.tenant, manifest.job, &manifest.name)
                == (&address.tenant, address.job, &address.name)
            && Address::of_object(&manifest.object).is_some_and(|object| object.same_artifact(&address));
        let problem =
            if same { manifest.problem() } else { Some("its manifest is another one's".to_owned()) };
        problem.map_or(Ok(manifest), |problem| Err(damaged(problem)))
    }

    /// When somebody removed it, if somebody did.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`]; [`ArtifactError::Invalid`] where the pointer is another tenant's.
    pub async fn removed_at(&self, pointer: &ArtifactPointer) -> Result<Option<Timestamp>, ArtifactError> {
        self.address(pointer)?;
        let failed = |error| ArtifactError::storage("read a manifest", error);
        let key =
            Path::parse(&pointer.manifest).map_err(|error| ArtifactError::Invalid(error.to_string()))?;
        match self.storage().objects().get(&key).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Ok(found) if found.meta.size > Gravestone::MOST_BYTES => Ok(None),
            Ok(found) => {
                let bytes = found.bytes().await.map_err(failed)?;
                Ok(Gravestone::read(&bytes).map(|stone| stone.removed_at))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What the pointer's key says, if it may be read here.
    fn address(&self, pointer: &ArtifactPointer) -> Result<Address, ArtifactError> {
        let wrong = |whose: String| Err(ArtifactError::Invalid(format!("{} {whose}", pointer.manifest)));
        match (Address::of_manifest(&pointer.manifest), self.tenant()) {
            (None, _) => wrong("is no artifact's manifest".to_owned()),
            (Some(address), Some(tenant)) if address.tenant != *tenant => {
                wrong(format!("is no artifact of tenant {tenant}"))
            }
            (Some(address), _) => Ok(address),
        }
    }

    async fn sealed(&self, manifest: &Manifest) -> Result<Option<Sealed>, ArtifactError> {
        let Some(seal) = &manifest.seal else { return Ok(None) };
        let object = Address::of_object(&manifest.object).ok_or_else(|| ArtifactError::Damaged {
            key: manifest.object.clone(),
            problem: "its key is no artifact's".to_owned(),
        })?;
        let key = self.data_key(&object.tenant, key_id(seal)).await?;
        Ok(Some(Sealed::new(&object, seal, key)))
    }

    /// The plain bytes of a published artifact, decoded and checked piece by piece; the last item is an error where
    /// they are not what was written, so use them only once the stream has ended well.
    ///
    /// # Errors
    /// As [`ArtifactStore::manifest`]; the same in the stream.
    pub async fn read(&self, pointer: &ArtifactPointer) -> Result<PlainBytes, ArtifactError> {
        let manifest = self.manifest(pointer).await?;
        let span = Span::whole(&manifest);
        Ok(self.reading(manifest, span).await?.plain)
    }

    /// Some of its plain bytes; what ends beyond the last one ends there. Only the frames are fetched that hold them (one of
    /// a brotli artifact, which has no other), and where it is sealed the segments that hold those.
    ///
    /// What is checked of it: the object's length; that each frame decodes, to its length; of sealed ones, each segment's
    /// authenticity and place, before any byte of it is given out. Of what is not sealed the checksum can't be compared, as
    /// it is of the whole: gzip notices changed bytes by its own, zstd and brotli most of them, and what is not compressed
    /// notices none. [`verify`](Self::verify) finds them all.
    ///
    /// # Errors
    /// As [`ArtifactStore::manifest`]; the same in the stream. [`ArtifactError::Invalid`] where the range begins behind
    /// the end.
    pub async fn read_range(
        &self,
        pointer: &ArtifactPointer,
        range: Range<u64>,
    ) -> Result<PlainBytes, ArtifactError> {
        let manifest = self.manifest(pointer).await?;
        let end = range.end.min(manifest.plain_bytes);
        if range.start > manifest.plain_bytes || range.end < range.start {
            let (start, bytes) = (range.start, manifest.plain_bytes);
            return Err(ArtifactError::Invalid(format!(
                "a range from {start} to {}: the artifact has {bytes} bytes",
                range.end
            )));
        }
        if range.start == end {
            return Ok(futures_util::stream::empty().boxed());
        }
        let span = Span::of(&manifest, range.start..end);
        Ok(self.reading(manifest, span).await?.plain)
    }

    pub(super) async fn reading(&self, manifest: Manifest, span: Span) -> Result<Reading, ArtifactError> {
        let sealed = self.sealed(&manifest).await?;
        reader::read(self.storage().objects().clone(), manifest, sealed, span).await
    }

    /// Reads all of an artifact and compares everything that can be: lengths, frames, parts, both checksums, the seal.
    ///
    /// # Errors
    /// As [`ArtifactStore::manifest`]; [`ArtifactError::Damaged`] says what does not hold.
    pub async fn verify(&self, pointer: &ArtifactPointer) -> Result<Verified, ArtifactError> {
        let manifest = self.manifest(pointer).await?;
        let key = manifest.object.clone();
        let damaged =
            |problem: &str| ArtifactError::Damaged { key: key.clone(), problem: problem.to_owned() };
        if !parts_fit(manifest.parts, manifest.stored_bytes) {
            return Err(damaged("its parts do not fit its size"));
        }
        let span = Span::whole(&manifest);
        let Reading { mut plain, stored_sha256 } = self.reading(manifest.clone(), span).await?;
        while let Some(piece) = plain.next().await {
            piece?;
        }
        let stopped = |_| ArtifactError::Stopped("reading it was given up".to_owned());
        let digest = stored_sha256.await.map_err(stopped)?;
        if digest.as_ref() != Some(&manifest.stored_sha256) {
            return Err(damaged("its stored bytes are not those that were written (SHA-256)"));
        }
        Ok(Verified {
            name: manifest.name,
            plain_bytes: manifest.plain_bytes,
            stored_bytes: manifest.stored_bytes,
            encoding: manifest.encoding,
            plain_sha256: manifest.plain_sha256,
            stored_sha256: manifest.stored_sha256,
            frames: manifest.frames.len(),
            parts: manifest.parts,
            sealed: manifest.seal.is_some(),
        })
    }

    /// An address by which whoever has it can fetch the stored bytes until it expires, from the storage itself. They come as
    /// they are stored: where the artifact is compressed, whoever fetches has to decode them ([`Encoding`]), as the storage
    /// does not say so by a `Content-Encoding`.
    ///
    /// # Errors
    /// As [`ArtifactStore::manifest`]. [`ArtifactError::Invalid`] where it is sealed, as nobody could open what they fetch;
    /// where the storage can't make such addresses; and where it would hold for less than a second or more than
    /// [`MOST_LENT`](Self::MOST_LENT).
    pub async fn presign(&self, pointer: &ArtifactPointer, expires: Duration) -> Result<Url, ArtifactError> {
        let invalid = |problem: &str| Err(ArtifactError::Invalid(problem.to_owned()));
        if expires < Duration::from_secs(1) || expires > Self::MOST_LENT {
            return invalid("an address holds for a second to 7 days: choose a time between");
        }
        let manifest = self.manifest(pointer).await?;
        if manifest.seal.is_some() {
            return invalid(
                "the artifact is sealed, so nobody could read what such an address leads to: fetch it with `artifacts get`",
            );
        }
        let Some(signer) = self.storage().signer() else {
            return invalid(
                "this storage can't lend its objects by addresses, only s3://, gs:// and az:// can: fetch it with `artifacts get`",
            );
        };
        let key = Path::parse(&manifest.object).map_err(|error| ArtifactError::Damaged {
            key: manifest.object.clone(),
            problem: error.to_string(),
        })?;
        let signed = signer.signed_url(Method::GET, &key, expires).await;
        signed.map_err(|error| ArtifactError::storage("make an address", error))
    }

    /// Removes an artifact. The job's record keeps its pointer; from now on, whoever follows that is told
    /// [`ArtifactError::Removed`], by a note that takes the manifest's place until the job itself is removed. Removing again
    /// what was removed does nothing; answers whether this call did it.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`]: call again. [`ArtifactError::Invalid`] where the pointer is another tenant's. That
    /// it is missing or damaged is none: it is removed all the same.
    pub async fn remove(&self, pointer: &ArtifactPointer, now: Timestamp) -> Result<bool, ArtifactError> {
        let mut folders = vec![self.address(pointer)?];
        match self.manifest(pointer).await {
            Err(error @ (ArtifactError::Storage { .. } | ArtifactError::Invalid(_))) => return Err(error),
            // An attempt that went on with another's upload left the bytes where they were.
            Ok(manifest) => folders.extend(Address::of_object(&manifest.object)),
            // Its bytes may be there still, where an earlier call failed behind the note.
            Err(_) => {}
        }
        let failed = |error| ArtifactError::storage("remove an artifact", error);
        let storage = self.storage().objects();
        let key =
            Path::parse(&pointer.manifest).map_err(|error| ArtifactError::Invalid(error.to_string()))?;
        let stone = match storage.get(&key).await {
            Ok(found) if found.meta.size <= Gravestone::MOST_BYTES => {
                Gravestone::read(&found.bytes().await.map_err(failed)?)
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(failed(error)),
        };
        if stone.is_none() {
            // The note first: nobody may find a manifest without bytes.
            let json = serde_json::to_vec(&Gravestone::new(now));
            let json = json.map_err(|error| ArtifactError::Stopped(error.to_string()))?;
            storage.put(&key, PutPayload::from(json)).await.map_err(failed)?;
        }
        for folder in folders {
            match storage.delete(&folder.object_key()).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(stone.is_none())
    }
}

/// Whether an object of so many bytes is uploaded in so many parts.
fn parts_fit(parts: u32, bytes: u64) -> bool {
    match parts.checked_sub(1) {
        None => bytes <= PART_BYTES as u64,
        Some(last) => {
            let begins = places::begin(last).is_some_and(|begin| begin < bytes || bytes == 0);
            begins && places::begin(parts).is_some_and(|end| bytes <= end)
        }
    }
}
