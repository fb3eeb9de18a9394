//! Tables: a grid of even columns that programs fit to what stands in them, and a head row that comes again on each page.

use super::{
    body::Body,
    page,
    paragraph::Ended,
    styles::{Kind, indents},
};
use crate::{book::Alignment, export::loss};

/// Word opens no table with more columns.
const MOST_COLUMNS: usize = 63;

/// A table that is open.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Alignment>,
    /// The cells of the open row so far.
    column: usize,
    has_rows: bool,
    row_is_open: bool,
    /// A cell is open; it stays so until the next one begins, as cells beyond the last column join it.
    pub(super) cell_is_open: bool,
}

impl Body {
    pub(super) fn start_table(&mut self, mut columns: Vec<Alignment>) {
        self.part_from(Ended::Table);
        self.begin_item();
        if self.story.mark_waits {
            self.write_note_mark();
        }
        self.story.quote_waits = false;
        columns.truncate(MOST_COLUMNS);
        if columns.is_empty() {
            columns.push(Alignment::None);
        }
        self.story.tables.push(Table {
            columns,
            column: 0,
            has_rows: false,
            row_is_open: false,
            cell_is_open: false,
        });
    }

    pub(super) fn start_row(&mut self, is_head: bool) {
        self.end_row();
        let style = self.style(Kind::Table, false);
        let right_to_left = self.right_to_left;
        let story = &mut self.story;
        let (left, right) = indents(&story.path);
        let Some(table) = story.tables.last_mut() else { return };
        (table.column, table.row_is_open) = (0, true);
        if !std::mem::replace(&mut table.has_rows, true) {
            let width = page::TEXT_WIDTH.saturating_sub(left + right);
            story.out.push_str(&opening(table, &style, width, right_to_left, is_head));
        }
        let head = if is_head { "<w:tblHeader/>" } else { "" };
        story.out.push_str(&format!("<w:tr><w:trPr><w:cantSplit/>{head}</w:trPr>"));
    }

    pub(super) fn start_cell(&mut self) {
        let Some(table) = self.story.tables.last_mut() else { return };
        let is_beyond = table.column >= table.columns.len();
        if is_beyond {
            // What stands there is kept, below the last cell's text.
            self.losses.add(loss::CELL);
        } else {
            self.finish_cell();
            self.open_cell();
        }
        let alignment = match self.story.tables.last() {
            Some(table) => table.columns.get(table.column.saturating_sub(1)).copied().unwrap_or_default(),
            None => Alignment::None,
        };
        self.open(Kind::Cell, None);
        if let Some(open) = &mut self.story.paragraph {
            open.alignment = alignment;
        }
    }

    pub(super) fn end_cell(&mut self) {
        self.close();
    }

    pub(super) fn end_row(&mut self) {
        let missing = match self.story.tables.last() {
            Some(table) if table.row_is_open => table.columns.len().saturating_sub(table.column),
            _ => return,
        };
        for _ in 0..missing {
            self.start_cell();
            self.end_cell();
        }
        self.finish_cell();
        if let Some(table) = self.story.tables.last_mut() {
            table.row_is_open = false;
        }
        self.story.out.push_str("</w:tr>");
    }

    pub(super) fn end_table(&mut self) {
        self.end_row();
        if self.story.tables.pop().is_some_and(|table| table.has_rows) {
            self.story.out.push_str("</w:tbl>");
            self.story.ends_in_table = true;
            self.story.ended = Some(Ended::Table);
            self.story.after_text = false;
        }
    }

    fn open_cell(&mut self) {
        if let Some(table) = self.story.tables.last_mut() {
            table.column += 1;
            table.cell_is_open = true;
            self.story.out.push_str("<w:tc><w:tcPr><w:tcW w:w=\"0\" w:type=\"auto\"/></w:tcPr>");
        }
    }

    fn finish_cell(&mut self) {
        if !self.story.is_in_cell() {
            return;
        }
        self.close();
        // A cell must end with a paragraph.
        if self.story.ends_in_table {
            self.open(Kind::Cell, None);
            self.close();
        }
        self.story.out.push_str("</w:tc>");
        if let Some(table) = self.story.tables.last_mut() {
            table.cell_is_open = false;
        }
    }
}

fn opening(table: &Table, style: &str, width: u32, right_to_left: bool, has_head: bool) -> String {
    let direction = if right_to_left { "<w:bidiVisual/>" } else { "" };
    let (look, first_row) = if has_head { ("0420", 1) } else { ("0400", 0) };
    let mut out = format!(
        "<w:tbl><w:tblPr><w:tblStyle w:val=\"{style}\"/>{direction}<w:tblW w:w=\"{width}\" w:type=\"dxa\"/>\
         <w:tblLook w:val=\"{look}\" w:firstRow=\"{first_row}\" w:lastRow=\"0\" w:firstColumn=\"0\" \
         w:lastColumn=\"0\" w:noHBand=\"0\" w:noVBand=\"1\"/></w:tblPr><w:tblGrid>"
    );
    let columns = u32::try_from(table.columns.len()).unwrap_or(1).max(1);
    for _ in 0..columns {
        out.push_str(&format!("<w:gridCol w:w=\"{}\"/>", width / columns));
    }
    out.push_str("</w:tblGrid>");
    out
}
