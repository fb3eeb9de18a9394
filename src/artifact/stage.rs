//! The stage between a handler's chunks and the upload: cuts into frames, compresses, has the plain bytes digested. Runs on
//! a blocking thread: what takes processor time must not hold up the async runtime. Where an upload is gone on with, the
//! frames that are stored are digested and dropped: compressing them again would tell nothing new.

use bytes::Bytes;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    FRAME_BYTES,
    codec::{self, Encoder},
    error::ArtifactError,
    keys::Sealing,
    plain::Plain,
    tail::{GoingOn, Tail},
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
    let ended = all(runtime, &mut window, &mut frames);
    if !matches!(ended, Ok(Some(_))) {
        runtime.block_on(frames.tail.upload.leave(ended.as_ref().err()));
    }
    ended
}

/// So many chunks are taken at once: each time wakes who made them.
const TOGETHER: usize = 8;

fn all(
    runtime: &Handle,
    window: &mut mpsc::Receiver<Input>,
    frames: &mut Frames,
) -> Result<Option<Stored>, ArtifactError> {
    let mut inputs = Vec::with_capacity(TOGETHER);
    while window.blocking_recv_many(&mut inputs, TOGETHER) > 0 {
        for input in inputs.drain(..) {
            match input {
                Input::Chunk(chunk) => frames.write(runtime, chunk)?,
                Input::Finish => return frames.finish(runtime).map(Some),
            }
        }
    }
    Ok(None)
}

struct Frames {
    encoding: Encoding,
    encoder: Encoder,
    /// Whether the open frame is made, and not only counted.
    is_made: bool,
    /// The open frame, or the next one.
    frame: u64,
    /// Plain bytes in it.
    filled: usize,
    /// Compressed bytes before it.
    begun_at: u64,
    ready: Vec<u8>,
    plain: Plain,
    /// The frame before which nothing has to be made again, and the plain bytes' SHA-256 there.
    skip: Option<(u64, Hex<32>)>,
    tail: Tail,
}

impl Frames {
    fn new(encoding: Encoding, tail: Tail, skip: Option<(u64, Hex<32>)>) -> Self {
        let (encoder, ready, plain) = (Encoder::new(encoding), Vec::new(), Plain::new());
        Self { encoding, encoder, is_made: false, frame: 0, filled: 0, begun_at: 0, ready, plain, skip, tail }
    }

    fn write(&mut self, runtime: &Handle, mut plain: Bytes) -> Result<(), ArtifactError> {
        let whole = codec::frames(self.encoding);
        while !plain.is_empty() {
            if self.filled == 0 {
                self.begin_frame(runtime)?;
            }
            let room = if whole { FRAME_BYTES - self.filled } else { plain.len() };
            let now = plain.split_to(plain.len().min(room));
            self.filled += now.len();
            self.plain.update(now.clone())?;
            if self.is_made {
                self.encoder.write(&now, &mut self.ready)?;
                self.pass_on(runtime)?;
            }
            if whole && self.filled == FRAME_BYTES {
                self.end_frame(runtime)?;
            }
        }
        Ok(())
    }

    fn begin_frame(&mut self, runtime: &Handle) -> Result<(), ArtifactError> {
        if self.frame == 1 {
            self.plain.step_aside();
        }
        if self.skip.is_some_and(|(frame, _)| self.frame < frame) {
            return Ok(());
        }
        let mut before = self.plain.so_far()?;
        if let Some((_, plain)) = self.skip.take()
            && runtime.block_on(before.told())? != plain
        {
            return Err(ArtifactError::changed());
        }
        self.encoder.begin()?;
        (self.is_made, self.begun_at) = (true, self.tail.compressed());
        runtime.block_on(self.tail.begin_frame(self.frame, before, codec::most(self.encoding)))
    }

    fn end_frame(&mut self, runtime: &Handle) -> Result<(), ArtifactError> {
        if std::mem::take(&mut self.is_made) {
            self.encoder.finish(&mut self.ready)?;
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
            plain_bytes: self.plain.bytes(),
            stored_bytes,
            plain_sha256: runtime.block_on(self.plain.so_far()?.told())?.to_string(),
            stored_sha256: stored_sha256.to_string(),
            frames: self.tail.upload.take_frames(),
            parts,
        })
    }
}
