//! Labels of footnotes: the parser takes `[^Note]` for a mark of `[^note]: …`, and a book has one spelling for both.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

/// The labels that a text's definitions have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    written: HashSet<String>,
    /// The first one of those that are the same to the parser.
    first: HashMap<String, String>,
}

/// What the parser tells labels apart by: no case, spaces collapsed. Through capitals, as `ß` is the same as `SS`.
pub(crate) fn key(label: &str) -> String {
    one_spaced(label).to_uppercase().to_lowercase()
}

fn one_spaced(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Labels {
    /// Those of all lines that could begin a definition; one that does not, as in code, may part a mark from its note where their
    /// cases differ.
    pub(crate) fn of(text: &str) -> Self {
        let mut labels = Self::default();
        if !text.contains("]:") {
            return labels;
        }
        for line in text.lines() {
            // In an item or a quotation as well.
            let inside = line.split_once("[^").filter(|(before, _)| !before.contains(char::is_alphabetic));
            let Some((label, _)) = inside.and_then(|(_, rest)| rest.split_once("]:")) else { continue };
            if label.len() <= 999 {
                let label = one_spaced(label);
                labels.first.entry(key(&label)).or_insert_with(|| label.clone());
                labels.written.insert(label);
            }
        }
        labels
    }

    /// A label as its definition has it.
    pub(crate) fn defined<'a>(&self, label: &'a str) -> Cow<'a, str> {
        if self.written.contains(label) {
            return Cow::Borrowed(label);
        }
        let first = self.first.get(&key(label));
        first.map_or(Cow::Borrowed(label), |first| Cow::Owned(first.clone()))
    }
}
