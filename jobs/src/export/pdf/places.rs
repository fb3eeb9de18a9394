//! Destinations of links inside the book. A link may lead ahead: then the destination's number is given out at once,
//! and the object is written when its place is reached. Eight bytes an anchor stay.

use std::collections::BTreeMap;

use pdf_writer::Ref;

use super::objects::Objects;

/// Links ahead that may wait; beyond them a link leads to its chapter's beginning.
const MOST_WAITING: usize = 100_000;

/// The destinations of a book.
#[derive(Debug)]
pub(super) struct Places {
    /// The first chapter's; the others follow.
    chapters: Ref,
    /// The upper half of each anchor's hash, sorted within its chapter: enough to tell those of one chapter apart.
    finished: Vec<(u32, Ref)>,
    /// Where each finished chapter's anchors end.
    ends: Vec<usize>,
    current: BTreeMap<u64, Ref>,
    waiting: BTreeMap<(usize, u64), Ref>,
}

impl Places {
    /// For so many chapters.
    pub(super) fn new(objects: &mut Objects, chapters: usize) -> Self {
        Self {
            chapters: objects.alloc_many(chapters),
            finished: Vec::new(),
            ends: Vec::new(),
            current: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// A chapter's beginning.
    pub(super) fn chapter(&self, index: usize) -> Ref {
        Ref::new(self.chapters.get() + i32::try_from(index).unwrap_or_default())
    }

    /// The destination of an anchor in the open chapter; `None` where it had it before.
    pub(super) fn define(&mut self, objects: &mut Objects, anchor: &str) -> Option<Ref> {
        let hash = hash(anchor);
        if self.current.contains_key(&hash) {
            return None;
        }
        let place = self.waiting.remove(&(self.ends.len(), hash)).unwrap_or_else(|| objects.alloc());
        self.current.insert(hash, place);
        Some(place)
    }

    /// The destination of a link; `None` where there is none and will be none.
    pub(super) fn ask(&mut self, objects: &mut Objects, chapter: usize, anchor: &str) -> Option<Ref> {
        let hash = hash(anchor);
        if let Some(end) = self.ends.get(chapter) {
            let begin = chapter.checked_sub(1).map_or(0, |before| self.ends[before]);
            let anchors = &self.finished[begin..*end];
            let found = anchors.binary_search_by_key(&half(hash), |(half, _)| *half).ok()?;
            return Some(anchors[found].1);
        }
        if chapter == self.ends.len()
            && let Some(place) = self.current.get(&hash)
        {
            return Some(*place);
        }
        if self.waiting.len() >= MOST_WAITING {
            return None;
        }
        Some(*self.waiting.entry((chapter, hash)).or_insert_with(|| objects.alloc()))
    }

    /// Ends the open chapter; gives the destinations that links lead to and that it does not have.
    pub(super) fn end_chapter(&mut self) -> Vec<Ref> {
        let chapter = self.ends.len();
        let later = self.waiting.split_off(&(chapter + 1, 0));
        let missing = std::mem::replace(&mut self.waiting, later);
        for ((_, hash), place) in &missing {
            self.current.insert(*hash, *place);
        }
        let current = std::mem::take(&mut self.current);
        self.finished.extend(current.into_iter().map(|(hash, place)| (half(hash), place)));
        self.ends.push(self.finished.len());
        missing.into_values().collect()
    }
}

/// The upper half: sorted like the whole.
fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// FNV-1a: the same in every process, and nobody gains by a collision.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_back_are_checked_and_links_ahead_are_kept() {
        let mut objects = Objects::new([0; 16]);
        let mut places = Places::new(&mut objects, 2);
        let a = places.define(&mut objects, "a");
        assert!(a.is_some() && places.define(&mut objects, "a").is_none());
        let later = places.ask(&mut objects, 0, "later");
        let never = places.ask(&mut objects, 0, "never");
        let ahead = places.ask(&mut objects, 1, "b");
        assert_eq!(places.define(&mut objects, "later"), later);
        assert_eq!(places.end_chapter(), [never.unwrap()]);
        assert_eq!(places.define(&mut objects, "b"), ahead);
        assert_eq!(places.ask(&mut objects, 0, "a"), a);
        assert_eq!(places.ask(&mut objects, 0, "never"), never);
        assert_eq!(places.ask(&mut objects, 0, "b"), None);
        assert!(places.end_chapter().is_empty() && places.waiting.is_empty());
    }
}
