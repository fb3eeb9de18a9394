//! The ZIP archive around an EPUB or a DOCX, with its names checked and its sizes bounded: what an entry says of its size is not
//! believed, what comes out of it is counted. `names`: in what letters entries are named.

use std::{
    cell::Cell,
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
    rc::Rc,
};

use zip::ZipArchive;

use self::names::Letters;
use crate::{
    book::BookError,
    import::{
        SourceFile, SourceReader,
        pictures::{MOST_PICTURE_BYTES, own_error},
        read_error,
    },
};

mod names;

/// How many entries an archive has at most.
const MOST_ENTRIES: usize = 20_000;
/// How many bytes of an archive are read to open it: enough for the names of [`MOST_ENTRIES`], and not so much that a list
/// of millions of entries fills the memory.
const MOST_DIRECTORY_BYTES: u64 = 4 << 20;
/// How many bytes a text entry has at most: it is held whole.
const MOST_TEXT_BYTES: u64 = 16 << 20;
/// How many bytes all entries have together at most.
const MOST_TOTAL_BYTES: u64 = 2 << 30;
/// An entry that shrank more than this is a bomb, where it is larger than [`SMALL_BYTES`].
const MOST_RATIO: u64 = 200;
const SMALL_BYTES: u64 = 1 << 20;

/// An open archive.
pub(super) struct Archive {
    name: String,
    zip: ZipArchive<Opening>,
    entries: HashMap<String, usize>,
    total: u64,
}

impl Archive {
    /// Opens an archive that should be `what` (`an EPUB`) and checks every entry's name and what it says of its size.
    pub(super) fn open(source: &SourceFile, what: &str) -> Result<Self, BookError> {
        let name = source.name.clone();
        let file = source.open().map_err(read_error(&name))?;
        let left = Rc::new(Cell::new(Some(MOST_DIRECTORY_BYTES)));
        let opening = Opening { file, left: Rc::clone(&left) };
        let mut zip = ZipArchive::new(opening).map_err(|error| {
            if left.get() == Some(0) {
                return BookError::input(&name, "the archive's list of entries is larger than 4 MiB");
            }
            BookError::input(&name, format!("it isn't {what}, or it is broken: {error}"))
        })?;
        left.set(None);
        if zip.len() > MOST_ENTRIES {
            return Err(BookError::input(&name, "the archive has more than 20,000 entries"));
        }
        if zip.has_duplicate_names() {
            return Err(BookError::input(&name, "two entries of the archive have the same name"));
        }
        let mut raw = Vec::new();
        for index in 0..zip.len() {
            let named = zip.by_index_raw(index).map(|entry| entry.name_raw().to_vec());
            raw.push(named.map_err(|error| {
                let place = format!("entry {}", index + 1);
                BookError::at(&name, place, format!("the archive is broken: {error}"))
            })?);
        }
        let letters = Letters::of(raw.iter().map(Vec::as_slice));
        let mut entries = HashMap::new();
        let (mut total, mut encrypted, mut places) = (0_u64, false, Vec::new());
        for (index, raw) in raw.iter().enumerate() {
            let entry = zip.by_index_raw(index).map_err(|error| {
                BookError::at(
                    &name,
                    format!("entry {}", index + 1),
                    format!("the archive is broken: {error}"),
                )
            })?;
            let path = letters.read(raw);
            let place = format!("{name}!{path}");
            if !is_inside(&path) {
                return Err(BookError::input(place, "the entry's name leads outside of the book"));
            }
            total = total.saturating_add(entry.size());
            let bomb =
                entry.size() > SMALL_BYTES && entry.size() / MOST_RATIO > entry.compressed_size().max(1);
            if bomb || total > MOST_TOTAL_BYTES {
                return Err(BookError::input(place, "it would grow too large when unpacked: a ZIP bomb"));
            }
            encrypted |= entry.encrypted();
            places.push((entry.header_start(), entry.compressed_size()));
            if !path.ends_with('/') && entries.insert(path, index).is_some() {
                return Err(BookError::input(place, "the archive has this entry twice"));
            }
        }
        if is_overlapping(places) {
            return Err(BookError::input(&name, "two entries of the archive share their bytes: a ZIP bomb"));
        }
        if encrypted {
            return Err(BookError::input(
                &name,
                "the archive is encrypted (DRM): a book without it is needed",
            ));
        }
        Ok(Self { name, zip, entries, total: 0 })
    }

    /// The entries' names, folders left out.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.keys().cloned()
    }

    /// The archive and the entry, for messages: `book.epub!OEBPS/x.xhtml`.
    pub(super) fn place(&self, path: &str) -> String {
        format!("{}!{path}", self.name)
    }

    /// Whether there is an entry.
    pub(super) fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// The bytes of an entry, counted as they come.
    pub(super) fn open_entry(&mut self, path: &str, most: u64) -> Result<Entry<'_>, BookError> {
        let place = self.place(path);
        let Some(index) = self.entries.get(path) else {
            return Err(BookError::input(place, "the book names this file, but it is not in the archive"));
        };
        let file = self
            .zip
            .by_index(*index)
            .map_err(|error| BookError::input(&place, format!("the archive is broken there: {error}")))?;
        let (said, packed) = (file.size(), file.compressed_size().max(1));
        if said > most {
            let problem = format!("it has more than {} MiB: divide it into several files", most >> 20);
            return Err(BookError::input(place, problem));
        }
        Ok(Entry { inner: Box::new(file), place, said, packed, most, read: 0, total: &mut self.total })
    }

    /// A picture's bytes.
    pub(super) fn open_picture(&mut self, path: &str) -> Result<Entry<'_>, BookError> {
        self.open_entry(path, MOST_PICTURE_BYTES)
    }

    /// An entry's text: UTF-8, UTF-16 with a mark, or what its XML declaration says.
    pub(super) fn text(&mut self, path: &str) -> Result<String, BookError> {
        let place = self.place(path);
        let mut entry = self.open_entry(path, MOST_TEXT_BYTES)?;
        // One more, so that reading learns of the end without room for twice as much.
        let mut bytes = Vec::with_capacity(entry.said.min(MOST_TEXT_BYTES) as usize + 1);
        entry.read_to_end(&mut bytes).map_err(own_error(&place))?;
        drop(entry);
        if let Some((encoding, mark)) = encoding_rs::Encoding::for_bom(&bytes) {
            if encoding != encoding_rs::UTF_8 {
                return Ok(encoding.decode(&bytes).0.into_owned());
            }
            bytes.drain(..mark);
        }
        String::from_utf8(bytes).or_else(|error| {
            let bad = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            let label = head.split("encoding=").nth(1).and_then(|rest| rest.get(1..));
            let label = label.and_then(|rest| rest.split(['"', '\'']).next()).unwrap_or_default();
            match encoding_rs::Encoding::for_label(label.as_bytes()) {
                Some(encoding) if encoding != encoding_rs::UTF_8 => {
                    Ok(encoding.decode(&bytes).0.into_owned())
                }
                _ => Err(BookError::at(place, format!("byte {bad}"), "the text is not UTF-8")),
            }
        })
    }
}

/// An archive's file, of which only so much may be read while it is opened.
struct Opening {
    file: SourceReader,
    /// How many bytes may still be read; no bound once the archive is open.
    left: Rc<Cell<Option<u64>>>,
}

impl Read for Opening {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.file.read(into) };
        let most = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 && !into.is_empty() {
            return Err(io::Error::other("the list of entries is too large"));
        }
        let read = self.file.read(&mut into[..most])?;
        self.left.set(Some(left - read as u64));
        Ok(read)
    }
}

impl Seek for Opening {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How many bytes stand before an entry's own, at least.
const LEAST_HEADER_BYTES: u64 = 30;

/// Whether an entry begins before the one in front of it has ended.
fn is_overlapping(mut places: Vec<(u64, u64)>) -> bool {
    places.sort_unstable();
    places.windows(2).any(|pair| {
        let [(begin, bytes), (next, _)] = pair else { return false };
        begin.saturating_add(LEAST_HEADER_BYTES).saturating_add(*bytes) > *next
    })
}

/// Whether an entry's name stays below the root on every platform.
fn is_inside(path: &str) -> bool {
    let folder = path.strip_suffix('/').unwrap_or(path);
    !folder.is_empty()
        && path.len() <= 4096
        && !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
        && folder.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// An entry's bytes, with its bounds.
pub(super) struct Entry<'a> {
    inner: Box<dyn Read + 'a>,
    place: String,
    said: u64,
    packed: u64,
    most: u64,
    read: u64,
    total: &'a mut u64,
}

impl Read for Entry<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let wrong = |problem: String| Err(BookError::input(&self.place, problem).into());
        let read = match self.inner.read(into) {
            Ok(read) => read,
            // A disk's failure has the system's number; all else is the archive's own content.
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(error) => return wrong(format!("the archive is broken there: {error}")),
        };
        self.read += read as u64;
        *self.total = self.total.saturating_add(read as u64);
        if self.read > self.most || *self.total > 4 * MOST_TOTAL_BYTES {
            return wrong("it is too large when unpacked".to_owned());
        }
        if self.read > self.said || (read == 0 && !into.is_empty() && self.read < self.said) {
            return wrong(format!("the archive says that it has {} bytes, which is wrong", self.said));
        }
        if self.read > SMALL_BYTES && self.read / MOST_RATIO > self.packed {
            return wrong("it would grow too large when unpacked: a ZIP bomb".to_owned());
        }
        Ok(read)
    }
}
