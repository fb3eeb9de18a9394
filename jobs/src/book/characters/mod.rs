//! A project's characters: who is in the book, one JSON file each, so that people can read and edit them.
//!
//! On storage, below `<tenant>/projects/<project>/`, beside the book and untouched by imports of it:
//! ```text
//! characters/odysseus.json
//! ```
//! [`Character`] is what stands in a file. `store` reads and writes them, thousands as well as three;
//! `cells` is what they are in a table.

pub(crate) mod cells;
mod store;
#[cfg(test)]
mod tests;

use std::{fmt, num::NonZeroU32, str::FromStr};

use presswork::domain::{FileName, NameError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use store::{Characters, Stored};

/// The folder of a project in which they are; no revision of a book may be called like it.
pub const FOLDER: &str = "characters";
/// How many bytes a character's file has at most.
pub const MOST_CHARACTER_BYTES: usize = 256 << 10;

/// What a character is called in files and in other characters' relationships: a name that any file system takes, of at
/// most 120 bytes. Two that differ in case only are one file on macOS and Windows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CharacterId(Box<str>);

/// The text is no character's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharacterIdError {
    /// It could not be a file's name.
    #[error("a character's id is a file's name: {0}")]
    Name(#[from] NameError),
    /// It is longer than 120 bytes.
    #[error("a character's id has at most 120 bytes")]
    Long,
}

impl CharacterId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its file's name: `odysseus.json`.
    fn file(&self) -> String {
        format!("{}.json", self.0)
    }
}

impl FromStr for CharacterId {
    type Err = CharacterIdError;

    fn from_str(text: &str) -> Result<Self, CharacterIdError> {
        // With and without its extension it has to be a name, as programs show it in both ways.
        let (name, _) = (text.parse::<FileName>()?, format!("{text}.json").parse::<FileName>()?);
        if name.as_str().len() > 120 {
            return Err(CharacterIdError::Long);
        }
        Ok(Self(name.as_str().into()))
    }
}

impl fmt::Display for CharacterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for CharacterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for CharacterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CharacterId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Who is in the book. Of a file, `id` and `name` are needed; whatever it has beyond the fields here is kept as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Character {
    /// The file's name without `.json`.
    pub id: CharacterId,
    /// What people call them; never blank.
    pub name: String,
    /// What else they are called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What they are for the story: `protagonist`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Who they are, in short.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What they are like, in single words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<String>,
    /// What they look like.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub appearance: String,
    /// Where they come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub background: String,
    /// Who they are to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<Relationship>,
    /// What the author wants to remember.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// The chapter in which they appear first, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_chapter: Option<NonZeroU32>,
    /// Whatever else the file has.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// Who a character is to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relationship {
    /// The other one, who need not have a file (yet).
    pub to: CharacterId,
    /// What they are to them: `husband`.
    pub kind: String,
}
