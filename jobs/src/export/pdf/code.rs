//! Blocks of code: as they are, on a grey ground.

use std::io::Write;

use super::{
    Pdf,
    blocks::Leaf,
    flow::{Ink, Row},
    inline::{Inlines, Mood, rows},
};
use crate::book::BookError;

/// Code that is set before its end comes.
const MOST_CODE: usize = 8 << 10;
/// How grey the ground is.
const GROUND: f32 = 0.955;

impl Pdf {
    pub(super) fn code_text(&mut self, text: &str, out: &mut dyn Write) -> Result<(), BookError> {
        self.inlines.push(&text.replace('\r', ""), Mood::default(), None);
        if self.inlines.bytes <= MOST_CODE {
            return Ok(());
        }
        let whole = std::mem::take(&mut self.inlines).plain();
        let end = whole.rfind('\n').map_or(whole.len(), |end| end + 1);
        let (now, later) = whole.split_at(end);
        self.inlines.push(later, Mood::default(), None);
        self.code_rows(now, out)
    }

    /// Ends the block of code.
    pub(super) fn end_code(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let rest = std::mem::take(&mut self.inlines).plain();
        self.code_rows(rest.trim_end(), out)?;
        if self.leaf == Some(Leaf::Code { continues: true }) {
            self.paper.structure.close();
            self.paper.structure.close();
            let mut pad = self.ground(self.paper.look.size * 0.4);
            pad.keep = true;
            self.push_rows(vec![pad], 0.0, out)?;
            (self.gap, self.follows) = (self.paper.look.gap(), false);
        }
        Ok(())
    }

    fn ground(&self, height: f32) -> Row {
        let (x, width) = self.measure();
        let ink = Ink::Rule { x, y: 0.0, width, height, grey: GROUND };
        Row { ascent: height, ink: vec![ink], ..Row::default() }
    }

    fn code_rows(&mut self, code: &str, out: &mut dyn Write) -> Result<(), BookError> {
        if code.trim().is_empty() {
            return Ok(());
        }
        if self.leaf != (Some(Leaf::Code { continues: true })) {
            self.leaf = Some(Leaf::Code { continues: true });
            self.paper.structure.open(&mut self.paper.objects, "P");
            self.paper.structure.open(&mut self.paper.objects, "Code");
            let pad = self.ground(self.paper.look.size * 0.4);
            self.push_rows(vec![pad], self.paper.look.gap(), out)?;
            self.paper.flow.keep_next();
        }
        let (x, width) = self.measure();
        let (look, inset) = (self.paper.look.code(), self.paper.look.size * 0.6);
        let code = code.strip_suffix('\n').unwrap_or(code);
        let lines = self.paper.set(&Inlines::of(code), &look, width - 2.0 * inset);
        let mut rows = rows(lines, &look, x + inset);
        for row in &mut rows {
            let height = row.ascent + row.descent;
            row.ink.insert(0, Ink::Rule { x, y: -row.descent, width, height, grey: GROUND });
        }
        self.push_rows(rows, 0.0, out)
    }
}
