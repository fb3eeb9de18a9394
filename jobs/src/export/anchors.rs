//! Ids, and which of them a link may name. A link into a chapter still to come can't be checked in a stream, so it is
//! remembered, and what the chapter turns out not to have is put at its end; a link back is checked at once.

use std::collections::{BTreeMap, BTreeSet};

/// How many bytes of names links ahead may wait for; beyond them a link leads to its chapter's beginning.
const MOST_WAITING_BYTES: usize = 4 << 20;

/// The ids of the chapters so far, at eight bytes each.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// Hashes of the finished chapters' ids, sorted within each chapter.
    finished: Vec<u64>,
    /// Where each finished chapter's hashes end.
    ends: Vec<usize>,
    current: BTreeSet<u64>,
    waiting: BTreeMap<usize, BTreeSet<Box<str>>>,
    waiting_bytes: usize,
}

impl Anchors {
    /// Notes that the open chapter has `id`; false where it had it before, so that it must not be written again.
    pub(super) fn define(&mut self, id: &str) -> bool {
        self.current.insert(hash(id))
    }

    /// Whether a link may name `id` in `chapter`.
    pub(super) fn ask(&mut self, chapter: usize, id: &str) -> bool {
        if let Some(end) = self.ends.get(chapter) {
            let begin = chapter.checked_sub(1).map_or(0, |before| self.ends[before]);
            return self.finished[begin..*end].binary_search(&hash(id)).is_ok();
        }
        if chapter == self.ends.len() && self.current.contains(&hash(id)) {
            return true;
        }
        if self.waiting_bytes + id.len() > MOST_WAITING_BYTES {
            return false;
        }
        if self.waiting.entry(chapter).or_default().insert(Box::from(id)) {
            self.waiting_bytes += id.len();
        }
        true
    }

    /// Ends the open chapter; gives the ids that links named and that it does not have.
    pub(super) fn end_chapter(&mut self) -> Vec<Box<str>> {
        let mut missing = Vec::new();
        for id in self.waiting.remove(&self.ends.len()).unwrap_or_default() {
            self.waiting_bytes -= id.len();
            if self.current.insert(hash(&id)) {
                missing.push(id);
            }
        }
        self.finished.extend(std::mem::take(&mut self.current));
        self.ends.push(self.finished.len());
        missing
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
        assert!(
            anchors.ask(0, "later") && anchors.ask(0, "never") && anchors.ask(1, "b") && anchors.ask(1, "c")
        );
        assert!(anchors.define("later"));
        assert_eq!(anchors.end_chapter(), [Box::from("never")]);
        assert!(anchors.define("b"));
        assert!(anchors.ask(0, "a") && anchors.ask(0, "never") && !anchors.ask(0, "b"));
        assert_eq!(anchors.end_chapter(), [Box::from("c")]);
        assert!(anchors.ask(1, "b") && !anchors.ask(1, "a"));
        assert_eq!(anchors.waiting_bytes, 0);
    }

    #[test]
    fn ids_are_xml_names() {
        for (anchor, name) in [("a-b_1", "a-b_1"), ("1. Ä", "_1_2e__20__c4_"), ("", "_")] {
            assert_eq!(id(anchor), name);
        }
    }
}
