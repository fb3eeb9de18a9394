//! A manuscript comes in: each format is a blocking importer that reads a local file and yields whole chapters as
//! Markdown, pictures as bytes. Nothing here knows storage, jobs or async; a handler runs [`import`] on a blocking
//! thread and puts what its [`BookSink`] gets where it belongs.
//!
//! - [`mod@detect`]: what a file is, by its content first and its name second.
//! - `chapters`: events in, chapters out; counts, bounds, splits. `pictures`: what a picture is and what it is called;
//!   `picture_check`: whether it is whole.
//! - `charset`: text in any charset as lines of UTF-8; `letters`: as bytes of it.
//! - `job`: the job kind [`Import`]. `submit`: its arguments on the command line.
//! - `handed`: where a file comes from: the tenant's storage, or the `web`, which fetches it. `arriving`: how it is put down;
//!   `source`: how it is read.
//! - [`characters`]: the job kind that brings characters in, many at a time.
//! - `folder`: which of a folder's files are its chapters. `order`: the order of those.
//! - `steer`: where chapters begin, as a user says it. `unpack`: a folder in a ZIP archive.
//! - `archive`: ZIP with its bounds, for `epub`, `docx` and `unpack`.
//! - `markdown`, `text`, `html`, `epub`, `docx`, `json`: one format each.

use std::{fmt, io::Read, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::book::{BookError, Losses, Metadata, loss};

mod archive;
mod arriving;
mod chapters;
pub mod characters;
mod charset;
pub mod detect;
mod docx;
mod epub;
mod folder;
#[cfg(test)]
mod fuzz;
mod handed;
mod html;
mod job;
mod json;
mod letters;
mod markdown;
mod order;
mod picture_check;
mod pictures;
mod source;
mod steer;
mod submit;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod unpack;
mod web;

pub use characters::ImportCharacters;
pub use detect::detect;
pub use handed::{Handed, Place, SourceUrl};
pub(crate) use job::read_any;
pub use job::{Brought, Import};
pub(crate) use source::SourceReader;
pub use source::{Source, SourceFile};
pub use steer::{ChapterMark, ChapterMarkError};
pub use submit::ImportArguments;
pub(crate) use submit::local_folder;

/// A format that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// CommonMark with tables and footnotes: one file, or a folder of chapters.
    Markdown,
    /// Plain text in any charset.
    Text,
    /// HTML as browsers read it: one file, or a folder of chapters.
    Html,
    /// EPUB 2 or 3.
    Epub,
    /// A word processor's document: Office Open XML, as Word, LibreOffice and Google Docs write it.
    Docx,
    /// What the export to JSON wrote.
    Json,
}

impl SourceFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Markdown, Self::Text, Self::Html, Self::Epub, Self::Docx, Self::Json];

    /// The name users write: `markdown`, `text`, `html`, `epub`, `docx`, `json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Html => "html",
            Self::Epub => "epub",
            Self::Docx => "docx",
            Self::Json => "json",
        }
    }

    /// As a sentence calls it.
    const fn title(self) -> &'static str {
        match self {
            Self::Markdown => "Markdown",
            Self::Text => "text",
            Self::Html => "HTML",
            Self::Epub => "EPUB",
            Self::Docx => "DOCX",
            Self::Json => "JSON",
        }
    }

    /// Whether a folder may be one.
    pub const fn is_of_folders(self) -> bool {
        matches!(self, Self::Markdown | Self::Text | Self::Html)
    }
}

impl fmt::Display for SourceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a format that can be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a format to import: one of markdown, text, html, epub, docx, json")]
pub struct SourceFormatError;

impl FromStr for SourceFormat {
    type Err = SourceFormatError;

    fn from_str(text: &str) -> Result<Self, SourceFormatError> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or(SourceFormatError)
    }
}

/// Takes a book as it is read. A call may block; what it answers ends the import.
pub trait BookSink {
    /// The next chapter: its file name (unique, see [`chapter_name`](crate::book::names::chapter_name)), its title,
    /// and its whole Markdown, at most 4 MiB.
    ///
    /// # Errors
    /// Where it can't be taken; the import ends with that.
    fn chapter(&mut self, name: &str, title: &str, markdown: String) -> Result<(), BookError>;

    /// A picture: its name (unique), its media type, its bytes, to be read to their end. Where reading fails, nothing of it is kept.
    ///
    /// # Errors
    /// Where it can't be taken, and what reading it says; the import ends with that.
    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError>;
}

/// What an import did, for the job's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the source was read as.
    pub format: SourceFormat,
    /// The charset, where the source is text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub charset: Option<String>,
    /// How many chapters came in.
    pub chapters: u64,
    /// How many words, more or less.
    pub words: u64,
    /// How many pictures.
    pub images: u64,
    /// What could not be carried over, counted.
    #[serde(rename = "dropped")]
    pub losses: Losses,
    /// What the owner should know, at most 100 sentences.
    pub warnings: Vec<String>,
}

impl Report {
    fn new(format: SourceFormat) -> Self {
        let (losses, warnings) = (Losses::default(), Vec::new());
        Self { format, charset: None, chapters: 0, words: 0, images: 0, losses, warnings }
    }

    /// Notes a sentence for the owner.
    fn warn(&mut self, sentence: impl Into<String>) {
        match self.warnings.len() {
            0..99 => self.warnings.push(sentence.into()),
            99 => self.warnings.push("more warnings were left out".to_owned()),
            _ => {}
        }
    }
}

/// What came out of a manuscript beside chapters and pictures.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What a title page says; the title is never empty, the cover is a picture that the sink got.
    pub metadata: Metadata,
    /// What the import did.
    pub report: Report,
}

/// Reads a manuscript. Blocking; memory is bounded whatever the manuscript's size.
///
/// # Errors
/// `Input` where the manuscript can't be used, naming file and place; `Storage` where its file can't be read; what the
/// sink answers.
pub fn import(format: SourceFormat, source: &Source, sink: &mut dyn BookSink) -> Result<Imported, BookError> {
    import_marked(format, source, &[], sink)
}

/// The same where chapters begin at some marks; with none of them, where the manuscript itself says it.
///
/// # Errors
/// As [`import`].
pub fn import_marked(
    format: SourceFormat,
    source: &Source,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let level = marks.iter().filter_map(|mark| mark.level()).max();
    let mut imported = match (format, source) {
        (SourceFormat::Markdown, Source::File(file)) => markdown::import_file(file, marks, sink)?,
        (SourceFormat::Markdown, Source::Folder(files)) => markdown::import_folder(files, marks, sink)?,
        (SourceFormat::Text, Source::File(file)) => text::import_file(file, marks, sink)?,
        (SourceFormat::Text, Source::Folder(files)) => text::import_folder(files, marks, sink)?,
        (SourceFormat::Html, Source::File(file)) => html::import_file(file, marks, sink)?,
        (SourceFormat::Html, Source::Folder(files)) => html::import_folder(files, marks, sink)?,
        (SourceFormat::Epub, Source::File(file)) => epub::import(file, sink)?,
        (SourceFormat::Docx, Source::File(file)) => docx::import(file, level, sink)?,
        (SourceFormat::Json, Source::File(file)) => json::import(file, sink)?,
        (format, Source::Folder(files)) => {
            let first = files.first().map(|file| file.name.as_str()).unwrap_or_default();
            return Err(BookError::input(first, format!("a folder can't be imported as {format}")));
        }
    };
    let is_unused = match format {
        SourceFormat::Epub | SourceFormat::Json => !marks.is_empty(),
        SourceFormat::Docx => marks.iter().any(|mark| mark.level().is_none()),
        SourceFormat::Markdown | SourceFormat::Text | SourceFormat::Html => false,
    };
    if is_unused {
        imported
            .report
            .warn(format!("where chapters begin is what {format} itself says: marks were not used"));
    }
    let metadata = &mut imported.metadata;
    metadata.title = title_of(&metadata.title, &mut imported.report.losses);
    if metadata.title.trim().is_empty() {
        metadata.title = match source {
            Source::File(file) => title_from_name(&file.name),
            Source::Folder(_) => "Untitled".to_owned(),
        };
    }
    if metadata.language.trim().is_empty() {
        metadata.language = "und".to_owned();
    }
    Ok(imported)
}

/// A title for a book that names none: `my_first-novel.txt` is `my first novel`.
fn title_from_name(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let words = stem.split(['_', '-', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if words.is_empty() { "Untitled".to_owned() } else { words }
}

/// How many characters a title has at most: Swift's chapters have 400.
const MOST_TITLE: usize = 600;
/// What is held of one until it is cut, and counted.
const HELD_TITLE: usize = MOST_TITLE + 1;

/// Whitespace collapsed, at most `most` characters.
fn one_line(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A title of a chapter or book as it is kept; what is cut of it is counted.
fn title_of(text: &str, losses: &mut Losses) -> String {
    let title = one_line(text, HELD_TITLE);
    if title.chars().nth(MOST_TITLE).is_none() {
        return title;
    }
    losses.add(loss::TITLE);
    one_line(&title, MOST_TITLE)
}

/// A file's read error, with its name.
fn read_error(file: &str) -> impl Fn(std::io::Error) -> BookError {
    move |error| BookError::storage(format!("reading {file}"), error)
}
