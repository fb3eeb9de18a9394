//! What a job made: a small result and pointers to artifacts. Settling a job as done publishes both at once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
    /// How it is sealed; not at all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealedAs>,
}

/// By which key stored bytes are sealed, and what else whoever opens them needs to know. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAs {
    /// The tenant's data key.
    pub key: Hex<16>,
    /// What makes the key of this one object out of it.
    pub salt: Hex<24>,
    /// Binds the object to that key.
    pub commitment: Hex<32>,
}

/// So many bytes, written as twice as many lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// The text is not so many bytes in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0} hexadecimal digits")]
pub struct HexError(usize);

impl<const N: usize> FromStr for Hex<N> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let wrong = || HexError(2 * N);
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(wrong()),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != N || !rest.is_empty() {
            return Err(wrong());
        }
        let mut bytes = [0; N];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_pointer_is_read_as_it_was_written_and_digits_that_are_none_are_refused() {
        let seal = SealedAs { key: Hex([7; 16]), salt: Hex([0xab; 24]), commitment: Hex([0; 32]) };
        let text = serde_json::to_string(&seal).unwrap();
        assert!(text.contains(&"ab".repeat(24)), "{text}");
        assert_eq!(serde_json::from_str::<SealedAs>(&text).unwrap(), seal);
        for wrong in ["", "0", "0g", "AB", "000", "+1"] {
            assert_eq!(wrong.parse::<Hex<1>>(), Err(HexError(2)), "{wrong}");
        }
    }
}
