//! Fields: what Word fills in by itself, such as links, contents and numbers of notes.

use super::{Content, Link, Paragraph, Piece, Reader, Target};
use crate::import::docx::styles::Look;

/// A field that is open.
#[derive(Debug, Default)]
pub(super) struct Field {
    instruction: String,
    /// Whether what follows is its result.
    pub(super) in_result: bool,
    /// Its place in the open paragraph's links.
    pub(super) link: Option<usize>,
}

/// What a field is to a book.
#[derive(Debug)]
pub(super) enum FieldKind {
    Link(Link),
    /// The contents, or an index: made anew by whoever needs one.
    Contents,
    /// Another mark of the note that has this bookmark.
    NoteAgain(String),
    /// Its result is text like any other.
    Other,
}

impl Field {
    /// A field that is said in one go.
    pub(super) fn simple(instruction: &str) -> Self {
        Self { instruction: instruction.to_owned(), ..Self::default() }
    }

    /// More of its instruction.
    pub(super) fn say(&mut self, text: &str) {
        if !self.in_result && self.instruction.len() + text.len() < 16 << 10 {
            self.instruction.push_str(text);
        }
    }

    /// What it is.
    pub(super) fn kind(&self) -> FieldKind {
        let words = words(&self.instruction);
        let mut words = words.iter().map(String::as_str);
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("TOC" | "INDEX") => FieldKind::Contents,
            Some("NOTEREF") => FieldKind::NoteAgain(words.next().unwrap_or_default().to_owned()),
            Some("HYPERLINK") => {
                let (mut address, mut anchor, mut title) = (None, None, String::new());
                while let Some(word) = words.next() {
                    match word {
                        "\\l" => anchor = words.next(),
                        "\\o" => title = words.next().unwrap_or_default().to_owned(),
                        "\\t" => _ = words.next(),
                        _ if word.starts_with('\\') => {}
                        _ => address = address.or(Some(word)),
                    }
                }
                let target = match (address, anchor) {
                    (Some(address), Some(anchor)) => Target::Address(format!("{address}#{anchor}")),
                    (Some(address), None) => Target::Address(address.to_owned()),
                    (None, Some(anchor)) => Target::Bookmark(anchor.to_owned()),
                    (None, None) => return FieldKind::Other,
                };
                FieldKind::Link(Link { target, title })
            }
            _ => FieldKind::Other,
        }
    }
}

impl Reader<'_> {
    /// A field says what it is, and its result follows.
    pub(super) fn begin_result(&mut self, paragraph: &mut Paragraph) {
        let Some(field) = self.fields.last_mut() else { return };
        field.in_result = true;
        if let FieldKind::NoteAgain(bookmark) = field.kind()
            && let Some(note) = self.marks.get(&bookmark).cloned()
        {
            let piece = Piece { content: Content::Note(note), look: Look::default(), link: None };
            paragraph.pieces.push(piece);
        }
    }

    /// Whether the contents are open.
    pub(super) fn is_in_contents(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.kind(), FieldKind::Contents))
    }
}

/// Words, of which those in quotes may hold blanks.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut any) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read() {
        let kind = |text: &str| format!("{:?}", Field::simple(text).kind());
        assert!(
            kind(" HYPERLINK \"https://x.org/a b\" \\o \"A tip\" ")
                .contains("Address(\"https://x.org/a b\"), title: \"A tip\"")
        );
        assert!(kind("hyperlink \\l \"_Toc1\"").contains("Bookmark(\"_Toc1\")"));
        assert_eq!(kind(" TOC \\o \"1-3\" "), "Contents");
        assert_eq!(kind(" NOTEREF note_1 \\f \\h "), "NoteAgain(\"note_1\")");
        assert_eq!(kind("PAGE"), "Other");
    }
}
