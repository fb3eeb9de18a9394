//! Tables: columns as wide as their content wants, as far as there is room. The first rows wait until that is known;
//! those after them go straight to the page. The head stands again on each further page.

use std::io::Write;

use super::{
    Pdf,
    flow::{Ink, Row},
    inline::Inlines,
    look::TextLook,
    structure::ARTIFACT,
    text::{Align, Line},
};
use crate::{
    book::{Alignment, BookError},
    export::loss,
};

/// Rows that are looked at before the columns' widths are settled.
const MOST_ROWS: usize = 200;
const MOST_BYTES: usize = 128 << 10;
/// How much smaller than other tables' the type of one may be that is wide.
const SMALLEST: f32 = 0.6;
/// A row of so many lines is not parted.
const KEPT_LINES: usize = 8;

/// A table that is open.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Alignment>,
    row: Vec<Inlines>,
    /// Rows that wait, with whether they are the head.
    waiting: Vec<(bool, Vec<Inlines>)>,
    bytes: usize,
    /// Where columns begin and how wide they are, once that is settled.
    settled: Option<Vec<(f32, f32)>>,
    /// The size of its type beside other tables'.
    scale: f32,
    has_rows: bool,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: Vec<Alignment>) -> Self {
        Self {
            columns,
            row: Vec::new(),
            waiting: Vec::new(),
            bytes: 0,
            settled: None,
            scale: 1.0,
            has_rows: false,
        }
    }
}

impl Pdf {
    pub(super) fn end_cell(&mut self, cell: Inlines) {
        let Some(table) = &mut self.table else { return };
        if table.row.len() < table.columns.len() {
            table.bytes += cell.bytes;
            table.row.push(cell);
        } else if !cell.is_blank() {
            self.losses.add(loss::CELL);
        }
    }

    pub(super) fn end_row(&mut self, is_head: bool, out: &mut dyn Write) -> Result<(), BookError> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let row = std::mem::take(&mut table.row);
        table.waiting.push((is_head, row));
        let is_settled = table.settled.is_some();
        if is_settled || table.waiting.len() >= MOST_ROWS || table.bytes >= MOST_BYTES {
            self.table_rows(out)?;
        }
        Ok(())
    }

    pub(super) fn end_table(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        self.table_rows(out)?;
        self.paper.flow.repeat(Vec::new());
        if self.table.take().is_some_and(|table| table.has_rows) {
            let row =
                Row { keep: true, ink: vec![self.table_rule(0.8, 0.0, 0.0)], ascent: 0.8, ..Row::default() };
            self.gap = 0.0;
            self.push_rows(vec![row], 0.0, out)?;
            self.gap = self.paper.look.gap() * 1.3;
        }
        self.follows = false;
        Ok(())
    }

    fn table_look(&self, scale: f32) -> TextLook {
        let look = self.paper.look.scaled(self.scale().min(0.9) * 0.98 * scale);
        TextLook { align: Align::Start, leading: look.leading * 0.95, ..look }
    }

    fn table_rule(&self, height: f32, y: f32, grey: f32) -> Ink {
        let (x, width) = self.measure();
        Ink::Rule { x, y, width, height, grey }
    }

    /// Sets the rows that wait.
    fn table_rows(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let Some(mut table) = self.table.take() else { return Ok(()) };
        let waiting = std::mem::take(&mut table.waiting);
        if table.settled.is_none() && !waiting.is_empty() {
            let (mut settled, fits) = self.widths(&table.columns, &waiting, 1.0);
            if fits < 1.0 {
                table.scale = fits.max(SMALLEST);
                let (smaller, fits) = self.widths(&table.columns, &waiting, table.scale);
                settled = smaller;
                // A hair is the rounding's.
                if fits < 0.97 {
                    self.losses.add(loss::WIDE_TABLE);
                }
            }
            table.settled = Some(settled);
        }
        for (is_head, cells) in waiting {
            let is_blank = cells.iter().all(Inlines::is_blank);
            if !(is_head && is_blank) {
                self.table_row(&mut table, is_head, &cells, out)?;
            }
        }
        self.table = Some(table);
        Ok(())
    }

    /// Each column's place and width, and by how much its type would have to be smaller for its longest words: below 1
    /// they have no room.
    fn widths(
        &mut self,
        columns: &[Alignment],
        rows: &[(bool, Vec<Inlines>)],
        scale: f32,
    ) -> (Vec<(f32, f32)>, f32) {
        let look = self.table_look(scale);
        let (x, width) = self.measure();
        let gutter = (look.size * 1.1).min(width / (columns.len().max(1) as f32 * 4.0));
        let room = width - gutter * columns.len().saturating_sub(1) as f32;
        let mut wanted = vec![(0.0_f32, 0.0_f32); columns.len()];
        for (is_head, cells) in rows {
            for ((natural, least), cell) in wanted.iter_mut().zip(cells) {
                let mut look = look;
                look.face.bold = *is_head;
                // What is wider than the page wraps in any case.
                let whole =
                    if cell.bytes > 400 { room } else { self.paper.natural_width(cell, &look).min(room) };
                *natural = natural.max(whole);
                let longest = cell
                    .runs
                    .iter()
                    .flat_map(|run| run.text.split_whitespace().map(move |word| (word, run.mood)))
                    .max_by_key(|(word, _)| word.chars().count());
                if let Some((word, mood)) = longest {
                    let mut alone = Inlines::default();
                    alone.push(word.get(..word.floor_char_boundary(80)).unwrap_or(word), mood, None);
                    *least = least.max(self.paper.natural_width(&alone, &look).min(whole));
                }
            }
        }
        // A word that is wider than that is an address or no word: it is parted, and the type stays.
        let fits = room / wanted.iter().map(|(_, least)| least.min(room / 4.0)).sum::<f32>().max(1.0);
        let widths = share(&wanted, room);
        let total = widths.iter().sum::<f32>() + gutter * columns.len().saturating_sub(1) as f32;
        // Narrow tables have the page's width all the same, so that their rules do not look lost.
        let slack = (width - total).max(0.0) / columns.len().max(1) as f32;
        let mut at = 0.0;
        let mut settled = Vec::with_capacity(columns.len());
        for natural in widths {
            let column = natural + slack;
            let begin = if self.paper.look.right_to_left { x + width - at - column } else { x + at };
            settled.push((begin, column));
            at += column + gutter;
        }
        (settled, fits)
    }

    fn table_row(
        &mut self,
        table: &mut Table,
        is_head: bool,
        cells: &[Inlines],
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        let settled = table.settled.clone().unwrap_or_default();
        let mut look = self.table_look(table.scale);
        look.face.bold = is_head;
        self.paper.structure.open(&mut self.paper.objects, "TR");
        let mut columns: Vec<(f32, Vec<Line>)> = Vec::new();
        let nothing = Inlines::default();
        for (at, (x, width)) in settled.iter().enumerate() {
            let cell = cells.get(at).unwrap_or(&nothing);
            self.paper.structure.open(&mut self.paper.objects, if is_head { "TH" } else { "TD" });
            if is_head {
                self.paper.structure.entry("/A<</O/Table/Scope/Column>>");
            }
            let align = match table.columns.get(at) {
                Some(Alignment::Right) => Align::End,
                Some(Alignment::Center) => Align::Centre,
                _ => Align::Start,
            };
            let lines = if cell.is_blank() {
                Vec::new()
            } else {
                self.paper.set(cell, &TextLook { align, ..look }, *width)
            };
            self.paper.structure.close();
            columns.push((*x, lines));
        }
        self.paper.structure.close();
        let count = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0).max(1);
        let pad = look.size * 0.28;
        let mut rows: Vec<Row> = (0..count)
            .map(|at| Row {
                ascent: look.leading * 0.74 + if at == 0 { pad } else { 0.0 },
                descent: look.leading * 0.26 + if at + 1 == count { pad } else { 0.0 },
                keep: at > 0 && (count <= KEPT_LINES || at == 1 || at + 1 == count),
                in_table: !is_head,
                ..Row::default()
            })
            .collect();
        for (x, lines) in columns {
            for (row, line) in rows.iter_mut().zip(lines) {
                row.ink.extend(line.pieces.into_iter().map(|piece| Ink::Text { x, piece }));
            }
        }
        let is_first = !table.has_rows;
        table.has_rows = true;
        let above = look.leading * 0.74 + pad;
        let grey = if is_first { 0.0 } else { 0.8 };
        let thickness = if is_first { 0.8 } else { 0.25 };
        let rule = self.table_rule(thickness, above - thickness, grey);
        if let Some(first) = rows.first_mut() {
            first.ink.push(rule);
        }
        if is_head {
            let low = rows.last().map_or(0.0, |row| -row.descent);
            let rule = self.table_rule(0.5, low, 0.0);
            if let Some(last) = rows.last_mut() {
                last.ink.push(rule);
            }
            let mut head = rows.clone();
            for ink in head.iter_mut().flat_map(|row| row.ink.iter_mut()) {
                if let Ink::Text { piece, .. } = ink {
                    piece.mark = ARTIFACT;
                }
            }
            self.paper.flow.repeat(head);
        }
        let gap = if is_first { self.paper.look.gap() * 1.2 } else { 0.0 };
        self.push_rows(rows, gap, out)?;
        self.gap = 0.0;
        if is_head {
            self.paper.flow.keep_next();
        }
        Ok(())
    }
}

/// Shares `room` among columns that want (all on one line, the longest word): each gets its word first, and what is
/// left by how much more it wants.
fn share(wanted: &[(f32, f32)], room: f32) -> Vec<f32> {
    let natural: f32 = wanted.iter().map(|(natural, _)| natural).sum();
    if natural <= room {
        return wanted.iter().map(|(natural, _)| *natural).collect();
    }
    let even = room / wanted.len().max(1) as f32;
    let least: f32 = wanted.iter().map(|(_, least)| least).sum();
    if least > room {
        // Long words are broken: none takes more than its share while others want it.
        let capped: Vec<f32> = wanted.iter().map(|(_, least)| least.min(even).max(even * 0.3)).collect();
        let total: f32 = capped.iter().sum();
        return capped.iter().map(|width| width * room / total.max(1.0)).collect();
    }
    let more = (natural - least).max(0.01);
    wanted
        .iter()
        .map(|(natural, least)| least + (room - least_sum(wanted)) * (natural - least) / more)
        .collect()
}

fn least_sum(wanted: &[(f32, f32)]) -> f32 {
    wanted.iter().map(|(_, least)| least).sum()
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn columns_share_the_room_and_no_more() {
        assert_eq!(share(&[(10.0, 5.0), (20.0, 5.0)], 100.0), [10.0, 20.0]);
        for wanted in [
            vec![(300.0, 50.0), (40.0, 40.0), (90.0, 30.0)],
            vec![(300.0, 300.0), (300.0, 300.0), (1.0, 1.0)],
        ] {
            let widths = share(&wanted, 200.0);
            assert!((widths.iter().sum::<f32>() - 200.0).abs() < 0.1, "{widths:?}");
            assert!(widths.iter().all(|width| *width > 5.0), "{widths:?}");
        }
        assert!(share(&[(300.0, 50.0), (40.0, 40.0)], 200.0)[1] >= 40.0);
    }
}
