//! How much a paragraph, a table and what names them may hold: what is not text counts too.

use super::{Link, Paragraph, Reader};
use crate::{book::BookError, import::docx::xml::Element};

/// How deep elements may be nested that are read by a function calling itself: each level takes a piece of the stack.
const MOST_NESTED: usize = 100;
/// How many bytes of text a paragraph has at most, and a table.
pub(super) const MOST_PARAGRAPH_BYTES: usize = 8 << 20;
const MOST_TABLE_BYTES: usize = 32 << 20;
/// How many bytes a link's target has at most, and its title.
const MOST_LINK_BYTES: usize = 64 << 10;
/// How many bookmarks of a paragraph are kept.
const MOST_BOOKMARKS: usize = 1000;
/// How long names of bookmarks and notes may be. Word makes them of at most 40 characters.
pub(in crate::import::docx) const MOST_NAME_BYTES: usize = 200;
/// What anything counts for, however short.
pub(super) const LEAST_BYTES: usize = 64;

/// The beginning of a text.
pub(in crate::import::docx) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

impl Reader<'_> {
    /// Refuses what is nested too deep.
    pub(super) fn check_depth(&self) -> Result<(), BookError> {
        if self.xml.depth() > MOST_NESTED {
            return Err(self.xml.wrong(format!("nested more than {MOST_NESTED} deep")));
        }
        Ok(())
    }

    /// Counts what a paragraph holds.
    pub(super) fn weigh(&mut self, paragraph: &mut Paragraph, bytes: usize) -> Result<(), BookError> {
        paragraph.bytes += bytes;
        self.weigh_table(bytes)?;
        if paragraph.bytes > MOST_PARAGRAPH_BYTES {
            return Err(self.xml.wrong("a paragraph has more than 8 MiB: divide it"));
        }
        Ok(())
    }

    /// Counts what a table holds, if one is being read.
    pub(super) fn weigh_table(&mut self, bytes: usize) -> Result<(), BookError> {
        if let Some(table) = &mut self.table_bytes {
            *table += bytes;
            if *table > MOST_TABLE_BYTES {
                return Err(self.xml.wrong("a table has more than 32 MiB of text: divide it"));
            }
        }
        Ok(())
    }

    /// Adds a link to the paragraph's.
    pub(super) fn add_link(&mut self, paragraph: &mut Paragraph, link: Link) -> Result<usize, BookError> {
        self.weigh(paragraph, LEAST_BYTES + link.bytes())?;
        paragraph.links.push(link);
        Ok(paragraph.links.len() - 1)
    }

    /// A bookmark between paragraphs, which the next one gets.
    pub(super) fn wait(&mut self, bookmarks: impl IntoIterator<Item = String>) {
        let left = MOST_BOOKMARKS.saturating_sub(self.waiting.len());
        self.waiting.extend(bookmarks.into_iter().take(left));
    }

    /// A bookmark in a paragraph.
    pub(super) fn mark(&mut self, paragraph: &mut Paragraph, name: &str) -> Result<(), BookError> {
        if self.recent.len() < 64 {
            self.recent.push(name.to_owned());
        }
        if paragraph.bookmarks.len() < MOST_BOOKMARKS {
            self.weigh(paragraph, name.len())?;
            paragraph.bookmarks.push(name.to_owned());
        }
        Ok(())
    }
}

/// A bookmark's name, unless it is one that no program makes.
pub(super) fn bookmark(element: &Element) -> Option<&str> {
    element.get("name").filter(|name| name.len() <= MOST_NAME_BYTES)
}

/// What an attribute says of a link.
pub(super) fn of_link(attribute: &str) -> String {
    cut(attribute, MOST_LINK_BYTES).to_owned()
}
