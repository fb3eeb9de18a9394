//! What a job made: a small result and pointers to artifacts. Settling a job as done publishes both at once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::names::FileName;

/// What a completed job gives back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The kind's own result, as JSON; small (the queue keeps it until retention ends).
    pub result: serde_json::Value,
    /// The artifacts it published, in the order in which they were finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactPointer>,
}

impl Output {
    /// The most bytes that an output may have as JSON: what is large belongs in an artifact.
    pub const MOST_BYTES: usize = 256 << 10;
}

/// Where an artifact is and what it is: enough to list it and to find its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactPointer {
    /// Its name within the job, for example `novel.epub`.
    pub name: FileName,
    /// The storage key of its manifest, from the root of the storage.
    pub manifest: String,
    /// Its media type when decoded, for example `application/epub+zip`.
    pub content_type: String,
    /// How the stored bytes are compressed.
    pub encoding: Encoding,
    /// Bytes when decoded.
    pub plain_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the decoded bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// How stored bytes are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Zstandard (RFC 8878).
    #[default]
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
    /// Not at all.
    None,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Gzip, Self::Brotli, Self::None];

    /// The name users write: `zstd`, `gzip`, `brotli`, `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Brotli => "brotli",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not an encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an encoding: one of zstd, gzip, brotli, none")]
pub struct EncodingError;

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == text).ok_or(EncodingError)
    }
}
