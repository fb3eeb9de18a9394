//! A ZIP archive as a stream: nothing is sought, so sizes of deflated entries follow them in data descriptors
//! (APPNOTE 6.3.10 §4.3.9). Times are fixed, so the same entries give the same bytes.
//!
//! The central directory, 46 bytes and the name an entry, is put aside until the end. The 64-bit forms are used where sizes,
//! offsets or the number of entries ask for them; whether a descriptor is 64-bit must be known before its entry.

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::{Compression, write::DeflateEncoder};

use crate::scratch::{Scratch, Spool};

mod held;

pub(super) use held::Held;

/// 1980-01-01, the earliest that the format can say.
const DATE: u16 = 0x21;
/// What stands in a 32-bit field whose value is in the 64-bit extra field.
const IN_EXTRA: u32 = u32::MAX;
/// General purpose flags: sizes follow the data; names are UTF-8.
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// How an entry's data are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Compressed.
    Deflate,
    /// In deflate's blocks of plain bytes: for data that can't be made smaller and are too many to be held.
    Plain,
}

/// An archive that is being written. Every method must get the same `out`.
pub(super) struct Zip {
    offset: u64,
    entries: u64,
    directory: Spool,
    encoder: DeflateEncoder<Vec<u8>>,
    open: Option<Open>,
}

/// The entry that is being written.
struct Open {
    name: String,
    method: Method,
    is_large: bool,
    begin: u64,
    crc: Hasher,
    size: u64,
    compressed: u64,
}

impl Zip {
    /// An empty archive.
    pub(super) fn new(scratch: &Scratch) -> Self {
        let encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        Self { offset: 0, entries: 0, directory: Spool::new(scratch), encoder, open: None }
    }

    /// Writes a whole entry as it is, its size and CRC in front.
    pub(super) fn stored(&mut self, out: &mut dyn Write, name: &str, data: &[u8]) -> io::Result<()> {
        let (crc, size, begin) = (crc32fast::hash(data), data.len() as u64, self.offset);
        let size32 = u32::try_from(size).map_err(|_| io::Error::other("a stored entry above 4 GiB"))?;
        let flags = utf8_flag(name);
        self.put(out, &local_header(name, 20, flags, 0, crc, size32, &[]))?;
        self.put(out, data)?;
        self.list(name, flags, 0, crc, (size, size), begin)
    }

    /// Begins an entry. `is_large` where it may grow to 4 GiB.
    pub(super) fn begin(
        &mut self,
        out: &mut dyn Write,
        name: &str,
        method: Method,
        is_large: bool,
    ) -> io::Result<()> {
        let begin = self.offset;
        let flags = DESCRIPTOR | utf8_flag(name);
        let header = if is_large {
            // Both sizes, unknown yet, in the ZIP64 extra field.
            let extra = [&[1, 0, 16, 0][..], &[0; 16]].concat();
            local_header(name, 45, flags, 8, 0, IN_EXTRA, &extra)
        } else {
            local_header(name, 20, flags, 8, 0, 0, &[])
        };
        self.put(out, &header)?;
        let (name, crc) = (name.to_owned(), Hasher::new());
        self.open = Some(Open { name, method, is_large, begin, crc, size: 0, compressed: 0 });
        Ok(())
    }

    /// Adds to the open entry.
    pub(super) fn write(&mut self, out: &mut dyn Write, data: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("no entry is open")) };
        open.crc.update(data);
        open.size += data.len() as u64;
        match open.method {
            Method::Deflate => {
                self.encoder.write_all(data)?;
                self.drain(out)
            }
            Method::Plain => {
                for block in data.chunks(usize::from(u16::MAX)) {
                    self.plain_block(out, block, false)?;
                }
                Ok(())
            }
        }
    }

    /// Ends the open entry.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.open.as_ref().map(|open| open.method) {
            Some(Method::Deflate) => {
                self.encoder.try_finish()?;
                self.drain(out)?;
                self.encoder.reset(Vec::new())?;
            }
            Some(Method::Plain) => self.plain_block(out, &[], true)?,
            None => {}
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        let crc = open.crc.finalize();
        let mut descriptor = Vec::with_capacity(24);
        descriptor.extend(0x0807_4b50_u32.to_le_bytes());
        descriptor.extend(crc.to_le_bytes());
        for size in [open.compressed, open.size] {
            if open.is_large {
                descriptor.extend(size.to_le_bytes());
            } else {
                let size = u32::try_from(size)
                    .map_err(|_| io::Error::other(format!("{} is above 4 GiB", open.name)))?;
                descriptor.extend(size.to_le_bytes());
            }
        }
        self.put(out, &descriptor)?;
        let flags = DESCRIPTOR | utf8_flag(&open.name);
        self.list(&open.name, flags, 8, crc, (open.compressed, open.size), open.begin)
    }

    /// Writes the central directory; the archive is whole then.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let directory = std::mem::take(&mut self.directory);
        let (begin, size) = (self.offset, directory.len());
        directory.drain(|piece| self.put(out, piece))?;
        let mut end = Vec::new();
        if self.entries >= u64::from(u16::MAX) || begin >= u64::from(IN_EXTRA) || size >= u64::from(IN_EXTRA)
        {
            let at = self.offset;
            end.extend(0x0606_4b50_u32.to_le_bytes());
            end.extend(44_u64.to_le_bytes());
            end.extend([45, 3, 45, 0]);
            end.extend([0; 8]);
            for number in [self.entries, self.entries, size, begin] {
                end.extend(number.to_le_bytes());
            }
            end.extend(0x0706_4b50_u32.to_le_bytes());
            end.extend([0; 4]);
            end.extend(at.to_le_bytes());
            end.extend(1_u32.to_le_bytes());
        }
        end.extend(0x0605_4b50_u32.to_le_bytes());
        end.extend([0; 4]);
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX).to_le_bytes();
        end.extend(entries);
        end.extend(entries);
        end.extend(capped(size).to_le_bytes());
        end.extend(capped(begin).to_le_bytes());
        end.extend([0; 2]);
        self.put(out, &end)
    }

    /// Adds an entry to the central directory.
    fn list(
        &mut self,
        name: &str,
        flags: u16,
        method: u16,
        crc: u32,
        sizes: (u64, u64),
        begin: u64,
    ) -> io::Result<()> {
        let (compressed, size) = sizes;
        let mut extra = Vec::new();
        for number in [size, compressed, begin] {
            if number >= u64::from(IN_EXTRA) {
                extra.extend(number.to_le_bytes());
            }
        }
        let version: u16 = if extra.is_empty() { 20 } else { 45 };
        if !extra.is_empty() {
            let length = (extra.len() as u16).to_le_bytes();
            extra.splice(0..0, [1, 0, length[0], length[1]]);
        }
        let mut directory = Vec::with_capacity(46 + name.len() + extra.len());
        directory.extend(0x0201_4b50_u32.to_le_bytes());
        // Made on Unix, so that the attributes below are a file's mode.
        for number in [3 << 8 | version, version, flags, method, 0, DATE] {
            directory.extend(number.to_le_bytes());
        }
        for number in [crc, capped(compressed), capped(size)] {
            directory.extend(number.to_le_bytes());
        }
        for number in [name.len() as u16, extra.len() as u16, 0, 0, 0] {
            directory.extend(number.to_le_bytes());
        }
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(capped(begin).to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(extra);
        self.entries += 1;
        self.directory.push(&directory)
    }

    fn put(&mut self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        out.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn put_data(&mut self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        self.put(out, bytes)?;
        if let Some(open) = &mut self.open {
            open.compressed += bytes.len() as u64;
        }
        Ok(())
    }

    /// Passes on what the encoder has ready.
    fn drain(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut ready = std::mem::take(self.encoder.get_mut());
        self.put_data(out, &ready)?;
        ready.clear();
        *self.encoder.get_mut() = ready;
        Ok(())
    }

    /// A block of plain bytes (RFC 1951 §3.2.4).
    fn plain_block(&mut self, out: &mut dyn Write, data: &[u8], is_last: bool) -> io::Result<()> {
        let length = data.len() as u16;
        let ([a, b], [c, d]) = (length.to_le_bytes(), (!length).to_le_bytes());
        self.put_data(out, &[u8::from(is_last), a, b, c, d])?;
        self.put_data(out, data)
    }
}

fn capped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_EXTRA)
}

fn utf8_flag(name: &str) -> u16 {
    if name.is_ascii() { 0 } else { UTF8 }
}

fn local_header(
    name: &str,
    version: u16,
    flags: u16,
    method: u16,
    crc: u32,
    size: u32,
    extra: &[u8],
) -> Vec<u8> {
    let mut header = Vec::with_capacity(30 + name.len() + extra.len());
    header.extend(0x0403_4b50_u32.to_le_bytes());
    for number in [version, flags, method, 0, DATE] {
        header.extend(number.to_le_bytes());
    }
    for number in [crc, size, size] {
        header.extend(number.to_le_bytes());
    }
    for number in [name.len() as u16, extra.len() as u16] {
        header.extend(number.to_le_bytes());
    }
    header.extend(name.as_bytes());
    header.extend(extra);
    header
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    fn read(bytes: Vec<u8>, names: &[&str]) -> Vec<Vec<u8>> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), names.len());
        // Reading to the end checks each CRC.
        let read = |name: &&str| {
            let mut data = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut data).map(|_| data).unwrap()
        };
        names.iter().map(read).collect()
    }

    #[test]
    fn entries_of_every_kind_are_read_back() {
        let (mut zip, mut out) = (Zip::new(&Scratch::default()), Vec::new());
        zip.stored(&mut out, "mimetype", b"application/epub+zip").unwrap();
        let long: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for (name, method, is_large) in [
            ("a", Method::Deflate, false),
            ("ü", Method::Deflate, true),
            ("p", Method::Plain, false),
            ("q", Method::Plain, true),
        ] {
            zip.begin(&mut out, name, method, is_large).unwrap();
            for piece in long.chunks(70_001) {
                zip.write(&mut out, piece).unwrap();
            }
            zip.end(&mut out).unwrap();
        }
        zip.begin(&mut out, "empty", Method::Deflate, false).unwrap();
        zip.end(&mut out).unwrap();
        zip.finish(&mut out).unwrap();
        assert_eq!(&out[30..58], b"mimetypeapplication/epub+zip");
        let files = read(out, &["mimetype", "a", "ü", "p", "q", "empty"]);
        assert!(files[1..5].iter().all(|file| *file == long));
        assert!(files[5].is_empty());
    }

    #[test]
    fn more_entries_than_sixteen_bits_count_are_read_back() {
        let (mut zip, mut out) = (Zip::new(&Scratch::default()), Vec::new());
        for entry in 0..65_600 {
            zip.stored(&mut out, &entry.to_string(), b"x").unwrap();
        }
        zip.finish(&mut out).unwrap();
        assert_eq!(zip::ZipArchive::new(Cursor::new(out)).unwrap().len(), 65_600);
    }

    #[test]
    fn offsets_beyond_four_gibibytes_stand_in_the_extra_field() {
        let (mut zip, mut out) = (Zip::new(&Scratch::default()), Vec::new());
        zip.offset = 5 << 30;
        zip.stored(&mut out, "far", b"x").unwrap();
        let mut directory = vec![0; 61];
        zip.directory.read(0, &mut directory).unwrap();
        assert_eq!(directory[42..46], IN_EXTRA.to_le_bytes());
        assert_eq!(directory[49..61], [&[1, 0, 8, 0][..], &(5_u64 << 30).to_le_bytes()].concat());
        zip.finish(&mut out).unwrap();
        assert!(out.windows(4).any(|four| four == 0x0606_4b50_u32.to_le_bytes()));
    }
}
