//! The parser's words for blocks and runs, and ours.

use std::borrow::Cow;

use pulldown_cmark::{CodeBlockKind, Tag as From, TagEnd};

use super::event::{Alignment, EndTag, Tag};

/// Our word; `None` for what is read in another way or not at all.
pub(super) fn tag(from: From<'_>) -> Option<Tag<'_>> {
    Some(match from {
        From::Paragraph => Tag::Paragraph,
        From::BlockQuote(_) => Tag::Quote,
        From::CodeBlock(kind) => Tag::CodeBlock {
            language: match kind {
                CodeBlockKind::Fenced(info) => {
                    info.split([' ', ',', '\t']).next().unwrap_or_default().to_owned().into()
                }
                CodeBlockKind::Indented => Cow::Borrowed(""),
            },
        },
        From::List(first) => Tag::List { first },
        From::Item => Tag::Item,
        From::FootnoteDefinition(label) => Tag::Footnote { label: label.to_string().into() },
        From::Table(columns) => Tag::Table { columns: columns.into_iter().map(alignment).collect() },
        From::TableHead => Tag::TableHead,
        From::TableRow => Tag::TableRow,
        From::TableCell => Tag::TableCell,
        From::Emphasis => Tag::Emphasis,
        From::Strong => Tag::Strong,
        From::Strikethrough => Tag::Strikethrough,
        From::Superscript => Tag::Superscript,
        From::Subscript => Tag::Subscript,
        _ => return None,
    })
}

/// The end's.
pub(super) fn end_tag(from: TagEnd) -> Option<EndTag> {
    Some(match from {
        TagEnd::Paragraph => EndTag::Paragraph,
        TagEnd::BlockQuote(_) => EndTag::Quote,
        TagEnd::CodeBlock => EndTag::CodeBlock,
        TagEnd::List(numbered) => EndTag::List(numbered),
        TagEnd::Item => EndTag::Item,
        TagEnd::FootnoteDefinition => EndTag::Footnote,
        TagEnd::Table => EndTag::Table,
        TagEnd::TableHead => EndTag::TableHead,
        TagEnd::TableRow => EndTag::TableRow,
        TagEnd::TableCell => EndTag::TableCell,
        TagEnd::Emphasis => EndTag::Emphasis,
        TagEnd::Strong => EndTag::Strong,
        TagEnd::Strikethrough => EndTag::Strikethrough,
        TagEnd::Superscript => EndTag::Superscript,
        TagEnd::Subscript => EndTag::Subscript,
        _ => return None,
    })
}

fn alignment(from: pulldown_cmark::Alignment) -> Alignment {
    match from {
        pulldown_cmark::Alignment::None => Alignment::None,
        pulldown_cmark::Alignment::Left => Alignment::Left,
        pulldown_cmark::Alignment::Center => Alignment::Center,
        pulldown_cmark::Alignment::Right => Alignment::Right,
    }
}
