//! Parts on their way to storage: one put where a part is enough, a multipart upload where not.

use std::sync::Arc;

use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use tokio::task::JoinHandle;

use super::{PART_BYTES, error::ArtifactError};

/// An object that grows part by part. At most one part is on its way while the next one fills: the two parts of
/// memory that a writer is allowed.
pub(super) struct Upload {
    storage: Arc<dyn ObjectStore>,
    key: Path,
    filling: Vec<u8>,
    multipart: Option<Box<dyn MultipartUpload>>,
    under_way: Option<JoinHandle<object_store::Result<()>>>,
    parts: u32,
}

impl Upload {
    pub(super) fn new(storage: Arc<dyn ObjectStore>, key: Path) -> Self {
        Self { storage, key, filling: Vec::new(), multipart: None, under_way: None, parts: 0 }
    }

    /// Appends bytes; waits while a full part can't yet be sent.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while self.filling.len() + bytes.len() > PART_BYTES {
            let (now, later) = bytes.split_at(PART_BYTES - self.filling.len());
            self.filling.extend_from_slice(now);
            bytes = later;
            self.send_part().await?;
        }
        self.filling.extend_from_slice(bytes);
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), ArtifactError> {
        let part = PutPayload::from(std::mem::take(&mut self.filling));
        self.sent().await?;
        let upload = match &mut self.multipart {
            Some(upload) => upload,
            none => {
                let begun = self.storage.put_multipart(&self.key).await;
                none.insert(begun.map_err(|error| ArtifactError::storage("begin an upload", error))?)
            }
        };
        self.under_way = Some(tokio::spawn(upload.put_part(part)));
        self.parts += 1;
        Ok(())
    }

    /// Waits until the part under way is stored.
    async fn sent(&mut self) -> Result<(), ArtifactError> {
        let Some(task) = self.under_way.take() else { return Ok(()) };
        let stored = task.await.map_err(|error| ArtifactError::Stopped(error.to_string()))?;
        stored.map_err(|error| ArtifactError::storage("upload a part", error))
    }

    /// Stores what is left and makes the object visible; answers how many parts it took (0: a single put).
    pub(super) async fn finish(mut self) -> Result<u32, ArtifactError> {
        let done = self.try_finish().await;
        if done.is_err() {
            self.abort().await;
        }
        done
    }

    async fn try_finish(&mut self) -> Result<u32, ArtifactError> {
        if self.multipart.is_none() {
            let all = PutPayload::from(std::mem::take(&mut self.filling));
            let put = self.storage.put(&self.key, all).await;
            return put.map(|_| 0).map_err(|error| ArtifactError::storage("store an artifact", error));
        }
        if !self.filling.is_empty() {
            self.send_part().await?;
        }
        self.sent().await?;
        if let Some(upload) = &mut self.multipart {
            upload.complete().await.map_err(|error| ArtifactError::storage("complete an upload", error))?;
        }
        Ok(self.parts)
    }

    /// Gives the upload up; what it had stored is removed, now or by the sweep.
    pub(super) async fn abort(&mut self) {
        if let Some(task) = self.under_way.take() {
            task.abort();
            drop(task.await);
        }
        if let Some(mut upload) = self.multipart.take()
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, key = %self.key, "an upload could not be aborted: the sweep will do it");
        }
    }
}
