//! A book goes out: each format is an [`Exporter`], which takes the stream of blocks and writes bytes as it goes.
//!
//! None holds more than the open chapter, whatever the book's size, and none asks for time or chance: the same stream
//! gives the same bytes, so that a restarted export can go on where its predecessor stopped. They know nothing of
//! storage, jobs or compression around them.
//!
//! - [`mod@format`]: the formats and what each is called.
//! - `lookup`: chapters and pictures by name. `anchors`: ids, and which of them links may name.
//! - `escape`, `url`, `language`: text, addresses and language tags made safe for markup.
//! - `markup`: blocks as XHTML that HTML parsers read as well; EPUB and HTML share it.
//! - `part`: some of a book's chapters as a book of their own.
//! - [`sheets`]: a project's characters, in formats of their own.
//! - `page`: what a printed page looks like, as users choose it.
//! - `job`: the job kind [`Export`]. `submit`: its arguments on the command line.
//! - `epub` and `docx` (on `zip` and `archived`), `pdf`, `html`, `markdown`, `text`, [`json`]: one format each.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use crate::book::{Asset, Book, BookError, Event, Losses, loss};
pub use crate::scratch::Scratch;

mod anchors;
mod archived;
mod docx;
mod epub;
mod escape;
pub mod format;
mod html;
mod job;
pub mod json;
mod language;
mod lookup;
mod markdown;
mod markup;
pub mod page;
mod part;
mod pdf;
pub mod sheets;
mod submit;
#[cfg(test)]
mod tests;
mod text;
mod url;
mod zip;

pub use format::{Format, What};
pub use job::{Export, Exported};
pub use page::PageOptions;
pub use part::{Chapters, ChaptersError};
pub use submit::ExportArguments;
#[cfg(test)]
pub(crate) use tests::random_chapter;
#[cfg(test)]
pub(crate) use url::valid as valid_url;

/// Writes one book in one format.
pub trait Exporter: Send {
    /// Takes the next event of a stream that [`Checked`](crate::book::Checked) let through, and writes what follows
    /// from it to `out`, which must be the same place each time and should be buffered, as pieces may be small. After
    /// [`Event::BookEnd`] the file is whole.
    ///
    /// # Errors
    /// What `out` or a picture's source says; [`BookError::Input`] where the stream is not the book that was promised.
    /// The exporter is of no use after that.
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError>;

    /// What the format could not carry so far.
    fn losses(&self) -> &Losses;
}

/// Where the pictures of a book come from.
pub trait AssetSource: Send {
    /// The bytes of an asset, to be read in order.
    ///
    /// # Errors
    /// [`BookError::Input`] where it is gone, [`BookError::Storage`] where it can't be had just now.
    fn open(&mut self, asset: &Asset) -> Result<Box<dyn Read + '_>, BookError>;
}

/// What an exporter works with beside its book.
pub struct Means {
    /// Where the pictures come from.
    pub assets: Box<dyn AssetSource>,
    /// Where it puts aside what would fill the memory.
    pub scratch: Scratch,
    /// How many bytes of Markdown the book has at most, if it may be a large one; 0 if it is not. Some formats have
    /// another form for what is large, which must be known from the beginning on.
    pub most_bytes: u64,
}

impl<S: AssetSource + 'static> From<Box<S>> for Means {
    fn from(assets: Box<S>) -> Self {
        Self { assets, scratch: Scratch::default(), most_bytes: 0 }
    }
}

/// An exporter of `book` to `format`. Formats without pages have no use for what is said of them.
///
/// # Errors
/// [`BookError::Input`] where no book goes out to it: see [`What::formats`].
pub fn exporter(
    format: Format,
    book: Arc<Book>,
    means: impl Into<Means>,
    page: &PageOptions,
) -> Result<Box<dyn Exporter>, BookError> {
    let Means { assets, scratch, most_bytes } = means.into();
    let lookup = Arc::new(lookup::Lookup::new(book).with_scratch(scratch));
    Ok(match format {
        Format::Epub => Box::new(epub::Epub::new(lookup, assets)),
        Format::Pdf => Box::new(pdf::Pdf::new(lookup, assets, page)),
        Format::Docx => Box::new(docx::Docx::new(lookup, assets, most_bytes)),
        Format::Html => Box::new(html::Html::new(lookup, assets)),
        Format::Markdown => Box::new(markdown::Markdown::new(lookup, assets)),
        Format::Text => Box::new(text::Text::new(lookup)),
        Format::Json => Box::new(json::Json::new(lookup, assets)),
        Format::Csv => return Err(BookError::input("book.json", "a book has no form in csv")),
    })
}
