//! DOCX (ECMA-376, transitional): one document with real styles, lists, notes and pictures, streamed into a ZIP archive.
//! `word/document.xml` is written while the events come; what is known only then follows it: notes, numbering, styles,
//! relationships, pictures.
//!
//! In memory stay the open chapter's notes. The finished chapters' notes, the links' addresses and the numbers of lists
//! are put aside, compressed; each has a bound ([`held`](super::zip)), beyond which notes go to their chapter's end and
//! links become fields. Nothing here knows storage, jobs or the clock.
//!
//! # What stands for what
//! The importer reads the same conventions, so that a book comes back as it was. Programs that don't know them see an
//! ordinary document.
//!
//! Front matter is everything before the first chapter: `Cover` (a paragraph with the picture), `Title`, `Subtitle`,
//! `Author` (one a person), `Imprint` (publisher, date, rights), `TOCHeading` and the field `TOC` with one `TOC1`
//! paragraph a chapter. Metadata stand in `docProps/core.xml` (`dc:title`; `dc:creator` and `cp:keywords`, joined by
//! `; `; `dc:description`, `dc:language`, `dc:identifier`) and, as written, in `docProps/custom.xml` (`Subtitle`,
//! `Publisher`, `Date`, `Rights`).
//!
//! **Chapters** begin with a `Heading1`, or an empty `ChapterStart` where the title is empty; it holds the bookmark
//! `chapter_<n>`, `n` from 1.
//!
//! **Paragraph styles** are `<kind>` or `<kind>_<path>`; the path says, outermost first, in which quotes (`Q`) and
//! list items (`L`) the block stands: `CodeBlock_QL` is code in an item of a list in a quote. Kinds:
//! - `BodyText`, or `FirstParagraph` without an indent: a paragraph outside of all. `FootnoteText` in a note.
//! - `Quote`: a paragraph right inside a quote. Instead of `Quote_Q`, `Quote_QQ`… there are `Quote`, `Quote2`…`Quote9`.
//! - `ListParagraph`: a paragraph right inside an item; `ListCompact`: runs right inside an item (a tight list).
//! - `Heading2`…`Heading6`; `CodeBlock` (one paragraph, lines parted by `w:br`, without the last line feed); `Rule`
//!   (empty); `Figure` (a paragraph of nothing but one picture); `BookTable` (a table style). Cells hold `TableText`.
//! - `Caption`: repeats the title of the `Figure` before it, and means nothing more.
//! - `Separator`: empty. What follows begins a new quote, list or table instead of going on with the one above.
//!   With a path that no other block has, it stands for a quote without anything in it.
//! - `UnmentionedNotes`: references of notes that nothing in the chapter mentions, at its end.
//!
//! **Lists**: the first block of an item has `w:numPr`; `w:ilvl` is the number of `L` in its path less one, at most 8.
//! A list item whose path is nothing but `L`, up to nine, has the plain `ListParagraph` or `ListCompact`. A paragraph
//! with `w:numPr` and no content begins an item that has no block, or begins with a list or a table. `w:numId` 1 are
//! bullets; each numbered list has its own `w:num` with its first number in `w:startOverride`.
//!
//! **Bookmarks**: a heading's anchor is `c<chapter>_<anchor>`, written so: small letters, digits and `-` stay, `_` is
//! `__`, a capital is `_` and the small letter, anything else `_0<hexadecimal>_`. Word allows 40 characters; longer ones
//! become `h<chapter>_<16 hexadecimal digits>`, and right behind it empty bookmarks `p<n>_<piece>` tell the anchor, written
//! in the same way and cut into pieces. A code block's language is the bookmark `code_<n>_<language>` around its text,
//! written alike. `note_<n>` stands around a note's first reference.
//!
//! **Runs**: character styles `Emphasis`, `Strong`, `CodeChar`, `Hyperlink`, `FootnoteReference`; a run has one style,
//! so of emphasis and strong the outermost is the style and the inner one `w:i` or `w:b`; inside links and code both
//! are. `w:strike`, `w:vertAlign` are direct. Runs of pictures and of notes' marks have marks as well, but that a note's
//! is raised by its style alone. A line feed that means nothing is a space, U+00AD `w:softHyphen`, a tab `w:tab`, a hard
//! break `w:br`.
//!
//! **Links**: `w:hyperlink` with `r:id` or `w:anchor` (`chapter_<n>` or a bookmark as above), `w:tooltip` is the title.
//! Beyond the bound it is a field `HYPERLINK "address"`.
//!
//! **Notes**: `w:footnoteReference`; the second mention of a note is a field `NOTEREF note_<n> \f \h`. A note's text begins
//! with `w:footnoteRef` and a run of one space; where it begins with something else than a paragraph, an empty one with
//! both stands before it.
//!
//! **Pictures**: `wp:inline`, whose `wp:docPr` has the asset's name as `name`, the alternative text as `descr` and the
//! title as `title`. A drawing (SVG) stands in `asvg:svgBlip` with an empty PNG for programs that can't show it.
//!
//! **Tables**: the head row has `w:tblHeader`; columns are aligned by `w:jc` in each cell's paragraph (in paragraphs with
//! `w:bidi`, `left` and `right` change places, as Word has it); no `w:jc` is no alignment.

use std::{
    io::{self, Write},
    sync::Arc,
};

use self::body::{Body, FOOTER};
use super::{
    AssetSource, Exporter, archived, language,
    lookup::Lookup,
    zip::{Method, Zip},
};
use crate::book::{BookError, Event, Losses};

mod body;
mod front;
mod inline;
mod links;
mod names;
mod notes;
mod numbering;
mod package;
mod page;
mod paragraph;
mod picture;
mod runs;
mod size;
mod styles;
mod table;

/// How many bytes of the text pile up before they are compressed.
const PIECE_BYTES: usize = 32 << 10;
/// Beyond this the text's entry needs another form (ZIP64), from its beginning on.
const MOST_TEXT_BYTES: u64 = 4_000_000_000;
/// Books from this size on get that form: the text of a document is several times as long as its Markdown.
pub(super) const LARGE_BYTES: u64 = 256 << 20;
/// Of the parts that hold blocks.
const NAMESPACES: &str = concat!(
    " xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"",
    " xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"",
    " xmlns:wp=\"http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing\"",
    " xmlns:a=\"http://schemas.openxmlformats.org/drawingml/2006/main\"",
    " xmlns:pic=\"http://schemas.openxmlformats.org/drawingml/2006/picture\"",
);
/// Nothing to be seen: what stands for drawings in programs that don't know them.
const NOTHING: &[u8] = include_bytes!("none.png");

/// Writes a DOCX.
pub(super) struct Docx {
    lookup: Arc<Lookup>,
    zip: Zip,
    state: State,
    /// How many chapters are written, and how many bytes of text.
    chapters: usize,
    text_bytes: u64,
    is_large: bool,
    losses: Losses,
}

/// What is left to do. The body is made when the first event comes, as it may fail, and is gone after the last one.
enum State {
    Waiting(Box<dyn AssetSource>),
    Open(Box<Body>),
    Done,
}

impl Docx {
    /// A DOCX of the book, of at most so many bytes of Markdown, not begun.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>, most_bytes: u64) -> Self {
        let (zip, state) = (Zip::new(lookup.scratch()), State::Waiting(assets));
        let is_large = most_bytes >= LARGE_BYTES;
        Self { lookup, zip, state, chapters: 0, text_bytes: 0, is_large, losses: Losses::default() }
    }

    fn file(&mut self, out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
        self.zip.begin(out, name, Method::Deflate, false)?;
        self.zip.write(out, text.as_bytes())?;
        self.zip.end(out)
    }

    fn begin_book(&mut self, body: &mut Body, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let metadata = &lookup.book().metadata;
        self.file(out, "[Content_Types].xml", &package::content_types())?;
        self.file(out, "_rels/.rels", &package::relationships())?;
        self.file(out, "docProps/core.xml", &package::core(lookup.title(), metadata))?;
        self.file(out, "docProps/app.xml", &package::app())?;
        self.file(out, "docProps/custom.xml", &package::custom(metadata, &mut body.losses))?;
        self.file(out, "word/settings.xml", &package::settings())?;
        self.file(out, "word/footer1.xml", &package::footer())?;
        self.zip.begin(out, "word/document.xml", Method::Deflate, self.is_large)?;
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<w:document{NAMESPACES}><w:body>"
        );
        self.zip.write(out, head.as_bytes())?;
        body.title_page()?;
        Ok(body.contents(&mut self.zip, out)?)
    }

    fn drain(&mut self, body: &mut Body, out: &mut dyn Write, at_least: usize) -> Result<(), BookError> {
        let Some(text) = body.buffer().filter(|text| text.len() >= at_least.max(1)) else { return Ok(()) };
        self.text_bytes += text.len() as u64;
        if self.text_bytes > MOST_TEXT_BYTES && !self.is_large {
            let problem =
                "the text becomes far longer than a book of its size has, more than 4 GB: export it as EPUB";
            return Err(BookError::input("book.json", problem));
        }
        self.zip.write(out, text.as_bytes())?;
        body.story.drained();
        Ok(())
    }

    fn end_book(&mut self, mut body: Body, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let promised = lookup.book().chapters.len();
        if self.chapters != promised {
            let problem = format!("the book has {promised} chapters, and {} came", self.chapters);
            return Err(BookError::input("book.json", problem));
        }
        body.end();
        let section = page::section(FOOTER, body.right_to_left);
        body.story.out.push_str(&section);
        body.story.out.push_str("</w:body></w:document>");
        self.drain(&mut body, out, 0)?;
        let (zip, assets) = (&mut self.zip, &lookup.book().assets);
        zip.end(out)?;
        body.notes.finish(zip, out)?;
        body.numbering.finish(zip, out)?;
        body.styles.write(zip, out, &language::tag(&lookup.book().metadata.language), body.right_to_left)?;
        let has_drawing = body.links.has_drawing() || body.note_links.has_drawing();
        body.links.finish(zip, out, "word/_rels/document.xml.rels", assets)?;
        body.note_links.finish(zip, out, "word/_rels/footnotes.xml.rels", assets)?;
        if has_drawing {
            zip.stored(out, &format!("word/{}", links::FALLBACK), NOTHING)?;
        }
        for index in body.shown.into_keys() {
            let name = format!("word/{}", links::file(index, &assets[index].media_type));
            archived::picture(zip, body.assets.as_mut(), out, &name, &assets[index])?;
        }
        self.losses = body.losses;
        Ok(self.zip.finish(out)?)
    }
}

impl Exporter for Docx {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        let mut body = match std::mem::replace(&mut self.state, State::Done) {
            State::Waiting(assets) => Box::new(Body::new(Arc::clone(&self.lookup), assets)?),
            State::Open(body) => body,
            State::Done => return Err(BookError::input("book.json", "something came after the book's end")),
        };
        let is_end = event == Event::ChapterEnd;
        match event {
            Event::BookStart => self.begin_book(&mut body, out)?,
            Event::BookEnd => return self.end_book(*body, out),
            event => body.event(event)?,
        }
        self.chapters += usize::from(is_end);
        self.drain(&mut body, out, if is_end { 0 } else { PIECE_BYTES })?;
        self.state = State::Open(body);
        Ok(())
    }

    fn losses(&self) -> &Losses {
        match &self.state {
            State::Open(body) => &body.losses,
            State::Waiting(_) | State::Done => &self.losses,
        }
    }
}
