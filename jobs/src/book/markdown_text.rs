//! Texts of Markdown, put together again; and those of headings, without their markup.

use pulldown_cmark::{CowStr, Event as Read, Parser, Tag as From, TagEnd};

use super::{
    markdown::dialect,
    markdown_html::{Inline, inline},
};

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

/// What a heading says that is to be a title, which has no markup.
#[derive(Clone, Debug, Default)]
pub(crate) struct TitleText {
    pub(crate) text: String,
    /// How many references to footnotes were in it, wherever their definitions stand.
    pub(crate) notes: usize,
    /// Whether more was in it that is no text: emphasis, code, links.
    pub(crate) has_marks: bool,
    /// How many tags were in it that mean nothing here.
    pub(crate) tags: usize,
    /// The pictures in it, as they are written; one in another's words is that one's.
    pub(crate) images: Vec<String>,
}

/// The same of a heading that stands alone.
pub(crate) fn heading_text(line: &str) -> TitleText {
    let labels = line.split("[^").skip(1).filter_map(|rest| rest.split_once(']')).map(|(label, _)| label);
    let definitions: String = labels.map(|label| format!("\n\n[^{label}]: -")).collect();
    let source = format!("{line}{definitions}");
    let (mut title, mut depth) = (TitleText::default(), 0_usize);
    for (event, range) in Parser::new_ext(&source, dialect()).into_offset_iter() {
        match event {
            Read::End(TagEnd::Heading(_)) | Read::Start(From::FootnoteDefinition(_)) => break,
            Read::FootnoteReference(_) => title.notes += 1,
            Read::Start(From::Image { .. }) => {
                if depth == 0 {
                    title.images.extend(source.get(range).map(str::to_owned));
                }
                depth += 1;
            }
            Read::End(TagEnd::Image) => depth = depth.saturating_sub(1),
            Read::InlineHtml(html) => match inline(&html) {
                Inline::Break => title.text.push(' '),
                Inline::Start(_) => title.has_marks = true,
                Inline::Nothing | Inline::End(_) => {}
                Inline::Other => title.tags += 1,
            },
            event => {
                title.has_marks |= match &event {
                    Read::Code(_) => true,
                    Read::Start(tag) => !matches!(tag, From::Heading { .. } | From::Paragraph),
                    _ => false,
                };
                push_plain(&mut title.text, &event);
            }
        }
    }
    title.text = title.text.trim().to_owned();
    title
}

/// Adds an event's text.
pub(super) fn push_plain(text: &mut String, event: &Read<'_>) {
    match event {
        Read::Text(piece) | Read::Code(piece) => text.push_str(piece),
        Read::SoftBreak | Read::HardBreak => text.push(' '),
        _ => {}
    }
}
