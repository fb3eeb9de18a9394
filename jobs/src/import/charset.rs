//! Text in any charset as lines of UTF-8. A first pass over the whole file decides the charset; chardetng is asked last,
//! as it takes UTF-16 without a mark for windows-1252.

use std::io::{Read as _, Seek as _, SeekFrom};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{
    SourceFile, SourceReader,
    detect::{is_binary, utf16_by_zeros},
    read_error,
};
use crate::book::BookError;

const CHUNK: usize = 64 << 10;
/// Longer lines are handed on in pieces.
const MOST_LINE_BYTES: usize = 256 << 10;
/// How long a line of Markdown that defines a picture (`[image-1]: data:…`) may be; in pieces it would become text.
const MOST_PICTURE_LINE_BYTES: usize = 16 << 20;

/// How a file's bytes are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charset {
    pub(super) encoding: &'static Encoding,
    /// Whether it was guessed, not known.
    pub(super) guessed: bool,
}

/// What [`examine`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// UTF-8, or UTF-16 with a mark.
    Unicode,
    /// Anything that can be guessed.
    Any,
}

/// Reads a file through once and decides its charset.
pub(super) fn examine(source: &SourceFile, allowed: Allowed) -> Result<Charset, BookError> {
    let mut file = source.open().map_err(read_error(&source.name))?;
    let mut chunk = vec![0; CHUNK];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let mut utf8 = Utf8Check::default();
    let mut first = true;
    loop {
        let read = read_full(&mut file, &mut chunk).map_err(read_error(&source.name))?;
        let bytes = &chunk[..read];
        if first {
            first = false;
            if read == 0 {
                return Err(BookError::input(&source.name, "the file is empty"));
            }
            if let Some((encoding, _)) = Encoding::for_bom(bytes)
                && encoding != UTF_8
            {
                return Ok(Charset { encoding, guessed: false });
            }
            if let Some(little) = utf16_by_zeros(bytes) {
                if allowed == Allowed::Unicode {
                    return Err(BookError::input(
                        &source.name,
                        "the text is UTF-16 without a byte order mark: save it in UTF-8",
                    ));
                }
                return Ok(Charset { encoding: if little { UTF_16LE } else { UTF_16BE }, guessed: true });
            }
            if is_binary(bytes) {
                return Err(BookError::input(&source.name, "the content is binary, not text"));
            }
        }
        utf8.feed(bytes, read < chunk.len());
        if allowed == Allowed::Any {
            detector.feed(bytes, read < chunk.len());
        }
        if read < chunk.len() {
            break;
        }
    }
    let Some((byte, line)) = utf8.first_bad else {
        return Ok(Charset { encoding: UTF_8, guessed: false });
    };
    // A broken UTF-8 text, rather than a whole one in another charset.
    if allowed == Allowed::Unicode || utf8.good > 10 * utf8.bad {
        return Err(BookError::at(
            &source.name,
            format!("line {line}, byte {byte}"),
            "the text is not UTF-8 there: mend the place or save the file in UTF-8",
        ));
    }
    Ok(Charset { encoding: detector.guess(None, Utf8Detection::Deny), guessed: true })
}

/// Fills the buffer, or as much as is left.
fn read_full(file: &mut SourceReader, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Counts what is and what isn't UTF-8 beyond ASCII.
#[derive(Debug, Default)]
struct Utf8Check {
    carry: Vec<u8>,
    passed: u64,
    lines: u64,
    good: u64,
    bad: u64,
    first_bad: Option<(u64, u64)>,
}

impl Utf8Check {
    fn feed(&mut self, bytes: &[u8], last: bool) {
        let mut joined = std::mem::take(&mut self.carry);
        joined.extend_from_slice(bytes);
        let mut rest = joined.as_slice();
        loop {
            let (valid, bad) = match std::str::from_utf8(rest) {
                Ok(_) => (rest.len(), 0),
                Err(error) => match error.error_len() {
                    Some(bad) => (error.valid_up_to(), bad),
                    None if last => (error.valid_up_to(), rest.len() - error.valid_up_to()),
                    None => {
                        self.pass(&rest[..error.valid_up_to()]);
                        self.carry = rest[error.valid_up_to()..].to_vec();
                        return;
                    }
                },
            };
            self.pass(&rest[..valid]);
            rest = &rest[valid..];
            if bad == 0 {
                return;
            }
            self.first_bad.get_or_insert((self.passed, self.lines + 1));
            self.bad += 1;
            self.passed += bad as u64;
            rest = &rest[bad..];
        }
    }

    fn pass(&mut self, valid: &[u8]) {
        self.passed += valid.len() as u64;
        self.lines += valid.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.good += valid.iter().filter(|byte| **byte >= 0xc0).count() as u64;
    }
}

/// A file's lines, decoded, without their ends.
#[derive(Debug)]
pub(super) struct Lines {
    name: String,
    file: SourceReader,
    decoder: Decoder,
    raw: Vec<u8>,
    text: String,
    at: usize,
    ended: bool,
    /// Whether a byte sequence meant nothing in the charset.
    pub(super) replaced: bool,
}

impl Lines {
    pub(super) fn open(source: &SourceFile, charset: Charset) -> Result<Self, BookError> {
        let file = source.open().map_err(read_error(&source.name))?;
        let (name, raw, decoder) =
            (source.name.clone(), vec![0; CHUNK], charset.encoding.new_decoder_with_bom_removal());
        Ok(Self { name, file, decoder, raw, text: String::new(), at: 0, ended: false, replaced: false })
    }

    /// Begins again at the first line.
    pub(super) fn rewind(&mut self) -> Result<(), BookError> {
        self.file.seek(SeekFrom::Start(0)).map_err(read_error(&self.name))?;
        self.decoder = self.decoder.encoding().new_decoder_with_bom_removal();
        self.text.clear();
        (self.at, self.ended) = (0, false);
        Ok(())
    }

    /// The next line, or a piece of one that is longer than 256 KiB. Ends are LF, CR LF or CR.
    pub(super) fn next(&mut self) -> Result<Option<&str>, BookError> {
        let mut searched = self.at;
        loop {
            let found =
                self.text.as_bytes()[searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            if let Some(offset) = found {
                let (begin, end) = (self.at, searched + offset);
                let rest = &self.text.as_bytes()[end..];
                // A CR at the very end may have its LF in the next chunk.
                if rest == b"\r" && !self.ended {
                    searched = end - begin;
                    self.fill()?;
                    continue;
                }
                self.at = end + if rest.starts_with(b"\r\n") { 2 } else { 1 };
                return Ok(Some(&self.text[begin..end]));
            }
            let is_picture = self.begins_picture();
            if is_picture && self.text.len() - self.at > MOST_PICTURE_LINE_BYTES {
                let problem =
                    "a picture in the text is larger than 12 MiB: put it into a file beside the text";
                return Err(BookError::input(&self.name, problem));
            }
            if !is_picture && self.text.len() - self.at > MOST_LINE_BYTES {
                let (begin, rest) = (self.at, &self.text[self.at..]);
                let cut = rest.floor_char_boundary(MOST_LINE_BYTES);
                let cut = rest[..cut].rfind(' ').map_or(cut, |space| space + 1);
                self.at += cut;
                return Ok(Some(&self.text[begin..begin + cut]));
            }
            if self.ended {
                if self.at == self.text.len() {
                    return Ok(None);
                }
                let begin = std::mem::replace(&mut self.at, self.text.len());
                return Ok(Some(&self.text[begin..]));
            }
            searched = self.text.len() - self.at;
            self.fill()?;
        }
    }

    /// Decodes one more chunk; what was read is dropped, so that `at` is 0.
    fn begins_picture(&self) -> bool {
        let rest = self.text[self.at..].trim_start_matches(' ');
        let head = &rest[..rest.floor_char_boundary(1 << 10)];
        head.starts_with('[')
            && head.split_once("]:").is_some_and(|(_, body)| body.trim_start().starts_with("data:image/"))
    }

    fn fill(&mut self) -> Result<(), BookError> {
        self.text.drain(..self.at);
        self.at = 0;
        let read = read_full(&mut self.file, &mut self.raw).map_err(read_error(&self.name))?;
        self.ended = read < self.raw.len();
        let room = self.decoder.max_utf8_buffer_length(read).unwrap_or(read * 4);
        self.text.reserve(room);
        let (_, _, replaced) = self.decoder.decode_to_string(&self.raw[..read], &mut self.text, self.ended);
        self.replaced |= replaced;
        Ok(())
    }
}

#[cfg(test)]
#[path = "charset_tests.rs"]
mod tests;
