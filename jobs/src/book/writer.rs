//! Markdown: CommonMark with tables, footnotes, strikethrough, raised and lowered text and heading attributes, as
//! pulldown-cmark reads it with [`dialect`]. Used twice: for the chapter files of projects ([`MarkdownWriter`]) and
//! for the export of a whole book (`export`). What is written reads back as the same events, except for what the
//! language can't say; that is counted.
//!
//! - `block`: blocks, their prefixes and the blank lines between them.
//! - `inline`: runs, brought into a form that Markdown can say. `render`: that form as text. `escape`: text in it.

use std::borrow::Cow;

use pulldown_cmark::Options;

use super::loss;
use crate::book::{Event, Losses};

mod block;
mod escape;
mod inline;
mod render;

/// The extensions that the writer uses, and so what a reader must enable.
pub fn dialect() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_SUPERSCRIPT
        | Options::ENABLE_SUBSCRIPT
        | Options::ENABLE_HEADING_ATTRIBUTES
}

/// How a writer names things that are unique in a chapter only, and where links and images lead.
pub trait Naming: Send {
    /// What stands behind `](` of a link, or `None` where the link leads nowhere and only its text is to be kept.
    fn link<'a>(&mut self, target: &'a str) -> Option<Cow<'a, str>>;
    /// How an image is shown; `title` is its caption.
    fn image<'a>(&mut self, source: &'a str, title: &str) -> Image<'a>;
    /// A heading's anchor.
    fn anchor<'a>(&self, anchor: &'a str) -> Cow<'a, str>;
    /// A footnote's label.
    fn label<'a>(&self, label: &'a str) -> Cow<'a, str>;
    /// The anchor of the chapter's own heading, if it has one.
    fn chapter_anchor(&self) -> Option<String>;
}

/// How an image is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image<'a> {
    /// By its address.
    At(Cow<'a, str>),
    /// By the name of a definition that stands elsewhere and has a caption of its own; with the caption where it is
    /// another one.
    Defined(String, Option<String>),
    /// Not at all: its alternative text and its caption take its place.
    Missing,
}

/// Names of a chapter file in a project: as they come, images below `../images/`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProjectNames;

impl Naming for ProjectNames {
    fn link<'a>(&mut self, target: &'a str) -> Option<Cow<'a, str>> {
        // Inside the book, the anchor must be spelt as its heading spells it.
        Some(match target.split_once('#') {
            Some((file, anchor)) if !file.contains(':') && !anchor.is_empty() => {
                format!("{file}#{}", plain_name(anchor)).into()
            }
            _ => Cow::Borrowed(target),
        })
    }

    fn image<'a>(&mut self, source: &'a str, _title: &str) -> Image<'a> {
        let is_remote = source.contains("://");
        Image::At(if is_remote { Cow::Borrowed(source) } else { Cow::Owned(format!("../images/{source}")) })
    }

    fn anchor<'a>(&self, anchor: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(anchor)
    }

    fn label<'a>(&self, label: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(label)
    }

    fn chapter_anchor(&self) -> Option<String> {
        None
    }
}

/// Writes chapters as Markdown into a buffer that its user drains. It holds the open block at most.
#[derive(Debug)]
pub struct MarkdownWriter<N> {
    naming: N,
    blocks: block::Blocks,
    losses: Losses,
}

impl MarkdownWriter<ProjectNames> {
    /// For the chapter files of a project: each `ChapterStart` writes `# Title` as the first line.
    pub fn for_project() -> Self {
        Self::new(ProjectNames)
    }
}

impl<N: Naming> MarkdownWriter<N> {
    /// With names of its user's choice.
    pub fn new(naming: N) -> Self {
        Self { naming, blocks: block::Blocks::default(), losses: Losses::default() }
    }

    /// What is written and not yet drained. The user empties it when it likes; before the next chapter's file at the
    /// latest.
    pub fn buffer(&mut self) -> &mut String {
        &mut self.blocks.out
    }

    /// The names.
    pub fn naming(&mut self) -> &mut N {
        &mut self.naming
    }

    /// What could not be written so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Takes an event of a checked stream; those around the whole book mean nothing here.
    pub fn event(&mut self, event: &Event<'_>) {
        self.blocks.event(event, &mut self.naming, &mut self.losses);
    }
}

/// A title as it follows an address: in quotes, behind a blank.
pub(crate) fn title(text: &str) -> String {
    let mut out = String::new();
    escape::push_title(&mut out, text, escape::Place::Line);
    out
}

/// A name without what ends or splits it in Markdown: spaces, brackets, quotes and the like become `_20_`.
pub(crate) fn plain_name(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if name.chars().all(is_plain) && !name.is_empty() {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            out.push_str(&format!("_{:x}_", u32::from(c)));
        }
    }
    if out.is_empty() {
        out.push('_');
    }
    Cow::Owned(out)
}
