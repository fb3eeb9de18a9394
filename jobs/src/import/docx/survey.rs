//! The first pass over the text: where chapters begin, what they are called, and which places links may lead to.

use super::{
    blocks::resolved,
    names,
    places::{Bookmarks, Places},
    styles::{Role, Styles},
    text::{Block, Marks, Paragraph, Reader},
};
use crate::{
    book::BookError,
    import::{
        HELD_TITLE,
        chapters::{MOST_CHAPTERS, file_name},
        one_line,
    },
};

/// How many headings a book has at most.
const MOST_HEADINGS: usize = 20 * MOST_CHAPTERS;

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

/// What the first pass found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) begins: Begins,
    /// The chapters' titles, the text in front first.
    pub(super) titles: Vec<String>,
    pub(super) places: Places,
}

impl Survey {
    /// The file of a chapter.
    pub(super) fn file(&self, chapter: usize) -> Option<String> {
        self.titles.get(chapter).map(|title| file_name(chapter, title))
    }

    /// A heading's anchor, among its bookmarks: what our own export says of it, if it stands in that chapter (`None`:
    /// in whichever), else by what links find it.
    pub(super) fn anchor(&self, bookmarks: &[String], chapter: Option<usize>) -> Option<String> {
        let own = names::anchor_of(bookmarks);
        let own = own.filter(|(number, _)| chapter.is_none_or(|chapter| *number == chapter + 1));
        let own = own.map(|(_, anchor)| anchor);
        own.or_else(|| bookmarks.iter().find_map(|name| self.places.of(name)?.1))
    }
}

/// The first pass. Of a heading it keeps its level and its bookmarks; the title only where it may be a chapter's.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    /// The level of headings at which chapters begin, if that is said.
    said: Option<u8>,
    /// The headings' levels; 0 for what begins a chapter in any case.
    levels: Vec<u8>,
    /// The topmost of them, or what is said.
    top: Option<u8>,
    /// The titles of those that begin chapters, as far as is known yet.
    titles: Vec<String>,
    /// Whether text stands before the first heading, and whether there is any.
    text_in_front: bool,
    has_text: bool,
    /// How many pages ended.
    pages: usize,
    bookmarks: Bookmarks,
    /// The marks of notes: notes that mention others are read one by one, and know none by themselves.
    pub(super) marks: Marks,
}

impl Surveyor {
    /// Nothing is read yet.
    pub(super) fn new(said: Option<u8>) -> Self {
        Self { said, ..Self::default() }
    }

    /// Reads the text through.
    pub(super) fn read(&mut self, mut reader: Reader<'_>, styles: &Styles) -> Result<(), BookError> {
        let (mut order, mut page_has_text) = (Order::default(), false);
        while let Some(block) = reader.next()? {
            let paragraph = match block {
                Block::Paragraph(paragraph) => paragraph,
                Block::Table(table) => {
                    (self.has_text, page_has_text, order.in_text) = (true, true, true);
                    table.paragraphs().for_each(|paragraph| self.links(paragraph));
                    continue;
                }
            };
            let role = resolved(&paragraph, styles).role;
            let part = order.part(&paragraph, styles, Begins::Never);
            let is_text = !matches!(part, Part::Front(_)) && !paragraph.is_blank();
            if paragraph.page_break && page_has_text {
                (self.pages, page_has_text) = (self.pages + 1, false);
            }
            page_has_text |= is_text;
            if paragraph.page_break_after && page_has_text {
                (self.pages, page_has_text) = (self.pages + 1, false);
            }
            match role {
                Role::ChapterStart => self.heading(0, &paragraph)?,
                Role::Heading(level) if !paragraph.is_blank() => self.heading(level, &paragraph)?,
                _ => {
                    self.has_text |= is_text || matches!(role, Role::Rule);
                    for name in &paragraph.bookmarks {
                        self.bookmarks.elsewhere(name, self.levels.len(), self.pages);
                    }
                }
            }
            self.links(&paragraph);
        }
        self.marks = reader.marks;
        Ok(())
    }

    fn heading(&mut self, level: u8, paragraph: &Paragraph) -> Result<(), BookError> {
        if self.levels.len() >= MOST_HEADINGS {
            return Err(BookError::input("", "the book has more than a million headings"));
        }
        if self.levels.is_empty() {
            self.text_in_front = self.has_text;
        }
        self.bookmarks.heading(self.levels.len(), &paragraph.bookmarks);
        self.levels.push(level);
        let level = level.max(1);
        if self.said.is_none() && self.top.is_some_and(|top| level < top) {
            // What was called a chapter until now is none.
            self.titles.clear();
        }
        let top = self.said.unwrap_or(self.top.map_or(level, |top| top.min(level)));
        self.top = Some(top);
        // Whoever has more is refused when they are written.
        if level <= top && self.titles.len() <= MOST_CHAPTERS {
            self.titles.push(one_line(&paragraph.text(), HELD_TITLE));
        }
        Ok(())
    }

    fn links(&mut self, paragraph: &Paragraph) {
        paragraph.links.iter().for_each(|link| self.bookmarks.link(link));
    }

    /// Reads notes through, behind the text: our own export's headings in them tell their chapter and anchor.
    pub(super) fn read_notes(&mut self, mut reader: Reader<'_>, styles: &Styles) -> Result<(), BookError> {
        reader.marks = std::mem::take(&mut self.marks);
        while let Some(block) = reader.next()? {
            match block {
                Block::Paragraph(paragraph) => {
                    if let Role::Heading(_) = resolved(&paragraph, styles).role {
                        self.bookmarks.in_note(&paragraph.bookmarks);
                    }
                    self.links(&paragraph);
                }
                Block::Table(table) => table.paragraphs().for_each(|paragraph| self.links(paragraph)),
            }
        }
        self.marks = reader.marks;
        Ok(())
    }

    /// What came of it.
    pub(super) fn done(self) -> Survey {
        let begins = match self.top {
            Some(level) => Begins::Heading(level),
            None if self.pages > 0 => Begins::Page,
            None => Begins::Never,
        };
        let top = self.top.unwrap_or(0);
        let is_title = self.levels.first().is_some_and(|level| (*level).max(1) <= top);
        let in_front = !self.levels.is_empty() && (self.text_in_front || !is_title);
        let mut titles = match (self.levels.is_empty(), begins) {
            (true, Begins::Page) => vec![String::new(); self.pages + 1],
            (true, _) => vec![String::new(); usize::from(self.has_text)],
            (false, _) => vec![String::new(); usize::from(in_front)],
        };
        titles.extend(self.titles);
        let places = self.bookmarks.places(&self.levels, top, in_front, begins == Begins::Page);
        Survey { begins, titles, places }
    }
}
