//! What a part holds: paragraphs of pieces, tables of paragraphs.

use super::bounds::LEAST_BYTES;
use crate::import::docx::styles::Look;

/// A block.
#[derive(Debug)]
pub(in crate::import::docx) enum Block {
    Paragraph(Paragraph),
    Table(Table),
}

/// A paragraph.
#[derive(Debug, Default)]
pub(in crate::import::docx) struct Paragraph {
    pub(in crate::import::docx) style: String,
    /// The list and level that it is an item of.
    pub(in crate::import::docx) list: Option<(String, u8)>,
    pub(in crate::import::docx) outline: Option<u8>,
    pub(in crate::import::docx) alignment: String,
    pub(in crate::import::docx) right_to_left: Option<bool>,
    /// Whether a page begins with it, and whether one ends with it.
    pub(in crate::import::docx) page_break: bool,
    pub(in crate::import::docx) page_break_after: bool,
    /// Whether it is drawn as a line.
    pub(in crate::import::docx) line: bool,
    pub(in crate::import::docx) bookmarks: Vec<String>,
    pub(in crate::import::docx) pieces: Vec<Piece>,
    pub(in crate::import::docx) links: Vec<Link>,
    pub(super) bytes: usize,
}

/// A piece of a paragraph.
#[derive(Debug)]
pub(in crate::import::docx) struct Piece {
    pub(in crate::import::docx) content: Content,
    pub(in crate::import::docx) look: Look,
    /// Which of the paragraph's links it stands in.
    pub(in crate::import::docx) link: Option<usize>,
}

/// What a piece is.
#[derive(Clone, Debug)]
pub(in crate::import::docx) enum Content {
    Text(String),
    Break,
    Picture(Picture),
    /// The mark of a note; `None` where a field shows again what was not found.
    Note(Option<NoteId>),
}

/// A footnote or endnote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::import::docx) struct NoteId {
    pub(in crate::import::docx) at_end: bool,
    pub(in crate::import::docx) id: String,
}

/// A picture as the text shows it.
#[derive(Clone, Debug, Default)]
pub(in crate::import::docx) struct Picture {
    /// The relationships that name its file; the first that is a picture counts.
    pub(in crate::import::docx) relations: Vec<String>,
    pub(in crate::import::docx) name: String,
    pub(in crate::import::docx) alt: String,
    pub(in crate::import::docx) title: String,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::import::docx) struct Link {
    pub(in crate::import::docx) target: Target,
    pub(in crate::import::docx) title: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::import::docx) enum Target {
    Relation(String),
    Bookmark(String),
    Address(String),
}

/// A table.
#[derive(Debug, Default)]
pub(in crate::import::docx) struct Table {
    pub(in crate::import::docx) style: String,
    pub(in crate::import::docx) rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Default)]
pub(in crate::import::docx) struct Cell {
    pub(in crate::import::docx) span: usize,
    pub(in crate::import::docx) paragraphs: Vec<Paragraph>,
}

impl Table {
    /// All that is in its cells.
    pub(in crate::import::docx) fn paragraphs(&self) -> impl Iterator<Item = &Paragraph> {
        self.rows.iter().flatten().flat_map(|cell| &cell.paragraphs)
    }
}

impl Content {
    /// What it counts for in a paragraph.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Break => LEAST_BYTES,
            Self::Note(note) => LEAST_BYTES + note.as_ref().map_or(0, |note| note.id.len()),
            Self::Picture(picture) => {
                let texts = picture.name.len() + picture.alt.len() + picture.title.len();
                let relations = picture.relations.iter().map(|id| LEAST_BYTES + id.len());
                LEAST_BYTES + texts + relations.sum::<usize>()
            }
        }
    }
}

impl Link {
    /// How long its texts are.
    pub(super) fn bytes(&self) -> usize {
        let (Target::Relation(target) | Target::Bookmark(target) | Target::Address(target)) = &self.target;
        target.len() + self.title.len()
    }
}

impl Paragraph {
    /// A note's mark that was read last looks as what is shown for it.
    pub(super) fn mark_looks(&mut self, note: Option<&NoteId>, look: Look, link: Option<usize>) {
        if let Some(mark) = self.pieces.last_mut()
            && matches!(&mark.content, Content::Note(own) if own.as_ref() == note)
        {
            (mark.look, mark.link) = (look, link);
        }
    }

    /// Its words.
    pub(in crate::import::docx) fn text(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match &piece.content {
                Content::Text(more) => text.push_str(more),
                Content::Break => text.push(' '),
                Content::Picture(_) | Content::Note(_) => {}
            }
        }
        text
    }

    /// Whether there is nothing to be seen.
    pub(in crate::import::docx) fn is_blank(&self) -> bool {
        self.pieces.iter().all(|piece| match &piece.content {
            Content::Text(text) => text.trim_matches([' ', '\t']).is_empty(),
            Content::Break => true,
            Content::Picture(_) | Content::Note(_) => false,
        })
    }
}
