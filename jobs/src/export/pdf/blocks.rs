//! The stream's blocks as rows: what opens and closes, indents, distances.

use std::{io::Write, sync::Arc};

use super::{
    Pdf,
    flow::{Ink, Row},
    inline::{Inlines, rows},
    look::TextLook,
    paper::Furniture,
    table::Table,
    text::Align,
};
use crate::{
    book::{BookError, EndTag, Tag},
    export::{anchors, loss},
};

/// A block of text that is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Leaf {
    /// Text of a tight list's item.
    Plain,
    /// Whether a part of it stands on the page already.
    Paragraph {
        continues: bool,
    },
    Heading {
        level: u8,
        place: Option<pdf_writer::Ref>,
    },
    Code {
        continues: bool,
    },
}

/// A container's indents, where reading begins and where it ends, and its letters' size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) start: f32,
    pub(super) end: f32,
    pub(super) scale: f32,
}

/// An open list: its next number.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) next: Option<u64>,
}

/// Text of a paragraph that is set before its end comes.
const MOST_TEXT: usize = 32 << 10;

impl Pdf {
    /// From the text's left edge to where lines begin, and how long they are.
    pub(super) fn measure(&self) -> (f32, f32) {
        let start: f32 = self.frames.iter().map(|frame| frame.start).sum();
        let end: f32 = self.frames.iter().map(|frame| frame.end).sum();
        let whole = self.paper.look.width;
        // Sixty lists in each other leave no room: then they stand above each other.
        let shrink = (whole * 0.6 / (start + end).max(1.0)).min(1.0);
        let (start, end) = (start * shrink, end * shrink);
        let x = if self.paper.look.right_to_left { end } else { start };
        (x, whole - start - end)
    }

    pub(super) fn scale(&self) -> f32 {
        self.frames.iter().map(|frame| frame.scale).fold(1.0, f32::min)
    }

    /// Hands rows on, at least `above` below the block before.
    pub(super) fn push_rows(
        &mut self,
        rows: Vec<Row>,
        above: f32,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        let mut gap = std::mem::take(&mut self.gap).max(above);
        for mut row in rows {
            row.above += std::mem::take(&mut gap);
            row.ink.extend(self.label.take().into_iter().flatten());
            row.places.append(&mut self.waiting);
            self.paper.push(row, out)?;
        }
        if self.label.is_none() {
            self.paper.structure.seal(self.paper.flow.pushed());
        }
        Ok(())
    }

    pub(super) fn start_chapter(
        &mut self,
        index: usize,
        title: &str,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        self.chapter = index;
        (self.gap, self.follows, self.level) = (0.0, false, 1);
        self.numbers.push(self.paper.number());
        self.paper.set_furniture(Furniture::Number);
        let lookup = Arc::clone(&self.lookup);
        let title = title.trim();
        self.paper.set_heads(None, if title.is_empty() { lookup.title() } else { title });
        self.waiting.push(self.places.chapter(index));
        self.paper.structure.open(&mut self.paper.objects, "Sect");
        if title.is_empty() {
            return Ok(());
        }
        let look = self.paper.look.heading(1);
        self.paper.structure.open(&mut self.paper.objects, "H1");
        let width = self.paper.look.width;
        let lines = self.paper.set(&Inlines::of(title), &look, width);
        self.paper.structure.close();
        let mut rows = kept(rows(lines, &look, 0.0));
        if let Some(first) = rows.first_mut() {
            first.ascent += self.paper.look.height * 0.1;
        }
        self.push_rows(rows, 0.0, out)?;
        self.paper.flow.keep_next();
        self.gap = self.paper.look.size * 2.4;
        Ok(())
    }

    pub(super) fn end_chapter(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        self.end_leaf(out)?;
        self.write_notes(out)?;
        let missing = self.places.end_chapter()?;
        for _ in &missing {
            self.losses.add(loss::ANCHOR);
        }
        self.waiting.extend(missing);
        // Holds the destinations that wait, and makes a page of an empty chapter.
        self.gap = 0.0;
        self.push_rows(vec![Row { keep: true, ..Row::default() }], 0.0, out)?;
        self.paper.structure.close();
        self.paper.structure.seal(self.paper.flow.pushed());
        self.paper.flush(out)?;
        let (index, place) = (self.chapter, self.places.chapter(self.chapter));
        let title = self.lookup.chapter_title(index);
        Ok(self.outline.end_chapter(&mut self.paper.objects, out, index, &title, place)?)
    }

    pub(super) fn start(&mut self, tag: Tag<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match tag {
            Tag::Emphasis => self.moods[0] += 1,
            Tag::Strong => self.moods[1] += 1,
            Tag::Strikethrough => self.moods[2] += 1,
            Tag::Superscript => self.moods[3] += 1,
            Tag::Subscript => self.moods[4] += 1,
            Tag::Link { target, .. } => self.start_link(&target)?,
            Tag::TableHead | Tag::TableRow => {}
            Tag::TableCell => self.inlines = Inlines::default(),
            block => {
                self.end_leaf(out)?;
                self.start_block(block, out)?;
            }
        }
        Ok(())
    }

    fn start_block(&mut self, tag: Tag<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        let look = &self.paper.look;
        let (gap, indent) = (look.gap(), look.indent());
        match tag {
            Tag::Paragraph => self.leaf = Some(Leaf::Paragraph { continues: false }),
            Tag::Heading { level, anchor } => {
                let objects = &mut self.paper.objects;
                let place = anchor.and_then(|anchor| self.places.define(objects, &anchors::id(&anchor)));
                self.leaf = Some(Leaf::Heading { level: level.clamp(2, 6), place });
            }
            Tag::CodeBlock { .. } => self.leaf = Some(Leaf::Code { continues: false }),
            Tag::Quote => {
                self.paper.structure.open(&mut self.paper.objects, "BlockQuote");
                self.frames.push(Frame { start: indent, end: indent, scale: self.scale() * 0.96 });
                self.gap = self.gap.max(gap);
                self.follows = false;
            }
            Tag::List { first } => {
                self.paper.structure.open(&mut self.paper.objects, "L");
                let numbering = if first.is_some() { "Decimal" } else { "Disc" };
                self.paper.structure.entry(&format!("/A<</O/List/ListNumbering/{numbering}>>"));
                let room = if self.lists.is_empty() { gap * 0.8 } else { gap * 0.3 };
                self.gap = self.gap.max(room);
                self.lists.push(List { next: first });
            }
            Tag::Item => self.start_item(out)?,
            Tag::Table { columns } => {
                self.paper.structure.open(&mut self.paper.objects, "Table");
                self.table = Some(Table::new(columns));
            }
            Tag::Footnote { label } => self.reading = Some(super::notes::Reading::new(&label)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn end(&mut self, end: EndTag, out: &mut dyn Write) -> Result<(), BookError> {
        match end {
            EndTag::Emphasis => self.moods[0] = self.moods[0].saturating_sub(1),
            EndTag::Strong => self.moods[1] = self.moods[1].saturating_sub(1),
            EndTag::Strikethrough => self.moods[2] = self.moods[2].saturating_sub(1),
            EndTag::Superscript => self.moods[3] = self.moods[3].saturating_sub(1),
            EndTag::Subscript => self.moods[4] = self.moods[4].saturating_sub(1),
            EndTag::Link => drop(self.links.pop()),
            EndTag::Paragraph | EndTag::Heading(_) | EndTag::CodeBlock => self.end_leaf(out)?,
            EndTag::Quote => {
                self.end_leaf(out)?;
                self.frames.pop();
                self.close_block();
                (self.gap, self.follows) = (self.paper.look.gap(), false);
            }
            EndTag::List(_) => {
                self.end_leaf(out)?;
                self.lists.pop();
                self.close_block();
                let room = if self.lists.is_empty() { 0.8 } else { 0.3 };
                (self.gap, self.follows) = (self.gap.max(self.paper.look.gap() * room), false);
            }
            EndTag::Item => self.end_item(out)?,
            EndTag::TableCell => {
                let cell = std::mem::take(&mut self.inlines);
                self.end_cell(cell);
            }
            EndTag::TableHead | EndTag::TableRow => self.end_row(end == EndTag::TableHead, out)?,
            EndTag::Table => {
                self.end_table(out)?;
                self.close_block();
            }
            EndTag::Footnote => {}
        }
        Ok(())
    }

    pub(super) fn close_block(&mut self) {
        self.paper.structure.close();
        if self.label.is_none() {
            self.paper.structure.seal(self.paper.flow.pushed());
        }
    }

    /// Running text in the open containers.
    pub(super) fn text_look(&self) -> TextLook {
        self.paper.look.scaled(self.scale())
    }

    /// Sets what there is of a long paragraph.
    pub(super) fn relieve(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        if self.inlines.bytes > MOST_TEXT && self.table.is_none() { self.end_text(out) } else { Ok(()) }
    }

    /// Sets what there is of the open block, which may go on.
    pub(super) fn end_text(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let inlines = std::mem::take(&mut self.inlines);
        match self.leaf.clone() {
            Some(Leaf::Heading { level, place }) => return self.heading(level, place, &inlines, out),
            Some(Leaf::Code { .. }) => return self.code_text("", out),
            None => return Ok(()),
            Some(Leaf::Plain | Leaf::Paragraph { .. }) if inlines.is_blank() => return Ok(()),
            Some(_) => {}
        }
        let is_tight = self.leaf == Some(Leaf::Plain);
        let continues = matches!(self.leaf, Some(Leaf::Paragraph { continues: true }));
        let mut look = self.text_look();
        let is_nested = !self.frames.is_empty();
        if !is_nested && self.follows && !continues {
            look.first_indent = self.paper.look.indent();
        }
        let (x, width) = self.measure();
        if width < look.size * 18.0 {
            look.align = Align::Start;
        }
        self.paper.structure.open(&mut self.paper.objects, "P");
        let lines = self.paper.set(&inlines, &look, width);
        self.paper.structure.close();
        self.push_rows(rows(lines, &look, x), 0.0, out)?;
        self.follows = true;
        self.gap = match (is_nested, is_tight) {
            (false, _) => 0.0,
            (true, true) => look.size * 0.15,
            (true, false) => look.size * 0.4,
        };
        if !is_tight {
            self.leaf = Some(Leaf::Paragraph { continues: true });
        }
        Ok(())
    }

    /// Ends the open block of text, if any.
    pub(super) fn end_leaf(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let is_code = matches!(self.leaf, Some(Leaf::Code { .. }));
        if is_code {
            self.end_code(out)?;
        } else {
            self.end_text(out)?;
        }
        self.leaf = None;
        Ok(())
    }

    fn heading(
        &mut self,
        level: u8,
        place: Option<pdf_writer::Ref>,
        inlines: &Inlines,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        if inlines.is_blank() {
            self.waiting.extend(place);
            return Ok(());
        }
        let size = self.paper.look.size;
        let (above, below) = match level {
            2 => (size * 1.9, size * 0.7),
            3 => (size * 1.5, size * 0.5),
            _ => (size * 1.2, size * 0.4),
        };
        if level == 2 {
            let place = place.unwrap_or_else(|| self.paper.objects.alloc());
            self.waiting.push(place);
            let title = inlines.plain().split_whitespace().collect::<Vec<_>>().join(" ");
            self.outline.heading(&mut self.paper.objects, out, self.chapter, title, place)?;
        } else {
            self.waiting.extend(place);
        }
        // Whoever listens must not find a level skipped.
        self.level = level.min(self.level + 1);
        let kind = ["H1", "H1", "H2", "H3", "H4", "H5", "H6"][usize::from(self.level.min(6))];
        let look = self.paper.look.heading(level);
        let (x, width) = self.measure();
        self.paper.structure.open(&mut self.paper.objects, kind);
        let lines = self.paper.set(inlines, &look, width);
        self.paper.structure.close();
        self.push_rows(kept(rows(lines, &look, x)), above, out)?;
        self.paper.flow.keep_next();
        (self.gap, self.follows) = (below, false);
        Ok(())
    }

    pub(super) fn rule(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        self.end_leaf(out)?;
        let (x, width) = self.measure();
        let (length, size) = (width * 0.2, self.paper.look.size);
        let ink = Ink::Rule { x: x + (width - length) / 2.0, y: 0.0, width: length, height: 0.5, grey: 0.3 };
        let row = Row { ascent: size * 0.5, descent: size * 0.5, ink: vec![ink], ..Row::default() };
        self.push_rows(vec![row], size * 0.8, out)?;
        (self.gap, self.follows) = (size * 0.8, false);
        Ok(())
    }
}

/// Rows that stay together.
pub(super) fn kept(mut rows: Vec<Row>) -> Vec<Row> {
    for row in rows.iter_mut().skip(1) {
        row.keep = true;
    }
    rows
}
