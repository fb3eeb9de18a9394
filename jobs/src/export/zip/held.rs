//! An entry that grows, compressed and put aside, while another one is being written: what a format can only say after
//! it.

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::{Compression, write::DeflateEncoder};

use super::{Zip, local_header, utf8_flag};
use crate::scratch::{Scratch, Spool};

/// Compressed bytes are put aside in pieces of this size.
const PIECE_BYTES: usize = 16 << 10;
/// Plain bytes that an entry has at most, as its sizes are of 32 bits.
const MOST_PLAIN_BYTES: u64 = 2 << 30;

/// The entry.
pub(in crate::export) struct Held {
    encoder: DeflateEncoder<Vec<u8>>,
    pieces: Spool,
    crc: Hasher,
    size: u64,
    most_bytes: u64,
}

impl Held {
    /// An empty entry, which [is full](Self::is_full) at so many compressed bytes.
    pub(in crate::export) fn new(most_bytes: usize, scratch: &Scratch) -> Self {
        let encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        let (pieces, most_bytes) = (Spool::new(scratch), most_bytes as u64);
        Self { encoder, pieces, crc: Hasher::new(), size: 0, most_bytes }
    }

    /// Adds to it, full or not.
    pub(in crate::export) fn write(&mut self, text: &str) -> io::Result<()> {
        self.crc.update(text.as_bytes());
        self.size += text.len() as u64;
        self.encoder.write_all(text.as_bytes())?;
        if self.encoder.get_ref().len() >= PIECE_BYTES {
            self.pieces.push(self.encoder.get_ref())?;
            self.encoder.get_mut().clear();
        }
        Ok(())
    }

    /// Whether it has what it may have; its end may still be written.
    pub(in crate::export) fn is_full(&self) -> bool {
        let bytes = self.pieces.len() + self.encoder.get_ref().len() as u64;
        bytes >= self.most_bytes || self.size >= MOST_PLAIN_BYTES
    }
}

impl Zip {
    /// Writes a held entry, its sizes and CRC in front.
    pub(in crate::export) fn held(&mut self, out: &mut dyn Write, name: &str, held: Held) -> io::Result<()> {
        let Held { encoder, mut pieces, crc, size, .. } = held;
        pieces.push(&encoder.finish()?)?;
        let (crc, begin, flags) = (crc.finalize(), self.offset, utf8_flag(name));
        let compressed = pieces.len();
        let narrow =
            |size: u64| u32::try_from(size).map_err(|_| io::Error::other(format!("{name} is above 4 GiB")));
        let mut header = local_header(name, 20, flags, 8, crc, narrow(size)?, &[]);
        header[18..22].copy_from_slice(&narrow(compressed)?.to_le_bytes());
        self.put(out, &header)?;
        pieces.drain(|piece| self.put(out, piece))?;
        self.list(name, flags, 8, crc, (compressed, size), begin)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;
    use crate::export::zip::Method;

    #[test]
    fn an_entry_grows_while_another_is_written() {
        let (scratch, mut out) = (Scratch::default(), Vec::new());
        let (mut zip, mut held) = (Zip::new(&scratch), Held::new(100_000, &scratch));
        zip.begin(&mut out, "first", Method::Deflate, false).unwrap();
        let mut expected = String::new();
        for number in 0_u32..100_000 {
            zip.write(&mut out, b"x").unwrap();
            let line = format!("{}\n", number.wrapping_mul(2_654_435_761));
            held.write(&line).unwrap();
            expected.push_str(&line);
        }
        assert!(held.is_full() && held.pieces.len() > 1 && !Held::new(1, &scratch).is_full());
        zip.end(&mut out).unwrap();
        zip.held(&mut out, "second", held).unwrap();
        zip.held(&mut out, "empty", Held::new(1, &scratch)).unwrap();
        zip.finish(&mut out).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(out)).unwrap();
        for (name, content) in
            [("first", "x".repeat(100_000)), ("second", expected), ("empty", String::new())]
        {
            let mut read = String::new();
            // Reading to the end checks the CRC.
            archive.by_name(name).unwrap().read_to_string(&mut read).unwrap();
            assert!(read == content, "{name}");
        }
    }
}
