//! Destinations of links inside the book. A link may lead ahead: then the destination's number is given out at once,
//! and the object is written when its place is reached. Those of finished chapters are put aside.

use std::{collections::BTreeMap, io};

use pdf_writer::Ref;

use super::objects::Objects;
use crate::scratch::{Scratch, Shelves};

/// Links ahead that may wait; beyond them a link leads to its chapter's beginning.
const MOST_WAITING: usize = 100_000;

/// The destinations of a book.
#[derive(Debug)]
pub(super) struct Places {
    /// The first chapter's; the others follow.
    chapters: Ref,
    /// The upper half of each anchor's hash, sorted within its chapter: enough to tell those of one chapter apart. The
    /// lower half is the destination's number.
    finished: Shelves,
    current: BTreeMap<u64, Ref>,
    waiting: BTreeMap<(usize, u64), Ref>,
}

impl Places {
    /// For so many chapters.
    pub(super) fn new(objects: &mut Objects, chapters: usize, scratch: &Scratch) -> Self {
        Self {
            chapters: objects.alloc_many(chapters),
            finished: Shelves::new(scratch),
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
        let place = self.waiting.remove(&(self.finished.chapters(), hash)).unwrap_or_else(|| objects.alloc());
        self.current.insert(hash, place);
        Some(place)
    }

    /// The destination of a link; `None` where there is none and will be none.
    pub(super) fn ask(
        &mut self,
        objects: &mut Objects,
        chapter: usize,
        anchor: &str,
    ) -> io::Result<Option<Ref>> {
        let hash = hash(anchor);
        if let Some(anchors) = self.finished.of(chapter)? {
            let found = anchors.binary_search_by_key(&half(hash), |anchor| half(*anchor));
            return Ok(found.ok().and_then(|found| number(anchors[found])));
        }
        if chapter == self.finished.chapters()
            && let Some(place) = self.current.get(&hash)
        {
            return Ok(Some(*place));
        }
        if self.waiting.len() >= MOST_WAITING {
            return Ok(None);
        }
        Ok(Some(*self.waiting.entry((chapter, hash)).or_insert_with(|| objects.alloc())))
    }

    /// Ends the open chapter; gives the destinations that links lead to and that it does not have.
    pub(super) fn end_chapter(&mut self) -> io::Result<Vec<Ref>> {
        let chapter = self.finished.chapters();
        let later = self.waiting.split_off(&(chapter + 1, 0));
        let missing = std::mem::replace(&mut self.waiting, later);
        for ((_, hash), place) in &missing {
            self.current.insert(*hash, *place);
        }
        let current = std::mem::take(&mut self.current);
        let packed =
            |(hash, place): (u64, Ref)| (hash & (HALF << 32)) | u64::from(place.get().unsigned_abs());
        self.finished.add(current.into_iter().map(packed))?;
        Ok(missing.into_values().collect())
    }
}

/// The bits of one half.
const HALF: u64 = u32::MAX as u64;

/// The lower half, which is the number of an object.
fn number(anchor: u64) -> Option<Ref> {
    i32::try_from(anchor & HALF).ok().filter(|number| *number > 0).map(Ref::new)
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
        let mut places = Places::new(&mut objects, 2, &Scratch::default());
        let a = places.define(&mut objects, "a");
        assert!(a.is_some() && places.define(&mut objects, "a").is_none());
        let later = places.ask(&mut objects, 0, "later").unwrap();
        let never = places.ask(&mut objects, 0, "never").unwrap();
        let ahead = places.ask(&mut objects, 1, "b").unwrap();
        assert_eq!(places.define(&mut objects, "later"), later);
        assert_eq!(places.end_chapter().unwrap(), [never.unwrap()]);
        assert_eq!(places.define(&mut objects, "b"), ahead);
        assert_eq!(places.ask(&mut objects, 0, "a").unwrap(), a);
        assert_eq!(places.ask(&mut objects, 0, "never").unwrap(), never);
        assert_eq!(places.ask(&mut objects, 0, "b").unwrap(), None);
        assert!(places.end_chapter().unwrap().is_empty() && places.waiting.is_empty());
    }
}
