//! The stage between a handler's chunks and the upload: hashes, cuts into frames, compresses. Runs on a blocking thread: what
//! takes processor time must not hold up the async runtime. Where an upload is gone on with, the frames that are stored are
//! hashed and dropped: compressing them again would tell nothing new.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    FRAME_BYTES,
    codec::{self, FrameEncoder},
    error::ArtifactError,
    keys::Sealing,
    tail::{GoingOn, Tail, digest},
    upload::Upload,
};
use crate::domain::{Encoding, Hex};

/// What comes down the window.
#[derive(Debug)]
pub(super) enum Input {
    Chunk(Bytes),
    /// The artifact is whole. A window that closes without it is an attempt that ended.
    Finish,
}

/// What the stage begins with.
pub(super) struct Begin {
    pub(super) encoding: Encoding,
    pub(super) sealing: Option<Sealing>,
    pub(super) upload: Upload,
    pub(super) going_on: Option<GoingOn>,
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

/// Takes chunks until the end and uploads them; `None` where the window closed before.
pub(super) fn run(
    runtime: &Handle,
    mut window: mpsc::Receiver<Input>,
    begin: Begin,
) -> Result<Option<Stored>, ArtifactError> {
    let Begin { encoding, sealing, upload, going_on } = begin;
    let skip = going_on.as_ref().map(|from| (from.point.frame, from.point.plain));
    let tail = runtime.block_on(Tail::new(upload, sealing, going_on))?;
    let mut frames = Frames::new(encoding, tail, skip);
    let ended = loop {
        match window.blocking_recv() {
            Some(Input::Chunk(chunk)) => {
                if let Err(error) = frames.write(runtime, &chunk) {
                    break Err(error);
                }
            }
            Some(Input::Finish) => break frames.finish(runtime).map(Some),
            None => break Ok(None),
        }
    };
    if !matches!(ended, Ok(Some(_))) {
        runtime.block_on(frames.tail.upload.leave(ended.as_ref().err()));
    }
    ended
}

struct Frames {
    encoding: Encoding,
    encoder: Option<FrameEncoder>,
    /// The open frame, or the next one.
    frame: u64,
    /// Plain bytes in it.
    filled: usize,
    /// Compressed bytes before it.
    begun_at: u64,
    ready: Vec<u8>,
    plain: (u64, Sha256),
    /// The frame before which nothing has to be made again, and the plain bytes' SHA-256 there.
    skip: Option<(u64, Hex<32>)>,
    tail: Tail,
}

impl Frames {
    fn new(encoding: Encoding, tail: Tail, skip: Option<(u64, Hex<32>)>) -> Self {
        let (ready, plain) = (Vec::new(), (0, Sha256::new()));
        Self { encoding, encoder: None, frame: 0, filled: 0, begun_at: 0, ready, plain, skip, tail }
    }

    fn write(&mut self, runtime: &Handle, mut plain: &[u8]) -> Result<(), ArtifactError> {
        let whole = codec::frames(self.encoding);
        while !plain.is_empty() {
            if self.filled == 0 {
                self.begin_frame(runtime)?;
            }
            let room = if whole { FRAME_BYTES - self.filled } else { plain.len() };
            let (now, later) = plain.split_at(plain.len().min(room));
            self.plain.0 += now.len() as u64;
            self.plain.1.update(now);
            if let Some(encoder) = &mut self.encoder {
                encoder.write(now, &mut self.ready)?;
                self.pass_on(runtime)?;
            }
            self.filled += now.len();
            plain = later;
            if whole && self.filled == FRAME_BYTES {
                self.end_frame(runtime)?;
            }
        }
        Ok(())
    }

    fn begin_frame(&mut self, runtime: &Handle) -> Result<(), ArtifactError> {
        let before = digest(&self.plain.1);
        match self.skip {
            Some((frame, _)) if self.frame < frame => return Ok(()),
            Some((_, plain)) if plain != before => return Err(ArtifactError::changed()),
            _ => self.skip = None,
        }
        self.encoder = Some(FrameEncoder::new(self.encoding));
        self.begun_at = self.tail.compressed();
        runtime.block_on(self.tail.begin_frame(self.frame, before))
    }

    fn end_frame(&mut self, runtime: &Handle) -> Result<(), ArtifactError> {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.ready)?;
            self.pass_on(runtime)?;
            self.tail.upload.frame_ended(self.tail.compressed() - self.begun_at);
        }
        (self.frame, self.filled) = (self.frame + 1, 0);
        Ok(())
    }

    fn pass_on(&mut self, runtime: &Handle) -> Result<(), ArtifactError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let sent = runtime.block_on(self.tail.write(&self.ready));
        self.ready.clear();
        sent
    }

    fn finish(&mut self, runtime: &Handle) -> Result<Stored, ArtifactError> {
        if self.filled > 0 {
            self.end_frame(runtime)?;
        }
        runtime.block_on(self.tail.finish())?;
        let (stored_bytes, stored_sha256) = self.tail.stored();
        let parts = runtime.block_on(self.tail.upload.finish(stored_bytes, stored_sha256))?;
        Ok(Stored {
            plain_bytes: self.plain.0,
            stored_bytes,
            plain_sha256: digest(&self.plain.1).to_string(),
            stored_sha256: stored_sha256.to_string(),
            frames: self.tail.upload.take_frames(),
            parts,
        })
    }
}
