//! The formats that a book can be exported to. Pure names: nothing here writes.

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
    /// One HTML file with everything inside.
    Html,
    /// One Markdown file: CommonMark with tables, footnotes and heading attributes.
    Markdown,
    /// Plain text in UTF-8, wrapped at 72 columns.
    Text,
    /// The stream as JSON, for programs; see [`json::SCHEMA`](super::json::SCHEMA).
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Epub, Self::Pdf, Self::Html, Self::Markdown, Self::Text, Self::Json];

    /// The name users write: `epub`, `pdf`, `html`, `markdown`, `text`, `json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epub => "epub",
            Self::Pdf => "pdf",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// A file's extension, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Epub => "epub",
            Self::Pdf => "pdf",
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::Json => "json",
        }
    }

    /// The media type, as HTTP's `Content-Type` wants it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Epub => "application/epub+zip",
            Self::Pdf => "application/pdf",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// How an artifact is best compressed around it: not at all where the format compresses by itself.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Epub | Self::Pdf => Encoding::None,
            Self::Html | Self::Markdown | Self::Text | Self::Json => Encoding::Zstd,
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
#[error("not a format: one of epub, pdf, html, markdown, text, json")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or(FormatError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
        }
        assert_eq!("docx".parse::<Format>(), Err(FormatError));
    }
}
