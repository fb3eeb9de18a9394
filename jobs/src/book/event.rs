//! The stream's vocabulary. A book is `BookStart`, its chapters, `BookEnd`; a chapter is `ChapterStart`, balanced
//! blocks, `ChapterEnd`. Borrowed where it can be: an event lives only while it is handed on.
//!
//! A chapter's title stands in `ChapterStart` and not again as a heading; headings inside begin at level 2. Footnote
//! definitions may stand anywhere in the chapter that refers to them. Chapters are self-contained: nothing in one is
//! needed to understand another, but links may lead there.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::error::BookError;

/// One step of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// Once, first. What the book is stands in its [`Book`](super::Book).
    BookStart,
    /// A chapter begins.
    ChapterStart {
        /// Its place in the book, from 0.
        index: usize,
        /// Its title, plain text; may be empty.
        title: Cow<'a, str>,
    },
    /// A block or a run begins.
    Start(Tag<'a>),
    /// The innermost open block or run ends.
    End(EndTag),
    /// Text; at most [`MOST_TEXT_BYTES`](super::check::MOST_TEXT_BYTES), legal in XML 1.0.
    Text(Cow<'a, str>),
    /// Inline code.
    Code(Cow<'a, str>),
    /// A picture, inline.
    Image {
        /// The name of an asset of the book, or an `http(s)` URL where the source only had that.
        source: Cow<'a, str>,
        /// What it shows, for who can't see it.
        alt: Cow<'a, str>,
        /// A caption; may be empty.
        title: Cow<'a, str>,
    },
    /// A line end in the source that means nothing.
    SoftBreak,
    /// A line end that the author wants.
    HardBreak,
    /// A thematic break between blocks.
    Rule,
    /// A mark that refers to the footnote with this label in the same chapter.
    FootnoteReference(Cow<'a, str>),
    /// The chapter ends.
    ChapterEnd,
    /// Once, last.
    BookEnd,
}

/// What can be open. Blocks: paragraph, heading, quote, list, item, code block, table with its parts, footnote.
/// Runs (inside paragraphs, headings, cells): the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Tag<'a> {
    /// A paragraph of runs.
    Paragraph,
    /// A heading of runs.
    Heading {
        /// 2 to 6.
        level: u8,
        /// The name by which links find it, unique in its chapter.
        anchor: Option<Cow<'a, str>>,
    },
    /// A quotation of blocks.
    Quote,
    /// A list of items.
    List {
        /// The first number, where it is numbered.
        first: Option<u64>,
    },
    /// A list item of blocks (or, in a tight list, of runs).
    Item,
    /// Preformatted text: only `Text` inside, line feeds included.
    CodeBlock {
        /// The language's name; may be empty.
        language: Cow<'a, str>,
    },
    /// A table: one head, then rows.
    Table {
        /// One a column.
        columns: Vec<Alignment>,
    },
    /// The head's cells.
    TableHead,
    /// A row's cells.
    TableRow,
    /// A cell of runs.
    TableCell,
    /// A footnote's definition, of blocks.
    Footnote {
        /// Its label, unique in the chapter.
        label: Cow<'a, str>,
    },
    /// Emphasis, usually italic.
    Emphasis,
    /// Strong emphasis, usually bold.
    Strong,
    /// Struck through.
    Strikethrough,
    /// Raised.
    Superscript,
    /// Lowered.
    Subscript,
    /// A link around runs.
    Link {
        /// `https:…`, `mailto:…`, `#anchor`, or `chapter-file.md#anchor`; see [`Book::link`](super::Book::link).
        target: Cow<'a, str>,
        /// A hint; may be empty.
        title: Cow<'a, str>,
    },
}

/// What ends; the counterpart of [`Tag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the end of the tag of the same name")]
pub enum EndTag {
    Paragraph,
    Heading(u8),
    Quote,
    /// Whether it was numbered.
    List(bool),
    Item,
    CodeBlock,
    Table,
    TableHead,
    TableRow,
    TableCell,
    Footnote,
    Emphasis,
    Strong,
    Strikethrough,
    Superscript,
    Subscript,
    Link,
}

impl Tag<'_> {
    /// The end that closes it.
    pub fn end(&self) -> EndTag {
        match self {
            Self::Paragraph => EndTag::Paragraph,
            Self::Heading { level, .. } => EndTag::Heading(*level),
            Self::Quote => EndTag::Quote,
            Self::List { first } => EndTag::List(first.is_some()),
            Self::Item => EndTag::Item,
            Self::CodeBlock { .. } => EndTag::CodeBlock,
            Self::Table { .. } => EndTag::Table,
            Self::TableHead => EndTag::TableHead,
            Self::TableRow => EndTag::TableRow,
            Self::TableCell => EndTag::TableCell,
            Self::Footnote { .. } => EndTag::Footnote,
            Self::Emphasis => EndTag::Emphasis,
            Self::Strong => EndTag::Strong,
            Self::Strikethrough => EndTag::Strikethrough,
            Self::Superscript => EndTag::Superscript,
            Self::Subscript => EndTag::Subscript,
            Self::Link { .. } => EndTag::Link,
        }
    }
}

/// How a table's column is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// As the language runs.
    #[default]
    None,
    /// To the left.
    Left,
    /// Centred.
    Center,
    /// To the right.
    Right,
}

/// Whoever consumes the stream.
pub trait EventSink {
    /// Takes the next event.
    ///
    /// # Errors
    /// Where it can't go on; nothing more is sent then.
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError>;
}

/// What could not be carried over, by what it was, counted: `{"raw HTML": 3}`. At most 64 sorts are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Losses(BTreeMap<Cow<'static, str>, u64>);

impl Losses {
    /// Counts one more.
    pub fn add(&mut self, what: impl Into<Cow<'static, str>>) {
        let what = what.into();
        let what =
            if self.0.len() < 64 || self.0.contains_key(&what) { what } else { Cow::Borrowed("other") };
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(what, count)| (what.as_ref(), *count))
    }
}
