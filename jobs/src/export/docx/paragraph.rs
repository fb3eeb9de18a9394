//! Paragraphs: opened by their block, begun by their first run, which tells the direction, and closed.

use super::{
    body::Body,
    names,
    notes::MARK,
    numbering::LEVELS,
    runs::{self, Mark, Sort},
    styles::{Kind, STEP, indents},
    table::Table,
};
use crate::{
    book::Alignment,
    export::{escape::runs_right_to_left, loss},
};

/// A text of its own: the document's, or a note's.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) out: String,
    /// The label, in a note.
    pub(super) note: Option<Box<str>>,
    /// A note's own mark is not written yet.
    pub(super) mark_waits: bool,
    /// `Q` and `L` for each quote and item that is open.
    pub(super) path: String,
    /// The number of each list that is open.
    pub(super) lists: Vec<u32>,
    /// An item's mark is not written yet.
    pub(super) item_waits: bool,
    /// Nothing stands yet in the quote that was begun last.
    pub(super) quote_waits: bool,
    pub(super) paragraph: Option<Paragraph>,
    pub(super) marks: Vec<Mark>,
    pub(super) links: Vec<Link>,
    pub(super) tables: Vec<Table>,
    /// What ended right here.
    pub(super) ended: Option<Ended>,
    /// Whether the last block that was written is a table.
    pub(super) ends_in_table: bool,
    /// Whether the last block was body text, so that the next paragraph has an indent.
    pub(super) after_text: bool,
}

/// What would go on if another of its sort followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Quote,
    List,
    Table,
}

/// A link that is open.
#[derive(Debug)]
pub(super) struct Link {
    /// Its start tag, until something stands in it.
    pub(super) opening: Option<String>,
    /// Its end tag; `None` where it leads nowhere.
    pub(super) closing: Option<&'static str>,
}

/// A paragraph that is open.
#[derive(Debug)]
pub(super) struct Paragraph {
    pub(super) kind: Kind,
    /// A block of its own in the source, not runs in an item or cell.
    pub(super) is_block: bool,
    pub(super) alignment: Alignment,
    bookmark: Option<String>,
    /// What is left to be told of the bookmark's name.
    pub(super) name_rest: String,
    bookmark_id: Option<u32>,
    item: Option<(u32, usize)>,
    /// Where it begins in the buffer and how long its head is, while it is not drained.
    head: Option<(usize, usize)>,
    has_begun: bool,
    pub(super) right_to_left: bool,
    pub(super) content: Content,
    /// In code: a line feed that is written if something follows.
    pub(super) line_waits: bool,
}

/// What a paragraph has so far.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    Nothing,
    /// One picture, with its title.
    Picture(String),
    More,
}

impl Story {
    /// A note's.
    pub(super) fn note(label: &str) -> Self {
        Self { note: Some(Box::from(label)), mark_waits: true, ..Self::default() }
    }

    /// The buffer was emptied.
    pub(super) fn drained(&mut self) {
        self.out.clear();
        if let Some(paragraph) = &mut self.paragraph {
            paragraph.head = None;
        }
    }

    /// What a paragraph is that stands here.
    fn kind(&self, is_block: bool) -> Kind {
        match self.path.as_bytes().last() {
            _ if self.is_in_cell() => Kind::Cell,
            Some(b'Q') => Kind::Quote,
            Some(_) if is_block => Kind::Item,
            Some(_) => Kind::CompactItem,
            None if self.note.is_some() => Kind::Note,
            None if self.after_text => Kind::Body,
            None => Kind::First,
        }
    }

    pub(super) fn is_in_cell(&self) -> bool {
        self.tables.last().is_some_and(|table| table.cell_is_open)
    }
}

impl Body {
    pub(super) fn start_paragraph(&mut self) {
        // A cell has its paragraph already.
        let is_ready = self.story.is_in_cell()
            && self.story.paragraph.as_ref().is_some_and(|open| open.content == Content::Nothing);
        if !is_ready {
            let kind = self.story.kind(true);
            self.open(kind, None);
        }
        if let Some(open) = &mut self.story.paragraph {
            open.is_block = true;
        }
    }

    pub(super) fn end_paragraph(&mut self) {
        if !self.story.is_in_cell() {
            self.close();
        }
    }

    /// Opens a paragraph, with a bookmark around its text.
    pub(super) fn open(&mut self, kind: Kind, bookmark: Option<String>) {
        self.close();
        if self.story.mark_waits && kind != Kind::Note {
            self.write_note_mark();
        }
        let story = &mut self.story;
        let item = std::mem::take(&mut story.item_waits).then(|| {
            (story.lists.last().copied().unwrap_or(1), story.lists.len().saturating_sub(1).min(LEVELS - 1))
        });
        (story.ended, story.ends_in_table, story.quote_waits) = (None, false, false);
        story.after_text = matches!(kind, Kind::First | Kind::Body);
        story.paragraph = Some(Paragraph {
            kind,
            is_block: false,
            alignment: Alignment::None,
            bookmark,
            name_rest: String::new(),
            bookmark_id: None,
            item,
            head: None,
            has_begun: false,
            right_to_left: self.right_to_left,
            content: Content::Nothing,
            line_waits: false,
        });
    }

    /// Makes sure that a run can be written; `text` is what it begins with.
    pub(super) fn ready(&mut self, text: Option<&str>) {
        if self.story.paragraph.is_none() {
            let kind = self.story.kind(false);
            self.open(kind, None);
        }
        self.begin(text);
        let story = &mut self.story;
        let link = story.links.iter_mut().find(|link| link.closing.is_some());
        if let Some(opening) = link.and_then(|link| link.opening.take()) {
            story.out.push_str(&opening);
        }
    }

    fn begin(&mut self, text: Option<&str>) {
        let Some(mut open) = self.story.paragraph.take_if(|open| !open.has_begun) else { return };
        open.has_begun = true;
        open.right_to_left = match open.kind {
            Kind::Code => false,
            _ => text.and_then(runs_right_to_left).unwrap_or(self.right_to_left),
        };
        let head = self.head(&open, open.kind, false);
        open.head = Some((self.story.out.len(), head.len()));
        self.story.out.push_str(&head);
        if let Some(name) = &open.bookmark {
            let id = self.id();
            open.bookmark_id = Some(id);
            self.story.out.push_str(&format!("<w:bookmarkStart w:id=\"{id}\" w:name=\"{name}\"/>"));
            while !open.name_rest.is_empty() {
                let name = names::piece(self.last_id() + 1, &mut open.name_rest);
                let bookmark = self.bookmark(&name);
                self.story.out.push_str(&bookmark);
            }
        }
        if std::mem::take(&mut self.story.mark_waits) {
            self.story.out.push(MARK);
        }
        self.story.paragraph = Some(open);
    }

    /// A paragraph's start and properties, in the order that the schema wants.
    fn head(&mut self, open: &Paragraph, kind: Kind, keep_next: bool) -> String {
        let style = self.style(kind, open.item.is_some());
        let mut out = format!("<w:p><w:pPr><w:pStyle w:val=\"{style}\"/>");
        if keep_next {
            out.push_str("<w:keepNext/>");
        }
        if let Some((list, level)) = open.item {
            out.push_str(&format!(
                "<w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"{list}\"/></w:numPr>"
            ));
        }
        // Code runs as its style says, from left to right.
        if kind != Kind::Code && open.right_to_left != self.right_to_left {
            out.push_str(if open.right_to_left { "<w:bidi/>" } else { "<w:bidi w:val=\"0\"/>" });
        }
        // A list's own indent is stronger than a style's: where it is not the right one, the paragraph says it.
        let is_plain = style == "ListParagraph" || style == "ListCompact";
        if open.item.is_some() && !is_plain {
            let (left, right) = indents(&self.story.path);
            out.push_str(&format!("<w:ind w:left=\"{left}\" w:right=\"{right}\" w:hanging=\"{STEP}\"/>"));
        }
        // In paragraphs that run from right to left, Word's left is where lines begin.
        let side = match (open.alignment, open.right_to_left) {
            (Alignment::None, _) => None,
            (Alignment::Center, _) => Some("center"),
            (Alignment::Left, false) | (Alignment::Right, true) => Some("left"),
            (Alignment::Right, false) | (Alignment::Left, true) => Some("right"),
        };
        if let Some(side) = side {
            out.push_str(&format!("<w:jc w:val=\"{side}\"/>"));
        }
        out.push_str("</w:pPr>");
        out
    }

    /// The style of a block that stands here.
    pub(super) fn style(&mut self, kind: Kind, is_numbered: bool) -> String {
        let path = match kind {
            Kind::Cell | Kind::Note | Kind::Unmentioned | Kind::Chapter | Kind::Heading(1) => "",
            _ => &self.story.path,
        };
        match self.styles.name(kind, path, is_numbered) {
            Some(style) => style.into_owned(),
            None => {
                self.losses.add(loss::NESTING);
                kind.name().into_owned()
            }
        }
    }

    /// Closes the paragraph that is open, if there is one.
    pub(super) fn close(&mut self) {
        if self.story.paragraph.is_none() {
            return;
        }
        self.begin(None);
        let Some(open) = self.story.paragraph.take() else { return };
        let story = &mut self.story;
        for link in &mut story.links {
            // A link that reaches beyond its paragraph ends with it.
            if let Some(closing) = link.closing.take_if(|_| link.opening.is_none()) {
                story.out.push_str(closing);
            }
        }
        if let Some(id) = open.bookmark_id {
            story.out.push_str(&format!("<w:bookmarkEnd w:id=\"{id}\"/>"));
        }
        story.out.push_str("</w:p>");
        if let (Content::Picture(title), true, None) = (&open.content, open.is_block, &story.note)
            && open.kind != Kind::Cell
        {
            self.make_figure(&open, title);
        }
    }

    /// A paragraph of nothing but a picture is set like one.
    fn make_figure(&mut self, open: &Paragraph, title: &str) {
        let title = title.trim();
        let Some((begin, length)) = open.head else { return };
        let head = self.head(open, Kind::Figure, !title.is_empty());
        self.story.out.replace_range(begin..begin + length, &head);
        self.story.after_text = false;
        if !title.is_empty() {
            self.open(Kind::Caption, None);
            self.begin(Some(title));
            let base = self.story.paragraph.as_ref().map_or(self.right_to_left, |open| open.right_to_left);
            runs::push_text(&mut self.story.out, title, Sort::Plain, &[], base);
            self.close();
        }
    }

    /// A bookmark around nothing.
    pub(super) fn bookmark(&mut self, name: &str) -> String {
        let id = self.id();
        format!("<w:bookmarkStart w:id=\"{id}\" w:name=\"{name}\"/><w:bookmarkEnd w:id=\"{id}\"/>")
    }
}
