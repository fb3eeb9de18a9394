//! JSON (RFC 8259) read piece by piece from a file: no value is held but short strings, so a file of any size and a
//! picture of any length take the same memory. Escapes and numbers are left to `serde_json`. Knows nothing of books.

use std::io::{self, BufRead as _, BufReader, Read};

use base64::{engine::general_purpose::STANDARD, read::DecoderReader};

use crate::{
    book::BookError,
    import::{pictures::own_error, read_error},
};

/// How many bytes a string has at most that is held whole: a title, an address, a run of text.
const MOST_STRING_BYTES: usize = 1 << 20;
/// In what pieces a longer one is handed on.
const PIECE_BYTES: usize = 16 << 10;

/// A JSON document that is being read.
pub(super) struct Tokens<R> {
    input: BufReader<R>,
    file: String,
    /// How many bytes were read.
    at: u64,
    /// Where what passes by is copied to, up to [`MOST_STRING_BYTES`].
    copy: Option<Vec<u8>>,
}

impl<R: Read> Tokens<R> {
    /// Reads `input`; errors name `file`.
    pub(super) fn new(input: R, file: &str) -> Self {
        Self { input: BufReader::with_capacity(64 << 10, input), file: file.to_owned(), at: 0, copy: None }
    }

    /// An error here.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> BookError {
        BookError::at(&self.file, format!("byte {}", self.at), problem)
    }

    /// The next byte, which stays.
    fn look(&mut self) -> Result<Option<u8>, BookError> {
        Ok(self.input.fill_buf().map_err(read_error(&self.file))?.first().copied())
    }

    fn take(&mut self) -> Result<u8, BookError> {
        let Some(byte) = self.look()? else {
            return Err(self.wrong("the JSON ends in the middle: the file is cut off"));
        };
        self.input.consume(1);
        self.at += 1;
        if let Some(copy) = &mut self.copy {
            copy.push(byte);
            if copy.len() > MOST_STRING_BYTES {
                return Err(self.wrong("the metadata has more than 1 MiB"));
            }
        }
        Ok(byte)
    }

    /// The next byte that is no white space, which stays.
    fn peek(&mut self) -> Result<u8, BookError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.look()? {
            self.take()?;
        }
        match self.look()? {
            Some(byte) => Ok(byte),
            None => Err(self.wrong("the JSON ends in the middle: the file is cut off")),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), BookError> {
        if self.peek()? != byte {
            return Err(self.wrong(format!("{what} is expected here")));
        }
        self.take().map(drop)
    }

    /// Refuses anything but white space.
    pub(super) fn finish(&mut self) -> Result<(), BookError> {
        while let Some(byte) = self.look()? {
            if !byte.is_ascii_whitespace() {
                return Err(self.wrong("there is more behind the book's end"));
            }
            self.take()?;
        }
        Ok(())
    }

    /// Reads an object; `member` reads the value of each key.
    pub(super) fn object(
        &mut self,
        member: &mut dyn FnMut(&mut Self, &str) -> Result<(), BookError>,
    ) -> Result<(), BookError> {
        self.expect(b'{', "an object")?;
        if self.peek()? == b'}' {
            return self.take().map(drop);
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "a colon")?;
            member(self, &key)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Reads an array; `member` reads each value.
    pub(super) fn array(
        &mut self,
        member: &mut dyn FnMut(&mut Self) -> Result<(), BookError>,
    ) -> Result<(), BookError> {
        self.expect(b'[', "an array")?;
        if self.peek()? == b']' {
            return self.take().map(drop);
        }
        loop {
            member(self)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Whether a comma follows, not the end.
    fn goes_on(&mut self, end: u8) -> Result<bool, BookError> {
        let next = self.peek()?;
        if next != b',' && next != end {
            return Err(self.wrong(format!("a comma or {:?} is expected here", char::from(end))));
        }
        self.take()?;
        Ok(next == b',')
    }

    /// A short string.
    pub(super) fn string(&mut self) -> Result<String, BookError> {
        let mut whole = String::new();
        self.pieces(&mut |tokens, piece| {
            if whole.len() + piece.len() > MOST_STRING_BYTES {
                return Err(tokens.wrong("a text or name in one piece has more than 1 MiB: divide it"));
            }
            whole.push_str(piece);
            Ok(())
        })?;
        Ok(whole)
    }

    /// A string of any length.
    pub(super) fn pieces(
        &mut self,
        with: &mut dyn FnMut(&mut Self, &str) -> Result<(), BookError>,
    ) -> Result<(), BookError> {
        self.expect(b'"', "a string")?;
        let mut raw = vec![b'"'];
        // Half of a pair of surrogates must not be alone in a piece.
        let mut may_be_half = false;
        loop {
            let byte = self.take()?;
            // Between characters: the bytes of one have their two upper bits set so, but for its first.
            let is_between = byte & 0xc0 != 0x80 && !may_be_half;
            if byte == b'"' || raw.len() >= PIECE_BYTES && is_between {
                raw.push(b'"');
                let piece: String = serde_json::from_slice(&raw)
                    .map_err(|error| self.wrong(format!("a string is broken: {error}")))?;
                with(self, &piece)?;
                if byte == b'"' {
                    return Ok(());
                }
                raw.truncate(1);
            }
            raw.push(byte);
            may_be_half = false;
            if byte == b'\\' {
                let kind = self.take()?;
                raw.push(kind);
                if kind == b'u' {
                    may_be_half = true;
                    for _ in 0..4 {
                        raw.push(self.take()?);
                    }
                }
            }
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&mut self) -> Result<u64, BookError> {
        self.peek()?;
        let mut digits = String::new();
        while let Some(digit @ b'0'..=b'9') = self.look()? {
            digits.push(char::from(digit));
            self.take()?;
            if digits.len() > 20 {
                break;
            }
        }
        digits.parse().map_err(|_| self.wrong("a whole number is expected here"))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self) -> Result<(), BookError> {
        let mut depth = 0_u64;
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.take()?;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.wrong("a value is expected here"))?;
                    self.take()?;
                }
                b',' | b':' if depth > 0 => {
                    self.take()?;
                    continue;
                }
                _ => {
                    self.take()?;
                    while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-') =
                        self.look()?
                    {
                        self.take()?;
                    }
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), BookError> {
        self.take()?;
        loop {
            match self.take()? {
                b'"' => return Ok(()),
                b'\\' => _ = self.take()?,
                _ => {}
            }
        }
    }

    /// A small value as it stands in the file.
    pub(super) fn raw(&mut self) -> Result<Vec<u8>, BookError> {
        self.peek()?;
        self.copy = Some(Vec::new());
        self.skip()?;
        Ok(self.copy.take().unwrap_or_default())
    }

    /// A string of base64, decoded as it is read; what is left unread is passed over.
    pub(super) fn data<T>(
        &mut self,
        with: impl FnOnce(&mut dyn Read) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        self.expect(b'"', "a string of base64")?;
        let file = self.file.clone();
        let mut quoted = Quoted { tokens: self, ended: false };
        let got = with(&mut Decoded { inner: DecoderReader::new(&mut quoted, &STANDARD), file: &file })?;
        let mut rest = [0; 4096];
        while quoted.read(&mut rest).map_err(own_error(&file))? > 0 {}
        Ok(got)
    }
}

/// What base64 stands for; where it is none, the file is to be mended, not read again.
struct Decoded<'a, R> {
    inner: R,
    file: &'a str,
}

impl<R: Read> Read for Decoded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                BookError::input(self.file, format!("a picture's base64 is broken: {error}")).into()
            }
            _ => error,
        })
    }
}

/// The bytes of a string up to its end.
struct Quoted<'a, R> {
    tokens: &'a mut Tokens<R>,
    ended: bool,
}

impl<R: Read> Read for Quoted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() && !self.ended {
            // As much at once as is there.
            let buffer = self.tokens.input.fill_buf()?;
            let most = buffer.len().min(into.len() - read);
            let plain = buffer[..most].iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(most);
            if plain > 0 {
                into[read..read + plain].copy_from_slice(&buffer[..plain]);
                self.tokens.input.consume(plain);
                self.tokens.at += plain as u64;
                read += plain;
                continue;
            }
            match self.tokens.take()? {
                b'"' => self.ended = true,
                // Some programs write `\/`.
                _ => {
                    if self.tokens.take()? != b'/' {
                        return Err(self.tokens.wrong("the base64 is broken").into());
                    }
                    into[read] = b'/';
                    read += 1;
                }
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Tokens<&[u8]> {
        Tokens::new(text.as_bytes(), "x.json")
    }

    #[test]
    fn long_strings_come_in_pieces_and_say_the_same() {
        let text = "\u{1f600}é\\\"\n\t".repeat(20_000);
        for written in [
            serde_json::to_string(&text).unwrap(),
            serde_json::to_string(&text).unwrap().replace('\u{1f600}', "\\ud83d\\ude00"),
        ] {
            let (mut all, mut most) = (String::new(), 0);
            let with = &mut |_: &mut Tokens<&[u8]>, piece: &str| {
                all.push_str(piece);
                most = most.max(piece.len());
                Ok(())
            };
            tokens(&written).pieces(with).unwrap();
            assert_eq!(all, text);
            assert!(most < 2 * PIECE_BYTES, "{most}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for broken in
            ["", "[", "[1", "[1 2]", "{\"a\"}", "{\"a\":1,}", "\"a", "\"\\x\"", "\"\\ud83d\"", "]", "{,}"]
        {
            let mut tokens = tokens(broken);
            let read = match broken.bytes().next() {
                Some(b'{') => tokens.object(&mut |tokens, _| tokens.skip()),
                Some(b'[') => tokens.array(&mut |tokens| tokens.number().map(drop)),
                Some(b'"') => tokens.string().map(drop),
                _ => tokens.skip(),
            };
            let error = read.expect_err(broken).to_string();
            assert!(error.starts_with("x.json, byte "), "{broken}: {error}");
        }
    }

    #[test]
    fn base64_is_decoded_as_it_comes() {
        let mut tokens = tokens("[\"aGVsbG8/\",\"aGVsbG8\\/\",\"\"]");
        let mut all = Vec::new();
        let mut read = |data: &mut dyn Read| Ok(data.read_to_end(&mut all)?);
        tokens.array(&mut |tokens| tokens.data(&mut read).map(drop)).unwrap();
        assert_eq!(all, b"hello?hello?");
    }
}
