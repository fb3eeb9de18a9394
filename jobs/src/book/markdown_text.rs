//! Texts of Markdown, put together again; and those of headings, without their markup.

use pulldown_cmark::{CowStr, Event as Read, Parser, Tag as From, TagEnd};

use super::markdown::dialect;

/// Neighbouring texts, which escapes and entities split, are handed on as one.
#[derive(Default)]
pub(super) struct Pending<'a>(Option<CowStr<'a>>);

impl<'a> Pending<'a> {
    /// Takes a piece; answers the text before it where that has grown long.
    pub(super) fn push(&mut self, piece: CowStr<'a>) -> Option<CowStr<'a>> {
        match self.0.take() {
            Some(before) if before.len() + piece.len() <= super::check::MOST_TEXT_BYTES => {
                let mut both = before.into_string();
                both.push_str(&piece);
                self.0 = Some(both.into());
                None
            }
            before => {
                self.0 = Some(piece);
                before
            }
        }
    }

    /// What waits.
    pub(super) fn take(&mut self) -> Option<CowStr<'a>> {
        self.0.take()
    }
}

/// The text of a line of Markdown without its markup.
pub(crate) fn plain_text(source: &str) -> String {
    let mut text = String::new();
    for event in Parser::new_ext(source, dialect()) {
        push_plain(&mut text, &event);
    }
    text.trim().to_owned()
}

/// The same of a heading that stands alone; and how many references to footnotes were in it, wherever their definitions
/// stand.
pub(crate) fn heading_text(line: &str) -> (String, usize) {
    let labels = line.split("[^").skip(1).filter_map(|rest| rest.split_once(']')).map(|(label, _)| label);
    let definitions: String = labels.map(|label| format!("\n\n[^{label}]: -")).collect();
    let (mut text, mut references) = (String::new(), 0);
    for event in Parser::new_ext(&format!("{line}{definitions}"), dialect()) {
        match event {
            Read::End(TagEnd::Heading(_)) | Read::Start(From::FootnoteDefinition(_)) => break,
            Read::FootnoteReference(_) => references += 1,
            event => push_plain(&mut text, &event),
        }
    }
    (text.trim().to_owned(), references)
}

/// Adds an event's text.
pub(super) fn push_plain(text: &mut String, event: &Read<'_>) {
    match event {
        Read::Text(piece) | Read::Code(piece) => text.push_str(piece),
        Read::SoftBreak | Read::HardBreak => text.push(' '),
        _ => {}
    }
}
