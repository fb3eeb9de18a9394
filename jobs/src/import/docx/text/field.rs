//! Fields: what Word fills in by itself, such as links, contents and numbers of notes.

use super::{Content, Link, Paragraph, Piece, Reader, Target, bounds::cut};
use crate::{
    book::{BookError, Losses},
    import::docx::{styles::Look, xml::Node},
};

/// How long an instruction may be, and how many fields may be open one in the other.
const MOST_INSTRUCTION_BYTES: usize = 16 << 10;
const MOST_FIELDS: usize = 64;

/// A field that is open.
#[derive(Debug, Default)]
pub(super) struct Field {
    instruction: String,
    /// Whether what follows is its result.
    pub(super) in_result: bool,
    /// What it is, once its result has begun.
    pub(super) kind: FieldKind,
    /// Its place in the open paragraph's links.
    pub(super) link: Option<usize>,
    /// What is left out because of it: a loss only if the field turns out to have no end.
    dropped: Losses,
}

/// What a field is to a book.
#[derive(Debug, Default)]
pub(super) enum FieldKind {
    Link(Link),
    /// The contents, or an index: made anew by whoever needs one.
    Contents,
    /// Another mark of the note that has this bookmark.
    NoteAgain(String),
    /// Its result is text like any other.
    #[default]
    Other,
}

impl Field {
    /// A field that is said in one go.
    pub(super) fn simple(instruction: &str) -> Self {
        Self { instruction: cut(instruction, MOST_INSTRUCTION_BYTES).to_owned(), ..Self::default() }
    }

    /// More of its instruction.
    pub(super) fn say(&mut self, text: &str) {
        if !self.in_result && self.instruction.len() + text.len() < MOST_INSTRUCTION_BYTES {
            self.instruction.push_str(text);
        }
    }

    /// Something is left out because of it.
    pub(super) fn drop_piece(&mut self) {
        self.dropped.add("text of a field without an end, dropped");
    }

    /// Whether what stands in it is left out: it is an instruction, or made anew.
    fn hides_pieces(&self) -> bool {
        !self.in_result || matches!(self.kind, FieldKind::Contents | FieldKind::NoteAgain(_))
    }

    /// What its instruction says it is.
    fn read_kind(&self) -> FieldKind {
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
    fn begin_result(&mut self, paragraph: &mut Paragraph) -> Result<(), BookError> {
        let Some((field, around)) = self.fields.split_last_mut() else { return Ok(()) };
        (field.in_result, field.kind, field.dropped) = (true, field.read_kind(), Losses::default());
        let FieldKind::NoteAgain(bookmark) = &field.kind else { return Ok(()) };
        if let Some(outer) = around.iter_mut().find(|outer| outer.hides_pieces()) {
            outer.drop_piece();
            return Ok(());
        }
        // A note that is not found is a piece too: the first pass, which does not know all marks yet, must find blank
        // what the second one does.
        let content = Content::Note(self.known.unwrap_or(&self.marks).note(bookmark).cloned());
        self.weigh(paragraph, content.bytes())?;
        paragraph.pieces.push(Piece { content, look: Look::default(), link: None });
        Ok(())
    }

    /// A field that is said in one go: what is read next is its result. Gives what [`Self::end_simple`] wants.
    pub(super) fn begin_simple(
        &mut self,
        instruction: &str,
        paragraph: &mut Paragraph,
    ) -> Result<usize, BookError> {
        let before = self.fields.len();
        self.fields.push(Field::simple(instruction));
        self.begin_result(paragraph)?;
        Ok(before)
    }

    /// It ends, and with it whatever was left open in it.
    pub(super) fn end_simple(&mut self, before: usize) {
        for field in self.fields.drain(before.min(self.fields.len())..) {
            if !field.in_result {
                self.losses.merge(&field.dropped);
            }
        }
    }

    /// A sign says that a field begins, goes over to its result, or ends.
    pub(super) fn field_sign(&mut self, sign: &str, paragraph: &mut Paragraph) -> Result<(), BookError> {
        match sign {
            "begin" if self.fields.len() < MOST_FIELDS => self.fields.push(Field::default()),
            // Too deep to be followed, but its end is not another's.
            "begin" => self.fields_beyond += 1,
            "end" if self.fields_beyond > 0 => self.fields_beyond -= 1,
            "separate" if self.fields_beyond == 0 => self.begin_result(paragraph)?,
            "end" => {
                // Some fields have no result.
                if self.fields.last().is_some_and(|field| !field.in_result) {
                    self.begin_result(paragraph)?;
                }
                self.fields.pop();
            }
            _ => {}
        }
        Ok(())
    }

    /// A piece of an instruction.
    pub(super) fn instruct(&mut self, text: &str) {
        if self.fields_beyond == 0
            && let Some(field) = self.fields.last_mut()
        {
            field.say(text);
        }
    }

    /// Passes over what was deleted. The signs of fields count there too: the rest of a field may not be deleted.
    pub(super) fn deleted(&mut self, paragraph: &mut Paragraph) -> Result<(), BookError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.xml.next()? {
                Node::Start(element) => {
                    depth += 1;
                    if element.name == "fldChar" {
                        let sign = element.get("fldCharType").unwrap_or_default();
                        self.field_sign(sign, paragraph)?;
                    }
                }
                Node::End => depth -= 1,
                Node::Text(_) => {}
                Node::Eof => break,
            }
        }
        Ok(())
    }

    /// No instruction goes on behind its paragraph, where text would be taken for it. The field stays open, as its end
    /// may still come.
    pub(super) fn end_instructions(&mut self) {
        for field in self.fields.iter_mut().filter(|field| !field.in_result) {
            field.in_result = true;
            self.losses.merge(&std::mem::take(&mut field.dropped));
        }
    }

    /// Nothing follows: what was left out because of fields that are still open is lost.
    pub(super) fn end_fields(&mut self) {
        for field in self.fields.drain(..) {
            self.losses.merge(&field.dropped);
        }
    }

    /// Whether the contents are open.
    pub(super) fn is_in_contents(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.kind, FieldKind::Contents))
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
        let kind = |text: &str| format!("{:?}", Field::simple(text).read_kind());
        assert!(
            kind(" HYPERLINK \"https://x.org/a b\" \\o \"A tip\" ")
                .contains("Address(\"https://x.org/a b\"), title: \"A tip\"")
        );
        assert!(kind("hyperlink \\l \"_Toc1\"").contains("Bookmark(\"_Toc1\")"));
        assert_eq!(kind(" TOC \\o \"1-3\" "), "Contents");
        assert_eq!(kind(" NOTEREF note_1 \\f \\h "), "NoteAgain(\"note_1\")");
        assert_eq!(kind("PAGE"), "Other");
    }

    #[test]
    fn an_instruction_without_end_is_cut() {
        assert_eq!(Field::simple(&"é ".repeat(1 << 20)).instruction.len(), MOST_INSTRUCTION_BYTES - 1);
    }
}
