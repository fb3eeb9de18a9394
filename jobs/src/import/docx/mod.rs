//! DOCX (ECMA-376, transitional and strict), as Word, LibreOffice, Google Docs, pandoc and our own export write it. Two
//! passes over the text: the first ([`mod@survey`]) decides where chapters begin, so that links can lead to chapters
//! still to come, and finds the marks of notes, which other notes mention; the second writes. Neither holds more than a
//! paragraph, a table or a note.
//!
//! `archive` (shared) bounds the ZIP, `xml` the XML; `parts` are the parts around the text, `styles` what styles and
//! lists mean, `text` what paragraphs hold, `blocks` how they become balanced events, `names` our own bookmarks, `places`
//! where bookmarks are.

use std::io::Read as _;

use super::{
    BookSink, HELD_TITLE, Imported, Report, SourceFile, SourceFormat, archive::Archive, chapters::Chapters,
    one_line, pictures::Pictures, read_error,
};
use crate::book::{BookError, EndTag, Event, EventSink as _, Losses, Metadata, Tag, markdown::is_web};

mod blocks;
mod desk;
#[cfg(test)]
mod limits_tests;
mod names;
mod parts;
mod places;
mod styles;
mod survey;
#[cfg(test)]
pub(in crate::import) mod tests;
mod text;
mod xml;

use blocks::{Blocks, resolved};
use desk::{Here, Mentioned};
use parts::{Notes, Relations};
use styles::{Role, Styles};
use survey::{Begins, Order, Part, Survey, Surveyor};
use text::{Block, Content, Marks, NoteId, Paragraph, Picture, Reader};
use xml::Xml;

/// Imports a DOCX.
pub(super) fn import(
    source: &SourceFile,
    level: Option<u8>,
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    refuse_old(source)?;
    let mut archive = Archive::open(source, "a DOCX")?;
    let root = parts::relations(&mut archive, "")?;
    let main = root.values().find(|relation| relation.kind == "officeDocument");
    let main = main.map_or_else(|| "word/document.xml".to_owned(), |relation| relation.target.to_string());
    if !archive.has(&main) {
        let problem = "it is missing: the file is a ZIP archive, but not a DOCX";
        return Err(BookError::input(archive.place(&main), problem));
    }
    let relations = parts::relations(&mut archive, &main)?;
    let metadata = parts::metadata(&mut archive, &root)?;
    let mut styles = Styles::default();
    let (mut notes, mut notes_at) = (Notes::new(source.scratch()), Vec::new());
    let (mut foot, mut end) = (Relations::new(), Relations::new());
    // One part of each kind: a document has no more.
    let mut read: Vec<&str> = Vec::new();
    for relation in relations.values().filter(|relation| !relation.is_outside) {
        let (kind, path) = (relation.kind, &*relation.target);
        let is_part = matches!(kind, "styles" | "numbering" | "footnotes" | "endnotes");
        if !is_part || read.contains(&kind) || !archive.has(path) {
            continue;
        }
        read.push(kind);
        let place = archive.place(path);
        match kind {
            "styles" => styles.read(archive.open_entry(path, 64 << 20)?, &place)?,
            "numbering" => styles.read_lists(archive.open_entry(path, 256 << 20)?, &place)?,
            "footnotes" => {
                notes.add(&mut archive, path, false)?;
                notes_at.push(path.to_owned());
                foot = parts::relations(&mut archive, path)?;
            }
            "endnotes" => {
                notes.add(&mut archive, path, true)?;
                notes_at.push(path.to_owned());
                end = parts::relations(&mut archive, path)?;
            }
            _ => {}
        }
    }
    let mut surveyor = Surveyor::new(level);
    let surveyed = surveyor.read(Reader::new(parts::open(&mut archive, &main)?, &styles), &styles);
    surveyed.map_err(|error| in_file(error, &source.name))?;
    for path in notes_at {
        surveyor.read_notes(Reader::new(parts::open(&mut archive, &path)?, &styles), &styles)?;
    }
    let marks = std::mem::take(&mut surveyor.marks);

    let chapters = Chapters::new(sink, Report::new(SourceFormat::Docx), &source.name);
    let mut book = Book {
        source,
        // Pictures are read while the text is.
        pictures: Archive::open(source, "a DOCX")?,
        known: Pictures::default(),
        survey: surveyor.done(),
        styles: &styles,
        marks: &marks,
        relations: [relations, foot, end],
        notes,
        metadata,
        chapters,
        next: 0,
        is_open: false,
        mentioned: Mentioned::default(),
    };
    let mut reader = Reader::knowing(parts::open(&mut archive, &main)?, &styles, &marks);
    book.read(&mut reader).map_err(|error| in_file(error, &source.name))?;
    book.finish(reader.losses)
}

/// Word's format of old, which also stands around documents with a password.
fn refuse_old(source: &SourceFile) -> Result<(), BookError> {
    let mut head = [0; 4];
    let file = source.open().map_err(read_error(&source.name))?;
    let mut file = file.take(4);
    let read = file.read(&mut head).map_err(read_error(&source.name))?;
    if head[..read] == *b"\xd0\xcf\x11\xe0" {
        let problem = "an old Word document, or one with a password: open it in a word processor, take the password off, \
                       and save it as DOCX";
        return Err(BookError::input(&source.name, problem));
    }
    Ok(())
}

/// An error of a part that knows no file, with its file.
fn in_file(error: BookError, file: &str) -> BookError {
    match error {
        BookError::Input { file: none, place, problem } if none.is_empty() => {
            BookError::Input { file: file.to_owned(), place, problem }
        }
        other => other,
    }
}

/// The second pass.
struct Book<'a, 's> {
    source: &'a SourceFile,
    pictures: Archive,
    known: Pictures,
    survey: Survey,
    styles: &'a Styles,
    /// The marks of all notes.
    marks: &'a Marks,
    /// Of the text, the footnotes and the endnotes.
    relations: [Relations; 3],
    notes: Notes,
    metadata: Metadata,
    chapters: Chapters<'s>,
    /// How many chapters were begun, and whether the last one is open.
    next: usize,
    is_open: bool,
    /// The open chapter's notes.
    mentioned: Mentioned,
}

impl<'a, 's> Book<'a, 's> {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), BookError> {
        let (mut blocks, mut order) = (Blocks::default(), Order::default());
        let mut page_has_text = false;
        let mut front_authors = Vec::new();
        while let Some(block) = reader.next()? {
            let paragraph = match block {
                Block::Paragraph(paragraph) => paragraph,
                Block::Table(table) => {
                    (order.in_text, page_has_text) = (true, true);
                    self.begin_if_none()?;
                    let styles = self.styles;
                    blocks.table(&table, styles, &mut self.here(0))?;
                    continue;
                }
            };
            let part = order.part(&paragraph, self.styles, self.survey.begins);
            if paragraph.page_break
                && self.survey.begins == Begins::Page
                && std::mem::take(&mut page_has_text)
            {
                self.end_chapter(&mut blocks)?;
            }
            match part {
                Part::Front(role) => self.front(role, &paragraph, &mut front_authors)?,
                Part::Chapter => {
                    page_has_text = true;
                    self.end_chapter(&mut blocks)?;
                    self.begin()?;
                }
                Part::Heading(level) => {
                    page_has_text = true;
                    self.begin_if_none()?;
                    let chapter = Some(self.next.saturating_sub(1));
                    let heading = (level, self.survey.anchor(&paragraph.bookmarks, chapter));
                    self.paragraph(&mut blocks, &paragraph, heading, 0)?;
                }
                Part::Text => {
                    page_has_text |= !paragraph.is_blank();
                    if self.is_open || order.in_text {
                        self.begin_if_none()?;
                        self.paragraph(&mut blocks, &paragraph, (2, None), 0)?;
                    }
                }
            }
            if paragraph.page_break_after
                && self.survey.begins == Begins::Page
                && std::mem::take(&mut page_has_text)
            {
                self.end_chapter(&mut blocks)?;
            }
        }
        self.end_chapter(&mut blocks)?;
        if front_authors.join("; ") == self.metadata.authors.join("; ") || self.metadata.authors.is_empty() {
            self.metadata.authors = front_authors;
        }
        Ok(())
    }

    fn finish(mut self, losses: Losses) -> Result<Imported, BookError> {
        self.chapters.losses().merge(&losses);
        self.metadata.title = one_line(&self.metadata.title, HELD_TITLE);
        Ok(Imported { metadata: self.metadata, report: self.chapters.finish()? })
    }

    /// A paragraph of the title page: it says of the book what the properties may not.
    fn front(
        &mut self,
        role: Role,
        paragraph: &Paragraph,
        authors: &mut Vec<String>,
    ) -> Result<(), BookError> {
        let text = one_line(&paragraph.text(), 1000);
        let metadata = &mut self.metadata;
        match role {
            Role::Title if metadata.title.is_empty() => metadata.title = text,
            Role::Subtitle if metadata.subtitle.is_empty() => metadata.subtitle = text,
            Role::Date if metadata.date.is_empty() => metadata.date = text,
            Role::Author if !text.is_empty() && authors.len() < 1000 => authors.push(text),
            Role::Front if paragraph.style == "Cover" => {
                for piece in &paragraph.pieces {
                    if let Content::Picture(picture) = &piece.content {
                        let cover = self.bring(picture, 0)?;
                        self.metadata.cover = cover.filter(|name| !is_web(name));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin_if_none(&mut self) -> Result<(), BookError> {
        if self.is_open { Ok(()) } else { self.begin() }
    }

    fn begin(&mut self) -> Result<(), BookError> {
        let title = self.survey.titles.get(self.next).cloned().unwrap_or_default();
        self.chapters.begin(self.next, &title)?;
        (self.next, self.is_open) = (self.next + 1, true);
        Ok(())
    }

    /// Ends the chapter, if there is one: its notes first.
    fn end_chapter(&mut self, blocks: &mut Blocks) -> Result<(), BookError> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        blocks.finish(&mut self.chapters)?;
        let mut done = 0;
        // A note may mention others.
        while let Some(note) = self.mentioned.order.get(done).cloned() {
            done += 1;
            self.chapters.event(Event::Start(Tag::Footnote { label: done.to_string().into() }))?;
            self.note(&note)?;
            self.chapters.event(Event::End(EndTag::Footnote))?;
        }
        self.mentioned = Mentioned::default();
        *blocks = Blocks::default();
        self.chapters.end()
    }

    fn note(&mut self, note: &NoteId) -> Result<(), BookError> {
        let bytes = self.notes.read(note, &self.source.name)?;
        let styles = self.styles;
        let xml = Xml::new(bytes.as_slice(), &self.source.name);
        let mut reader = Reader::knowing(xml, styles, self.marks);
        let mut blocks = Blocks::default();
        let part = if note.at_end { 2 } else { 1 };
        while let Some(block) = reader.next()? {
            match block {
                Block::Paragraph(paragraph) => {
                    let level = match resolved(&paragraph, styles).role {
                        Role::Heading(level) => self.survey.begins.level(level),
                        _ => 2,
                    };
                    let heading = (level, self.survey.anchor(&paragraph.bookmarks, None));
                    self.paragraph(&mut blocks, &paragraph, heading, part)?;
                }
                Block::Table(table) => blocks.table(&table, styles, &mut self.here(part))?,
            }
        }
        blocks.finish(&mut self.chapters)?;
        self.chapters.losses().merge(&reader.losses);
        Ok(())
    }

    fn paragraph(
        &mut self,
        blocks: &mut Blocks,
        paragraph: &Paragraph,
        heading: (u8, Option<String>),
        part: usize,
    ) -> Result<(), BookError> {
        if self.styles.paragraph(&paragraph.style).role == Role::UnmentionedNotes {
            for piece in &paragraph.pieces {
                if let Content::Note(Some(note)) = &piece.content
                    && self.notes.has(note)
                {
                    self.mentioned.label(note);
                }
            }
            return Ok(());
        }
        let language = paragraph.bookmarks.iter().find_map(|name| names::language(name));
        let styles = self.styles;
        blocks.paragraph(paragraph, styles, heading, language, &mut self.here(part))
    }

    /// Where the blocks of a part go.
    fn here(&mut self, part: usize) -> Here<'_, 'a, 's> {
        Here { book: self, part }
    }

    /// Brings a picture in that `part` shows.
    fn bring(&mut self, picture: &Picture, part: usize) -> Result<Option<String>, BookError> {
        for id in &picture.relations {
            let Some(relation) = self.relations[part].get(id.as_str()) else { continue };
            if relation.is_outside {
                if is_web(&relation.target) {
                    return Ok(Some(relation.target.to_string()));
                }
                continue;
            }
            let path = &*relation.target;
            if let Some(known) = self.known.known(path) {
                if known.is_some() {
                    return Ok(known.clone());
                }
                continue;
            }
            if !self.pictures.has(path) {
                self.known.missing(path);
                continue;
            }
            // Our own export keeps the name; others call them `Picture 1`.
            let name = if picture.name.contains('.') { picture.name.as_str() } else { path };
            let mut data = self.pictures.open_picture(path)?;
            let brought = self.known.add(path, name, &mut data, self.chapters.sink())?;
            if brought.is_some() {
                return Ok(brought);
            }
        }
        Ok(None)
    }
}
