//! Tables as columns of text. A table is held whole to find its columns' widths; one that is too large for that, or has
//! too many columns for a line, becomes lines of `a | b`.

use super::wrap::{width, wrap};
use crate::book::Alignment;

/// How many bytes of cells are held.
const MOST_HELD_BYTES: usize = 256 << 10;
/// A column is not made narrower than this.
const LEAST_WIDTH: usize = 4;
const GAP: &str = " | ";

/// A table that is being collected.
pub(super) struct Table {
    columns: Vec<Alignment>,
    room: usize,
    row: Vec<String>,
    /// With whether it is the head.
    rows: Vec<(bool, Vec<String>)>,
    held: usize,
    is_too_large: bool,
}

impl Table {
    /// A table for lines of `room` columns.
    pub(super) fn new(columns: Vec<Alignment>, room: usize) -> Self {
        Self { columns, room, row: Vec::new(), rows: Vec::new(), held: 0, is_too_large: false }
    }

    /// Adds a cell to the row.
    pub(super) fn cell(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        self.held += text.len() + size_of::<String>();
        self.row.push(text);
    }

    /// Ends the row; gives the lines that can't wait.
    pub(super) fn end_row(&mut self, is_head: bool) -> Vec<String> {
        let row = std::mem::take(&mut self.row);
        self.rows.push((is_head, row));
        self.is_too_large |= self.held > MOST_HELD_BYTES;
        if self.is_too_large { self.plain() } else { Vec::new() }
    }

    /// The lines that are left.
    pub(super) fn finish(mut self) -> Vec<String> {
        let count = self.rows.iter().map(|(_, row)| row.len()).max().unwrap_or(0);
        let taken = GAP.len() * count.saturating_sub(1);
        let room = self.room.saturating_sub(taken);
        if count == 0 || self.is_too_large || room < LEAST_WIDTH * count {
            return self.plain();
        }
        self.columns.resize(count, Alignment::None);
        let widths = self.widths(count, room);
        let mut lines = Vec::new();
        for (is_head, row) in &self.rows {
            let cells: Vec<Vec<String>> = (0..count)
                .map(|at| row.get(at).map_or_else(Vec::new, |cell| wrap(cell, widths[at])))
                .collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let parts: Vec<String> = cells
                    .iter()
                    .enumerate()
                    .map(|(at, cell)| {
                        padded(cell.get(line).map_or("", String::as_str), widths[at], self.columns[at])
                    })
                    .collect();
                lines.push(parts.join(GAP));
            }
            if *is_head {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                lines.push(rules.join("-+-"));
            }
        }
        lines
    }

    /// Each column's width: what its longest cell needs, the widest ones cut until all fit.
    fn widths(&self, count: usize, room: usize) -> Vec<usize> {
        let mut widths = vec![1; count];
        for (_, row) in &self.rows {
            for (at, cell) in row.iter().enumerate() {
                widths[at] = widths[at].max(width(cell).min(room));
            }
        }
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }

    fn plain(&mut self) -> Vec<String> {
        self.rows.drain(..).map(|(_, row)| row.join(GAP)).collect()
    }
}

fn padded(text: &str, to: usize, alignment: Alignment) -> String {
    let space = to.saturating_sub(width(text));
    let left = match alignment {
        Alignment::None | Alignment::Left => 0,
        Alignment::Center => space / 2,
        Alignment::Right => space,
    };
    format!("{}{text}{}", " ".repeat(left), " ".repeat(space - left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[&str]], room: usize) -> Vec<String> {
        let mut table = Table::new(vec![Alignment::None, Alignment::Right], room);
        let mut lines = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            row.iter().for_each(|cell| table.cell(cell));
            lines.extend(table.end_row(at == 0));
        }
        lines.extend(table.finish());
        lines
    }

    #[test]
    fn columns_are_aligned_and_long_cells_wrapped() {
        let lines = table(&[&["name", "n"], &["a", "1"], &["two words", "20"]], 11);
        assert_eq!(lines, ["name   |  n", "-------+---", "a      |  1", "two    | 20", "words  |   "]);
    }

    #[test]
    fn a_table_too_large_to_hold_becomes_plain_lines() {
        let long = "x".repeat(MOST_HELD_BYTES);
        let lines = table(&[&["a", "b"], &[&long, "c"], &["d", "e"]], 72);
        assert_eq!((lines.len(), lines[0].as_str(), lines[2].as_str()), (3, "a | b", "d | e"));
    }
}
