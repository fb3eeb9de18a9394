//! Compression of single frames, in memory, by async-compression. Runs on blocking threads only.

use async_compression::{
    Level,
    tokio::write::{BrotliDecoder, BrotliEncoder, GzipDecoder, GzipEncoder, ZstdDecoder, ZstdEncoder},
};
use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use super::error::ArtifactError;
use crate::domain::Encoding;

/// Whether an encoding's output may be cut into frames that decode one by one and still, put together, are what the
/// encoding's own tools read. Brotli (RFC 7932) knows no concatenation.
pub(super) fn frames(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::Brotli)
}

/// Compresses one frame.
pub(super) enum FrameEncoder {
    Zstd(ZstdEncoder<Vec<u8>>),
    Gzip(GzipEncoder<Vec<u8>>),
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    None(Vec<u8>),
}

/// Decompresses one frame.
pub(super) enum FrameDecoder {
    Zstd(ZstdDecoder<Vec<u8>>),
    Gzip(GzipDecoder<Vec<u8>>),
    Brotli(Box<BrotliDecoder<Vec<u8>>>),
    None(Vec<u8>),
}

/// Does the same with whichever variant it is: `$inner` is the codec, or the plain buffer.
macro_rules! each {
    ($self:expr, $codec:ident => $work:expr, $plain:ident => $without:expr) => {
        match $self {
            Self::Zstd($codec) => $work,
            Self::Gzip($codec) => $work,
            Self::Brotli($codec) => $work,
            Self::None($plain) => $without,
        }
    };
}

/// The result of a write into memory, which never has to wait.
fn at_once(written: Option<std::io::Result<()>>) -> Result<(), ArtifactError> {
    match written {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(ArtifactError::Stopped(error.to_string())),
        None => Err(ArtifactError::Stopped("a codec waited for memory".to_owned())),
    }
}

impl FrameEncoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(ZstdEncoder::with_quality(Vec::new(), Level::Precise(3))),
            Encoding::Gzip => Self::Gzip(GzipEncoder::with_quality(Vec::new(), Level::Precise(6))),
            // Its default of 11 is for what is compressed once and read a million times: fifty times slower.
            Encoding::Brotli => {
                Self::Brotli(Box::new(BrotliEncoder::with_quality(Vec::new(), Level::Precise(5))))
            }
            Encoding::None => Self::None(Vec::new()),
        }
    }

    /// Takes plain bytes and appends to `out` what is ready.
    pub(super) fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        each!(self, codec => {
            at_once(codec.write_all(plain).now_or_never())?;
            out.append(codec.get_mut());
        }, _buffer => out.extend_from_slice(plain));
        Ok(())
    }

    /// Ends the frame and appends the rest of it to `out`.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        each!(&mut self, codec => {
            at_once(codec.shutdown().now_or_never())?;
            out.append(codec.get_mut());
        }, _buffer => ());
        Ok(())
    }
}

impl FrameDecoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(ZstdDecoder::new(Vec::new())),
            Encoding::Gzip => Self::Gzip(GzipDecoder::new(Vec::new())),
            Encoding::Brotli => Self::Brotli(Box::new(BrotliDecoder::new(Vec::new()))),
            Encoding::None => Self::None(Vec::new()),
        }
    }

    /// Takes stored bytes and appends to `out` what they decode to so far.
    pub(super) fn write(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        each!(self, codec => {
            at_once(codec.write_all(stored).now_or_never())?;
            out.append(codec.get_mut());
        }, _buffer => out.extend_from_slice(stored));
        Ok(())
    }

    /// Ends the frame; an error where it is cut short.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ArtifactError> {
        each!(&mut self, codec => {
            at_once(codec.shutdown().now_or_never())?;
            out.append(codec.get_mut());
        }, _buffer => ());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took_and_notices_a_cut() {
        let text: Vec<u8> = (0..100_000_u64).flat_map(|n| (n * n % 251).to_le_bytes()).collect();
        for encoding in Encoding::ALL {
            let (mut stored, mut encoder) = (Vec::new(), FrameEncoder::new(encoding));
            for chunk in text.chunks(777) {
                encoder.write(chunk, &mut stored).unwrap();
            }
            encoder.finish(&mut stored).unwrap();
            let decode = |stored: &[u8]| {
                let (mut plain, mut decoder) = (Vec::new(), FrameDecoder::new(encoding));
                for piece in stored.chunks(1_000) {
                    decoder.write(piece, &mut plain)?;
                }
                decoder.finish(&mut plain).map(|()| plain)
            };
            assert!(decode(&stored).unwrap() == text, "{encoding}");
            if encoding != Encoding::None {
                assert!(stored.len() < text.len(), "{encoding}");
                assert!(decode(&stored[..stored.len() / 2]).is_err(), "{encoding}");
            }
        }
    }
}
