//! The book as a stream of blocks, and as files in a project. Importers produce the stream, exporters consume it,
//! neither holds a whole book.
//!
//! - [`event`]: the stream's vocabulary, and [`EventSink`], which consumes it.
//! - [`check`]: the adapter that holds the stream's invariants between an importer and whatever follows.
//! - [`description`]: `book.json`, what a project says of its book.
//! - [`project`]: a project on storage, read and written.
//! - [`characters`]: who is in the book, beside it in the project.
//! - [`names`]: names of chapters, pictures and anchors, made from titles.
//! - [`markdown`]: a chapter's Markdown read as events.
//! - [`words`]: how many a text has.
//! - [`writer`]: events written as a chapter's Markdown.
//! - [`error`]: what can go wrong, one variant per next action.

mod chapter_list;
pub mod characters;
pub mod check;
pub mod description;
pub mod error;
pub mod event;
pub(crate) mod jpeg;
pub(crate) mod loss;
pub mod markdown;
mod markdown_html;
pub(crate) mod markdown_labels;
mod markdown_scripts;
mod markdown_tags;
mod markdown_text;
pub mod names;
#[cfg(test)]
pub(crate) mod pixel;
pub mod project;
pub(crate) mod said;
pub mod words;
pub mod writer;

pub use chapter_list::{ChapterEntry, ChapterList, ListedChapter};
pub use characters::{Character, CharacterId, Characters, Stored};
pub use check::Checked;
pub use description::{Asset, Book, LinkTarget, Metadata, Placed};
pub use error::BookError;
pub use event::{Alignment, EndTag, Event, EventSink, Losses, Tag};
pub use project::{ProjectReader, ProjectWriter};
