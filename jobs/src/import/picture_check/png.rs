//! PNG (<https://www.w3.org/TR/png-3/>): chunks, each with its checksum. What is in `IDAT` is not inflated.

use crc32fast::Hasher;

use super::{Ask, Walk};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// How many bytes the walk begins with.
pub(super) const FIRST: usize = SIGNATURE.len();
/// A chunk's length and kind.
const CHUNK_HEAD: usize = 8;
const HEADER: usize = 13;
const CHECKSUM: usize = 4;
/// Lengths and sizes are no larger.
const MOST: u32 = 0x7fff_ffff;

/// What is asked for.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Signature,
    ChunkHead,
    Header,
    Data,
    Checksum,
}

/// The walk through a PNG.
#[derive(Default)]
pub(super) struct Png {
    place: Place,
    kind: [u8; 4],
    checksum: Hasher,
    has_header: bool,
    has_data: bool,
}

impl Png {
    fn ask(&mut self, place: Place, bytes: usize) -> Ask {
        self.place = place;
        Ask::Bytes(bytes)
    }

    fn chunk(&mut self, head: &[u8]) -> Ask {
        let &[a, b, c, d, ref kind @ ..] = head else { return Ask::End(false) };
        let Ok(kind) = <[u8; 4]>::try_from(kind) else { return Ask::End(false) };
        let length = u32::from_be_bytes([a, b, c, d]);
        self.kind = kind;
        self.checksum.update(&kind);
        let is_header = &kind == b"IHDR";
        // The header comes first and once.
        if is_header == self.has_header || length > MOST {
            return Ask::End(false);
        }
        if is_header {
            self.has_header = true;
            return if length as usize == HEADER { self.ask(Place::Header, HEADER) } else { Ask::End(false) };
        }
        self.has_data |= &kind == b"IDAT" && length > 0;
        self.place = Place::Data;
        Ask::Pass(u64::from(length))
    }
}

impl Walk for Png {
    fn step(&mut self, bytes: &[u8]) -> Ask {
        match self.place {
            Place::Signature if *bytes == SIGNATURE => self.ask(Place::ChunkHead, CHUNK_HEAD),
            Place::Signature => Ask::End(false),
            Place::ChunkHead => self.chunk(bytes),
            Place::Header if is_sane(bytes) => {
                self.checksum.update(bytes);
                self.ask(Place::Checksum, CHECKSUM)
            }
            Place::Header => Ask::End(false),
            Place::Data => self.ask(Place::Checksum, CHECKSUM),
            Place::Checksum => {
                let checksum = std::mem::take(&mut self.checksum).finalize();
                if *bytes != checksum.to_be_bytes() {
                    Ask::End(false)
                } else if &self.kind == b"IEND" {
                    Ask::End(self.has_data)
                } else {
                    self.ask(Place::ChunkHead, CHUNK_HEAD)
                }
            }
        }
    }

    fn passing(&mut self, piece: &[u8]) {
        self.checksum.update(piece);
    }
}

/// Whether a header says what a picture can be.
fn is_sane(header: &[u8]) -> bool {
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, compression, filter, interlace] = header else {
        return false;
    };
    let is_size = |size: [u8; 4]| (1..=MOST).contains(&u32::from_be_bytes(size));
    let is_depth = match colour {
        0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
        3 => matches!(depth, 1 | 2 | 4 | 8),
        2 | 4 | 6 => matches!(depth, 8 | 16),
        _ => false,
    };
    is_size([w0, w1, w2, w3])
        && is_size([h0, h1, h2, h3])
        && is_depth
        && compression == 0
        && filter == 0
        && interlace <= 1
}
