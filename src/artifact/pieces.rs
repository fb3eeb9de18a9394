//! Parts on their way to a disk of this machine: in pieces, each written where it belongs while the next one fills, so that
//! no part is ever whole in memory. A part is stored once all its pieces are on the disk for good, as elsewhere.

use std::{future::Future, sync::Arc};

use bytes::BytesMut;
use object_store::{Error, multipart::PartId};
use tokio::task::JoinHandle;

use super::{error::ArtifactError, place::Place, places, storage::DiskParts, upload::gone};

/// How many bytes are written at once.
const PIECE_BYTES: usize = 512 << 10;

/// The part that fills.
pub(super) struct Pieces {
    disk: Arc<DiskParts>,
    place: Place,
    upload: String,
    /// Bytes of the part that were handed to the disk.
    handed: u64,
    filling: BytesMut,
    /// A piece on its way.
    writing: Option<JoinHandle<Result<BytesMut, ArtifactError>>>,
}

impl Pieces {
    /// Of an upload that is begun, where the storage is a disk.
    pub(super) fn of(place: &Place, upload: &str) -> Option<Self> {
        let (disk, place) = (place.storage.disk()?.clone(), place.clone());
        let (upload, filling) = (upload.to_owned(), BytesMut::new());
        Some(Self { disk, place, upload, handed: 0, filling, writing: None })
    }

    /// Whether the part has no byte yet.
    pub(super) fn is_empty(&self) -> bool {
        self.handed == 0 && self.filling.is_empty()
    }

    /// Appends bytes of the part.
    pub(super) async fn write(&mut self, part: u32, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while !bytes.is_empty() {
            if self.filling.capacity() == 0 {
                self.filling.reserve(PIECE_BYTES);
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.filling.len()));
            self.filling.extend_from_slice(now);
            if self.filling.len() == PIECE_BYTES {
                self.hand_over(part).await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// The piece that fills goes to the disk; its memory is that of the one before it.
    async fn hand_over(&mut self, part: u32) -> Result<(), ArtifactError> {
        let mut free = self.written().await?.unwrap_or_default();
        free.clear();
        let piece = std::mem::replace(&mut self.filling, free);
        let begin = places::begin(part)
            .ok_or_else(|| ArtifactError::Invalid("it has more parts than any storage takes".to_owned()))?;
        let at = begin + self.handed;
        self.handed += piece.len() as u64;
        let (disk, key, upload) = (self.disk.clone(), self.place.object(), self.upload.clone());
        let put = async move { disk.put_piece(&key, &upload, at, piece).await.map_err(failed) };
        self.writing = Some(tokio::spawn(put));
        Ok(())
    }

    /// Waits for the piece on its way, and gives its memory.
    async fn written(&mut self) -> Result<Option<BytesMut>, ArtifactError> {
        let Some(writing) = self.writing.take() else { return Ok(None) };
        writing.await.map_err(|error| ArtifactError::Stopped(error.to_string()))?.map(Some)
    }

    /// The part is whole: answers what waits until it is on the disk for good, and gives its id.
    pub(super) async fn end_part(
        &mut self,
        part: u32,
    ) -> Result<impl Future<Output = Result<String, ArtifactError>> + Send + use<>, ArtifactError> {
        if !self.filling.is_empty() {
            self.hand_over(part).await?;
        }
        if let Some(mut free) = self.written().await? {
            free.clear();
            self.filling = free;
        }
        let bytes = std::mem::take(&mut self.handed);
        let (disk, key, upload) = (self.disk.clone(), self.place.object(), self.upload.clone());
        Ok(async move {
            let kept = disk.keep_part(&key, &upload, bytes).await;
            kept.map(|PartId { content_id }| content_id).map_err(failed)
        })
    }

    /// Nothing is on its way any more.
    pub(super) async fn settle(&mut self) {
        drop(self.written().await);
    }
}

fn failed(error: Error) -> ArtifactError {
    match error {
        Error::NotFound { .. } => gone(),
        error => ArtifactError::storage("upload a part", error),
    }
}
