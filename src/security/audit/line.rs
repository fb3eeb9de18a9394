//! A line of the log, byte by byte. Pure. Must not know: files.
//!
//! A line is a JSON object without blanks, its names in the order of [`Content`]'s fields, and ends with the name `hash`:
//!
//! ```text
//! line = head ,"hash":"H"} LF
//! H    = hex(SHA-256("presswork audit entry v1" 00 head))     head begins with {"v":1,"seq":
//! ```
//!
//! `head` is hashed as it stands, so any byte of a line that is changed shows, and a check needs no JSON. `prev` in it is the
//! `H` of the line before, in the file before where the line is a file's first; 64 zeros in the first line of all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    clean::clean,
    entry::{Action, Entry, Outcome},
};
use crate::{
    domain::Timestamp,
    security::text::{from_hex, hex},
};

/// What the format is called.
const VERSION: u32 = 1;
/// A line is never longer.
pub(super) const MOST_LINE: usize = 64 << 10;
const LABEL: &[u8] = b"presswork audit entry v1\0";
const BEFORE_HASH: &str = ",\"hash\":\"";
/// `,"hash":"`, 64 digits, `"}`.
const END: usize = BEFORE_HASH.len() + 64 + 2;

/// The SHA-256 of a line's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash(pub(super) [u8; 32]);

impl Hash {
    fn of(head: &str) -> Self {
        Self(Sha256::new().chain_update(LABEL).chain_update(head).finalize().into())
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a hash"))
    }
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The format: 1.
    pub v: u32,
    /// 1 for the node's first entry, and one more with each.
    pub seq: u64,
    /// Which node's log: a data directory has one.
    pub node: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// The hash of the entry before.
    pub prev: Hash,
    /// What, by its name.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// By whom.
    pub actor: String,
    /// Whose data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
    /// The hash of this entry.
    pub hash: Hash,
}

#[derive(Serialize)]
struct Content<'a> {
    v: u32,
    seq: u64,
    node: &'a str,
    at: Timestamp,
    prev: Hash,
    action: &'a str,
    outcome: Outcome,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    detail: &'a BTreeMap<String, String>,
}

/// An entry that is clean and bounded, before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clean {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    actor: String,
    tenant: Option<String>,
    target: Option<String>,
    address: Option<String>,
    request: Option<String>,
    pub(super) detail: BTreeMap<String, String>,
}

/// The most bytes of each value, and the most that is said beside.
const MOST_ACTOR: usize = 200;
const MOST_TARGET: usize = 300;
const MOST_REQUEST: usize = 128;
const MOST_NAME: usize = 64;
const MOST_VALUE: usize = 500;
const MOST_DETAILS: usize = 16;

impl Clean {
    pub(super) fn of(entry: &Entry) -> Self {
        let short = |text: &Option<String>, most| text.as_deref().map(|text| clean(text, most));
        let details = entry.detail.iter().take(MOST_DETAILS);
        Self {
            action: entry.action,
            outcome: entry.outcome,
            actor: clean(entry.actor.name(), MOST_ACTOR),
            tenant: entry.tenant.as_ref().map(ToString::to_string),
            target: short(&entry.target, MOST_TARGET),
            address: entry.address.map(|address| address.to_string()),
            request: short(&entry.request, MOST_REQUEST),
            detail: details.map(|(name, value)| (clean(name, MOST_NAME), clean(value, MOST_VALUE))).collect(),
        }
    }

    /// The log's own words about itself.
    pub(super) fn about_log(outcome: Outcome, event: &str, details: &[(&str, String)]) -> Self {
        let mut entry = Self::of(&Entry::new(Action::AuditChecked).ended(outcome));
        entry.detail =
            details.iter().map(|(name, value)| ((*name).to_owned(), clean(value, MOST_VALUE))).collect();
        entry.detail.insert("event".to_owned(), event.to_owned());
        entry
    }
}

impl Line {
    /// Writes the line of an entry behind `prev` to `out`, with its line feed; answers its hash.
    pub(super) fn write(
        entry: &Clean,
        seq: u64,
        node: &str,
        at: Timestamp,
        prev: Hash,
        out: &mut String,
    ) -> Hash {
        let content = Content {
            v: VERSION,
            seq,
            node,
            at,
            prev,
            action: entry.action.name(),
            outcome: entry.outcome,
            actor: &entry.actor,
            tenant: entry.tenant.as_deref(),
            target: entry.target.as_deref(),
            address: entry.address.as_deref(),
            request: entry.request.as_deref(),
            detail: &entry.detail,
        };
        // Strings and numbers can't fail to be JSON.
        let mut head = serde_json::to_string(&content).unwrap_or_default();
        head.pop();
        let hash = Hash::of(&head);
        out.push_str(&head);
        out.push_str(BEFORE_HASH);
        out.push_str(&hex(&hash.0));
        out.push_str("\"}\n");
        hash
    }

    /// Reads a line without its line feed, and checks its hash.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, LineError> {
        let head = text.len().checked_sub(END).and_then(|at| text.get(..at)).ok_or(LineError::NotALine)?;
        let line: Self = serde_json::from_str(text).map_err(|_| LineError::NotALine)?;
        if line.v != VERSION {
            return Err(LineError::Version(line.v));
        }
        let end = format!("{BEFORE_HASH}{}\"}}", line.hash);
        if text.get(head.len()..) != Some(end.as_str()) || Hash::of(head) != line.hash {
            return Err(LineError::Changed { seq: line.seq });
        }
        Ok(line)
    }

    /// What the log says of itself here, where it does.
    pub fn event(&self) -> Option<&str> {
        if self.action == Action::AuditChecked.name() {
            self.detail.get("event").map(String::as_str)
        } else {
            None
        }
    }

    /// As text on one line, for people.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} {:>6} {:<7} {} by {}",
            self.at,
            self.seq,
            self.outcome.name(),
            self.action,
            self.actor
        );
        let beside =
            [("of", &self.tenant), ("to", &self.target), ("from", &self.address), ("in", &self.request)];
        for (word, value) in beside {
            if let Some(value) = value {
                text += &format!(" {word} {value}");
            }
        }
        for (name, value) in &self.detail {
            text += &format!(" {name}={value}");
        }
        // What others have written to the file is not to be trusted either.
        clean(&text, 4_096)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is no line of the log.
    #[error("this is no entry of the log")]
    NotALine,
    /// A newer Presswork wrote it.
    #[error("this entry has format {0}, which this version of Presswork does not know")]
    Version(u32),
    /// It is not as it was written.
    #[error("the entry was changed: its hash is not that of its text")]
    Changed {
        /// The number that stands in it.
        seq: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> String {
        let entry =
            Entry::new(Action::Login).to("a\"b\\c\u{1b}\u{2028}").with("why", "x").ended(Outcome::Refused);
        let mut out = String::new();
        Line::write(&Clean::of(&entry), 7, "n-1", Timestamp::from_millis(5), Hash([1; 32]), &mut out);
        out
    }

    #[test]
    fn a_line_is_what_the_format_says() {
        let text = line();
        let head = concat!(
            "{\"v\":1,\"seq\":7,\"node\":\"n-1\",\"at\":\"1970-01-01T00:00:00.005000Z\",\"prev\":\"",
            "0101010101010101010101010101010101010101010101010101010101010101\",\"action\":\"auth.login\",",
            "\"outcome\":\"refused\",\"actor\":\"system\",\"target\":\"a\\\"b\\\\c\\\\u{1b}\\\\u{2028}\",",
            "\"detail\":{\"why\":\"x\"}"
        );
        let hash = hex(&Sha256::digest([b"presswork audit entry v1\0".as_slice(), head.as_bytes()].concat()));
        assert_eq!(text, format!("{head},\"hash\":\"{hash}\"}}\n"));
        let read = Line::read(text.trim_end()).unwrap();
        assert_eq!((read.seq, read.hash.to_string()), (7, hash));
    }

    #[test]
    fn any_byte_that_is_changed_shows() {
        let text = line().trim_end().to_owned();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(Line::read(&changed).is_err(), "{place}: {changed}");
            }
        }
        for changed in [format!(" {text}"), format!("{text} "), text.replace(",\"", ", \""), String::new()] {
            assert!(Line::read(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn the_largest_entry_fits_a_line() {
        let long = "\"\u{1b}".repeat(9_999);
        let mut entry = Entry::new(Action::Login).to(long.clone());
        entry.request = Some(long.clone());
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"]
        {
            entry = entry.with(name, &long);
        }
        let mut out = String::new();
        Line::write(&Clean::of(&entry), 7, "n", Timestamp::EPOCH, Hash::default(), &mut out);
        assert!(out.len() < MOST_LINE && Line::read(out.trim_end()).is_ok(), "{}", out.len());
    }
}
