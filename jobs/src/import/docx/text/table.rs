//! Tables: rows and cells, of which those that were merged stand alone, and tables in cells, of which the text is kept.

use super::{Cell, Reader, Table, bounds::LEAST_BYTES};
use crate::{book::BookError, import::docx::xml::Node};

/// How many cells a table has at most.
const MOST_CELLS: usize = 200_000;

impl Reader<'_> {
    /// Reads a table to its end.
    pub(super) fn table(&mut self) -> Result<Table, BookError> {
        let mut table = Table::default();
        self.rows(&mut table)?;
        Ok(table)
    }

    fn rows(&mut self, table: &mut Table) -> Result<(), BookError> {
        self.check_depth()?;
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End | Node::Eof => return Ok(()),
                Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "tblPr" => self.xml.children(&mut |xml, element| {
                    if element.name == "tblStyle" {
                        element.value().clone_into(&mut table.style);
                    }
                    xml.skip()
                })?,
                "tr" => {
                    self.weigh_table(LEAST_BYTES)?;
                    table.rows.push(Vec::new());
                    self.cells(table)?;
                }
                "ins" | "sdt" | "sdtContent" | "customXml" => self.rows(table)?,
                _ => self.xml.skip()?,
            }
        }
    }

    fn cells(&mut self, table: &mut Table) -> Result<(), BookError> {
        self.check_depth()?;
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End | Node::Eof => return Ok(()),
                Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "tc" => {
                    self.cells += 1;
                    if self.cells > MOST_CELLS {
                        return Err(self.xml.wrong("a table has more than 200,000 cells"));
                    }
                    let mut cell = Cell { span: 1, paragraphs: Vec::new() };
                    self.cell(&mut cell, false)?;
                    if let Some(row) = table.rows.last_mut() {
                        row.push(cell);
                    }
                }
                "sdt" | "sdtContent" | "customXml" => self.cells(table)?,
                _ => self.xml.skip()?,
            }
        }
    }

    fn cell(&mut self, cell: &mut Cell, is_nested: bool) -> Result<(), BookError> {
        self.check_depth()?;
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End | Node::Eof => return Ok(()),
                Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "tcPr" if !is_nested => {
                    let mut merged = false;
                    self.xml.children(&mut |xml, element| {
                        match element.name.as_str() {
                            "gridSpan" => cell.span = element.value().parse().unwrap_or(1).clamp(1, 100),
                            "vMerge" => merged = element.value() != "restart",
                            _ => {}
                        }
                        xml.skip()
                    })?;
                    if merged || cell.span > 1 {
                        self.losses.add("merged table cell");
                    }
                }
                "p" => {
                    self.weigh_table(LEAST_BYTES)?;
                    let paragraph = self.paragraph()?;
                    cell.paragraphs.push(paragraph);
                }
                "tbl" => {
                    self.losses.add("table inside a table");
                    self.cell(cell, true)?;
                }
                "tr" | "tc" | "sdt" | "sdtContent" | "customXml" | "ins" => self.cell(cell, is_nested)?,
                _ => self.xml.skip()?,
            }
        }
    }
}
