//! Blocks as WordprocessingML. The text piles up in a buffer that [`Docx`](super::Docx) drains after each event.
//!
//! One file an idea: `paragraph` opens and closes what holds runs, `inline` fills it, `table` and `notes` do theirs.

use std::{collections::BTreeMap, io, sync::Arc};

use super::{
    links::Relationships,
    names,
    notes::Notes,
    numbering::{BULLETS, LEVELS, MOST_FIRST, Numbering},
    paragraph::{Ended, Story},
    runs::Mark,
    styles::{Kind, Styles},
};
use crate::{
    book::{BookError, EndTag, Event, Losses, Tag},
    export::{AssetSource, anchors::Anchors, language, lookup::Lookup, loss},
};

/// The identifiers of the relationships that every document has, in this order.
const FIXED: [(&str, &str); 5] = [
    ("styles", "styles.xml"),
    ("numbering", "numbering.xml"),
    ("settings", "settings.xml"),
    ("footnotes", "footnotes.xml"),
    ("footer", "footer1.xml"),
];
/// Of these, the footer's.
pub(super) const FOOTER: &str = "rId5";

/// Turns events into the document's text, and knows what the other parts will have to say.
pub(super) struct Body {
    pub(super) lookup: Arc<Lookup>,
    pub(super) assets: Box<dyn AssetSource>,
    pub(super) right_to_left: bool,
    pub(super) anchors: Anchors,
    pub(super) chapter: usize,
    /// What is being written: the text, or a note.
    pub(super) story: Story,
    /// What goes on once the note is written.
    pub(super) waiting: Vec<Story>,
    pub(super) notes: Notes,
    pub(super) numbering: Numbering,
    pub(super) styles: Styles,
    /// What the text refers to, and what the notes do.
    pub(super) links: Relationships,
    pub(super) note_links: Relationships,
    /// By asset, those that are shown: its size in pixels, where it has one.
    pub(super) shown: BTreeMap<usize, Option<(u32, u32)>>,
    pub(super) losses: Losses,
    last_id: u32,
}

impl Body {
    /// For one book.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>) -> io::Result<Self> {
        Ok(Self {
            right_to_left: language::is_right_to_left(&lookup.book().metadata.language),
            assets,
            anchors: Anchors::new(lookup.scratch()),
            chapter: 0,
            story: Story::default(),
            waiting: Vec::new(),
            notes: Notes::new(lookup.scratch())?,
            numbering: Numbering::new(lookup.scratch())?,
            styles: Styles::default(),
            links: Relationships::new(&FIXED, lookup.scratch())?,
            note_links: Relationships::new(&[], lookup.scratch())?,
            shown: BTreeMap::new(),
            losses: Losses::default(),
            last_id: 0,
            lookup,
        })
    }

    /// What is written of the text and not yet drained; `None` while a note is written.
    pub(super) fn buffer(&mut self) -> Option<&mut String> {
        self.waiting.is_empty().then_some(&mut self.story.out)
    }

    /// An id for a bookmark or a picture.
    pub(super) fn id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// The id that was given last.
    pub(super) fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Takes an event; those around the whole book mean nothing here.
    pub(super) fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        match event {
            Event::ChapterStart { index, title } => self.start_chapter(index, &title),
            Event::ChapterEnd => self.end_chapter()?,
            Event::Start(tag) => self.start(tag)?,
            Event::End(tag) => self.end_tag(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(code) => self.code(&code),
            Event::Image { source, alt, title } => self.image(&source, &alt, &title)?,
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.line_break(),
            Event::Rule => {
                self.open(Kind::Rule, None);
                self.close();
            }
            Event::FootnoteReference(label) => self.note_reference(&label),
            Event::BookStart | Event::BookEnd => {}
        }
        Ok(())
    }

    fn start_chapter(&mut self, index: usize, title: &str) {
        self.chapter = index;
        let kind = if title.trim().is_empty() { Kind::Chapter } else { Kind::Heading(1) };
        self.open(kind, Some(names::chapter(index)));
        self.text(title.trim());
        self.close();
    }

    fn end_chapter(&mut self) -> Result<(), BookError> {
        self.write_notes()?;
        for name in self.anchors.end_chapter()? {
            self.losses.add(loss::ANCHOR);
            let bookmark = self.bookmark(&name);
            self.story.out.push_str(&bookmark);
        }
        // Nothing of a chapter reaches into the next.
        let out = std::mem::take(&mut self.story.out);
        let ends_in_table = self.story.ends_in_table;
        self.story = Story { out, ends_in_table, ..Story::default() };
        Ok(())
    }

    /// After the last chapter: a document may not end with a table.
    pub(super) fn end(&mut self) {
        if self.story.ends_in_table {
            self.open(Kind::Separator, None);
            self.close();
        }
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), BookError> {
        match tag {
            Tag::Paragraph => self.start_paragraph(),
            Tag::Heading { level, anchor } => {
                let anchor = anchor.as_deref().unwrap_or_default();
                let name = names::anchor(self.chapter, anchor);
                let name = (!anchor.is_empty() && self.anchors.define(&name)).then_some(name);
                let rest = name.as_ref().map(|_| names::rest(self.chapter, anchor)).unwrap_or_default();
                self.open(Kind::Heading(level.clamp(2, 6)), name);
                if let Some(open) = &mut self.story.paragraph {
                    open.name_rest = rest;
                }
            }
            Tag::Quote => {
                self.part_from(Ended::Quote);
                self.story.path.push('Q');
                self.story.quote_waits = true;
            }
            Tag::List { first } => self.start_list(first)?,
            Tag::Item => {
                self.close();
                self.story.path.push('L');
                (self.story.item_waits, self.story.ended) = (true, None);
            }
            Tag::CodeBlock { language } => self.start_code(&language),
            Tag::Table { columns } => self.start_table(columns),
            Tag::TableHead => self.start_row(true),
            Tag::TableRow => self.start_row(false),
            Tag::TableCell => self.start_cell(),
            Tag::Footnote { label } => {
                let note = Story::note(&label);
                self.waiting.push(std::mem::replace(&mut self.story, note));
            }
            Tag::Emphasis => self.story.marks.push(Mark::Emphasis),
            Tag::Strong => self.story.marks.push(Mark::Strong),
            Tag::Strikethrough => self.story.marks.push(Mark::Strikethrough),
            Tag::Superscript => self.story.marks.push(Mark::Superscript),
            Tag::Subscript => self.story.marks.push(Mark::Subscript),
            Tag::Link { target, title } => self.start_link(&target, &title)?,
        }
        Ok(())
    }

    fn end_tag(&mut self, end: EndTag) {
        match end {
            EndTag::Paragraph => self.end_paragraph(),
            EndTag::Heading(_) | EndTag::CodeBlock => self.close(),
            EndTag::Quote => self.end_quote(),
            EndTag::Item => {
                self.close();
                self.begin_item();
                self.leave_path();
            }
            EndTag::List(_) => {
                self.close();
                self.story.lists.pop();
                self.story.ended = Some(Ended::List);
            }
            EndTag::Table => self.end_table(),
            EndTag::TableHead | EndTag::TableRow => self.end_row(),
            EndTag::TableCell => self.end_cell(),
            EndTag::Footnote => self.end_note(),
            EndTag::Emphasis
            | EndTag::Strong
            | EndTag::Strikethrough
            | EndTag::Superscript
            | EndTag::Subscript => {
                self.story.marks.pop();
            }
            EndTag::Link => self.end_link(),
        }
    }

    fn start_list(&mut self, first: Option<u64>) -> Result<(), BookError> {
        self.part_from(Ended::List);
        self.begin_item();
        let level = self.story.lists.len().min(LEVELS - 1);
        let number = match first {
            None => Some(BULLETS),
            Some(first) => {
                if first > MOST_FIRST {
                    self.losses.add(loss::LIST_NUMBER);
                }
                self.numbering.numbered(level, first.min(MOST_FIRST))?
            }
        };
        if number.is_none() {
            self.losses.add(loss::LIST_NUMBER);
        }
        self.story.lists.push(number.unwrap_or(BULLETS));
        Ok(())
    }

    /// Before a quote, list or table: parts it from one of its sort that has just ended.
    pub(super) fn part_from(&mut self, sort: Ended) {
        self.close();
        let would_join = self.story.ended == Some(sort) || sort == Ended::Table && self.story.ends_in_table;
        if would_join && !self.story.item_waits {
            self.open(Kind::Separator, None);
            self.close();
        }
        self.story.ended = None;
    }

    /// Writes the mark of an item that has no block to write it with.
    pub(super) fn begin_item(&mut self) {
        if self.story.item_waits {
            self.open(Kind::CompactItem, None);
            self.close();
        }
    }

    /// One without anything in it is told by an empty paragraph at its place.
    fn end_quote(&mut self) {
        self.close();
        if std::mem::take(&mut self.story.quote_waits) {
            self.open(Kind::Separator, None);
        }
        self.leave(Ended::Quote);
    }

    fn leave(&mut self, what: Ended) {
        self.close();
        self.leave_path();
        self.story.ended = Some(what);
    }

    fn leave_path(&mut self) {
        self.story.path.pop();
        self.story.ended = None;
    }

    fn start_code(&mut self, language: &str) {
        let mut name = None;
        if !language.is_empty() {
            name = names::code(self.id(), language);
            if name.is_none() {
                self.losses.add(loss::CODE_LANGUAGE);
            }
        }
        self.open(Kind::Code, name);
    }
}
