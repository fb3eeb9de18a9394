//! Ids, and which of them a link may name. A link into a chapter still to come can't be checked in a stream, so it is
//! remembered, and what the chapter turns out not to have is put at its end; a link back is checked at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use crate::scratch::{Scratch, Shelves};

/// How many bytes of names links ahead may wait for; beyond them a link leads to its chapter's beginning.
const MOST_WAITING_BYTES: usize = 4 << 20;

/// The ids of the chapters so far; those of finished ones are put aside.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// Hashes of the finished chapters' ids, sorted within each chapter.
    finished: Shelves,
    current: BTreeSet<u64>,
    waiting: BTreeMap<usize, BTreeSet<Box<str>>>,
    waiting_bytes: usize,
}

impl Anchors {
    /// No id yet.
    pub(super) fn new(scratch: &Scratch) -> Self {
        Self { finished: Shelves::new(scratch), ..Self::default() }
    }

    /// Notes that the open chapter has `id`; false where it had it before, so that it must not be written again.
    pub(super) fn define(&mut self, id: &str) -> bool {
        self.current.insert(hash(id))
    }

    /// Whether a link may name `id` in `chapter`.
    pub(super) fn ask(&mut self, chapter: usize, id: &str) -> io::Result<bool> {
        if let Some(hashes) = self.finished.of(chapter)? {
            return Ok(hashes.binary_search(&hash(id)).is_ok());
        }
        if chapter == self.finished.chapters() && self.current.contains(&hash(id)) {
            return Ok(true);
        }
        if self.waiting_bytes + id.len() > MOST_WAITING_BYTES {
            return Ok(false);
        }
        if self.waiting.entry(chapter).or_default().insert(Box::from(id)) {
            self.waiting_bytes += id.len();
        }
        Ok(true)
    }

    /// Ends the open chapter; gives the ids that links named and that it does not have.
    pub(super) fn end_chapter(&mut self) -> io::Result<Vec<Box<str>>> {
        let mut missing = Vec::new();
        for id in self.waiting.remove(&self.finished.chapters()).unwrap_or_default() {
            self.waiting_bytes -= id.len();
            if self.current.insert(hash(&id)) {
                missing.push(id);
            }
        }
        self.finished.add(std::mem::take(&mut self.current).into_iter())?;
        Ok(missing)
    }
}

/// An anchor as an XML name of ASCII letters, so that it can be an id and a URL's fragment without further ado.
/// Full stops are left to ids of our own.
pub(super) fn id(anchor: &str) -> String {
    let mut out = String::with_capacity(anchor.len());
    if !anchor.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.push('_');
    }
    for c in anchor.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
            out.push(c);
        } else {
            out.push_str(&format!("_{:x}_", u32::from(c)));
        }
    }
    out
}

/// FNV-1a: the same in every process, and nobody gains by a collision.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_back_are_checked_and_links_ahead_are_kept() {
        let mut anchors = Anchors::default();
        assert!(anchors.define("a") && !anchors.define("a"));
        for (chapter, id) in [(0, "later"), (0, "never"), (1, "b"), (1, "c")] {
            assert!(anchors.ask(chapter, id).unwrap());
        }
        assert!(anchors.define("later"));
        assert_eq!(anchors.end_chapter().unwrap(), [Box::from("never")]);
        assert!(anchors.define("b"));
        assert_eq!(["a", "never", "b"].map(|id| anchors.ask(0, id).unwrap()), [true, true, false]);
        assert_eq!(anchors.end_chapter().unwrap(), [Box::from("c")]);
        assert!(anchors.ask(1, "b").unwrap() && !anchors.ask(1, "a").unwrap());
        assert_eq!(anchors.waiting_bytes, 0);
    }

    #[test]
    fn ids_are_xml_names() {
        for (anchor, name) in [("a-b_1", "a-b_1"), ("1. Ä", "_1_2e__20__c4_"), ("", "_")] {
            assert_eq!(id(anchor), name);
        }
    }
}
