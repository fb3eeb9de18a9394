//! Objects that are stored as they come, such as the files that a tenant uploads: neither compressed nor sealed, without a
//! manifest. Owns: [`LooseUpload`], which grows part by part in the memory of two, and the way back. Must not know: whose an
//! object is, what it means.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use object_store::{
    Error, MultipartId, ObjectStoreExt as _, PutMode, PutPayload, multipart::PartId, path::Path,
};
use tokio::task::JoinHandle;

use super::{
    error::ArtifactError,
    places,
    published::PlainBytes,
    reader::{Fetched, fetch},
    storage::Storage,
    stored::in_pieces,
};

/// An object on its way to storage. Nobody sees anything of it before [`finish`](Self::finish). Who stops before that calls
/// [`give_up`](Self::give_up), or leaves parts behind for the sweep.
#[derive(Debug)]
pub struct LooseUpload {
    storage: Storage,
    key: Path,
    filling: Vec<u8>,
    /// Bytes that the filling part takes.
    room: usize,
    /// Which part fills.
    part: u32,
    upload: Option<MultipartId>,
    under_way: Option<JoinHandle<object_store::Result<PartId>>>,
    parts: Vec<PartId>,
    bytes: u64,
}

impl LooseUpload {
    /// An upload of nothing so far.
    pub fn new(storage: Storage, key: Path) -> Self {
        let room = part_bytes(0).unwrap_or(0);
        Self {
            storage,
            key,
            filling: Vec::new(),
            room,
            part: 0,
            upload: None,
            under_way: None,
            parts: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Parts that were sent on their way so far.
    pub fn parts(&self) -> u32 {
        self.part
    }

    /// Takes the next bytes; waits while a part before is still on its way.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`]; [`ArtifactError::Invalid`] where no storage takes so many.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while !bytes.is_empty() {
            if self.filling.len() == self.room {
                self.part_full().await?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room - self.filling.len()));
            self.filling.extend_from_slice(now);
            self.bytes += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Sends the filling part on its way, once the one before it has arrived.
    async fn part_full(&mut self) -> Result<(), ArtifactError> {
        self.landed().await?;
        let id = match &self.upload {
            Some(id) => id.clone(),
            None => {
                let made = self.storage.multipart().create_multipart(&self.key).await;
                let id = made.map_err(|error| ArtifactError::storage("begin an upload", error))?;
                self.upload.insert(id).clone()
            }
        };
        let (multipart, key) = (self.storage.multipart().clone(), self.key.clone());
        let payload = PutPayload::from(std::mem::take(&mut self.filling));
        let place = usize::try_from(self.part).unwrap_or(usize::MAX);
        self.under_way =
            Some(tokio::spawn(async move { multipart.put_part(&key, &id, place, payload).await }));
        self.part += 1;
        self.room = part_bytes(self.part).ok_or_else(|| {
            ArtifactError::Invalid("it is larger than 164 GiB: no storage takes so many parts".to_owned())
        })?;
        Ok(())
    }

    async fn landed(&mut self) -> Result<(), ArtifactError> {
        let Some(part) = self.under_way.take() else { return Ok(()) };
        let landed = part.await.map_err(|error| ArtifactError::Stopped(error.to_string()))?;
        self.parts.push(landed.map_err(|error| ArtifactError::storage("upload a part", error))?);
        Ok(())
    }

    /// Puts the object in its place, in one step. With `only_new`, nothing that is there is replaced: the answer is whether
    /// this one is there now. A multipart upload can't be told so by every storage; its caller looks first, and keeps others
    /// from looking at the same time.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`]; what was uploaded is given up then.
    pub async fn finish(mut self, only_new: bool) -> Result<bool, ArtifactError> {
        if self.upload.is_none() {
            let mode = if only_new { PutMode::Create } else { PutMode::Overwrite };
            let payload = PutPayload::from(std::mem::take(&mut self.filling));
            return match self.storage.objects().put_opts(&self.key, payload, mode.into()).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(ArtifactError::storage("store a file", error)),
            };
        }
        let completed = self.complete().await;
        if completed.is_err() {
            self.give_up().await;
        }
        completed.map(|()| true)
    }

    async fn complete(&mut self) -> Result<(), ArtifactError> {
        if !self.filling.is_empty() {
            self.part_full().await?;
        }
        self.landed().await?;
        let Some(id) = &self.upload else { return Ok(()) };
        let parts = std::mem::take(&mut self.parts);
        let failed = |error| ArtifactError::storage("complete an upload", error);
        match self.storage.multipart().complete_multipart(&self.key, id, parts).await {
            Ok(_) => Ok(()),
            // Where the answer was lost, the storage was asked again, and knew no such upload any more.
            Err(error @ Error::NotFound { .. }) => match self.storage.objects().head(&self.key).await {
                Ok(there) if there.size == self.bytes => Ok(()),
                _ => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes what is stored of it so far.
    pub async fn give_up(mut self) {
        // A part that arrives behind the end would stay.
        if let Some(part) = self.under_way.take() {
            drop(part.await);
        }
        let Some(id) = &self.upload else { return };
        match self.storage.multipart().abort_multipart(&self.key, id).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%error, key = %self.key, "parts of an upload were left behind"),
        }
    }
}

/// Bytes of a part.
fn part_bytes(part: u32) -> Option<usize> {
    usize::try_from(places::begin(part + 1)? - places::begin(part)?).ok()
}

/// The bytes of a range of an object that is not empty, as they come, by requests of a bounded size. `if_match` is the tag of
/// the object that is meant: where another one has taken its place, that is an error.
///
/// # Errors
/// [`ArtifactError::Missing`], [`ArtifactError::Storage`]; also in the stream.
pub async fn read_loose(
    storage: &Storage,
    key: &Path,
    range: Range<u64>,
    if_match: Option<String>,
) -> Result<PlainBytes, ArtifactError> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let failed = |error| ArtifactError::reading("read a file", error);
    let end = range.end;
    let Fetched { size, bytes } =
        fetch(storage.objects().clone(), key.clone(), range, if_match).await.map_err(failed)?;
    if size < end {
        return Err(ArtifactError::Missing { key: key.to_string() });
    }
    Ok(bytes.map(move |piece| piece.map_err(failed)).flat_map(in_pieces).boxed())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::artifact::PART_BYTES;

    async fn keys(storage: &Storage) -> Vec<String> {
        let listed = storage.objects().list(None).map_ok(|object| object.location.to_string());
        listed.try_collect().await.unwrap()
    }

    fn files(folder: &std::path::Path) -> usize {
        let below = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { 1 }
        };
        std::fs::read_dir(folder).map_or(0, |entries| entries.map(below).sum())
    }

    #[tokio::test]
    async fn an_object_of_several_parts_is_seen_when_it_is_whole_and_read_by_range() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::folder(folder.path().to_owned()).unwrap();
        let key = Path::from("acme/files/x.bin");
        let bytes: Vec<u8> = (0..2 * PART_BYTES + 17).map(|place| (place % 251) as u8).collect();
        let mut upload = LooseUpload::new(storage.clone(), key.clone());
        for piece in bytes.chunks(1 << 20) {
            upload.write(piece).await.unwrap();
            assert!(keys(&storage).await.is_empty());
        }
        assert_eq!(upload.bytes(), bytes.len() as u64);
        assert!(upload.finish(false).await.unwrap());
        let range = PART_BYTES - 5..2 * PART_BYTES + 3;
        let asked = range.start as u64..range.end as u64;
        let read = read_loose(&storage, &key, asked, None).await.unwrap();
        let read: Vec<bytes::Bytes> = read.try_collect().await.unwrap();
        assert_eq!(read.concat(), bytes[range]);

        let mut second = LooseUpload::new(storage.clone(), key.clone());
        second.write(b"new").await.unwrap();
        assert!(!second.finish(true).await.unwrap(), "only what is not there yet");
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::folder(folder.path().to_owned()).unwrap();
        let mut upload = LooseUpload::new(storage.clone(), Path::from("acme/files/x.bin"));
        upload.write(&vec![7; 2 * PART_BYTES + 17]).await.unwrap();
        assert_eq!(files(folder.path()), 1);
        upload.give_up().await;
        assert_eq!(files(folder.path()), 0);
    }
}
