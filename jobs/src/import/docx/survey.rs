//! The first pass over the text: where chapters begin, what they are called, and which places links may lead to.

use std::collections::{HashMap, HashSet};

use super::{
    blocks::resolved,
    names,
    styles::{Role, Styles},
    text::{Block, MOST_NAME_BYTES, Paragraph, Reader, Target},
};
use crate::{
    book::BookError,
    import::{
        chapters::{MOST_CHAPTERS, file_name},
        one_line,
    },
};

/// How many bookmarks and links are remembered.
const MOST_NAMES: usize = 500_000;

/// What begins a chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// Headings of this level and above.
    Heading(u8),
    /// New pages.
    Page,
    /// Nothing: there is one.
    Never,
}

impl Begins {
    /// The level in the book of a heading in a chapter.
    pub(super) fn level(self, level: u8) -> u8 {
        let base = if let Self::Heading(level) = self { level } else { 0 };
        (level + 1).saturating_sub(base.max(1)).clamp(2, 6)
    }
}

/// What a paragraph is to the book around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The title page and the contents, which each export makes anew.
    Front(Role),
    /// A chapter's heading, or what stands for one.
    Chapter,
    /// A heading in a chapter, with its level in the book.
    Heading(u8),
    /// All else; whether it begins a page of its own.
    Text,
}

/// Tells title page and chapters apart, in both passes alike.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Whether something other than a title page came.
    pub(super) in_text: bool,
}

impl Order {
    /// What a paragraph is.
    pub(super) fn part(&mut self, paragraph: &Paragraph, styles: &Styles, begins: Begins) -> Part {
        let role = resolved(paragraph, styles).role;
        let base = if let Begins::Heading(level) = begins { level } else { 0 };
        let part = match role {
            Role::Front => return Part::Front(role),
            Role::Title | Role::Subtitle | Role::Author | Role::Date if !self.in_text => {
                return Part::Front(role);
            }
            Role::ChapterStart => Part::Chapter,
            Role::Heading(_) | Role::Title if paragraph.is_blank() => return Part::Front(Role::Front),
            Role::Title => Part::Heading(2),
            Role::Heading(level) if level <= base => Part::Chapter,
            Role::Heading(level) => Part::Heading(begins.level(level)),
            _ => Part::Text,
        };
        let is_blank = part == Part::Text && paragraph.is_blank() && !matches!(role, Role::Rule);
        self.in_text |= !is_blank;
        part
    }
}

/// A heading that was met.
#[derive(Debug)]
struct Heading {
    /// 0 for what begins a chapter in any case.
    level: u8,
    title: String,
    bookmarks: Vec<String>,
    /// Whether text stands before the first one.
    text_before: bool,
}

/// What the first pass found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) begins: Begins,
    /// The chapters' titles, the text in front first.
    pub(super) titles: Vec<String>,
    /// Where bookmarks are: the chapter, and the heading's anchor if it is one's.
    pub(super) places: HashMap<String, (usize, Option<String>)>,
}

impl Survey {
    /// The files of the chapters.
    pub(super) fn files(&self) -> Vec<String> {
        self.titles.iter().enumerate().map(|(index, title)| file_name(index, title)).collect()
    }

    /// A heading's anchor, among its bookmarks.
    pub(super) fn anchor(&self, bookmarks: &[String]) -> Option<String> {
        bookmarks.iter().find_map(|name| self.places.get(name)?.1.clone())
    }

    /// Reads the notes through: our own export's headings in them tell their chapter and anchor.
    pub(super) fn add_notes(&mut self, mut reader: Reader<'_>, styles: &Styles) -> Result<(), BookError> {
        while let Some(block) = reader.next()? {
            let Block::Paragraph(paragraph) = block else { continue };
            if let Role::Heading(_) = resolved(&paragraph, styles).role
                && let Some((number, anchor)) = names::anchor_of(&paragraph.bookmarks)
                && self.places.len() < MOST_NAMES
            {
                for name in paragraph.bookmarks.iter().take(50) {
                    let place = (number.saturating_sub(1), Some(anchor.clone()));
                    self.places.entry(name.clone()).or_insert(place);
                }
            }
        }
        Ok(())
    }
}

/// Reads a text through. `said` is the level of headings at which chapters begin, if that is said.
pub(super) fn survey(mut reader: Reader<'_>, styles: &Styles, said: Option<u8>) -> Result<Survey, BookError> {
    let mut headings: Vec<Heading> = Vec::new();
    // Bookmarks elsewhere: how many headings came before, and how many pages.
    let mut elsewhere: HashMap<String, (usize, usize)> = HashMap::new();
    let mut named: HashSet<String> = HashSet::new();
    // How many bookmarks of headings are remembered.
    let mut kept = 0;
    let (mut order, mut others, mut page, mut page_has_text) = (Order::default(), false, 0_usize, false);
    while let Some(block) = reader.next()? {
        let paragraphs: Vec<Paragraph> = match block {
            Block::Paragraph(paragraph) => {
                let role = resolved(&paragraph, styles).role;
                let part = order.part(&paragraph, styles, Begins::Never);
                let is_text = !matches!(part, Part::Front(_)) && !paragraph.is_blank();
                if paragraph.page_break && page_has_text {
                    (page, page_has_text) = (page + 1, false);
                }
                page_has_text |= is_text;
                if paragraph.page_break_after && page_has_text {
                    (page, page_has_text) = (page + 1, false);
                }
                let level = match role {
                    Role::ChapterStart => Some(0),
                    Role::Heading(level) if !paragraph.is_blank() => Some(level),
                    _ => None,
                };
                match level {
                    Some(level) => {
                        if headings.len() >= 20 * MOST_CHAPTERS {
                            return Err(BookError::input("", "the book has more than a million headings"));
                        }
                        let bookmarks = paragraph.bookmarks.iter().take(50.min(MOST_NAMES - kept)).cloned();
                        let bookmarks: Vec<String> = bookmarks.collect();
                        kept += bookmarks.len();
                        headings.push(Heading {
                            level,
                            title: one_line(&paragraph.text(), 200),
                            bookmarks,
                            text_before: others,
                        });
                    }
                    None => {
                        others |= is_text || matches!(role, Role::Rule);
                        for name in &paragraph.bookmarks {
                            if elsewhere.len() < MOST_NAMES {
                                elsewhere.insert(name.clone(), (headings.len(), page));
                            }
                        }
                    }
                }
                vec![paragraph]
            }
            Block::Table(table) => {
                (others, page_has_text, order.in_text) = (true, true, true);
                table.rows.into_iter().flatten().flat_map(|cell| cell.paragraphs).collect()
            }
        };
        for link in paragraphs.iter().flat_map(|paragraph| &paragraph.links) {
            if let Target::Bookmark(name) = &link.target
                && named.len() < MOST_NAMES
                && name.len() <= MOST_NAME_BYTES
            {
                named.insert(name.clone());
            }
        }
    }
    Ok(found(&headings, said, elsewhere, &named, others, page))
}

fn found(
    headings: &[Heading],
    said: Option<u8>,
    elsewhere: HashMap<String, (usize, usize)>,
    named: &HashSet<String>,
    others: bool,
    pages: usize,
) -> Survey {
    let top = headings.iter().map(|heading| heading.level.max(1)).min().map(|top| said.unwrap_or(top));
    let begins = match top {
        Some(level) => Begins::Heading(level),
        None if pages > 0 => Begins::Page,
        None => Begins::Never,
    };
    let begins_chapter = |heading: &Heading| heading.level.max(1) <= top.unwrap_or(0);
    let mut titles: Vec<String> = Vec::new();
    // The chapter of each heading.
    let mut chapters = Vec::with_capacity(headings.len());
    for heading in headings {
        if titles.is_empty() && (heading.text_before || !begins_chapter(heading)) {
            titles.push(String::new());
        }
        if begins_chapter(heading) {
            titles.push(heading.title.clone());
        }
        chapters.push(titles.len().saturating_sub(1));
    }
    if headings.is_empty() {
        titles = vec![String::new(); if begins == Begins::Page { pages + 1 } else { usize::from(others) }];
    }
    let mut places = HashMap::new();
    for (heading, chapter) in headings.iter().zip(&chapters) {
        let own = names::anchor_of(&heading.bookmarks).filter(|(number, _)| *number == chapter + 1);
        for name in &heading.bookmarks {
            let own = own.as_ref().map(|(_, anchor)| anchor.clone());
            let anchor = own.or_else(|| named.contains(name).then(|| name.clone()));
            let anchor = anchor.filter(|_| !begins_chapter(heading));
            if anchor.is_some() || named.contains(name) {
                places.insert(name.clone(), (*chapter, anchor));
            }
        }
    }
    for (name, (before, page)) in elsewhere {
        let by_heading = before.checked_sub(1).and_then(|at| chapters.get(at).copied()).unwrap_or(0);
        let chapter = if begins == Begins::Page { page } else { by_heading };
        places.entry(name).or_insert((chapter, None));
    }
    Survey { begins, titles, places }
}
