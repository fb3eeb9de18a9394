//! The blocks that hold text instead of blocks: paragraphs, headings, code, tables.

use super::{Blocks, Kind};
use crate::book::{
    Alignment, Losses, loss,
    writer::{
        escape::{Place, longest_run},
        render::render,
    },
};

/// The block of runs or text that is open.
#[derive(Debug)]
pub(super) enum Leaf {
    Paragraph,
    Plain,
    Heading { level: u8, anchor: Option<String> },
    Code { language: String, text: String },
    Table { columns: Vec<Alignment>, cells: Vec<String>, has_head: bool },
}

impl Blocks {
    pub(super) fn end_leaf(&mut self, losses: &mut Losses) {
        match self.leaf.take() {
            Some(Leaf::Paragraph) => self.lines(Kind::Paragraph, losses),
            Some(Leaf::Plain) => self.lines(Kind::Plain, losses),
            Some(Leaf::Heading { level, anchor }) => {
                let pieces = self.runs.take(losses);
                let text = render(&pieces, Place::Heading, losses);
                self.begin(Kind::Heading);
                self.out.push_str(&"#".repeat(usize::from(level)));
                if !text.is_empty() {
                    self.out.push(' ');
                    self.out.push_str(&text);
                }
                if let Some(anchor) = anchor {
                    self.out.push_str(&format!(" {{#{anchor}}}"));
                }
                self.end_line();
            }
            Some(Leaf::Code { language, text }) => self.code(&language, &text),
            Some(Leaf::Table { .. }) | None => {}
        }
    }

    /// The runs that were collected, as lines.
    fn lines(&mut self, kind: Kind, losses: &mut Losses) {
        if self.runs.is_empty() {
            return;
        }
        let pieces = self.runs.take(losses);
        let text = render(&pieces, Place::Line, losses);
        if text.is_empty() {
            return;
        }
        self.begin(kind);
        let prefix = self.prefix();
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.out.push('\n');
                self.out.push_str(&prefix);
            }
            self.out.push_str(line);
        }
        self.end_line();
    }

    fn code(&mut self, language: &str, text: &str) {
        self.begin(Kind::Code);
        let prefix = self.prefix();
        // An info string may not hold a backtick behind a fence of them.
        let sign = if language.contains('`') { '~' } else { '`' };
        let fence = sign.to_string().repeat(longest_run(text, sign).max(2) + 1);
        self.out.push_str(&fence);
        for c in language.chars() {
            if matches!(c, '\\' | '&') {
                self.out.push('\\');
            }
            self.out.push(c);
        }
        self.out.push('\n');
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if !text.is_empty() {
            for line in text.split('\n') {
                self.out.push_str(if line.is_empty() { prefix.trim_end() } else { &prefix });
                self.out.push_str(line);
                self.out.push('\n');
            }
        }
        self.out.push_str(&prefix);
        self.out.push_str(&fence);
        self.end_line();
    }

    pub(super) fn row(&mut self, is_head: bool, losses: &mut Losses) {
        let Some(Leaf::Table { columns, cells, has_head }) = &mut self.leaf else { return };
        let mut cells = std::mem::take(cells);
        if columns.is_empty() {
            // A table without columns has those of its first row.
            columns.resize(cells.len().max(1), Alignment::None);
        }
        for _ in columns.len()..cells.len() {
            losses.add(loss::CELL);
        }
        cells.resize(columns.len(), String::new());
        let columns = columns.clone();
        let begins = !std::mem::replace(has_head, true);
        if !begins {
            self.out.push_str(&self.prefix());
            return self.row_line(&cells);
        }
        self.begin(Kind::Table);
        if is_head {
            self.row_line(&cells);
        } else {
            self.row_line(&vec![String::new(); columns.len()]);
        }
        let rule = |column: &Alignment| match column {
            Alignment::None => "---".to_owned(),
            Alignment::Left => ":--".to_owned(),
            Alignment::Center => ":-:".to_owned(),
            Alignment::Right => "--:".to_owned(),
        };
        self.out.push_str(&self.prefix());
        self.row_line(&columns.iter().map(rule).collect::<Vec<_>>());
        if !is_head {
            self.out.push_str(&self.prefix());
            self.row_line(&cells);
        }
    }

    fn row_line(&mut self, cells: &[String]) {
        for cell in cells {
            self.out.push_str("| ");
            self.out.push_str(cell);
            self.out.push(' ');
        }
        self.out.push('|');
        self.end_line();
    }
}
