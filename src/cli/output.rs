//! Where results go: standard output for results, standard error for everything else. Owns: the two forms (text and
//! JSON), tables, and that no raw control character reaches a terminal. Must not know: commands.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use super::error::{CliError, ErrorKind};
use crate::{config::LogFormat, telemetry::escape_controls};

/// The way out of a process.
pub struct Output {
    is_json: bool,
    out: Mutex<Box<dyn Write + Send>>,
    out_is_terminal: bool,
    error_is_terminal: bool,
}

impl Output {
    /// The process's own standard output and error.
    pub fn standard(is_json: bool) -> Self {
        Self {
            is_json,
            out: Mutex::new(Box::new(io::stdout())),
            out_is_terminal: io::stdout().is_terminal(),
            error_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Results into a writer, which is no terminal: for tests.
    pub fn into_writer(is_json: bool, out: Box<dyn Write + Send>) -> Self {
        Self { is_json, out: Mutex::new(out), out_is_terminal: false, error_is_terminal: false }
    }

    /// Whether results are JSON. Text is dropped then, so that nothing else is on standard output.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether somebody looks at both outputs, so that a bar may be drawn.
    pub fn is_terminal(&self) -> bool {
        self.out_is_terminal && self.error_is_terminal
    }

    /// Whether standard error is a terminal.
    pub(super) fn error_is_terminal(&self) -> bool {
        self.error_is_terminal
    }

    /// A line for people on standard output; nothing where results are JSON.
    ///
    /// # Errors
    /// Where nobody reads any more, or it can't be written.
    pub fn line(&self, text: impl Display) -> Result<(), CliError> {
        if self.is_json {
            return Ok(());
        }
        self.write(&format!("{}\n", escape_controls(&text.to_string(), LogFormat::Text, true)))
    }

    /// A piece of text for people on standard output, without a line's end; nothing where results are JSON.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn piece(&self, text: &str) -> Result<(), CliError> {
        if self.is_json { Ok(()) } else { self.write(&escape_controls(text, LogFormat::Text, true)) }
    }

    /// A script as it is on standard output, in both forms.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn script(&self, text: &str) -> Result<(), CliError> {
        self.write(text)
    }

    /// A remark for people on standard error; nothing where results are JSON.
    pub fn note(&self, text: impl Display) {
        if !self.is_json {
            complain(&text.to_string(), LogFormat::Text);
        }
    }

    /// The whole result as one JSON document; nothing where results are text.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn document<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        self.json(|| serde_json::to_string_pretty(value), "\n")
    }

    /// One of many JSON documents, on a line of its own; nothing where results are text.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn json_line<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        self.json(|| serde_json::to_string(value), "\n")
    }

    /// Begins a document of one long list, which is written item by item.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn list(&self, name: &'static str) -> Result<List<'_>, CliError> {
        if self.is_json {
            self.write(&format!("{{\"{name}\":["))?;
        }
        Ok(List { output: self, is_empty: true })
    }

    /// A table for people: each column as wide as its widest cell, numbers to the right. Nothing where results are JSON.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        if self.is_json || rows.is_empty() {
            return Ok(());
        }
        self.line(aligned(header, rows))
    }

    /// More rows of a table whose head stands already; they are as wide as they need to be.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn more_rows(&self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        if self.is_json || rows.is_empty() {
            return Ok(());
        }
        let text = aligned(header, rows);
        self.line(text.split_once('\n').map_or("", |(_, rows)| rows))
    }

    fn json(&self, text: impl FnOnce() -> serde_json::Result<String>, end: &str) -> Result<(), CliError> {
        if !self.is_json {
            return Ok(());
        }
        let text = text().map_err(|error| CliError::new(ErrorKind::Bug, format_args!("no JSON: {error}")))?;
        self.write(&(escape_controls(&text, LogFormat::Json, true) + end))
    }

    fn write(&self, text: &str) -> Result<(), CliError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(write_error)
    }
}

/// A result can't be written.
pub(super) fn write_error(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return CliError::new(ErrorKind::OutputClosed, "nobody reads the results any more");
    }
    CliError::unavailable(format_args!("results can't be written to standard output: {error}"))
}

/// A line on standard error. Where even that can't be written there is nobody to tell.
pub(super) fn complain(text: &str, format: LogFormat) {
    let line = escape_controls(text, format, true) + "\n";
    drop(io::stderr().lock().write_all(line.as_bytes()));
}

/// A JSON document of one long list.
pub(super) struct List<'a> {
    output: &'a Output,
    is_empty: bool,
}

impl List<'_> {
    pub(super) fn item<T: Serialize>(&mut self, item: &T) -> Result<(), CliError> {
        let before = if self.is_empty { "\n" } else { ",\n" };
        self.is_empty = false;
        self.output.json(|| serde_json::to_string(item).map(|text| before.to_owned() + &text), "")
    }

    /// Ends the document; `more` says whether items were left out.
    pub(super) fn end(self, more: bool) -> Result<(), CliError> {
        if self.output.is_json { self.output.write(&format!("\n],\"more\":{more}}}\n")) } else { Ok(()) }
    }
}

fn aligned(header: &[&str], rows: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell));
            cells.max().unwrap_or(0).max(length(head))
        })
        .collect();
    let is_number =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['T', ':', '_']);
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|head| (*head).to_owned()).collect();
    for (place, row) in std::iter::once(&header).chain(rows).enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // A column goes to the right where its first cell is a number.
            let right = rows.first().and_then(|row| row.get(column)).is_some_and(|cell| is_number(cell));
            let pad = " ".repeat(width - length(cell));
            line += &if right { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        if place > 0 {
            text.push('\n');
        }
        text.push_str(line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(is_json: bool, act: impl FnOnce(&Output)) -> String {
        let shared = Shared::default();
        act(&Output::into_writer(is_json, Box::new(shared.clone())));
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn everything(output: &Output) {
        output.line("a\u{1b}[2Jb").unwrap();
        output.table(&["NAME", "BYTES"], &[vec!["x".to_owned(), "7".to_owned()]]).unwrap();
        output.more_rows(&["NAME", "BYTES"], &[vec!["y".to_owned(), "8".to_owned()]]).unwrap();
        output.document(&serde_json::json!({ "a": "\u{9b}" })).unwrap();
        let mut list = output.list("jobs").unwrap();
        list.item(&1).unwrap();
        list.item(&2).unwrap();
        list.end(true).unwrap();
    }

    #[test]
    fn each_form_is_alone_on_standard_output() {
        assert_eq!(written(false, everything), "a\\u{1b}[2Jb\nNAME  BYTES\nx         7\ny         8\n");
        let json = written(true, everything);
        let mut documents = serde_json::Deserializer::from_str(&json).into_iter::<serde_json::Value>();
        assert_eq!(documents.next().unwrap().unwrap()["a"], "\u{9b}");
        assert_eq!(documents.next().unwrap().unwrap(), serde_json::json!({ "jobs": [1, 2], "more": true }));
        assert!(documents.next().is_none() && !json.contains('\u{9b}'));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = Output::into_writer(false, Box::new(Closed)).line("x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutputClosed);
    }
}
