//! The handler's end of the pipeline.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::{ObjectStoreExt as _, PutPayload};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

use super::{
    WINDOW_BYTES,
    error::ArtifactError,
    keys::Sealing,
    manifest::Manifest,
    place::Place,
    stage::{self, Begin, Input, Stored},
};
use crate::domain::{ArtifactPointer, Random};

/// Takes an artifact's plain bytes in any pieces, and waits while storage is slower than they come. Dropped
/// unfinished, nothing of it is seen; what it has stored waits for another attempt where one may go on with it.
#[derive(Debug)]
pub struct ArtifactWriter {
    chunk: BytesMut,
    chunk_bytes: usize,
    window: mpsc::Sender<Input>,
    stage: JoinHandle<Result<Option<Stored>, ArtifactError>>,
    place: Place,
    seal: Option<Seal>,
    manifest: Manifest,
}

/// What a manifest is sealed with.
type Seal = (Sealing, Arc<dyn Random>);

impl ArtifactWriter {
    /// Starts the stage. `manifest` holds what is known before the first byte.
    pub(super) fn begin(
        place: Place,
        seal: Option<Seal>,
        manifest: Manifest,
        chunk_bytes: usize,
        begin: Begin,
    ) -> Self {
        let (window, chunks) = mpsc::channel((WINDOW_BYTES / chunk_bytes).max(2));
        let runtime = Handle::current();
        let stage = tokio::task::spawn_blocking(move || stage::run(&runtime, chunks, begin));
        Self {
            chunk: BytesMut::with_capacity(chunk_bytes),
            chunk_bytes,
            window,
            stage,
            place,
            seal,
            manifest,
        }
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// Where compressing or storing has failed; the artifact can't be finished then.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while let Some(chunk) = self.next_chunk(&mut bytes) {
            if self.window.send(Input::Chunk(chunk)).await.is_err() {
                return Err(self.why().await);
            }
        }
        Ok(())
    }

    /// The same from a blocking thread (one of `spawn_blocking`'s, or of your own inside the runtime's context).
    ///
    /// # Errors
    /// As [`ArtifactWriter::write`].
    pub fn write_blocking(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while let Some(chunk) = self.next_chunk(&mut bytes) {
            if self.window.blocking_send(Input::Chunk(chunk)).is_err() {
                return Err(Handle::current().block_on(self.why()));
            }
        }
        Ok(())
    }

    /// A full chunk, once `bytes` has made it full.
    fn next_chunk(&mut self, bytes: &mut &[u8]) -> Option<Bytes> {
        let room = self.chunk_bytes - self.chunk.len();
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.chunk.extend_from_slice(now);
        *bytes = later;
        (self.chunk.len() == self.chunk_bytes).then(|| {
            let empty = BytesMut::with_capacity(self.chunk_bytes);
            std::mem::replace(&mut self.chunk, empty).freeze()
        })
    }

    /// Why the stage takes no more.
    async fn why(&mut self) -> ArtifactError {
        match (&mut self.stage).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => ArtifactError::Stopped("it was finished before".to_owned()),
            Err(error) => ArtifactError::Stopped(error.to_string()),
        }
    }

    /// Stores the rest, then the manifest, and answers where the artifact is. It is seen once the job is settled as
    /// done with this pointer in its output.
    ///
    /// # Errors
    /// Where compressing or storing has failed; nothing is seen then.
    pub async fn finish(mut self) -> Result<ArtifactPointer, ArtifactError> {
        let rest = self.chunk.split().freeze();
        let inputs = [(!rest.is_empty()).then_some(Input::Chunk(rest)), Some(Input::Finish)];
        for input in inputs.into_iter().flatten() {
            if self.window.send(input).await.is_err() {
                return Err(self.why().await);
            }
        }
        let stored = (&mut self.stage).await.map_err(|error| ArtifactError::Stopped(error.to_string()))??;
        let stored = stored.ok_or_else(|| ArtifactError::Stopped("it was given up".to_owned()))?;
        self.publishable(stored).await
    }

    async fn publishable(self, stored: Stored) -> Result<ArtifactPointer, ArtifactError> {
        let manifest = Manifest {
            plain_bytes: stored.plain_bytes,
            stored_bytes: stored.stored_bytes,
            plain_sha256: stored.plain_sha256,
            stored_sha256: stored.stored_sha256,
            frames: stored.frames,
            parts: stored.parts,
            ..self.manifest
        };
        let json =
            serde_json::to_vec(&manifest).map_err(|error| ArtifactError::Stopped(error.to_string()))?;
        let stored = match &self.seal {
            Some((sealing, random)) => sealing.manifest(&json, &**random)?,
            None => json,
        };
        let key = self.place.manifest();
        let put = self.place.storage.objects().put(&key, PutPayload::from(stored)).await;
        put.map_err(|error| ArtifactError::storage("store a manifest", error))?;
        Ok(ArtifactPointer {
            name: manifest.name,
            manifest: key.to_string(),
            content_type: manifest.content_type,
            encoding: manifest.encoding,
            plain_bytes: manifest.plain_bytes,
            stored_bytes: manifest.stored_bytes,
            sha256: manifest.plain_sha256,
            seal: manifest.seal,
        })
    }
}
