//! Definitions of links and footnotes: they may stand anywhere in a file, and a chapter takes along those that it
//! refers to.

use std::collections::{HashMap, HashSet};

use super::{
    lines::{Scanner, label},
    resolve::EMBEDDED,
};

/// How many bytes of definitions are kept; later ones stay where they stand.
const MOST_BYTES: usize = 16 << 20;

/// The definitions of a file, by label.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    texts: HashMap<String, String>,
    used: HashSet<String>,
    bytes: usize,
    /// The label of the one that goes on.
    open: Option<String>,
    /// Whether the last line was one of ours, for the second pass.
    taken: bool,
}

/// Labels are told apart as CommonMark says: without case, spaces collapsed.
fn key(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Definitions {
    /// Keeps a line that is part of a definition. False where there is no room for it.
    pub(super) fn add(&mut self, line: &str, begins: bool) -> bool {
        if begins {
            self.open = label(line).map(key);
            if self.bytes + line.len() > MOST_BYTES {
                self.open = None;
                return false;
            }
            // The first of a name counts, as the parser has it; a later one is dropped.
            if self.open.as_ref().is_some_and(|key| self.texts.contains_key(key)) {
                self.open = None;
                return true;
            }
        }
        if let Some(key) = &self.open {
            self.bytes += line.len() + 1;
            let text = self.texts.entry(key.clone()).or_default();
            text.push_str(if begins { line.trim_start() } else { line });
            text.push('\n');
        }
        true
    }

    /// Whether a line of a definition, met in the second pass, was kept.
    pub(super) fn has(&mut self, line: &str, scanner: &Scanner) -> bool {
        if scanner.begins_definition() {
            self.taken = label(line).is_some_and(|label| self.texts.contains_key(&key(label)));
        }
        self.taken
    }

    /// The definitions that a text refers to, and those that they refer to.
    pub(super) fn wanted(&mut self, text: &str) -> String {
        if self.texts.is_empty() {
            return String::new();
        }
        let mut wanted = Vec::new();
        let mut seen = HashSet::new();
        references(text, |label| {
            let key = key(label);
            if self.texts.contains_key(&key) && seen.insert(key.clone()) {
                wanted.push(key);
            }
        });
        let mut done = 0;
        while let Some(next) = wanted.get(done).cloned() {
            done += 1;
            if let Some(text) = self.texts.get(&next) {
                let body = text.split_once("]:").map_or("", |(_, body)| body);
                references(body, |label| {
                    let key = key(label);
                    if self.texts.contains_key(&key) && seen.insert(key.clone()) {
                        wanted.push(key);
                    }
                });
            }
        }
        let mut all = String::new();
        for key in wanted {
            if let Some(text) = self.texts.get(&key) {
                all.push('\n');
                all.push_str(text);
            }
            self.used.insert(key);
        }
        all
    }

    /// How many footnotes no chapter has asked for.
    pub(super) fn unused_footnotes(&self) -> usize {
        self.texts.keys().filter(|key| key.starts_with('^') && !self.used.contains(*key)).count()
    }

    /// The source of the picture that a definition of this name brought.
    pub(super) fn embedded(&self, name: &str) -> Option<String> {
        let body = self.texts.get(&key(name))?.split_once("]:")?.1;
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
