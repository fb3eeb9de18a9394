//! The places of a file that links may lead to.

use std::{collections::HashMap, hash::BuildHasher as _};

/// By how many headings each place stands behind, and whether it is that heading's own anchor; by the hashes of their names, as
/// there are tens of thousands.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<u64, (u32, bool)>);

impl Places {
    fn hash(&self, id: &str) -> u64 {
        self.0.hasher().hash_one(id)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A place: how many headings it stands behind, and whether it is that heading's own anchor.
    pub(super) fn get(&self, id: &str) -> Option<(usize, bool)> {
        self.0.get(&self.hash(id)).map(|(headings, is_anchor)| (*headings as usize, *is_anchor))
    }

    /// Notes one; of two alike the last one counts.
    pub(super) fn insert(&mut self, id: &str, headings: usize, is_anchor: bool) {
        self.0.insert(self.hash(id), (u32::try_from(headings).unwrap_or(u32::MAX), is_anchor));
    }
}
