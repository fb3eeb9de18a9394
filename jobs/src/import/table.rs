//! A table of XHTML or of a word processor, held until its width is known.

use std::borrow::Cow;

use crate::book::{Alignment, BookError, EndTag, Event, EventSink, Tag};

/// How many cells a table has at most.
const MOST_CELLS: usize = 200_000;

/// A table that is being read.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<Vec<Event<'static>>>>,
    cells: usize,
    /// How each column is set, as its first cell says.
    pub(super) columns: Vec<Alignment>,
    /// The cell that is being read.
    pub(super) cell: Option<Vec<Event<'static>>>,
}

impl Table {
    /// Whether it has no cell.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }

    /// A row begins.
    pub(super) fn row(&mut self) {
        self.rows.push(Vec::new());
    }

    /// A cell begins.
    pub(super) fn begin_cell(&mut self) -> Result<(), BookError> {
        self.count(1)?;
        self.cell = Some(Vec::new());
        Ok(())
    }

    fn count(&mut self, cells: usize) -> Result<(), BookError> {
        self.cells += cells;
        if self.cells > MOST_CELLS {
            return Err(BookError::input("", "a table has more than 200,000 cells"));
        }
        Ok(())
    }

    /// Says how the open cell is set.
    pub(super) fn align(&mut self, alignment: Alignment) {
        let column = self.rows.last().map_or(0, Vec::len);
        if self.columns.len() == column {
            self.columns.push(alignment);
        }
    }

    /// The open cell ends; it may stand for several.
    pub(super) fn end_cell(&mut self, span: usize) -> Result<(), BookError> {
        let Some(cell) = self.cell.take() else { return Ok(()) };
        let more = span.clamp(1, 100) - 1;
        self.count(more)?;
        if self.rows.is_empty() {
            self.row();
        }
        if let Some(row) = self.rows.last_mut() {
            row.push(cell);
            row.extend((0..more).map(|_| Vec::new()));
        }
        Ok(())
    }

    /// Writes it: its first row is its head, short rows are filled up.
    pub(super) fn write(mut self, sink: &mut dyn EventSink) -> Result<(), BookError> {
        self.rows.retain(|row| !row.is_empty());
        let width = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        if width.saturating_mul(self.rows.len()) > 4 * MOST_CELLS {
            return Err(BookError::input("", "a table has too many columns"));
        }
        self.columns.resize(width, Alignment::None);
        let columns = std::mem::take(&mut self.columns);
        sink.event(Event::Start(Tag::Table { columns }))?;
        for (place, row) in self.rows.into_iter().enumerate() {
            let tag = if place == 0 { Tag::TableHead } else { Tag::TableRow };
            let end = tag.end();
            sink.event(Event::Start(tag))?;
            let missing = width - row.len();
            for cell in row.into_iter().chain((0..missing).map(|_| Vec::new())) {
                sink.event(Event::Start(Tag::TableCell))?;
                for event in cell {
                    sink.event(event)?;
                }
                sink.event(Event::End(EndTag::TableCell))?;
            }
            sink.event(Event::End(end))?;
        }
        sink.event(Event::End(EndTag::Table))
    }
}

/// An event that outlives what it was read from; only runs come here.
pub(super) fn owned(event: Event<'_>) -> Event<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match event {
        Event::Text(text) => Event::Text(own(text)),
        Event::Code(text) => Event::Code(own(text)),
        Event::Image { source, alt, title } => {
            Event::Image { source: own(source), alt: own(alt), title: own(title) }
        }
        Event::FootnoteReference(label) => Event::FootnoteReference(own(label)),
        Event::Start(Tag::Link { target, title }) => {
            Event::Start(Tag::Link { target: own(target), title: own(title) })
        }
        Event::Start(Tag::Strong) => Event::Start(Tag::Strong),
        Event::Start(Tag::Strikethrough) => Event::Start(Tag::Strikethrough),
        Event::Start(Tag::Superscript) => Event::Start(Tag::Superscript),
        Event::Start(Tag::Subscript) => Event::Start(Tag::Subscript),
        Event::Start(_) => Event::Start(Tag::Emphasis),
        Event::End(end) => Event::End(end),
        Event::HardBreak => Event::HardBreak,
        _ => Event::SoftBreak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_stand_for_many_count_as_many() {
        let mut table = Table::default();
        for _ in 0..MOST_CELLS / 100 {
            table.begin_cell().unwrap();
            table.end_cell(100).unwrap();
        }
        assert!(table.begin_cell().is_err());
        let mut table = Table { cells: MOST_CELLS - 1, ..Table::default() };
        table.begin_cell().unwrap();
        assert!(table.end_cell(2).is_err());
        assert!(table.rows.is_empty());
    }
}
