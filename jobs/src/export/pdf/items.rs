//! Items of lists, and their marks, which stand beside the first line of what follows.

use std::io::Write;

use super::{
    Pdf,
    blocks::{Frame, List},
    flow::{Ink, Row},
    inline::Inlines,
    text::Align,
};
use crate::book::BookError;

impl Pdf {
    pub(super) fn start_item(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        // A mark of an item that begins with a list stands on a line of its own.
        self.bare_label(out)?;
        let depth = self.lists.len();
        let text = match self.lists.last_mut() {
            Some(List { next: Some(number) }) => {
                let text = format!("{number}.");
                *number = number.saturating_add(1);
                text
            }
            _ if depth.is_multiple_of(2) => "–".to_owned(),
            _ => "•".to_owned(),
        };
        self.paper.structure.open(&mut self.paper.objects, "LI");
        self.label(&Inlines::of(&text));
        self.paper.structure.open(&mut self.paper.objects, "LBody");
        Ok(())
    }

    /// Sets a mark beside the block to come, and indents that.
    pub(super) fn label(&mut self, inlines: &Inlines) {
        let indent = self.paper.look.indent() * if self.frames.is_empty() { 1.0 } else { 1.1 };
        let (x, width) = self.measure();
        self.frames.push(Frame { start: indent, end: 0.0, scale: self.scale() });
        let (inner_x, inner_width) = self.measure();
        let mut look = self.text_look();
        (look.align, look.hyphenate, look.first_indent) = (Align::End, false, 0.0);
        let distance = look.size * 0.45;
        // Wider than the indent, so that long numbers reach out of it.
        let room = (width - inner_width).max(0.0) + look.size * 3.0 - distance;
        let left = if self.paper.look.right_to_left {
            inner_x + inner_width + distance
        } else {
            x + (width - inner_width) - distance - room
        };
        self.paper.structure.open(&mut self.paper.objects, "Lbl");
        let lines = self.paper.set(inlines, &look, room);
        self.paper.structure.close();
        let pieces = lines.into_iter().next().map(|line| line.pieces).unwrap_or_default();
        self.label = Some(pieces.into_iter().map(|piece| Ink::Text { x: left, piece }).collect());
    }

    /// A mark without a text gets a line.
    pub(super) fn bare_label(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        if self.label.is_none() {
            return Ok(());
        }
        let leading = self.text_look().leading;
        let row = Row { ascent: leading * 0.74, descent: leading * 0.26, ..Row::default() };
        self.push_rows(vec![row], 0.0, out)
    }

    pub(super) fn end_item(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        self.end_leaf(out)?;
        self.bare_label(out)?;
        self.frames.pop();
        self.paper.structure.close();
        self.close_block();
        Ok(())
    }
}
