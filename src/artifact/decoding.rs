//! Stored bytes to plain ones: opened, decompressed frame by frame, cut to what was asked for, checked. Runs on a blocking
//! thread.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    codec::FrameDecoder,
    error::ArtifactError,
    manifest::Manifest,
    opening::Sealed,
    span::{Frame, Span},
};
use crate::security::{
    seal::{Opener, SealError},
    text::hex,
};

/// Compressed bytes are fed to a decoder in such pieces.
const PIECE_BYTES: usize = 4 << 10;
/// Plain bytes are handed on in pieces of about this.
const HAND_ON_BYTES: usize = 64 << 10;

pub(super) type Item = Result<Bytes, ArtifactError>;

/// A span on its way from storage to its reader.
pub(super) struct Decoding {
    manifest: Manifest,
    span: Span,
    plain: mpsc::Sender<Item>,
    /// The preamble still to come, where all of a sealed object is read.
    preamble: Vec<u8>,
    opener: Option<Opener>,
    opened: Vec<u8>,
    /// Frames still to come.
    decoder: Option<(FrameDecoder, Frame)>,
    frame_plain: u64,
    ready: Vec<u8>,
    stored_bytes: u64,
    given: u64,
    /// Of the plain and of the stored bytes, where all of them are read.
    hashes: Option<(Sha256, Sha256)>,
}

impl Decoding {
    /// Nothing read yet.
    pub(super) fn new(
        manifest: Manifest,
        sealed: Option<&Sealed>,
        span: Span,
        plain: mpsc::Sender<Item>,
    ) -> Result<Self, ArtifactError> {
        let is_whole = span.is_whole;
        let opener = sealed.map(|sealed| sealed.opener(span.segment)).transpose();
        let opener = opener.map_err(|error| damaged(&manifest, error.to_string()))?;
        let preamble = sealed.filter(|_| is_whole).map(|sealed| sealed.preamble().to_vec());
        Ok(Self {
            manifest,
            span,
            plain,
            preamble: preamble.unwrap_or_default(),
            opener,
            opened: Vec::new(),
            decoder: None,
            frame_plain: 0,
            ready: Vec::new(),
            stored_bytes: 0,
            given: 0,
            hashes: is_whole.then(|| (Sha256::new(), Sha256::new())),
        })
    }

    fn damaged(&self, problem: impl Into<String>) -> ArtifactError {
        damaged(&self.manifest, problem)
    }

    fn seal(&self, error: SealError) -> ArtifactError {
        self.damaged(error.to_string())
    }

    /// Takes the next stored bytes.
    pub(super) fn take(&mut self, mut stored: &[u8]) -> Result<(), ArtifactError> {
        self.stored_bytes += stored.len() as u64;
        if let Some((_, hash)) = &mut self.hashes {
            hash.update(stored);
        }
        // What the object says of its seal must be what its record says.
        let head = self.preamble.len().min(stored.len());
        if self.preamble[..head] != stored[..head] {
            return Err(self.seal(SealError::Foreign));
        }
        self.preamble.drain(..head);
        stored = &stored[head..];
        let Some(opener) = &mut self.opener else { return self.compressed(stored) };
        let opened = opener.write(stored, &mut self.opened);
        // What came before the segment that does not hold was verified.
        let mut bytes = std::mem::take(&mut self.opened);
        let passed = self.compressed(&bytes);
        bytes.clear();
        self.opened = bytes;
        opened.map_err(|error| self.seal(error))?;
        passed
    }

    /// Takes compressed bytes; leaves those out that only share a segment with what is needed.
    fn compressed(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        let skipped = usize::try_from(self.span.before).unwrap_or(usize::MAX).min(bytes.len());
        self.span.before -= skipped as u64;
        bytes[skipped..].chunks(PIECE_BYTES).try_for_each(|piece| self.piece(piece))
    }

    fn piece(&mut self, mut piece: &[u8]) -> Result<(), ArtifactError> {
        while !piece.is_empty() {
            let Some((mut decoder, mut frame)) = self.next_frame() else {
                // The rest of the last segment, or what the manifest knows nothing of.
                return match self.manifest.seal.is_some() && !self.span.is_whole {
                    true => Ok(()),
                    false => Err(self.damaged("it is longer than its manifest says")),
                };
            };
            let most = usize::try_from(frame.compressed).unwrap_or(usize::MAX).min(piece.len());
            let before = self.ready.len();
            let taken = decoder.write(&piece[..most], &mut self.ready);
            let taken = taken.map_err(|error| self.damaged(error.to_string()))?;
            frame.compressed -= taken as u64;
            piece = &piece[taken..];
            self.decoded(before, frame)?;
            if frame.compressed > 0 {
                self.decoder = Some((decoder, frame));
                continue;
            }
            let mut ended = false;
            while !ended {
                let before = self.ready.len();
                let finished = decoder.finish(&mut self.ready);
                ended = finished.map_err(|error| self.damaged(format!("a frame: {error}")))?;
                self.decoded(before, frame)?;
            }
            if self.frame_plain < frame.plain {
                return Err(self.another_length());
            }
        }
        Ok(())
    }

    fn another_length(&self) -> ArtifactError {
        self.damaged("a frame decodes to another length than its manifest says")
    }

    /// Checks and hands on what a step has decoded of a frame, which is what is ready from `before` on.
    fn decoded(&mut self, before: usize, frame: Frame) -> Result<(), ArtifactError> {
        self.frame_plain += (self.ready.len() - before) as u64;
        if self.frame_plain > frame.plain {
            return Err(self.another_length());
        }
        self.hand_on(HAND_ON_BYTES)
    }

    /// The open frame, or the next one.
    fn next_frame(&mut self) -> Option<(FrameDecoder, Frame)> {
        if let Some(open) = self.decoder.take() {
            return Some(open);
        }
        let next = self.span.frames.pop_front()?;
        self.frame_plain = 0;
        Some((FrameDecoder::new(self.manifest.encoding), next))
    }

    /// Hands on what is decoded and asked for, once there is `least` of it.
    fn hand_on(&mut self, least: usize) -> Result<(), ArtifactError> {
        let skipped = usize::try_from(self.span.skip).unwrap_or(usize::MAX).min(self.ready.len());
        self.ready.drain(..skipped);
        self.span.skip -= skipped as u64;
        let left = usize::try_from(self.span.plain - self.given).unwrap_or(usize::MAX);
        // The last frame goes on behind what is asked for.
        let asked = self.ready.len().min(left);
        if self.ready.is_empty() || (asked < least && asked < left) {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.ready);
        bytes.truncate(asked);
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some((hash, _)) = &mut self.hashes {
            hash.update(&bytes);
        }
        self.given += bytes.len() as u64;
        let gone = |_| ArtifactError::Stopped("nobody reads it any more".to_owned());
        self.plain.blocking_send(Ok(Bytes::from(bytes))).map_err(gone)
    }

    /// The stored bytes have ended; answers the SHA-256 of the stored ones, where all were read.
    pub(super) fn end(mut self) -> Result<Option<String>, ArtifactError> {
        if !self.preamble.is_empty() {
            return Err(self.damaged("its end is missing"));
        }
        if let Some(opener) = self.opener.take().filter(|_| self.span.to_end) {
            let mut last = Vec::new();
            opener.finish(&mut last).map_err(|error| self.seal(error))?;
            self.compressed(&last)?;
        }
        self.hand_on(1)?;
        let stored = self.span.stored.end - self.span.stored.start;
        let is_short = self.stored_bytes != stored || self.given != self.span.plain;
        if self.decoder.is_some() || !self.span.frames.is_empty() || is_short {
            return Err(self.damaged("its end is missing"));
        }
        let Some((plain, stored)) = self.hashes.take() else { return Ok(None) };
        if hex(&plain.finalize()) != self.manifest.plain_sha256 {
            return Err(self.damaged("its bytes are not those that were written (SHA-256)"));
        }
        Ok(Some(hex(&stored.finalize())))
    }
}

fn damaged(manifest: &Manifest, problem: impl Into<String>) -> ArtifactError {
    ArtifactError::Damaged { key: manifest.object.clone(), problem: problem.into() }
}
