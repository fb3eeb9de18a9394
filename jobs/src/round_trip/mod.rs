//! The promise that a book survives the way out and in again: `import(export(book))` is the book, for every format that
//! is written and read. [`Held`] is a project in memory, [`same`] says what "is" means, [`books`] is what is sent
//! round.

use std::{
    collections::BTreeMap,
    io::{Read, Write as _},
    sync::Arc,
};

use crate::{
    book::{Asset, Book, BookError, Checked, Event, EventSink, Losses, Metadata, markdown::read_chapter},
    export::{AssetSource, Exporter, Format, PageOptions, exporter},
    import::{BookSink, Imported, Source, SourceFile, SourceFormat, import},
};

mod books;
mod characters;
mod marks;
mod same;
mod tests;
mod words;

/// A project in memory: what an import brought.
#[derive(Clone, Debug, Default)]
struct Held {
    metadata: Metadata,
    /// Name, title, Markdown.
    chapters: Vec<(String, String, String)>,
    /// Name, media type, bytes.
    assets: Vec<(String, String, Vec<u8>)>,
}

impl BookSink for Held {
    fn chapter(&mut self, name: &str, title: &str, markdown: String) -> Result<(), BookError> {
        self.chapters.push((name.to_owned(), title.to_owned(), markdown));
        Ok(())
    }

    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        self.assets.push((name.to_owned(), media_type.to_owned(), bytes));
        Ok(())
    }
}

impl Held {
    /// Reads a file.
    fn read(format: SourceFormat, name: &str, bytes: &[u8]) -> (Self, Imported) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::File(SourceFile::new(name, file.path()));
        let mut held = Self::default();
        let imported = import(format, &source, &mut held).unwrap_or_else(|error| panic!("{name}: {error}"));
        held.metadata = imported.metadata.clone();
        (held, imported)
    }

    /// What `book.json` would say.
    fn book(&self) -> Arc<Book> {
        let mut book = Book::new(self.metadata.clone());
        for (name, title, _) in &self.chapters {
            book.chapters.push(&format!("r1/chapters/{name}"), title);
        }
        for (name, media_type, bytes) in &self.assets {
            book.assets.push(Asset {
                name: name.clone(),
                file: format!("r1/images/{name}"),
                media_type: media_type.clone(),
                bytes: bytes.len() as u64,
            });
        }
        Arc::new(book)
    }

    /// Sends the book's stream to `sink`.
    fn send<S: EventSink>(&self, sink: S) -> S {
        let mut checked = Checked::new(sink, "held");
        checked.event(Event::BookStart).unwrap();
        for (index, (name, _, markdown)) in self.chapters.iter().enumerate() {
            read_chapter(markdown, name, index, &mut checked, &mut Losses::default()).unwrap();
        }
        checked.event(Event::BookEnd).unwrap();
        checked.into_parts().0
    }

    /// The book as a file.
    fn export(&self, format: Format) -> (Vec<u8>, Losses) {
        struct To(Box<dyn Exporter>, Vec<u8>);
        impl EventSink for To {
            fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
                self.0.event(event, &mut self.1)
            }
        }
        let pictures = self.assets.iter().map(|(name, _, bytes)| (name.clone(), bytes.clone())).collect();
        let exporter =
            exporter(format, self.book(), Box::new(Pictures(pictures)), &PageOptions::default()).unwrap();
        let To(exporter, bytes) = self.send(To(exporter, Vec::new()));
        (bytes, exporter.losses().clone())
    }
}

struct Pictures(BTreeMap<String, Vec<u8>>);

impl AssetSource for Pictures {
    fn open(&mut self, asset: &Asset) -> Result<Box<dyn Read + '_>, BookError> {
        Ok(Box::new(self.0[&asset.name].as_slice()))
    }
}
