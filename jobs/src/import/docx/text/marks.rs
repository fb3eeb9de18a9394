//! Which notes bookmarks stand around: a field that shows a note's mark again names such a bookmark.

use std::{collections::HashMap, hash::BuildHasher as _};

use super::NoteId;

/// How many bookmarks around notes are remembered.
const MOST_MARKS: usize = 200_000;

/// Notes by the hashes of the bookmarks that stand around their marks.
#[derive(Debug, Default)]
pub(in crate::import::docx) struct Marks(HashMap<u64, NoteId>);

impl Marks {
    /// These bookmarks stand around the note's mark.
    pub(super) fn add(&mut self, bookmarks: impl Iterator<Item = String>, note: &NoteId) {
        for name in bookmarks {
            if self.0.len() < MOST_MARKS {
                let name = self.0.hasher().hash_one(name);
                self.0.entry(name).or_insert_with(|| note.clone());
            }
        }
    }

    /// The note that a bookmark stands around.
    pub(super) fn note(&self, bookmark: &str) -> Option<&NoteId> {
        self.0.get(&self.0.hasher().hash_one(bookmark))
    }
}
