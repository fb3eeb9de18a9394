//! The file as numbered objects (ISO 32000-1 §7.5), written one after the other without ever going back.
//!
//! Small objects travel together, compressed, in object streams. Where each one stands is told by cross-reference
//! streams: one for every few thousand objects, each pointing to the one before, so that memory does not grow with the
//! file. Must not know: what the objects mean.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, write::ZlibEncoder};
use pdf_writer::{Chunk, Name, Obj, Ref, Settings, Str, TextStr};

/// Small objects that travel together, at most so many and of so many bytes.
const MOST_TOGETHER: usize = 200;
const MOST_TOGETHER_BYTES: usize = 48 << 10;
/// Objects that one cross-reference stream tells of.
const MOST_PLACES: usize = 8 << 10;

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At this offset.
    Offset(u64),
    /// In the object stream of this number, at this index.
    Inside(i32, u16),
}

/// Writes objects and knows where they stand.
#[derive(Debug)]
pub(super) struct Objects {
    /// How many bytes are written.
    at: u64,
    next: i32,
    places: Vec<(i32, Place)>,
    /// Where the last cross-reference stream stands.
    previous: Option<u64>,
    together: Vec<(i32, usize)>,
    together_bytes: Vec<u8>,
    catalog: Ref,
    info: Ref,
    identity: [u8; 16],
    counting: Option<Counting>,
}

/// A stream that is being written.
#[derive(Debug)]
struct Counting {
    length: Ref,
    begin: u64,
}

/// Streams are compressed a little less than they could be: twice the speed for two in a hundred bytes.
pub(super) const LEVEL: Compression = Compression::new(4);

impl Objects {
    /// A file that is not begun. The identity is the same wherever the book is the same.
    pub(super) fn new(identity: [u8; 16]) -> Self {
        Self {
            at: 0,
            next: 3,
            places: Vec::new(),
            previous: None,
            together: Vec::new(),
            together_bytes: Vec::new(),
            catalog: Ref::new(1),
            info: Ref::new(2),
            identity,
            counting: None,
        }
    }

    /// The catalogue's number.
    pub(super) fn catalog(&self) -> Ref {
        self.catalog
    }

    /// The number of the dictionary that tells title and author.
    pub(super) fn info(&self) -> Ref {
        self.info
    }

    /// A number for an object to come.
    pub(super) fn alloc(&mut self) -> Ref {
        self.alloc_many(1)
    }

    /// Numbers for `count` objects to come; the first of them.
    pub(super) fn alloc_many(&mut self, count: usize) -> Ref {
        let first = Ref::new(self.next);
        let most = i32::MAX - self.next;
        self.next += i32::try_from(count).unwrap_or(most).min(most);
        first
    }

    /// How many objects' places are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.places.len() + self.together.len()
    }

    fn write(&mut self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Begins the file. The comment's bytes tell tools that it is not text.
    pub(super) fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    }

    /// Writes an object that is not a stream.
    pub(super) fn object(
        &mut self,
        out: &mut dyn Write,
        id: Ref,
        write: impl FnOnce(Obj<'_>),
    ) -> io::Result<()> {
        let mut chunk = Chunk::with_settings(Settings { pretty: false });
        write(chunk.indirect(id));
        let head = format!("{} 0 obj\n", id.get());
        let body = chunk.as_bytes();
        let body = body.strip_prefix(head.as_bytes()).unwrap_or(body);
        let body = body.trim_ascii_end();
        self.body(out, id, body.strip_suffix(b"endobj").unwrap_or(body).trim_ascii_end())
    }

    /// Writes an object whose bytes are known.
    pub(super) fn body(&mut self, out: &mut dyn Write, id: Ref, body: &[u8]) -> io::Result<()> {
        self.together.push((id.get(), self.together_bytes.len()));
        self.together_bytes.extend_from_slice(body);
        self.together_bytes.push(b'\n');
        if self.together.len() >= MOST_TOGETHER || self.together_bytes.len() >= MOST_TOGETHER_BYTES {
            self.write_together(out)?;
        }
        Ok(())
    }

    /// Writes an object as it is, `obj` and `endobj` included: streams mostly.
    pub(super) fn plain(&mut self, out: &mut dyn Write, id: Ref, bytes: &[u8]) -> io::Result<()> {
        self.place(out, id.get(), Place::Offset(self.at))?;
        self.write(out, bytes)
    }

    /// Writes a stream that is in memory, compressed.
    pub(super) fn stream(&mut self, out: &mut dyn Write, id: Ref, data: &[u8]) -> io::Result<()> {
        let packed = deflated(data)?;
        let mut chunk = Chunk::with_settings(Settings { pretty: false });
        chunk.stream(id, &packed).filter(pdf_writer::Filter::FlateDecode);
        self.plain(out, id, chunk.as_bytes())
    }

    /// Begins a stream whose length is not known; `entries` are its dictionary's.
    pub(super) fn begin_stream(&mut self, out: &mut dyn Write, id: Ref, entries: &str) -> io::Result<()> {
        let length = self.alloc();
        let head = format!("{} 0 obj\n<<{entries}/Length {} 0 R>>\nstream\n", id.get(), length.get());
        self.plain(out, id, head.as_bytes())?;
        self.counting = Some(Counting { length, begin: self.at });
        Ok(())
    }

    /// Writes more of the stream that is open.
    pub(super) fn piece(&mut self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        self.write(out, bytes)
    }

    /// Ends the stream that is open.
    pub(super) fn end_stream(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(Counting { length, begin }) = self.counting.take() else { return Ok(()) };
        let bytes = self.at - begin;
        self.write(out, b"\nendstream\nendobj\n")?;
        self.plain(out, length, format!("{} 0 obj\n{bytes}\nendobj\n", length.get()).as_bytes())
    }

    fn write_together(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.together.is_empty() {
            return Ok(());
        }
        let id = self.alloc();
        let objects = std::mem::take(&mut self.together);
        let mut data = String::with_capacity(objects.len() * 12);
        for (number, offset) in &objects {
            data.push_str(&format!("{number} {offset} "));
        }
        let first = data.len();
        let mut data = data.into_bytes();
        data.append(&mut self.together_bytes);
        let packed = deflated(&data)?;
        let head = format!(
            "{} 0 obj\n<</Type/ObjStm/N {}/First {first}/Filter/FlateDecode/Length {}>>\nstream\n",
            id.get(),
            objects.len(),
            packed.len()
        );
        self.plain(out, id, &[head.as_bytes(), &packed, b"\nendstream\nendobj\n"].concat())?;
        for ((number, _), index) in objects.into_iter().zip(0..) {
            self.place(out, number, Place::Inside(id.get(), index))?;
        }
        Ok(())
    }

    fn place(&mut self, out: &mut dyn Write, number: i32, place: Place) -> io::Result<()> {
        // A stream that is open must not be interrupted.
        if self.places.len() >= MOST_PLACES && self.counting.is_none() && matches!(place, Place::Inside(..)) {
            self.write_places(out)?;
        }
        self.places.push((number, place));
        Ok(())
    }

    /// Writes a cross-reference stream that tells of all objects since the last one.
    fn write_places(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let id = self.alloc();
        let begin = self.at;
        let mut places = std::mem::take(&mut self.places);
        places.push((id.get(), Place::Offset(begin)));
        places.sort_unstable_by_key(|(number, _)| *number);
        let (mut index, mut data) = (Vec::new(), Vec::with_capacity(places.len() * 8));
        if self.previous.is_none() {
            index.push((0, 1));
            data.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        }
        for (number, place) in &places {
            match index.last_mut() {
                Some((first, count)) if *first + *count == *number => *count += 1,
                _ => index.push((*number, 1)),
            }
            let (kind, far, near) = match place {
                Place::Offset(offset) => (1, *offset, 0),
                Place::Inside(stream, index) => (2, u64::from(stream.unsigned_abs()), *index),
            };
            data.push(kind);
            data.extend_from_slice(&far.to_be_bytes()[3..]);
            data.extend_from_slice(&near.to_be_bytes());
        }
        let packed = deflated(&data)?;
        let index: String = index.iter().map(|(first, count)| format!("{first} {count} ")).collect();
        let identity: String = self.identity.iter().map(|byte| format!("{byte:02x}")).collect();
        let previous = self.previous.map_or(String::new(), |offset| format!("/Prev {offset}"));
        let head = format!(
            "{} 0 obj\n<</Type/XRef/Size {}/W[1 5 2]/Index[{}]/Root {} 0 R/Info {} 0 R/ID[<{identity}><{identity}>]\
             {previous}/Filter/FlateDecode/Length {}>>\nstream\n",
            id.get(),
            self.next,
            index.trim_end(),
            self.catalog.get(),
            self.info.get(),
            packed.len()
        );
        self.write(out, &[head.as_bytes(), &packed, b"\nendstream\nendobj\n"].concat())?;
        self.previous = Some(begin);
        Ok(())
    }

    /// Ends the file; catalogue and information must be written.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write_together(out)?;
        self.write_places(out)?;
        let begin = self.previous.unwrap_or_default();
        self.write(out, format!("startxref\n{begin}\n%%EOF\n").as_bytes())
    }
}

fn deflated(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(data.len() / 2), LEVEL);
    encoder.write_all(data)?;
    encoder.finish()
}

/// Compresses a stream piece by piece into the file.
pub(super) struct Deflater {
    state: Compress,
    piece: Vec<u8>,
}

impl Deflater {
    pub(super) fn new() -> Self {
        Self { state: Compress::new(LEVEL, true), piece: Vec::with_capacity(16 << 10) }
    }

    /// Takes more; the last call has `last`.
    pub(super) fn write(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        data: &[u8],
        last: bool,
    ) -> io::Result<()> {
        let (flush, mut rest) = (if last { FlushCompress::Finish } else { FlushCompress::None }, data);
        loop {
            let before = self.state.total_in();
            let status = self.state.compress_vec(rest, &mut self.piece, flush).map_err(io::Error::other)?;
            let taken = usize::try_from(self.state.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            let is_full = self.piece.len() == self.piece.capacity();
            if is_full || last {
                objects.piece(out, &self.piece)?;
                self.piece.clear();
            }
            let done = if last { status == flate2::Status::StreamEnd } else { rest.is_empty() && !is_full };
            if done {
                return Ok(());
            }
        }
    }
}

/// A text string for a dictionary that is written by hand.
pub(super) fn text(text: &str) -> String {
    let mut chunk = Chunk::with_settings(Settings { pretty: false });
    chunk.indirect(Ref::new(1)).primitive(TextStr(text));
    bare(&chunk)
}

/// A byte string for a dictionary that is written by hand.
pub(super) fn string(bytes: &[u8]) -> String {
    let mut chunk = Chunk::with_settings(Settings { pretty: false });
    chunk.indirect(Ref::new(1)).primitive(Str(bytes));
    bare(&chunk)
}

fn bare(chunk: &Chunk) -> String {
    let written = String::from_utf8_lossy(chunk.as_bytes());
    let body = written.strip_prefix("1 0 obj\n").unwrap_or(&written).trim_end();
    body.strip_suffix("endobj").unwrap_or(body).trim_end().to_owned()
}

/// `/Name`, for a dictionary that is written by hand.
pub(super) fn resource(prefix: char, number: usize) -> String {
    format!("{prefix}{number}")
}

/// A name.
pub(super) fn name(text: &str) -> Name<'_> {
    Name(text.as_bytes())
}
