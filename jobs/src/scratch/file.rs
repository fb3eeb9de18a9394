//! A whole file in scratch: written once from its beginning to its end, then read from any place, by as many as like to.
//! Nobody but this process can read it, and a change of it is noticed.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::Arc,
};

use presswork::security::seal::{Preamble, SEGMENT_BYTES, Sealer};

use super::{Scratch, sealed::SEALED_BYTES};

/// How many bytes wait until they are written.
const WRITE_BYTES: usize = 4 * SEALED_BYTES;

/// A file that is being written.
pub(crate) struct SealedWriter {
    scratch: Scratch,
    path: PathBuf,
    file: File,
    sealer: Sealer,
    preamble: Preamble,
    /// What is sealed and not yet written.
    sealed: Vec<u8>,
    bytes: u64,
}

impl fmt::Debug for SealedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedWriter").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Scratch {
    /// Begins a file in its folder, under a name of its own. Blocks.
    pub(crate) fn create(&self) -> io::Result<SealedWriter> {
        let folder = self.folder().ok_or_else(|| io::Error::other("scratch without a folder"))?;
        let (number, sealer, preamble) = self.begin()?;
        let path = folder.join(number.to_string());
        let file = File::create_new(&path)?;
        let scratch = self.clone();
        Ok(SealedWriter { scratch, path, file, sealer, preamble, sealed: Vec::new(), bytes: 0 })
    }
}

impl SealedWriter {
    /// Begins again: what was written is gone. Blocks.
    pub(crate) fn anew(&mut self) -> io::Result<()> {
        // What was sealed once is not sealed in other words by the same salt.
        let (_, sealer, preamble) = self.scratch.begin()?;
        (self.sealer, self.preamble, self.bytes) = (sealer, preamble, 0);
        self.sealed.clear();
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Ends it. Blocks.
    pub(crate) fn finish(mut self) -> io::Result<SealedFile> {
        self.sealer.finish(&mut self.sealed).map_err(io::Error::other)?;
        self.file.write_all(&self.sealed)?;
        let Self { scratch, path, preamble, bytes, .. } = self;
        Ok(SealedFile(Arc::new(Written { scratch, path, preamble, bytes })))
    }
}

impl Write for SealedWriter {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let plain = &plain[..plain.len().min(WRITE_BYTES)];
        self.sealer.write(plain, &mut self.sealed).map_err(io::Error::other)?;
        self.bytes += plain.len() as u64;
        if self.sealed.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(plain.len())
    }

    /// Less than a segment waits for more in any case.
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.sealed)?;
        self.sealed.clear();
        Ok(())
    }
}

/// A file that was written, and what opens it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SealedFile(Arc<Written>);

struct Written {
    scratch: Scratch,
    path: PathBuf,
    preamble: Preamble,
    bytes: u64,
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFile").field("path", &self.0.path).field("bytes", &self.0.bytes).finish()
    }
}

impl SealedFile {
    /// Opens it at its beginning. Blocks.
    pub(crate) fn open(&self) -> io::Result<SealedReader> {
        let (file, of) = (File::open(&self.0.path)?, self.clone());
        Ok(SealedReader { of, file, at: 0, opened: None, plain: Vec::new(), sealed: Vec::new() })
    }

    /// Where more can be put aside that belongs to it.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.0.scratch
    }
}

/// Reads a file from any place. It holds one segment.
pub(crate) struct SealedReader {
    of: SealedFile,
    file: File,
    at: u64,
    /// Which segment `plain` is.
    opened: Option<u64>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl fmt::Debug for SealedReader {
    /// Without the plain bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReader").field("of", &self.of).field("at", &self.at).finish_non_exhaustive()
    }
}

impl SealedReader {
    fn open_segment(&mut self, segment: u64) -> io::Result<()> {
        let Written { scratch, preamble, bytes, .. } = &*self.of.0;
        self.opened = None;
        self.plain.clear();
        let plain = (bytes - segment * SEGMENT_BYTES as u64).min(SEGMENT_BYTES as u64) as usize;
        self.sealed.resize(SEALED_BYTES - SEGMENT_BYTES + plain, 0);
        self.file.seek(SeekFrom::Start(segment * SEALED_BYTES as u64))?;
        self.file.read_exact(&mut self.sealed)?;
        let mut opener = scratch.open(preamble, segment)?;
        opener.write(&self.sealed, &mut self.plain).map_err(io::Error::other)?;
        if plain < SEGMENT_BYTES {
            opener.finish(&mut self.plain).map_err(io::Error::other)?;
        }
        self.opened = Some(segment);
        Ok(())
    }
}

impl Read for SealedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.of.0.bytes || into.is_empty() {
            return Ok(0);
        }
        let (segment, within) = (self.at / SEGMENT_BYTES as u64, (self.at % SEGMENT_BYTES as u64) as usize);
        if self.opened != Some(segment) {
            self.open_segment(segment)?;
        }
        let there = self.plain.get(within..).unwrap_or_default();
        let most = there.len().min(into.len());
        into[..most].copy_from_slice(&there[..most]);
        self.at += most as u64;
        Ok(most)
    }
}

impl Seek for SealedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.of.0.bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the file's beginning");
        self.at = place.ok_or_else(outside)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use presswork::domain::SeededRandom;

    use super::*;

    fn written(bytes: &[u8], pieces: usize) -> (tempfile::TempDir, SealedFile) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Scratch::within(folder.path(), &SeededRandom::new(1)).create().unwrap();
        writer.write_all(&[7; 99_999]).unwrap();
        writer.anew().unwrap();
        bytes.chunks(pieces).for_each(|piece| writer.write_all(piece).unwrap());
        let file = writer.finish().unwrap();
        (folder, file)
    }

    #[test]
    fn a_file_is_read_from_any_place_whatever_its_length() {
        let all: Vec<u8> = (0..100_000_u32).flat_map(|n| (n * 7).to_le_bytes()).collect();
        for length in [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 5 * SEGMENT_BYTES, 299_999]
        {
            let (_folder, file) = written(&all[..length], 999);
            let (mut one, mut two) = (file.open().unwrap(), file.open().unwrap());
            assert_eq!(one.seek(SeekFrom::End(0)).unwrap(), length as u64);
            for at in [0, length / 2, length.saturating_sub(3), length, length + 7] {
                assert_eq!(one.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
                let mut rest = Vec::new();
                one.read_to_end(&mut rest).unwrap();
                assert!(rest == all[at.min(length)..length], "{length} bytes from {at}");
            }
            assert!(one.seek(SeekFrom::End(-1 - length as i64)).is_err());
            let mut whole = Vec::new();
            two.read_to_end(&mut whole).unwrap();
            assert!(whole == all[..length]);
        }
    }

    #[test]
    fn what_lies_there_can_not_be_read_and_a_change_or_a_cut_is_noticed() {
        let text = b"all the tenant's words, ".repeat(3_000);
        let (folder, file) = written(&text, 4_096);
        let path = folder.path().join("0");
        let mut lies = std::fs::read(&path).unwrap();
        assert!(lies.windows(6).all(|bytes| bytes != b"tenant"));
        assert!(!format!("{file:?}{:?}", file.open().unwrap()).contains("words"));
        let read = || file.open().unwrap().read_to_end(&mut Vec::new());
        assert_eq!(read().unwrap(), text.len());
        std::fs::write(&path, &lies[..lies.len() - 1]).unwrap();
        assert!(read().is_err());
        *lies.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &lies).unwrap();
        assert!(read().is_err());
    }
}
