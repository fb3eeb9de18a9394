//! HTML as tags and text, as browsers part it: streamed, what is kept of a tag bounded. Of elements it knows those of raw text.
//!
//! Written here and not left to html5ever's tokenizer, which holds a tag's attributes without bound and compares each with all
//! before it: a tag of some megabytes takes it hours.

use encoding_rs::WINDOWS_1252;

use crate::{
    book::BookError,
    import::{epub::xml::entity, letters::Text},
};

/// How many bytes a name of an element or attribute has at most.
const MOST_NAME_BYTES: usize = 64;
/// How many bytes of an attribute are kept.
const MOST_VALUE_BYTES: usize = 64 << 10;
/// How many of one that holds a picture.
const MOST_PICTURE_BYTES: usize = 16 << 20;
/// How many bytes a piece of text has.
const MOST_TEXT_BYTES: usize = 8 << 10;
/// The attributes that mean something in a book.
const KEPT: [&str; 30] = [
    "align",
    "alt",
    "alttext",
    "charset",
    "class",
    "colspan",
    "content",
    "data-alt",
    "data-anchor",
    "data-caption",
    "data-image",
    "data-label",
    "data-title",
    "epub:type",
    "hidden",
    "href",
    "http-equiv",
    "id",
    "lang",
    "name",
    "property",
    "role",
    "rowspan",
    "src",
    "start",
    "style",
    "title",
    "xlink:href",
    "xml:lang",
    "xmlns",
];
/// Entities that are known without their semicolon, too.
const LEGACY: [&str; 16] = [
    "nbsp", "copy", "amp", "reg", "lt", "gt", "quot", "AMP", "LT", "GT", "QUOT", "shy", "laquo", "raquo",
    "sect", "deg",
];

/// A piece of HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Start { name: String, attributes: Vec<(String, String)>, closes_itself: bool },
    End { name: String },
    Text(String),
}

/// The pieces of a file.
pub(super) struct Tokens {
    pub(super) text: Text,
    file: String,
    /// The element that is open and holds no markup.
    raw: Option<&'static str>,
    /// How many attributes were cut.
    pub(super) cut: u64,
    /// Whether the file ends inside of a tag.
    pub(super) ends_in_tag: bool,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

impl Tokens {
    pub(super) fn new(text: Text, file: &str) -> Self {
        Self { text, file: file.to_owned(), raw: None, cut: 0, ends_in_tag: false }
    }

    /// The next piece.
    ///
    /// # Errors
    /// Where the file can't be read, or declares entities of its own.
    pub(super) fn next(&mut self) -> Result<Option<Token>, BookError> {
        if let Some(name) = self.raw.take() {
            return self.raw_text(name);
        }
        let mut text = String::new();
        loop {
            match self.text.peek()? {
                Some(b'<') if text.is_empty() => {
                    self.text.take()?;
                    match self.text.peek()? {
                        Some(letter) if letter.is_ascii_alphabetic() => return self.start(),
                        Some(b'/') => {
                            self.text.take()?;
                            match self.text.peek()? {
                                Some(letter) if letter.is_ascii_alphabetic() => return self.end(),
                                _ => self.pass(b">", "")?,
                            }
                        }
                        Some(b'!') => {
                            self.text.take()?;
                            self.declaration()?;
                        }
                        Some(b'?') => self.pass(b">", "")?,
                        _ => text.push('<'),
                    }
                }
                Some(b'&') => {
                    self.text.take()?;
                    self.reference(false, &mut text)?;
                }
                Some(b'<') | None => break,
                Some(_) => text.push_str(self.text.run(|byte| matches!(byte, b'<' | b'&'))?),
            }
            if text.len() >= MOST_TEXT_BYTES {
                break;
            }
        }
        Ok((!text.is_empty()).then_some(Token::Text(text)))
    }

    /// Passes over all up to an end, which is passed over, too; `wrong` refuses a bracket on the way.
    fn pass(&mut self, end: &[u8], wrong: &str) -> Result<(), BookError> {
        let mut last = Vec::with_capacity(end.len() + 1);
        while let Some(byte) = self.text.take()? {
            if byte == b'[' && !wrong.is_empty() {
                return Err(BookError::at(&self.file, format!("line {}", self.text.line()), wrong));
            }
            last.push(byte);
            if last.len() > end.len() {
                last.remove(0);
            }
            if last == end {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A comment, a document type or a section of characters.
    fn declaration(&mut self) -> Result<(), BookError> {
        let head = self.text.head(8)?;
        if head.starts_with("--") {
            // `<!-->` is a whole comment.
            let short = if head.starts_with("-->") { Some(3) } else { head.starts_with("--->").then_some(4) };
            for _ in 0..short.unwrap_or(2) {
                self.text.take()?;
            }
            return if short.is_some() { Ok(()) } else { self.pass(b"-->", "") };
        }
        if head.starts_with("[CDATA[") {
            return self.pass(b"]]>", "");
        }
        let is_type = head.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("doctype"));
        let wrong = "the document declares entities of its own, which is refused: remove the part in brackets of its DOCTYPE";
        self.pass(b">", if is_type { wrong } else { "" })
    }

    /// The name of a tag.
    fn name(&mut self) -> Result<String, BookError> {
        let mut name = String::new();
        while self.text.peek()?.is_some_and(|byte| !is_space(byte) && !matches!(byte, b'/' | b'>')) {
            let piece = self.text.run(|byte| is_space(byte) || matches!(byte, b'/' | b'>'))?;
            push(&mut name, piece, MOST_NAME_BYTES);
        }
        Ok(name.to_ascii_lowercase())
    }

    fn start(&mut self) -> Result<Option<Token>, BookError> {
        let name = self.name()?;
        let (mut attributes, mut closes_itself): (Vec<(String, String)>, _) = (Vec::new(), false);
        loop {
            match self.text.peek()? {
                None => {
                    self.ends_in_tag = true;
                    return Ok(None);
                }
                Some(b'>') => {
                    self.text.take()?;
                    break;
                }
                Some(b'/') => {
                    self.text.take()?;
                    closes_itself = true;
                }
                Some(byte) if is_space(byte) => {
                    self.text.take()?;
                }
                Some(_) => {
                    closes_itself = false;
                    let (key, value) = self.attribute()?;
                    let is_new = !attributes.iter().any(|(known, _)| *known == key);
                    if is_new && KEPT.contains(&key.as_str()) {
                        attributes.push((key, value));
                    }
                }
            }
        }
        let raw = ["script", "style", "title", "textarea", "iframe", "noembed", "noframes"];
        self.raw = raw.into_iter().find(|raw| *raw == name && !closes_itself);
        Ok(Some(Token::Start { name, attributes, closes_itself }))
    }

    fn end(&mut self) -> Result<Option<Token>, BookError> {
        let name = self.name()?;
        self.pass(b">", "")?;
        Ok(Some(Token::End { name }))
    }

    fn attribute(&mut self) -> Result<(String, String), BookError> {
        let mut key = String::new();
        if self.text.peek()? == Some(b'=') {
            self.text.take()?;
            key.push('=');
        }
        let ends_key = |byte: u8| is_space(byte) || matches!(byte, b'/' | b'>' | b'=');
        while self.text.peek()?.is_some_and(|byte| !ends_key(byte)) {
            let piece = self.text.run(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='))?;
            push(&mut key, piece, MOST_NAME_BYTES);
        }
        let key = key.to_ascii_lowercase();
        self.skip_space()?;
        if self.text.peek()? != Some(b'=') {
            return Ok((key, String::new()));
        }
        self.text.take()?;
        self.skip_space()?;
        let value = match self.text.peek()? {
            Some(quote @ (b'"' | b'\'')) => {
                self.text.take()?;
                let value = self.value(&key, |byte, quote| byte == quote, quote)?;
                self.text.take()?;
                value
            }
            Some(b'>') | None => String::new(),
            Some(_) => self.value(&key, |byte, _| is_space(byte) || byte == b'>', 0)?,
        };
        Ok((key, value))
    }

    /// A value up to its end, which stays.
    fn value(&mut self, key: &str, ends: fn(u8, u8) -> bool, quote: u8) -> Result<String, BookError> {
        let (mut value, mut is_cut) = (String::new(), false);
        while let Some(byte) = self.text.peek()? {
            if ends(byte, quote) {
                break;
            }
            let is_picture = matches!(key, "src" | "href" | "xlink:href") && value.starts_with("data:");
            let most = if is_picture { MOST_PICTURE_BYTES } else { MOST_VALUE_BYTES };
            if byte == b'&' {
                self.text.take()?;
                let mut text = String::new();
                self.reference(true, &mut text)?;
                is_cut |= !push(&mut value, &text, most);
                continue;
            }
            let piece = match quote {
                b'"' => self.text.run(|byte| matches!(byte, b'"' | b'&'))?,
                b'\'' => self.text.run(|byte| matches!(byte, b'\'' | b'&'))?,
                _ => self.text.run(|byte| is_space(byte) || matches!(byte, b'>' | b'&'))?,
            };
            is_cut |= !push(&mut value, piece, most);
        }
        if is_cut {
            self.cut += 1;
            // Half a picture is none.
            if value.starts_with("data:") {
                value.truncate(5);
            }
        }
        Ok(value)
    }

    fn skip_space(&mut self) -> Result<(), BookError> {
        while self.text.peek()?.is_some_and(is_space) {
            self.text.take()?;
        }
        Ok(())
    }

    /// What stands behind an ampersand.
    fn reference(&mut self, in_value: bool, out: &mut String) -> Result<(), BookError> {
        let mut name = String::new();
        while let Some(byte) = self.text.peek()?
            && (byte.is_ascii_alphanumeric() || (byte == b'#' && name.is_empty()))
            && name.len() < 32
        {
            self.text.take()?;
            name.push(char::from(byte));
        }
        let next = self.text.peek()?;
        let is_ended = next == Some(b';');
        let meant = match name.strip_prefix('#') {
            Some(digits) => numbered(digits).map(String::from),
            None if is_ended => entity(&name).map(std::borrow::Cow::into_owned),
            None => None,
        };
        if let Some(meant) = meant {
            if is_ended {
                self.text.take()?;
            }
            out.push_str(&meant);
            return Ok(());
        }
        let legacy = LEGACY.iter().find(|known| match in_value {
            true => **known == name && next != Some(b'='),
            false => name.starts_with(**known),
        });
        match legacy.filter(|_| !is_ended).and_then(|known| Some((known, entity(known)?))) {
            Some((known, text)) => {
                out.push_str(&text);
                out.push_str(&name[known.len()..]);
            }
            None => {
                out.push('&');
                out.push_str(&name);
            }
        }
        Ok(())
    }

    /// The content of an element that holds no markup, and its end, which comes next: only a title is told.
    fn raw_text(&mut self, name: &'static str) -> Result<Option<Token>, BookError> {
        let (mut text, is_told) = (String::new(), name == "title");
        while let Some(byte) = self.text.peek()? {
            match byte {
                b'<' => {
                    let head = self.text.head(name.len() + 3)?.as_bytes();
                    let is_end = head.get(1) == Some(&b'/')
                        && head
                            .get(2..name.len() + 2)
                            .is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()))
                        && head
                            .get(name.len() + 2)
                            .is_none_or(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'));
                    if is_end {
                        break;
                    }
                    self.text.take()?;
                    if is_told {
                        push(&mut text, "<", MOST_TEXT_BYTES);
                    }
                }
                b'&' if is_told => {
                    self.text.take()?;
                    let mut meant = String::new();
                    self.reference(false, &mut meant)?;
                    push(&mut text, &meant, MOST_TEXT_BYTES);
                }
                _ => {
                    let piece = self.text.run(|byte| matches!(byte, b'<' | b'&'))?;
                    if piece.is_empty() {
                        self.text.take()?;
                    } else if is_told {
                        push(&mut text, piece, MOST_TEXT_BYTES);
                    }
                }
            }
        }
        if text.is_empty() { self.next() } else { Ok(Some(Token::Text(text))) }
    }
}

/// Appends as much as there is room for; whether that was all of it.
fn push(to: &mut String, piece: &str, most: usize) -> bool {
    let room = most.saturating_sub(to.len());
    to.push_str(&piece[..piece.floor_char_boundary(room)]);
    piece.len() <= room
}

/// The character of `233` or `xe9`; those of windows-1252 are meant where no others are.
fn numbered(digits: &str) -> Option<char> {
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, 16).unwrap_or(u32::MAX),
        None if !digits.is_empty() => digits.parse().unwrap_or(u32::MAX),
        _ => return None,
    };
    if !digits.trim_start_matches(['x', 'X']).bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match u8::try_from(code) {
        Ok(byte @ 0x80..=0x9f) => WINDOWS_1252.decode_without_bom_handling(&[byte]).0.chars().next(),
        _ => Some(char::from_u32(code).filter(|c| *c != '\0').unwrap_or('\u{fffd}')),
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
