//! Which stored bytes a range of the plain ones needs, and what of them it is. Pure arithmetic over the manifest.
//!
//! ```text
//! plain      |      ···range···     |       frames of 1 MiB, each compressed on its own
//! compressed |  frame n | frame n+1 |       their lengths stand in the manifest
//! stored     | seg | seg | seg | seg |      where it is sealed: segments of 16 KiB, each with its tag
//! ```

use std::{collections::VecDeque, ops::Range};

use super::{codec, manifest::Manifest};
use crate::{
    domain::Encoding,
    security::seal::{SEGMENT_BYTES, sealed_offset},
};

/// A frame, before sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) compressed: u64,
    pub(super) plain: u64,
}

/// What is to be read for a range of the plain bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Of the stored bytes.
    pub(super) stored: Range<u64>,
    /// With which segment those begin, where they are sealed.
    pub(super) segment: u64,
    /// Whether they go to the object's end.
    pub(super) to_end: bool,
    /// Compressed bytes that come first and are not needed.
    pub(super) before: u64,
    /// What follows those.
    pub(super) frames: VecDeque<Frame>,
    /// Plain bytes that come first and are not asked for.
    pub(super) skip: u64,
    /// Plain bytes that are.
    pub(super) plain: u64,
    /// Whether it is all of the artifact, so that its checksums can be compared.
    pub(super) is_whole: bool,
}

impl Span {
    /// All of it.
    pub(super) fn whole(manifest: &Manifest) -> Self {
        let frames = manifest.frames.iter().enumerate();
        let frames =
            frames.map(|(place, bytes)| Frame { compressed: *bytes, plain: plain_of(manifest, place) });
        Self {
            stored: 0..manifest.stored_bytes,
            segment: 0,
            to_end: true,
            before: 0,
            frames: frames.collect(),
            skip: 0,
            plain: manifest.plain_bytes,
            is_whole: true,
        }
    }

    /// A range that is not empty and ends within the artifact, whose manifest has no [problem](Manifest::problem).
    pub(super) fn of(manifest: &Manifest, range: Range<u64>) -> Self {
        let (compressed, frames, skip) = if manifest.encoding == Encoding::None {
            // Not compressed, any byte can be read by itself.
            let plain = range.end - range.start;
            (range.clone(), VecDeque::from([Frame { compressed: plain, plain }]), 0)
        } else {
            let all = manifest.frames.len().max(1);
            let frame_of = |byte: u64| {
                let frame = if codec::frames(manifest.encoding) { byte / manifest.frame_bytes } else { 0 };
                usize::try_from(frame).unwrap_or(usize::MAX).min(all - 1)
            };
            let (first, last) = (frame_of(range.start), frame_of(range.end - 1));
            let begin: u64 = manifest.frames[..first].iter().sum();
            let frames: VecDeque<Frame> = (first..=last)
                .map(|place| Frame { compressed: manifest.frames[place], plain: plain_of(manifest, place) })
                .collect();
            let end = begin + frames.iter().map(|frame| frame.compressed).sum::<u64>();
            (begin..end, frames, range.start - first as u64 * manifest.frame_bytes)
        };
        let plain = range.end - range.start;
        if manifest.seal.is_none() {
            let to_end = compressed.end == manifest.stored_bytes;
            return Self {
                stored: compressed,
                segment: 0,
                to_end,
                before: 0,
                frames,
                skip,
                plain,
                is_whole: false,
            };
        }
        let segment = SEGMENT_BYTES as u64;
        let (first, last) = (compressed.start / segment, compressed.end.saturating_sub(1) / segment);
        let end = sealed_offset(last + 1).min(manifest.stored_bytes);
        Self {
            stored: sealed_offset(first)..end,
            segment: first,
            to_end: end == manifest.stored_bytes,
            before: compressed.start - first * segment,
            frames,
            skip,
            plain,
            is_whole: false,
        }
    }
}

/// How many plain bytes a frame has.
fn plain_of(manifest: &Manifest, place: usize) -> u64 {
    if !codec::frames(manifest.encoding) {
        return manifest.plain_bytes;
    }
    let begin = (place as u64).saturating_mul(manifest.frame_bytes);
    manifest.plain_bytes.saturating_sub(begin).min(manifest.frame_bytes)
}
