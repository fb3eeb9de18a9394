//! Compression of single frames, in memory: by async-compression, and by zstd itself, whose tables serve for many frames.
//! Runs on blocking threads only.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_compression::{
    Level,
    tokio::write::{BrotliDecoder, BrotliEncoder, GzipDecoder, GzipEncoder, ZstdDecoder},
};
use futures_util::FutureExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use zstd::stream::raw::{self, InBuffer, Operation as _, OutBuffer};

use super::{FRAME_BYTES, error::ArtifactError};
use crate::domain::Encoding;

/// Whether an encoding's output may be cut into frames that decode one by one and still, put together, are what the
/// encoding's own tools read. Brotli (RFC 7932) knows no concatenation.
pub(super) fn frames(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::Brotli)
}

/// How many bytes a frame of [`FRAME_BYTES`] has at most, compressed; `None` where all is one frame. Codecs that can't make
/// bytes fewer add a few to each block of some kilobytes.
pub(super) fn most(encoding: Encoding) -> Option<u64> {
    frames(encoding).then_some((FRAME_BYTES + FRAME_BYTES / 64 + 1_024) as u64)
}

/// Compresses frames, one after the other: bytes go in, what is ready comes out at the end of a buffer.
pub(super) enum Encoder {
    /// Its tables, a megabyte and more, are taken once for all frames.
    Zstd(Option<raw::Encoder<'static>>),
    Gzip(Option<Box<GzipEncoder<Vec<u8>>>>),
    Brotli(Option<Box<BrotliEncoder<Vec<u8>>>>),
    None,
}

/// Decompresses one frame, by steps that are bounded: a few bytes of a forged one can stand for gigabytes.
pub(super) enum FrameDecoder {
    Zstd(ZstdDecoder<Bounded>),
    Gzip(GzipDecoder<Bounded>),
    Brotli(Box<BrotliDecoder<Bounded>>),
    None,
}

/// A decoder gives out no more than this at once.
const STEP_BYTES: usize = 64 << 10;

/// What a decoder has given out in one step; it waits while this is full.
pub(super) struct Bounded(Vec<u8>);

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match bytes.len().min(STEP_BYTES - self.0.len()) {
            // Nobody is to be woken: whoever empties it asks again.
            0 if !bytes.is_empty() => Poll::Pending,
            taken => {
                self.0.extend_from_slice(&bytes[..taken]);
                Poll::Ready(Ok(taken))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Looks at the result of a write into memory, which never has to wait, and moves what is ready.
fn take(
    written: Option<std::io::Result<()>>,
    ready: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), ArtifactError> {
    match written {
        Some(Ok(())) => out.append(ready),
        Some(Err(error)) => return Err(ArtifactError::Stopped(error.to_string())),
        None => return Err(ArtifactError::Stopped("a codec waited for memory".to_owned())),
    }
    Ok(())
}

/// What is done to an encoder in the wrong order: our own mistake.
fn closed() -> ArtifactError {
    ArtifactError::Stopped("no frame was begun".to_owned())
}

fn failed(error: std::io::Error) -> ArtifactError {
    ArtifactError::Stopped(error.to_string())
}

/// Room that a step of zstd's has at least: what it needs to go on without a buffer of its own.
const ROOM_BYTES: usize = 64 << 10;

impl Encoder {
    /// Of no frame yet.
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(None),
            Encoding::Gzip => Self::Gzip(None),
            Encoding::Brotli => Self::Brotli(None),
            Encoding::None => Self::None,
        }
    }

    /// Begins a frame.
    pub(super) fn begin(&mut self) -> Result<(), ArtifactError> {
        match self {
            Self::Zstd(Some(codec)) => codec.reinit().map_err(failed)?,
            Self::Zstd(codec) => *codec = Some(raw::Encoder::new(3).map_err(failed)?),
            Self::Gzip(codec) => {
                *codec = Some(Box::new(GzipEncoder::with_quality(Vec::new(), Level::Precise(6))));
            }
            // Its default of 11 is for what is compressed once and read a million times: fifty times slower.
            Self::Brotli(codec) => {
                *codec = Some(Box::new(BrotliEncoder::with_quality(Vec::new(), Level::Precise(5))));
            }
            Self::None => {}
        }
        Ok(())
    }

    /// Takes bytes and appends to `out` what is ready.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        match self {
            Self::Zstd(codec) => {
                let (codec, mut input) = (codec.as_mut().ok_or_else(closed)?, InBuffer::around(bytes));
                while input.pos() < bytes.len() {
                    out.reserve(ROOM_BYTES);
                    let at = out.len();
                    codec.run(&mut input, &mut OutBuffer::around_pos(out, at)).map_err(failed)?;
                }
                Ok(())
            }
            Self::Gzip(codec) => {
                let codec = codec.as_mut().ok_or_else(closed)?;
                take(codec.write_all(bytes).now_or_never(), codec.get_mut(), out)
            }
            Self::Brotli(codec) => {
                let codec = codec.as_mut().ok_or_else(closed)?;
                take(codec.write_all(bytes).now_or_never(), codec.get_mut(), out)
            }
            Self::None => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Ends the frame and appends the rest of it to `out`.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        match self {
            Self::Zstd(codec) => {
                let codec = codec.as_mut().ok_or_else(closed)?;
                loop {
                    out.reserve(ROOM_BYTES);
                    let at = out.len();
                    let left = codec.finish(&mut OutBuffer::around_pos(out, at), true).map_err(failed)?;
                    if left == 0 {
                        return Ok(());
                    }
                }
            }
            Self::Gzip(codec) => {
                let mut codec = codec.take().ok_or_else(closed)?;
                take(codec.shutdown().now_or_never(), codec.get_mut(), out)
            }
            Self::Brotli(codec) => {
                let mut codec = codec.take().ok_or_else(closed)?;
                take(codec.shutdown().now_or_never(), codec.get_mut(), out)
            }
            Self::None => Ok(()),
        }
    }
}

/// The same of a step of a decoder: `None` where there is more to come out before it goes on.
fn step<T>(
    stepped: Option<std::io::Result<T>>,
    ready: &mut Bounded,
    out: &mut Vec<u8>,
) -> Result<Option<T>, ArtifactError> {
    out.append(&mut ready.0);
    stepped.transpose().map_err(|error| ArtifactError::Stopped(error.to_string()))
}

impl FrameDecoder {
    /// Takes some of the bytes and appends to `out` no more than a step's worth; answers how many it took. Call it again
    /// with the others.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ArtifactError> {
        let taken = match self {
            Self::Zstd(codec) => step(codec.write(bytes).now_or_never(), codec.get_mut(), out)?,
            Self::Gzip(codec) => step(codec.write(bytes).now_or_never(), codec.get_mut(), out)?,
            Self::Brotli(codec) => step(codec.write(bytes).now_or_never(), codec.get_mut(), out)?,
            Self::None => {
                let taken = bytes.len().min(STEP_BYTES);
                out.extend_from_slice(&bytes[..taken]);
                Some(taken)
            }
        };
        match taken {
            Some(0) if !bytes.is_empty() => {
                Err(ArtifactError::Stopped("there is more behind its end".to_owned()))
            }
            taken => Ok(taken.unwrap_or_default()),
        }
    }

    /// Ends the frame and appends to `out` no more than a step's worth of its rest; call it again until it answers `true`. An
    /// error where what came in was cut short.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, ArtifactError> {
        let ended = match self {
            Self::Zstd(codec) => step(codec.shutdown().now_or_never(), codec.get_mut(), out)?,
            Self::Gzip(codec) => step(codec.shutdown().now_or_never(), codec.get_mut(), out)?,
            Self::Brotli(codec) => step(codec.shutdown().now_or_never(), codec.get_mut(), out)?,
            Self::None => Some(()),
        };
        Ok(ended.is_some())
    }

    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(ZstdDecoder::new(Bounded(Vec::new()))),
            Encoding::Gzip => Self::Gzip(GzipDecoder::new(Bounded(Vec::new()))),
            Encoding::Brotli => Self::Brotli(Box::new(BrotliDecoder::new(Bounded(Vec::new())))),
            Encoding::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took_and_notices_a_cut() {
        let text: Vec<u8> = (0..100_000_u64).flat_map(|n| (n * n % 251).to_le_bytes()).collect();
        for encoding in Encoding::ALL {
            let (mut stored, mut encoder) = (Vec::new(), Encoder::new(encoding));
            encoder.begin().unwrap();
            for chunk in text.chunks(777) {
                encoder.write(chunk, &mut stored).unwrap();
            }
            encoder.finish(&mut stored).unwrap();
            let decode = |stored: &[u8]| {
                let (mut plain, mut decoder) = (Vec::new(), FrameDecoder::new(encoding));
                for mut piece in stored.chunks(1_000) {
                    while !piece.is_empty() {
                        piece = &piece[decoder.write(piece, &mut plain)?..];
                    }
                }
                while !decoder.finish(&mut plain)? {}
                Ok::<_, ArtifactError>(plain)
            };
            assert!(decode(&stored).unwrap() == text, "{encoding}");
            if encoding != Encoding::None {
                assert!(stored.len() < text.len(), "{encoding}");
                assert!(decode(&stored[..stored.len() / 2]).is_err(), "{encoding}");
            }
        }
    }

    #[test]
    fn a_few_bytes_that_stand_for_many_come_out_by_bounded_steps() {
        let plain = vec![0; 40 << 20];
        for encoding in [Encoding::Zstd, Encoding::Gzip, Encoding::Brotli] {
            let (mut stored, mut encoder) = (Vec::new(), Encoder::new(encoding));
            encoder.begin().unwrap();
            encoder.write(&plain, &mut stored).unwrap();
            encoder.finish(&mut stored).unwrap();
            let (mut rest, mut decoder, mut all) = (&stored[..], FrameDecoder::new(encoding), 0);
            let mut is_over = false;
            while !is_over {
                let mut out = Vec::new();
                match rest.is_empty() {
                    false => rest = &rest[decoder.write(rest, &mut out).unwrap()..],
                    true => is_over = decoder.finish(&mut out).unwrap(),
                }
                assert!(out.len() <= STEP_BYTES, "{encoding}");
                all += out.len();
            }
            assert_eq!(all, plain.len(), "{encoding}");
        }
    }

    #[test]
    fn a_frame_is_the_same_whatever_was_compressed_before_it_and_no_longer_than_it_may_be() {
        let random = |seed: u64| {
            let mut state = seed;
            let next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as u8
            };
            std::iter::repeat_with(next).take(FRAME_BYTES).collect::<Vec<u8>>()
        };
        let words: Vec<u8> = random(5).iter().map(|byte| b"etaoin shrdlu"[*byte as usize % 13]).collect();
        for encoding in Encoding::ALL {
            let made = |encoder: &mut Encoder, plain: &[u8]| {
                let mut out = Vec::new();
                encoder.begin().unwrap();
                plain.chunks(8 << 10).for_each(|chunk| encoder.write(chunk, &mut out).unwrap());
                encoder.finish(&mut out).unwrap();
                out
            };
            let mut one = Encoder::new(encoding);
            for plain in [&random(1)[..], &words, &random(2), &words[..1_000], &words] {
                let frame = made(&mut one, plain);
                assert!(frame == made(&mut Encoder::new(encoding), plain), "{encoding}");
                assert!(most(encoding).is_none_or(|most| frame.len() as u64 <= most), "{encoding}");
            }
        }
    }
}
