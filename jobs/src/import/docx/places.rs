//! Where bookmarks are, in a few bytes each: a book has tens of thousands of them, and links lead to few. Names are remembered by
//! their hashes, under a key that nobody knows; what a name tells by itself is not kept.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use super::{
    names,
    text::{Link, MOST_NAME_BYTES, Target},
};

/// How many bookmarks of headings are remembered, how many others, and how many links.
const MOST_NAMES: usize = 500_000;
/// How many bookmarks of a heading are.
const MOST_OF_HEADING: usize = 50;

/// The bookmarks and links that were met, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Bookmarks {
    hasher: RandomState,
    marks: Vec<Mark>,
    /// Anchors that are not told by a bookmark's own name, with the chapters that they tell, counted from 1.
    anchors: Vec<(u32, Box<str>)>,
    of_headings: usize,
    others: usize,
    /// The bookmarks that links lead to.
    named: HashSet<u64>,
}

#[derive(Debug)]
struct Mark {
    name: u64,
    /// How many headings there are up to it, its own included.
    headings: u32,
    /// How many pages ended before it.
    page: u32,
    what: What,
}

/// What a bookmark marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A heading that has no other name.
    Heading,
    /// A heading of our own export's, whose chapter and anchor the name tells.
    Told(u32),
    /// A heading of our own export's, by number among the anchors.
    Anchor(usize),
    /// The same in a note: of many places by one name, it counts least.
    InNote(usize),
    /// Something else.
    Other,
}

impl Bookmarks {
    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// A heading's, of which so many came before.
    pub(super) fn heading(&mut self, before: usize, bookmarks: &[String]) {
        let own = names::anchor_of(bookmarks);
        let mut anchor = None;
        for name in bookmarks.iter().take(MOST_OF_HEADING.min(MOST_NAMES - self.of_headings)) {
            let what = match &own {
                None => What::Heading,
                own if names::anchor(name) == *own => {
                    What::Told(own.as_ref().map_or(0, |(at, _)| short(*at)))
                }
                Some((chapter, text)) => What::Anchor(*anchor.get_or_insert_with(|| {
                    self.anchors.push((short(*chapter), text.as_str().into()));
                    self.anchors.len() - 1
                })),
            };
            let name = self.hasher.hash_one(name.as_str());
            self.marks.push(Mark { name, headings: short(before + 1), page: 0, what });
            self.of_headings += 1;
        }
    }

    /// One elsewhere: how many headings came before, and how many pages.
    pub(super) fn elsewhere(&mut self, name: &str, headings: usize, page: usize) {
        if self.others < MOST_NAMES {
            self.others += 1;
            let name = self.hash(name);
            let (headings, page) = (short(headings), short(page));
            self.marks.push(Mark { name, headings, page, what: What::Other });
        }
    }

    /// Those of a heading in a note. All notes come behind the text.
    pub(super) fn in_note(&mut self, bookmarks: &[String]) {
        if self.of_headings >= MOST_NAMES {
            return;
        }
        let Some((chapter, anchor)) = names::anchor_of(bookmarks) else { return };
        self.anchors.push((short(chapter), anchor.into()));
        let what = What::InNote(self.anchors.len() - 1);
        for name in bookmarks.iter().take(MOST_OF_HEADING.min(MOST_NAMES - self.of_headings)) {
            let name = self.hasher.hash_one(name.as_str());
            self.marks.push(Mark { name, headings: u32::MAX, page: 0, what });
            self.of_headings += 1;
        }
    }

    /// A link.
    pub(super) fn link(&mut self, link: &Link) {
        if let Target::Bookmark(name) = &link.target
            && self.named.len() < MOST_NAMES
            && name.len() <= MOST_NAME_BYTES
        {
            self.named.insert(self.hash(name));
        }
    }

    /// Where links lead, once all is read: `levels` are the headings', those up to `top` begin chapters. `in_front` tells
    /// whether there is one before the first of them, `pages` whether pages are chapters.
    pub(super) fn places(self, levels: &[u8], top: u8, in_front: bool, pages: bool) -> Places {
        let begins = |heading: usize| levels.get(heading).is_some_and(|level| (*level).max(1) <= top);
        let (mut chapters, mut passed) = (usize::from(in_front), 0);
        let mut known: HashMap<u64, Place> = HashMap::new();
        for Mark { name, headings, page, what } in self.marks {
            while passed < headings as usize && passed < levels.len() {
                chapters += usize::from(begins(passed));
                passed += 1;
            }
            if !self.named.contains(&name) {
                continue;
            }
            let chapter = match what {
                What::InNote(at) => (self.anchors[at].0 as usize).saturating_sub(1),
                _ if pages => page as usize,
                _ => chapters.saturating_sub(1),
            };
            let is_here = |told: u32| told as usize == chapter + 1;
            let anchor = match what {
                What::Other => Anchor::None,
                What::InNote(at) => Anchor::Text(self.anchors[at].1.clone()),
                _ if begins(passed.wrapping_sub(1)) => Anchor::None,
                What::Told(told) if is_here(told) => Anchor::Told,
                What::Anchor(at) if is_here(self.anchors[at].0) => Anchor::Text(self.anchors[at].1.clone()),
                What::Heading | What::Told(_) | What::Anchor(_) => Anchor::Name,
            };
            let weight = match what {
                What::InNote(_) => 0,
                What::Other => 1,
                What::Heading | What::Told(_) | What::Anchor(_) => 2,
            };
            // Of two alike the last one counts.
            if weight > 0 && known.get(&name).is_none_or(|place| place.weight <= weight) {
                known.insert(name, Place { chapter, anchor, weight });
            } else {
                known.entry(name).or_insert(Place { chapter, anchor, weight });
            }
        }
        Places { hasher: self.hasher, known }
    }
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Where links lead.
#[derive(Debug, Default)]
pub(super) struct Places {
    hasher: RandomState,
    known: HashMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    chapter: usize,
    anchor: Anchor,
    weight: u8,
}

#[derive(Debug)]
enum Anchor {
    /// The chapter is as near as a link can lead.
    None,
    /// The bookmark's name.
    Name,
    /// What the bookmark's name tells.
    Told,
    Text(Box<str>),
}

impl Places {
    /// The chapter of a bookmark that a link leads to, and the heading's anchor if it is one's.
    pub(super) fn of(&self, name: &str) -> Option<(usize, Option<String>)> {
        let place = self.known.get(&self.hasher.hash_one(name))?;
        let anchor = match &place.anchor {
            Anchor::None => None,
            Anchor::Name => Some(name.to_owned()),
            Anchor::Told => names::anchor(name).map(|(_, anchor)| anchor),
            Anchor::Text(text) => Some(text.to_string()),
        };
        Some((place.chapter, anchor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_bookmark_is_a_place_only_where_a_link_leads_to_it() {
        let mut bookmarks = Bookmarks::default();
        bookmarks.elsewhere("early", 0, 0);
        bookmarks.heading(0, &names(&["_Toc1", "c1_start"]));
        bookmarks.heading(1, &names(&["c1_some-place", "also"]));
        bookmarks.elsewhere("text", 2, 0);
        bookmarks.heading(2, &names(&["c2_second"]));
        bookmarks.heading(3, &names(&["plain", "unnamed"]));
        bookmarks.heading(4, &names(&["h2_0123456789abcdef", "p1_long-", "p2_name"]));
        bookmarks.in_note(&names(&["c2_in-a-note"]));
        bookmarks.in_note(&names(&["c9_second"]));
        for name in [
            "early",
            "_Toc1",
            "c1_some-place",
            "also",
            "text",
            "c2_second",
            "plain",
            "h2_0123456789abcdef",
            "c2_in-a-note",
            "nowhere",
        ] {
            bookmarks.link(&Link { target: Target::Bookmark(name.to_owned()), title: String::new() });
        }
        let places = bookmarks.places(&[1, 2, 1, 2, 3], 1, false, false);
        let anchor = |chapter, anchor: &str| Some((chapter, Some(anchor.to_owned())));
        assert_eq!(places.of("early"), Some((0, None)));
        assert_eq!(places.of("_Toc1"), Some((0, None)), "the chapter itself");
        assert_eq!(places.of("c1_some-place"), anchor(0, "some-place"));
        assert_eq!(places.of("also"), anchor(0, "some-place"));
        assert_eq!(places.of("text"), Some((0, None)));
        assert_eq!(places.of("c2_second"), Some((1, None)));
        assert_eq!(places.of("plain"), anchor(1, "plain"));
        assert_eq!(places.of("h2_0123456789abcdef"), anchor(1, "long-name"));
        assert_eq!(places.of("c2_in-a-note"), anchor(1, "in-a-note"));
        assert_eq!(places.of("unnamed"), None);
        assert_eq!(places.of("nowhere"), None);
    }

    #[test]
    fn of_places_alike_the_last_one_counts_and_headings_before_others() {
        let mut bookmarks = Bookmarks::default();
        bookmarks.heading(0, &names(&["a", "b"]));
        bookmarks.elsewhere("a", 1, 0);
        bookmarks.elsewhere("c", 1, 0);
        bookmarks.heading(1, &names(&["b"]));
        bookmarks.elsewhere("c", 2, 0);
        for name in ["a", "b", "c"] {
            bookmarks.link(&Link { target: Target::Bookmark(name.to_owned()), title: String::new() });
        }
        let places = bookmarks.places(&[1, 1], 1, true, false);
        assert_eq!([places.of("a"), places.of("b"), places.of("c")], [1, 2, 2].map(|at| Some((at, None))));
        assert!(size_of::<Mark>() <= 32, "tens of thousands are held");
    }

    #[test]
    fn however_many_headings_notes_have_a_bounded_number_is_remembered() {
        let mut bookmarks = Bookmarks::default();
        let of_a_heading: Vec<String> = (0..MOST_OF_HEADING + 1).map(|n| format!("c1_note-{n}")).collect();
        for _ in 0..MOST_NAMES / MOST_OF_HEADING + 3 {
            bookmarks.in_note(&of_a_heading);
        }
        let anchors = MOST_NAMES / MOST_OF_HEADING;
        assert_eq!((bookmarks.marks.len(), bookmarks.anchors.len()), (MOST_NAMES, anchors));
    }
}
