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
//! - `job`: the job kind [`Export`]. `submit`: its arguments on the command line.
//! - `epub` (on `zip`), `html`, [`markdown`], `text`, [`json`]: one format each.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use crate::book::{Asset, Book, BookError, Event, Losses};

mod anchors;
mod epub;
mod escape;
pub mod format;
mod html;
mod job;
pub mod json;
mod language;
mod lookup;
pub mod markdown;
mod markup;
mod submit;
#[cfg(test)]
mod tests;
mod text;
mod url;
mod zip;

pub use format::Format;
pub use job::{Export, Exported};
pub use submit::ExportArguments;

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

/// An exporter of `book` to `format`.
pub fn exporter(format: Format, book: Arc<Book>, assets: Box<dyn AssetSource>) -> Box<dyn Exporter> {
    let lookup = Arc::new(lookup::Lookup::new(book));
    match format {
        Format::Epub => Box::new(epub::Epub::new(lookup, assets)),
        Format::Html => Box::new(html::Html::new(lookup, assets)),
        Format::Markdown => Box::new(markdown::export::Markdown::new(lookup, assets)),
        Format::Text => Box::new(text::Text::new(lookup)),
        Format::Json => Box::new(json::Json::new(lookup, assets)),
    }
}

/// Names of losses, the same in every format, so that users can add them up.
mod loss {
    /// A link to an unknown chapter, a relative path or a scheme that readers should not be sent to.
    pub(super) const LINK: &str = "link that leads nowhere";
    /// A link inside another; the outer one stays.
    pub(super) const NESTED_LINK: &str = "link inside a link";
    /// A link to a place that does not exist in a chapter that does.
    pub(super) const ANCHOR: &str = "link to a place that is not there";
    /// A picture that is not part of the book.
    pub(super) const MISSING_IMAGE: &str = "missing image";
    /// A picture on the web, where the format asks for it inside.
    pub(super) const REMOTE_IMAGE: &str = "remote image";
    /// A picture in a format without pictures.
    pub(super) const IMAGE: &str = "image";
    /// A link's target in a format without links.
    pub(super) const LINK_TARGET: &str = "link target";
    /// A picture's caption.
    pub(super) const CAPTION: &str = "image caption";
    /// A mark for a note that the chapter does not have.
    pub(super) const FOOTNOTE: &str = "footnote without a text";
    /// A line break where the format has single lines.
    pub(super) const LINE_BREAK: &str = "line break in a heading or table cell";
    /// Cells beyond the table's columns.
    pub(super) const CELL: &str = "table cell beyond the last column";
    /// Marks (bold, raised…) that the format can't nest or join in this way.
    pub(super) const MARK: &str = "mark that can't be combined";
}
