//! What of a project goes out, and the formats that it can be exported to. Pure names: nothing here writes.

use std::{fmt, str::FromStr};

use presswork::domain::Encoding;
use serde::{Deserialize, Serialize};

/// A format to export to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// EPUB 3.3, for reading devices and shops.
    Epub,
    /// PDF 1.7, set like a book, for paper and screens.
    Pdf,
    /// A DOCX document, for word processors.
    Docx,
    /// One HTML file with everything inside.
    Html,
    /// One Markdown file: CommonMark with tables, footnotes and heading attributes.
    Markdown,
    /// Plain text in UTF-8, wrapped at 72 columns.
    Text,
    /// The stream as JSON, for programs; see [`json::SCHEMA`](super::json::SCHEMA).
    Json,
    /// A table for spreadsheets, of characters only.
    Csv,
}

/// What of a project goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Its book, or a part of it.
    #[default]
    Book,
    /// Its characters, each as a sheet or a row.
    Characters,
}

impl What {
    /// The formats that it goes out to.
    pub const fn formats(self) -> &'static [Format] {
        match self {
            Self::Book => &Format::ALL,
            Self::Characters => &[Format::Csv, Format::Json, Format::Markdown],
        }
    }

    /// Whether it is the book, which need not be said.
    pub(super) fn is_book(&self) -> bool {
        *self == Self::Book
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Book => "book",
            Self::Characters => "characters",
        })
    }
}

impl Format {
    /// Those that a book can be exported to.
    pub const ALL: [Self; 7] =
        [Self::Epub, Self::Pdf, Self::Docx, Self::Html, Self::Markdown, Self::Text, Self::Json];

    /// The name users write: `epub`, `pdf`, `docx`, `html`, `markdown`, `text`, `json`, `csv`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epub => "epub",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// A file's extension, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Epub => "epub",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// The media type, as HTTP's `Content-Type` wants it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Epub => "application/epub+zip",
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// How an artifact is best compressed around it: not at all where the format compresses by itself.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Epub | Self::Pdf | Self::Docx => Encoding::None,
            Self::Html | Self::Markdown | Self::Text | Self::Json | Self::Csv => Encoding::Zstd,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a format: one of epub, pdf, docx, html, markdown, text, json, csv")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::ALL.into_iter().chain([Self::Csv]).find(|format| format.name() == text).ok_or(FormatError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for format in Format::ALL.into_iter().chain([Format::Csv]) {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
        }
        assert_eq!("odt".parse::<Format>(), Err(FormatError));
    }
}
