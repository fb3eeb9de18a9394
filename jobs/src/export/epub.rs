//! EPUB 3.3 (<https://www.w3.org/TR/epub-33/>): one XHTML file a chapter in a ZIP archive. The package document and
//! the navigation are written last, when it is known what the book has; only `mimetype` has a place to keep.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{
    AssetSource, Exporter, archived,
    escape::escaped,
    lookup::Lookup,
    markup::{Markup, Style, picture_file},
    zip::{Method, Zip},
};
use crate::book::{BookError, Event, Losses};

mod package;
mod pages;

pub(super) use package::date;

/// How many bytes of a chapter pile up before they are compressed.
const PIECE_BYTES: usize = 32 << 10;

/// Writes an EPUB.
pub(super) struct Epub {
    lookup: Arc<Lookup>,
    assets: Box<dyn AssetSource>,
    markup: Markup,
    zip: Zip,
    /// How many chapters are written.
    chapters: usize,
}

impl Epub {
    /// An EPUB of the book, not begun.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>) -> Self {
        let markup = Markup::new(Style::Epub, Arc::clone(&lookup));
        let zip = Zip::new(lookup.scratch());
        Self { lookup, assets, markup, zip, chapters: 0 }
    }

    fn file(&mut self, out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
        self.zip.begin(out, name, Method::Deflate, false)?;
        self.zip.write(out, text.as_bytes())?;
        self.zip.end(out)
    }

    fn begin_book(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.zip.stored(out, "mimetype", b"application/epub+zip")?;
        self.file(out, "META-INF/container.xml", pages::CONTAINER)?;
        self.file(out, "EPUB/style.css", include_str!("epub/style.css"))?;
        if let Some((index, asset)) = self.lookup.cover() {
            self.markup.used[index] = true;
            let page = pages::cover(&self.lookup, &picture_file(index, &asset.media_type));
            self.file(out, "EPUB/cover.xhtml", &page)?;
        }
        let page = pages::title(&self.lookup);
        self.file(out, "EPUB/title.xhtml", &page)
    }

    fn begin_chapter(&mut self, out: &mut dyn Write, index: usize, title: &str) -> io::Result<()> {
        let name = format!("EPUB/{}", Markup::chapter_address(Style::Epub, index));
        self.zip.begin(out, &name, Method::Deflate, false)?;
        let title =
            if title.trim().is_empty() { self.lookup.chapter_title(index) } else { title.trim().to_owned() };
        let head = pages::head(&self.lookup, &title, "");
        self.zip.write(out, head.as_bytes())
    }

    fn drain(&mut self, out: &mut dyn Write, at_least: usize) -> io::Result<()> {
        let buffer = self.markup.buffer();
        if buffer.len() >= at_least && !buffer.is_empty() {
            self.zip.write(out, buffer.as_bytes())?;
            buffer.clear();
        }
        Ok(())
    }

    fn end_book(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let promised = lookup.book().chapters.len();
        if self.chapters != promised {
            let problem = format!("the book has {promised} chapters, and {} came", self.chapters);
            return Err(BookError::input("book.json", problem));
        }
        for (index, asset) in lookup.book().assets.iter().enumerate() {
            if self.markup.used[index] {
                let name = format!("EPUB/{}", picture_file(index, &asset.media_type));
                archived::picture(&mut self.zip, self.assets.as_mut(), out, &name, asset)?;
            }
        }
        // Tens of thousands of chapters make these two large: they are written in pieces.
        self.zip.begin(out, "EPUB/nav.xhtml", Method::Deflate, false)?;
        pages::navigation(&lookup, &mut |piece| self.zip.write(out, piece.as_bytes()))?;
        self.zip.end(out)?;
        self.zip.begin(out, "EPUB/package.opf", Method::Deflate, false)?;
        let facts =
            package::Facts { used: &self.markup.used, has_silent_image: self.markup.has_silent_image };
        package::write(&lookup, &facts, &mut |piece| self.zip.write(out, piece.as_bytes()))?;
        self.zip.end(out)?;
        Ok(self.zip.finish(out)?)
    }
}

impl Exporter for Epub {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match &event {
            Event::BookStart => return Ok(self.begin_book(out)?),
            Event::BookEnd => return self.end_book(out),
            Event::ChapterStart { index, title } => self.begin_chapter(out, *index, title)?,
            _ => {}
        }
        let is_end = event == Event::ChapterEnd;
        self.markup.event(event)?;
        self.drain(out, if is_end { 0 } else { PIECE_BYTES })?;
        if is_end {
            self.zip.write(out, pages::TAIL.as_bytes())?;
            self.zip.end(out)?;
            self.chapters += 1;
        }
        Ok(())
    }

    fn losses(&self) -> &Losses {
        &self.markup.losses
    }
}

/// An element with text, or nothing where the text is empty.
fn element(tag: &str, attributes: &str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!("<{tag}{attributes}>{}</{tag}>\n", escaped(text)) }
}
