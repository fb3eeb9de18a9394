//! A file's text as bytes of UTF-8, one after the other, whatever its charset; counts lines and knows where it is.

use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_8};

use super::{SourceFile, read_error};
use crate::book::BookError;

const CHUNK: usize = 64 << 10;

/// A text that is being read.
pub(super) struct Text {
    name: String,
    input: Box<dyn Read>,
    decoder: Decoder,
    raw: Vec<u8>,
    text: String,
    at: usize,
    has_ended: bool,
    /// The line in which the next byte is, from 1.
    line: u64,
    was_return: bool,
    /// Of all bytes that were read.
    checksum: crc32fast::Hasher,
    /// Whether some bytes meant nothing in the charset.
    pub(super) replaced: bool,
}

impl Text {
    /// Opens a file; a byte order mark goes before the charset that is said.
    pub(super) fn open(source: &SourceFile, charset: &'static Encoding) -> Result<Self, BookError> {
        let file = source.open().map_err(read_error(&source.name))?;
        Ok(Self::new(&source.name, Box::new(file), charset))
    }

    /// A text that is in memory.
    pub(super) fn of(name: &str, text: &str) -> Self {
        Self::new(name, Box::new(io::Cursor::new(text.as_bytes().to_vec())), UTF_8)
    }

    fn new(name: &str, input: Box<dyn Read>, charset: &'static Encoding) -> Self {
        Self {
            name: name.to_owned(),
            input,
            decoder: charset.new_decoder(),
            raw: vec![0; CHUNK],
            text: String::new(),
            at: 0,
            has_ended: false,
            line: 1,
            was_return: false,
            checksum: crc32fast::Hasher::new(),
            replaced: false,
        }
    }

    /// The line that the next byte is in.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Of all bytes read so far; of the file's, once the end was met.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum.clone().finalize()
    }

    /// An error in a line.
    pub(super) fn wrong(&self, line: u64, problem: impl Into<String>) -> BookError {
        BookError::at(&self.name, format!("line {line}"), problem)
    }

    /// The next byte, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, BookError> {
        while self.at == self.text.len() {
            if self.has_ended {
                return Ok(None);
            }
            self.fill()?;
        }
        Ok(self.text.as_bytes().get(self.at).copied())
    }

    /// The next byte.
    pub(super) fn take(&mut self) -> Result<Option<u8>, BookError> {
        let next = self.peek()?;
        if let Some(byte) = next {
            self.at += 1;
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && !self.was_return));
            self.was_return = byte == b'\r';
        }
        Ok(next)
    }

    /// Passes over white space; what comes then stays.
    pub(super) fn skip_space(&mut self) -> Result<Option<u8>, BookError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek()? {
            self.take()?;
        }
        self.peek()
    }

    /// What stands before the next of some signs, or at least a piece of it; nothing where one of them comes next, and at the end.
    pub(super) fn run(&mut self, stops: fn(u8) -> bool) -> Result<&str, BookError> {
        self.peek()?;
        let begin = self.at;
        for byte in &self.text.as_bytes()[begin..] {
            if stops(*byte) {
                break;
            }
            self.at += 1;
            self.line += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.was_return));
            self.was_return = *byte == b'\r';
        }
        // The signs are ASCII, so it ends between two characters.
        Ok(self.text.get(begin..self.at).unwrap_or_default())
    }

    /// What is there of the text from here on, at least so many bytes if there are as many; it all stays.
    pub(super) fn head(&mut self, most: usize) -> Result<&str, BookError> {
        while self.text.len() - self.at < most && !self.has_ended {
            self.fill()?;
        }
        let rest = &self.text[self.at..];
        Ok(&rest[..rest.floor_char_boundary(most)])
    }

    fn fill(&mut self) -> Result<(), BookError> {
        self.text.drain(..self.at);
        self.at = 0;
        let read = loop {
            match self.input.read(&mut self.raw) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(read_error(&self.name))?,
            }
        };
        self.has_ended = read == 0;
        let bytes = &self.raw[..read];
        self.checksum.update(bytes);
        self.text.reserve(self.decoder.max_utf8_buffer_length(read).unwrap_or(read * 4 + 16));
        let (_, _, replaced) = self.decoder.decode_to_string(bytes, &mut self.text, self.has_ended);
        self.replaced |= replaced;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_any_ends_and_a_mark_goes_before_what_is_said() {
        let bytes = [&b"\xef\xbb\xbf"[..], "a\nb\r\nc\rd\r\ré".as_bytes()].concat();
        let (_file, source) = crate::import::tests::file("x.csv", &bytes);
        let mut text = Text::open(&source, encoding_rs::WINDOWS_1252).unwrap();
        assert_eq!(text.head(3).unwrap(), "a\nb");
        let (mut seen, mut read) = (Vec::new(), Vec::new());
        loop {
            let line = text.line();
            let Some(byte) = text.take().unwrap() else { break };
            read.push(byte);
            if byte.is_ascii_lowercase() {
                seen.push((char::from(byte), line));
            }
        }
        assert_eq!(seen, [('a', 1), ('b', 2), ('c', 3), ('d', 4)]);
        assert_eq!(
            (String::from_utf8(read).unwrap().ends_with('é'), text.line(), text.replaced),
            (true, 6, false)
        );
        assert_eq!(text.checksum(), crc32fast::hash(&bytes));
    }
}
