//! The stage between a handler's chunks and the upload: hashes, compresses, cuts into frames. Runs on a blocking
//! thread: what takes processor time must not hold up the async runtime.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    FRAME_BYTES,
    codec::{self, FrameEncoder},
    error::ArtifactError,
    upload::Upload,
};
use crate::domain::Encoding;

/// What comes down the window.
#[derive(Debug)]
pub(super) enum Input {
    Chunk(Bytes),
    /// The artifact is whole. A window that closes without it is an artifact given up.
    Finish,
}

/// What the stage has stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) plain_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) plain_sha256: String,
    pub(super) stored_sha256: String,
    pub(super) frames: Vec<u64>,
    pub(super) parts: u32,
}

/// Takes chunks until the end and uploads them; `None` where the artifact was given up.
pub(super) fn run(
    runtime: &Handle,
    mut window: mpsc::Receiver<Input>,
    encoding: Encoding,
    mut upload: Upload,
) -> Result<Option<Stored>, ArtifactError> {
    let mut frames = Frames::new(encoding);
    loop {
        match window.blocking_recv() {
            Some(Input::Chunk(chunk)) => {
                if let Err(error) = frames.write(runtime, &chunk, &mut upload) {
                    runtime.block_on(upload.abort());
                    return Err(error);
                }
            }
            Some(Input::Finish) => return frames.finish(runtime, upload).map(Some),
            None => {
                runtime.block_on(upload.abort());
                return Ok(None);
            }
        }
    }
}

struct Frames {
    encoding: Encoding,
    encoder: Option<FrameEncoder>,
    /// Plain bytes in the open frame.
    filled: usize,
    /// Stored bytes of the open frame.
    frame_stored: u64,
    frames: Vec<u64>,
    ready: Vec<u8>,
    plain: (u64, Sha256),
    stored: (u64, Sha256),
}

impl Frames {
    fn new(encoding: Encoding) -> Self {
        let hash = || (0, Sha256::new());
        let (frames, ready) = (Vec::new(), Vec::new());
        let (plain, stored) = (hash(), hash());
        Self { encoding, encoder: None, filled: 0, frame_stored: 0, frames, ready, plain, stored }
    }

    fn write(
        &mut self,
        runtime: &Handle,
        mut plain: &[u8],
        upload: &mut Upload,
    ) -> Result<(), ArtifactError> {
        self.plain.0 += plain.len() as u64;
        self.plain.1.update(plain);
        let whole = codec::frames(self.encoding);
        while !plain.is_empty() {
            let room = if whole { FRAME_BYTES - self.filled } else { plain.len() };
            let (now, later) = plain.split_at(plain.len().min(room));
            let encoder = self.encoder.get_or_insert_with(|| FrameEncoder::new(self.encoding));
            encoder.write(now, &mut self.ready)?;
            self.filled += now.len();
            plain = later;
            self.pass_on(runtime, upload)?;
            if whole && self.filled == FRAME_BYTES {
                self.end_frame(runtime, upload)?;
            }
        }
        Ok(())
    }

    fn end_frame(&mut self, runtime: &Handle, upload: &mut Upload) -> Result<(), ArtifactError> {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.ready)?;
            self.pass_on(runtime, upload)?;
            self.frames.push(std::mem::take(&mut self.frame_stored));
            self.filled = 0;
        }
        Ok(())
    }

    /// Counts what the encoder has given and sends it on.
    fn pass_on(&mut self, runtime: &Handle, upload: &mut Upload) -> Result<(), ArtifactError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        self.frame_stored += self.ready.len() as u64;
        self.stored.0 += self.ready.len() as u64;
        self.stored.1.update(&self.ready);
        let sent = runtime.block_on(upload.write(&self.ready));
        self.ready.clear();
        sent
    }

    fn finish(mut self, runtime: &Handle, mut upload: Upload) -> Result<Stored, ArtifactError> {
        if let Err(error) = self.end_frame(runtime, &mut upload) {
            runtime.block_on(upload.abort());
            return Err(error);
        }
        let parts = runtime.block_on(upload.finish())?;
        Ok(Stored {
            plain_bytes: self.plain.0,
            stored_bytes: self.stored.0,
            plain_sha256: hex(&self.plain.1.finalize()),
            stored_sha256: hex(&self.stored.1.finalize()),
            frames: self.frames,
            parts,
        })
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
