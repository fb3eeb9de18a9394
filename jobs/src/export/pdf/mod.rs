//! PDF 1.7 (ISO 32000-1), set like a book: pages are written as they fill, and of the finished ones nothing is kept
//! but a few bytes a chapter and an anchor. The table of contents is written last and placed in front.
//!
//! - `look`: sizes and distances. [`text`]: runs of text to lines of glyphs, and the fonts.
//! - `blocks`, `inline`, `items`, `code`, `table`, `notes`, `figure`: the stream's blocks to rows. `links`: where links lead.
//! - `flow`: rows to pages. `paper`, `sheet`: pages to content, with running heads and numbers.
//! - `structure`: what is what, for who listens or copies. `outline`, `places`, `front`, `metadata`: ways in.
//! - `picture`: JPEG and PNG. `objects`, `body`, `tree`: the file, without ever going back in it.

use std::{io::Write, sync::Arc};

use self::{
    blocks::{Frame, Leaf, List},
    inline::{Inlines, Mood, unbroken},
    look::Look,
    notes::{Notes, Reading},
    objects::Objects,
    outline::Outline,
    paper::Paper,
    picture::Pictures,
    places::Places,
    structure::Target,
    table::Table,
    text::Typesetter,
};
use super::{AssetSource, Exporter, language, lookup::Lookup, page::PageOptions};
use crate::book::{BookError, Event, Losses};

mod blocks;
mod body;
mod code;
mod figure;
mod flow;
mod front;
mod inline;
mod items;
mod links;
mod look;
mod metadata;
mod notes;
mod objects;
mod outline;
mod paper;
mod picture;
mod places;
mod sheet;
mod structure;
mod table;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod tree;

/// The loss of characters that no font has.
const CHARACTER: &str = "character that no font has";

/// Writes a PDF.
pub(super) struct Pdf {
    lookup: Arc<Lookup>,
    assets: Box<dyn AssetSource>,
    language: String,
    paper: Paper,
    places: Places,
    outline: Outline,
    notes: Notes,
    pictures: Pictures,
    /// A footnote's definition that is being read.
    reading: Option<Reading>,
    chapter: usize,
    /// By chapter: the number of its first page.
    numbers: Vec<i32>,
    /// What stands in front of the chapters in the structure.
    front_elements: usize,
    leaf: Option<Leaf>,
    inlines: Inlines,
    /// How many of each are open: emphasis, strong, strikethrough, superscript, subscript.
    moods: [u32; 5],
    /// For each open link, where it leads.
    links: Vec<Option<Arc<Target>>>,
    frames: Vec<Frame>,
    lists: Vec<List>,
    /// A list's mark that waits for the first line of its item.
    label: Option<Vec<flow::Ink>>,
    /// Destinations that wait for the next row.
    waiting: Vec<pdf_writer::Ref>,
    /// Room that the block before wants below it.
    gap: f32,
    /// Whether the block before was a paragraph, so that the next one's first line is indented.
    follows: bool,
    /// The last heading's level, as none may be skipped.
    level: u8,
    table: Option<Table>,
    losses: Losses,
    /// Whether something is told to nobody who can't see: pictures without words.
    has_silent: bool,
}

impl Pdf {
    /// A PDF of the book, not begun.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>, options: &PageOptions) -> Self {
        let book = lookup.book();
        let language = language::tag(options.language.as_deref().unwrap_or(&book.metadata.language));
        let look = Look::new(options, language::is_right_to_left(&language));
        let typesetter = Typesetter::new(&language, look.family);
        let mut objects = Objects::new(metadata::identity(book));
        let chapters = book.chapters.len();
        let places = Places::new(&mut objects, chapters, lookup.scratch());
        let outline = Outline::new(&mut objects, chapters);
        Self {
            pictures: Pictures::new(book.assets.len()),
            assets,
            language,
            paper: Paper::new(objects, typesetter, look),
            places,
            outline,
            notes: Notes::default(),
            reading: None,
            chapter: 0,
            numbers: Vec::with_capacity(chapters),
            front_elements: 0,
            leaf: None,
            inlines: Inlines::default(),
            moods: [0; 5],
            links: Vec::new(),
            frames: Vec::new(),
            lists: Vec::new(),
            label: None,
            waiting: Vec::new(),
            gap: 0.0,
            follows: false,
            level: 1,
            table: None,
            losses: Losses::default(),
            has_silent: false,
            lookup,
        }
    }

    fn mood(&self) -> Mood {
        let [emphasis, strong, strike, up, down] = self.moods;
        let rise = i8::from(up > 0) - i8::from(down > 0);
        Mood { italic: emphasis > 0, bold: strong > 0, strike: strike > 0, code: false, rise }
    }

    fn push(&mut self, text: &str, mood: Mood) {
        if self.table.is_none() {
            self.leaf.get_or_insert(Leaf::Plain);
        }
        let target = self.links.iter().rev().find_map(|link| link.clone());
        self.inlines.push(text, mood, target.as_ref());
    }

    fn text(&mut self, text: &str, out: &mut dyn Write) -> Result<(), BookError> {
        if let Some(Leaf::Code { .. }) = self.leaf {
            return self.code_text(text, out);
        }
        let mood = self.mood();
        self.push(&unbroken(text), mood);
        self.relieve(out)
    }

    /// Takes an event; may call itself for those that were kept.
    fn take(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        if let Some(reading) = self.reading.take() {
            match reading.event(&event) {
                Ok(reading) => self.reading = Some(reading),
                Err((label, events)) => self.notes.define(&mut self.paper.objects, &label, events),
            }
            return Ok(());
        }
        match event {
            Event::BookStart => self.begin_book(out),
            Event::BookEnd => self.end_book(out),
            Event::ChapterStart { index, title } => self.start_chapter(index, &title, out),
            Event::ChapterEnd => self.end_chapter(out),
            Event::Start(tag) => self.start(tag, out),
            Event::End(end) => self.end(end, out),
            Event::Text(text) => self.text(&text, out),
            Event::Code(code) => {
                let mood = Mood { code: true, ..self.mood() };
                self.push(&unbroken(&code), mood);
                Ok(())
            }
            Event::Image { source, alt, title } => self.image(&source, &alt, &title, out),
            Event::SoftBreak => self.text(" ", out),
            Event::HardBreak => {
                let mood = self.mood();
                self.push("\n", mood);
                Ok(())
            }
            Event::Rule => self.rule(out),
            Event::FootnoteReference(label) => {
                self.mention(&label);
                Ok(())
            }
        }
    }
}

impl Exporter for Pdf {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        self.take(event, out)
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
