//! Definitions of links and footnotes: they may stand anywhere in a file, and a chapter takes along those that it
//! refers to. Where chapters define the same label each has its own; a chapter without one has the file's first.

use std::collections::{HashMap, HashSet};

use super::{
    lines::{Scanner, label},
    resolve::EMBEDDED,
};
use crate::book::{Losses, loss, markdown_labels::key};

/// How many bytes of definitions are kept; later ones stay where they stand.
const MOST_BYTES: usize = 16 << 20;

/// The definitions of a file, by label.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// Those of one label in the order of the file, one for each place.
    kept: HashMap<String, Vec<Definition>>,
    bytes: usize,
    /// The label of the one that goes on.
    open: Option<String>,
    /// Whether the last line was one of ours, for the second pass.
    taken: bool,
    /// How many headings stand before each place, once these are known.
    begins: Vec<usize>,
    /// The place that the second pass is in, and the labels that it has met there.
    place: usize,
    met: HashSet<String>,
}

#[derive(Debug)]
struct Definition {
    /// How many headings stand before it; once it is known where chapters begin, how many of those that begin one.
    place: usize,
    text: String,
    used: bool,
}

impl Definitions {
    /// Keeps a line that is part of a definition, with `headings` before it. False where there is no room for it.
    pub(super) fn add(&mut self, line: &str, begins: bool, headings: usize) -> bool {
        if begins {
            self.open = label(line).map(key);
            if self.bytes + line.len() > MOST_BYTES {
                self.open = None;
                return false;
            }
            if let Some(key) = self.open.take() {
                let same = self.kept.entry(key.clone()).or_default();
                // The first of a name counts, as the parser has it; a later one is dropped.
                if same.last().is_none_or(|last| last.place != headings) {
                    same.push(Definition { place: headings, text: String::new(), used: false });
                    self.open = Some(key);
                }
            }
        }
        if let Some(open) = self.open.as_ref().and_then(|key| self.kept.get_mut(key)?.last_mut()) {
            self.bytes += line.len() + 1;
            open.text.push_str(if begins { line.trim_start() } else { line });
            open.text.push('\n');
        }
        true
    }

    /// Says which headings begin chapters, as how many there are up to and with each; to be called before the second
    /// pass.
    pub(super) fn settle(&mut self, begins: Vec<usize>) {
        for same in self.kept.values_mut() {
            for one in same.iter_mut() {
                one.place = begins.partition_point(|begin| *begin <= one.place);
            }
            same.dedup_by_key(|one| one.place);
        }
        self.begins = begins;
    }

    /// Begins a chapter at its heading in the second pass, the `headings`th.
    pub(super) fn begin_chapter(&mut self, headings: usize) {
        self.place = self.begins.partition_point(|begin| *begin <= headings);
        self.met.clear();
    }

    /// Whether a line of a definition, met in the second pass, was kept. Counts a footnote that is one too many.
    pub(super) fn has(&mut self, line: &str, scanner: &Scanner, losses: &mut Losses) -> bool {
        if scanner.begins_definition() {
            let key = label(line).map(key).unwrap_or_default();
            let place = self.place;
            let found = self.kept.get(&key).map(|same| same.binary_search_by_key(&place, |one| one.place));
            self.taken = found.is_some_and(|found| found.is_ok());
            if self.taken && key.starts_with('^') && !self.met.insert(key) {
                losses.add(loss::REPEATED_NOTE);
            }
        }
        self.taken
    }

    /// The definitions that a text refers to, and those that they refer to.
    pub(super) fn wanted(&mut self, text: &str) -> String {
        if self.kept.is_empty() {
            return String::new();
        }
        let mut wanted = Vec::new();
        let mut seen = HashSet::new();
        references(text, |label| {
            let key = key(label);
            if self.kept.contains_key(&key) && seen.insert(key.clone()) {
                wanted.push(key);
            }
        });
        let mut done = 0;
        let mut all = String::new();
        while let Some(next) = wanted.get(done).cloned() {
            done += 1;
            let Some(text) = self.take(&next) else { continue };
            let body = text.split_once("]:").map_or("", |(_, body)| body);
            references(body, |label| {
                let key = key(label);
                if self.kept.contains_key(&key) && seen.insert(key.clone()) {
                    wanted.push(key);
                }
            });
            all.push('\n');
            all.push_str(&text);
        }
        all
    }

    /// The text of a label in this chapter: its own, else the file's first.
    fn take(&mut self, key: &str) -> Option<String> {
        let same = self.kept.get_mut(key)?;
        let own = same.binary_search_by_key(&self.place, |one| one.place).unwrap_or(0);
        let one = same.get_mut(own)?;
        one.used = true;
        Some(one.text.clone())
    }

    /// How many footnotes no chapter has asked for.
    pub(super) fn unused_footnotes(&self) -> usize {
        let notes = self.kept.iter().filter(|(key, _)| key.starts_with('^'));
        notes.flat_map(|(_, same)| same).filter(|one| !one.used).count()
    }

    /// The source of the picture that a definition of this name brought.
    pub(super) fn embedded(&self, name: &str) -> Option<String> {
        let body = self.kept.get(&key(name))?.first()?.text.split_once("]:")?.1;
        let source = body.split_whitespace().next()?;
        source.starts_with(EMBEDDED).then(|| source.to_owned())
    }
}

/// Calls `with` for everything in brackets that could be a label.
fn references<'t>(text: &'t str, mut with: impl FnMut(&'t str)) {
    let mut open = None;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => open = Some(place + 1),
            b']' => {
                if let Some(begin) = open.take()
                    && place - begin <= 999
                {
                    with(&text[begin..place]);
                }
            }
            _ => {}
        }
    }
}
