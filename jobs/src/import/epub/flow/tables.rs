//! Tables in the flow: they are held until their width is known, and one inside another is no table.

use super::Flow;
use crate::{
    book::{Alignment, BookError},
    import::table::Table,
};

impl Flow<'_> {
    /// Whether a table is open.
    pub(in crate::import::epub) fn in_table(&self) -> bool {
        self.table.is_some()
    }

    /// Whether content goes into a table's cell.
    pub(in crate::import::epub) fn in_cell(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.cell.is_some())
    }

    /// A table begins; false where one is open already, in which there can be no other.
    pub(in crate::import::epub) fn begin_table(&mut self) -> Result<bool, BookError> {
        if self.table.is_some() || self.heading.is_some() {
            return Ok(false);
        }
        self.boundary()?;
        self.table = Some(Table::default());
        Ok(true)
    }

    /// A row begins.
    pub(in crate::import::epub) fn row(&mut self) {
        if let Some(table) = &mut self.table {
            table.row();
        }
    }

    /// A cell begins, which is set in this way. What is open around the table does not go on in it.
    pub(in crate::import::epub) fn begin_cell(&mut self, alignment: Alignment) -> Result<bool, BookError> {
        if self.in_cell() {
            return Ok(false);
        }
        self.boundary()?;
        let Some(table) = &mut self.table else { return Ok(false) };
        table.begin_cell()?;
        table.align(alignment);
        Ok(true)
    }

    /// A cell ends; it may stand for several.
    pub(in crate::import::epub) fn end_cell(&mut self, span: usize) -> Result<(), BookError> {
        self.close_runs(0)?;
        self.blanks.forget();
        if let Some(table) = &mut self.table {
            table.end_cell(span)?;
        }
        Ok(())
    }

    /// The table ends and is written: its first row is its head.
    pub(in crate::import::epub) fn end_table(&mut self) -> Result<(), BookError> {
        self.end_cell(1)?;
        self.boundary()?;
        match self.table.take() {
            Some(table) if !table.is_empty() => {
                self.open_blocks()?;
                table.write(self.sink)
            }
            _ => Ok(()),
        }
    }
}
