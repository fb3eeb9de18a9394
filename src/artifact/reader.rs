//! The way back: stored bytes, frame by frame, to plain ones, checked against the manifest.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{codec::FrameDecoder, error::ArtifactError, manifest::Manifest, stage::hex};

/// Stored bytes are fed to a decoder in such pieces: bounds what a forged frame can blow up to before it is noticed.
const PIECE_BYTES: usize = 4 << 10;
/// Plain bytes are handed on in pieces of about this.
const HAND_ON_BYTES: usize = 64 << 10;

type Item = Result<Bytes, ArtifactError>;

pub(super) async fn read(
    storage: Arc<dyn ObjectStore>,
    manifest: Manifest,
) -> Result<BoxStream<'static, Item>, ArtifactError> {
    let failed = |error| ArtifactError::storage("read an artifact", error);
    let key = Path::parse(&manifest.object).map_err(|error| ArtifactError::Damaged {
        key: manifest.object.clone(),
        problem: error.to_string(),
    })?;
    let mut stored = storage.get(&key).await.map_err(failed)?.into_stream();

    let (to_decoder, mut pieces) = mpsc::channel::<Item>(4);
    tokio::spawn(async move {
        while let Some(piece) = stored.next().await {
            if to_decoder.send(piece.map_err(failed)).await.is_err() {
                return; // Nobody reads any more.
            }
        }
    });
    let (plain, out) = mpsc::channel::<Item>(4);
    tokio::task::spawn_blocking(move || {
        let mut decoding = Decoding::new(manifest, plain.clone());
        let ended =
            std::iter::from_fn(|| pieces.blocking_recv()).try_for_each(|piece| decoding.take(&piece?));
        if let Err(error) = ended.and_then(|()| decoding.end()) {
            // The reader may have gone; then there is nobody to tell.
            drop(plain.blocking_send(Err(error)));
        }
    });
    Ok(futures_util::stream::unfold(out, |mut out| async move { out.recv().await.map(|item| (item, out)) })
        .boxed())
}

struct Decoding {
    manifest: Manifest,
    plain: mpsc::Sender<Item>,
    decoder: Option<FrameDecoder>,
    frame: usize,
    /// Stored bytes of the frame still to come.
    left: u64,
    frame_plain: u64,
    ready: Vec<u8>,
    plain_bytes: u64,
    hash: Sha256,
}

impl Decoding {
    fn new(manifest: Manifest, plain: mpsc::Sender<Item>) -> Self {
        let (frame_plain, plain_bytes, ready) = (0, 0, Vec::new());
        Self {
            manifest,
            plain,
            decoder: None,
            frame: 0,
            left: 0,
            frame_plain,
            ready,
            plain_bytes,
            hash: Sha256::new(),
        }
    }

    fn damaged(&self, problem: impl Into<String>) -> ArtifactError {
        ArtifactError::Damaged { key: self.manifest.object.clone(), problem: problem.into() }
    }

    fn take(&mut self, stored: &[u8]) -> Result<(), ArtifactError> {
        stored.chunks(PIECE_BYTES).try_for_each(|piece| self.piece(piece))
    }

    fn piece(&mut self, mut piece: &[u8]) -> Result<(), ArtifactError> {
        while !piece.is_empty() {
            if self.decoder.is_none() {
                let bytes = self.manifest.frames.get(self.frame).copied();
                self.left = bytes.ok_or_else(|| self.damaged("it is longer than its manifest says"))?;
                self.decoder = Some(FrameDecoder::new(self.manifest.encoding));
                self.frame_plain = 0;
            }
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
            let (now, later) = piece.split_at(most);
            let before = self.ready.len();
            if let Some(decoder) = &mut self.decoder {
                let written = decoder.write(now, &mut self.ready);
                written.map_err(|error| self.damaged(error.to_string()))?;
            }
            (self.left, piece) = (self.left - now.len() as u64, later);
            if self.left == 0 {
                self.end_frame()?;
            }
            self.frame_plain += (self.ready.len() - before) as u64;
            self.hand_on(HAND_ON_BYTES)?;
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), ArtifactError> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let finished = decoder.finish(&mut self.ready);
        self.frame += 1;
        finished.map_err(|error| self.damaged(format!("frame {}: {error}", self.frame)))
    }

    /// Hands on what is decoded, once there is `least` of it.
    fn hand_on(&mut self, least: usize) -> Result<(), ArtifactError> {
        let too_long = self.plain_bytes + self.ready.len() as u64 > self.manifest.plain_bytes;
        if too_long {
            return Err(self.damaged("it decodes to more than its manifest says"));
        }
        if self.ready.len() < least || self.ready.is_empty() {
            return Ok(());
        }
        self.hash.update(&self.ready);
        self.plain_bytes += self.ready.len() as u64;
        let bytes = Bytes::from(std::mem::take(&mut self.ready));
        let gone = |_| ArtifactError::Stopped("nobody reads it any more".to_owned());
        self.plain.blocking_send(Ok(bytes)).map_err(gone)
    }

    fn end(mut self) -> Result<(), ArtifactError> {
        self.hand_on(1)?;
        if self.decoder.is_some() || self.frame != self.manifest.frames.len() {
            return Err(self.damaged("its end is missing"));
        }
        let digest = hex(&self.hash.clone().finalize());
        if (self.plain_bytes, &digest) != (self.manifest.plain_bytes, &self.manifest.plain_sha256) {
            return Err(self.damaged("its bytes are not those that were written (SHA-256)"));
        }
        Ok(())
    }
}
