//! Bytes put aside until a file's end: a little of them in memory, the rest sealed on the disk of the machine. What grows with
//! a book's chapters goes here, so that memory does not. Must not know: what the bytes mean.

use std::io;

use presswork::security::seal::SEGMENT_BYTES;

use super::{Scratch, sealed::Segments};

/// Bytes that wait in memory before they go to the disk.
const MOST_HELD_BYTES: usize = 64 << 10;

/// Bytes in the order in which they were put aside.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    scratch: Scratch,
    /// What was put aside first.
    file: Option<Segments>,
    held: Vec<u8>,
}

impl Spool {
    /// Nothing yet.
    pub(crate) fn new(scratch: &Scratch) -> Self {
        Self { scratch: scratch.clone(), file: None, held: Vec::new() }
    }

    fn in_file(&self) -> u64 {
        self.file.as_ref().map_or(0, Segments::bytes)
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.in_file() + self.held.len() as u64
    }

    /// Puts more aside.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() < MOST_HELD_BYTES {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.scratch.file()?),
        };
        let filed = file.push(&self.held)?;
        self.held.drain(..filed);
        Ok(())
    }

    /// Fills `out` with what stands at a place.
    pub(crate) fn read(&mut self, mut at: u64, mut out: &mut [u8]) -> io::Result<()> {
        let in_file = self.in_file();
        while let (Some(file), false) = (&mut self.file, out.is_empty() || at >= in_file) {
            let (segment, within) = (at / SEGMENT_BYTES as u64, (at % SEGMENT_BYTES as u64) as usize);
            let there = &file.segment(segment)?[within..];
            let (now, later) = out.split_at_mut(out.len().min(there.len()));
            now.copy_from_slice(&there[..now.len()]);
            (at, out) = (at + now.len() as u64, later);
        }
        if out.is_empty() {
            return Ok(());
        }
        let from = usize::try_from(at - in_file).map_err(io::Error::other)?;
        let held = self.held.get(from..).and_then(|held| held.get(..out.len()));
        out.copy_from_slice(held.ok_or_else(|| io::Error::other("more is read than was put aside"))?);
        Ok(())
    }

    /// Reads it from its beginning on.
    pub(crate) fn reader(&mut self) -> SpoolReader<'_> {
        SpoolReader { spool: self, at: 0 }
    }

    /// Hands everything on, in pieces.
    pub(crate) fn drain(mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            for segment in 0..file.bytes() / SEGMENT_BYTES as u64 {
                take(file.segment(segment)?)?;
            }
        }
        take(&self.held)
    }
}

impl io::Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was put aside, one byte after the other.
pub(crate) struct SpoolReader<'a> {
    spool: &'a mut Spool,
    at: u64,
}

impl io::Read for SpoolReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.spool.len() - self.at).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        self.spool.read(self.at, &mut into[..most])?;
        self.at += most as u64;
        Ok(most)
    }
}

/// Numbers by chapter: those of finished chapters, four bytes a chapter in memory.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    numbers: Spool,
    /// Where each chapter's numbers end.
    ends: Vec<u32>,
}

impl Shelves {
    /// No chapter yet.
    pub(crate) fn new(scratch: &Scratch) -> Self {
        Self { numbers: Spool::new(scratch), ends: Vec::new() }
    }

    /// How many chapters there are.
    pub(crate) fn chapters(&self) -> usize {
        self.ends.len()
    }

    /// Adds a chapter.
    pub(crate) fn add(&mut self, numbers: impl Iterator<Item = u64>) -> io::Result<()> {
        for number in numbers {
            self.numbers.push(&number.to_le_bytes())?;
        }
        let end = u32::try_from(self.numbers.len() / 8);
        self.ends.push(end.map_err(|_| io::Error::other("a book of too many anchors"))?);
        Ok(())
    }

    /// A chapter's numbers as they were added; `None` where it is none of those.
    pub(crate) fn of(&mut self, chapter: usize) -> io::Result<Option<Vec<u64>>> {
        let Some(end) = self.ends.get(chapter).copied() else { return Ok(None) };
        let begin = chapter.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut bytes = vec![0; (end - begin) as usize * 8];
        self.numbers.read(u64::from(begin) * 8, &mut bytes)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok(Some(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use presswork::domain::SeededRandom;

    use super::*;

    #[test]
    fn what_is_put_aside_is_read_back_at_every_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::within(folder.path(), &SeededRandom::new(1)));
        let all: Vec<u8> = (0..200_000_u32).flat_map(|n| (n * 7).to_le_bytes()).take(299_999).collect();
        let mut piece = vec![0; 3_000];
        for (index, bytes) in all.chunks(999).enumerate() {
            spool.push(bytes).unwrap();
            // Reading does not disturb what is put aside next.
            let at = (index * 31) % (index * 999 + bytes.len());
            let there = &all[at..(index * 999 + bytes.len()).min(at + 3_000)];
            spool.read(at as u64, &mut piece[..there.len()]).unwrap();
            assert!(piece[..there.len()] == *there);
        }
        assert!(spool.in_file() > 0 && !spool.held.is_empty());
        assert_eq!(spool.len(), all.len() as u64);
        assert!(spool.read(all.len() as u64 - 1, &mut [0; 2]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its file has no name");
        let mut read = Vec::new();
        io::Read::read_to_end(&mut spool.reader(), &mut read).unwrap();
        assert!(read == all);
        let mut back = Vec::new();
        let collect = |bytes: &[u8]| {
            back.extend_from_slice(bytes);
            Ok(())
        };
        spool.drain(collect).unwrap();
        assert!(back == all);
    }

    #[test]
    fn each_chapter_has_its_own_numbers() {
        let mut shelves = Shelves::default();
        for chapter in 0..5_000_u64 {
            shelves.add((0..chapter % 7).map(|number| chapter * 100 + number)).unwrap();
        }
        for chapter in [0, 1, 6, 2_500, 4_999] {
            let numbers: Vec<u64> = (0..chapter % 7).map(|number| chapter * 100 + number).collect();
            assert_eq!(shelves.of(chapter as usize).unwrap(), Some(numbers));
        }
        assert_eq!(shelves.of(5_000).unwrap(), None);
    }
}
