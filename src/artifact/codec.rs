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

/// An encoding's codec over memory: bytes go in, what is ready comes out at the end of a buffer.
macro_rules! frame_codec {
    ($(#[$doc:meta])* $name:ident, $zstd:ident, $gzip:ident, $brotli:ident) => {
        $(#[$doc])*
        pub(super) enum $name {
            Zstd($zstd<Vec<u8>>),
            Gzip($gzip<Vec<u8>>),
            Brotli(Box<$brotli<Vec<u8>>>),
            None,
        }

        impl $name {
            /// Takes bytes and appends to `out` what is ready.
            pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ArtifactError> {
                match self {
                    Self::Zstd(codec) => take(codec.write_all(bytes).now_or_never(), codec.get_mut(), out),
                    Self::Gzip(codec) => take(codec.write_all(bytes).now_or_never(), codec.get_mut(), out),
                    Self::Brotli(codec) => take(codec.write_all(bytes).now_or_never(), codec.get_mut(), out),
                    Self::None => {
                        out.extend_from_slice(bytes);
                        Ok(())
                    }
                }
            }

            /// Ends the frame and appends the rest of it to `out`; an error where what came in was cut short.
            pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ArtifactError> {
                match &mut self {
                    Self::Zstd(codec) => take(codec.shutdown().now_or_never(), codec.get_mut(), out),
                    Self::Gzip(codec) => take(codec.shutdown().now_or_never(), codec.get_mut(), out),
                    Self::Brotli(codec) => take(codec.shutdown().now_or_never(), codec.get_mut(), out),
                    Self::None => Ok(()),
                }
            }
        }
    };
}

frame_codec!(
    /// Compresses one frame.
    FrameEncoder,
    ZstdEncoder,
    GzipEncoder,
    BrotliEncoder
);
frame_codec!(
    /// Decompresses one frame.
    FrameDecoder,
    ZstdDecoder,
    GzipDecoder,
    BrotliDecoder
);

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

impl FrameEncoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(ZstdEncoder::with_quality(Vec::new(), Level::Precise(3))),
            Encoding::Gzip => Self::Gzip(GzipEncoder::with_quality(Vec::new(), Level::Precise(6))),
            // Its default of 11 is for what is compressed once and read a million times: fifty times slower.
            Encoding::Brotli => {
                Self::Brotli(Box::new(BrotliEncoder::with_quality(Vec::new(), Level::Precise(5))))
            }
            Encoding::None => Self::None,
        }
    }
}

impl FrameDecoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Zstd => Self::Zstd(ZstdDecoder::new(Vec::new())),
            Encoding::Gzip => Self::Gzip(GzipDecoder::new(Vec::new())),
            Encoding::Brotli => Self::Brotli(Box::new(BrotliDecoder::new(Vec::new()))),
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
