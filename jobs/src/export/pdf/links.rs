//! Where links and the marks of notes lead.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use super::{
    Pdf,
    blocks::Leaf,
    inline::{Inline, Mood},
    structure::{Action, Target},
};
use crate::{
    book::LinkTarget,
    export::{anchors, loss, url},
};

/// Longer addresses are no links, as in DOCX: no browser is sure to take them.
const MOST_URI_BYTES: usize = 2_000;

impl Pdf {
    /// A link begins. Inside another one it is only text.
    pub(super) fn start_link(&mut self, target: &str) -> io::Result<()> {
        let found = if self.links.iter().any(Option::is_some) {
            self.losses.add(loss::NESTED_LINK);
            None
        } else {
            let found = self.target(target)?;
            if found.is_none() {
                self.losses.add(self.lookup.lost_link(self.chapter, target));
            }
            found
        };
        self.links.push(found.map(Arc::new));
        Ok(())
    }

    pub(super) fn target(&mut self, target: &str) -> io::Result<Option<Target>> {
        let lookup = Arc::clone(&self.lookup);
        let (index, anchor) = match lookup.link(self.chapter, target) {
            LinkTarget::External(target) => {
                let uri = url::valid(target).map(|uri| ascii(&uri)).filter(|uri| uri.len() <= MOST_URI_BYTES);
                return Ok(uri.map(|uri| {
                    let (contents, action) = (uri.clone(), Action::Uri(uri, OnceLock::new()));
                    Target { contents, action, shows: true }
                }));
            }
            LinkTarget::Chapter { index, anchor } => (index, anchor),
            LinkTarget::Nowhere => return Ok(None),
        };
        let mut place = self.places.chapter(index);
        if !anchor.is_empty() {
            match self.places.ask(&mut self.paper.objects, index, &anchors::id(anchor))? {
                Some(found) => place = found,
                None => self.losses.add(loss::ANCHOR),
            }
        }
        let contents = lookup.chapter_title(index);
        Ok(Some(Target { action: Action::Place(place), contents, shows: true }))
    }

    /// A note's mark. Inside a link it is only a number, as links can't be nested.
    pub(super) fn mention(&mut self, label: &str) {
        let mention = self.notes.mention(&mut self.paper.objects, label);
        let (text, mood) = (mention.number.to_string(), Mood { rise: 1, ..Mood::default() });
        if self.links.iter().any(Option::is_some) {
            return self.push(&text, mood);
        }
        let target = Target { action: Action::Place(mention.place), contents: text.clone(), shows: true };
        // Opens the block, where the mark is the first of it.
        if self.table.is_none() {
            self.leaf.get_or_insert(Leaf::Plain);
        }
        self.inlines.bytes += text.len();
        let run = Inline { text, mood, target: Some(Arc::new(target)), place: mention.back };
        self.inlines.runs.push(run);
    }
}

/// A URI has only ASCII: host names in other letters are written as their octets.
fn ascii(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
