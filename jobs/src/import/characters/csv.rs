//! CSV in any dialect, a row at a time: bounded whatever quotes are open, with the line in which each row begins.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{MOST_ITEM_BYTES, Text};
use crate::book::BookError;

/// How many columns a table has at most.
const MOST_COLUMNS: usize = 1_000;

/// A sign of a dialect: one character of ASCII, neither letter nor digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign(pub(super) u8);

/// The text is no sign that can part or quote cells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a sign: one of comma, semicolon, tab, pipe, or a character such as ; that is no letter and no digit"
)]
pub struct SignError;

impl Sign {
    const NAMES: [(&str, u8); 7] = [
        ("comma", b','),
        ("semicolon", b';'),
        ("tab", b'\t'),
        ("pipe", b'|'),
        ("space", b' '),
        ("quote", b'"'),
        ("apostrophe", b'\''),
    ];
}

impl FromStr for Sign {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        if let Some((_, sign)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*sign));
        }
        match text.as_bytes() {
            [sign @ (b'\t' | b' '..=b'~')] if !sign.is_ascii_alphanumeric() => Ok(Self(*sign)),
            _ => Err(SignError),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, sign)| *sign == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", char::from(self.0)),
        }
    }
}

impl Serialize for Sign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between cells.
    pub(super) delimiter: u8,
    /// What stands around cells that hold delimiters, quotes or line ends; doubled it means itself.
    pub(super) quote: u8,
    /// What stands before a character that means itself, inside quotes.
    pub(super) escape: Option<u8>,
}

/// A row.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Where it begins.
    pub(super) line: u64,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    /// Its cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        // Cut at ASCII signs, so that each is whole.
        begins
            .zip(&self.ends)
            .map(|(begin, end)| std::str::from_utf8(&self.text[begin..*end]).unwrap_or_default())
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have together.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing stands in any of them.
    fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }
}

/// The rows of a table.
pub(super) struct Rows {
    pub(super) text: Text,
    dialect: Dialect,
    row: Row,
}

impl Rows {
    pub(super) fn new(text: Text, dialect: Dialect) -> Self {
        Self { text, dialect, row: Row::default() }
    }

    /// The next row in which something stands.
    ///
    /// # Errors
    /// Where a row is too large, has too many cells, or ends inside of a quotation.
    pub(super) fn next(&mut self) -> Result<Option<&Row>, BookError> {
        loop {
            self.row.line = self.text.line();
            self.row.text.clear();
            self.row.ends.clear();
            if self.text.peek()?.is_none() {
                return Ok(None);
            }
            while self.cell()? {}
            if !self.row.is_blank() {
                return Ok(Some(&self.row));
            }
        }
    }

    /// Reads a cell; whether the row goes on behind it.
    fn cell(&mut self) -> Result<bool, BookError> {
        if self.row.ends.len() == MOST_COLUMNS {
            return Err(self.text.wrong(self.row.line, "the row has more than 1,000 cells"));
        }
        if self.text.peek()? == Some(self.dialect.quote) {
            self.quotation()?;
        }
        let goes_on = loop {
            match self.text.take()? {
                None => break false,
                Some(b'\n') => break false,
                Some(b'\r') => {
                    if self.text.peek()? == Some(b'\n') {
                        self.text.take()?;
                    }
                    break false;
                }
                Some(byte) if byte == self.dialect.delimiter => break true,
                Some(byte) => self.push(byte)?,
            }
        };
        self.row.ends.push(self.row.text.len());
        Ok(goes_on)
    }

    /// Reads what stands in quotes.
    fn quotation(&mut self) -> Result<(), BookError> {
        let (quote, escape) = (self.dialect.quote, self.dialect.escape);
        let begin = self.text.line();
        self.text.take()?;
        loop {
            let Some(byte) = self.text.take()? else {
                return Err(self.text.wrong(begin, "a quote is opened there that is never closed"));
            };
            if Some(byte) == escape && escape != Some(quote) {
                if let Some(meant) = self.text.take()? {
                    self.push(meant)?;
                }
            } else if byte != quote {
                self.push(byte)?;
            } else if self.text.peek()? == Some(quote) {
                self.text.take()?;
                self.push(quote)?;
            } else {
                return Ok(());
            }
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), BookError> {
        if self.row.text.len() >= MOST_ITEM_BYTES {
            let problem = "the row that begins there has more than 1 MiB: is a quote opened in it that is never closed?";
            return Err(self.text.wrong(self.row.line, problem));
        }
        self.row.text.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn rows(text: &str, delimiter: u8, quote: u8, escape: Option<u8>) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows::new(Text::of("x.csv", text), Dialect { delimiter, quote, escape });
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push((row.line, row.cells().map(str::to_owned).collect()));
        }
        all
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn cells_are_read_in_any_dialect_with_the_lines_of_their_rows() {
        let text = "id,name\r\n\r\na,\"A, \"\"the\"\" \r\nfirst\"\n,,\nb, B \"x\" \rc,";
        let wanted = [
            row(1, &["id", "name"]),
            row(3, &["a", "A, \"the\" \r\nfirst"]),
            row(6, &["b", " B \"x\" "]),
            row(7, &["c", ""]),
        ];
        assert_eq!(rows(text, b',', b'"', None), wanted);
        let text = "'a;'';b';c\n\"x\";'\\'y\\\\'\n";
        assert_eq!(
            rows(text, b';', b'\'', Some(b'\\')),
            [row(1, &["a;';b", "c"]), row(2, &["\"x\"", "'y\\"])]
        );
        assert_eq!(rows("a\t\"b\"c\té", b'\t', b'"', None), [row(1, &["a", "bc", "é"])]);
        assert!(rows("", b',', b'"', None).is_empty());
    }

    #[test]
    fn a_quote_that_is_never_closed_and_rows_without_end_are_refused_with_their_line() {
        let dialect = Dialect { delimiter: b',', quote: b'"', escape: None };
        for (text, line, word) in [
            ("a,b\nc,\"d\n\n".to_owned(), "line 2", "never closed"),
            (format!("a\n\"{}", "x\n".repeat(MOST_ITEM_BYTES)), "line 2", "1 MiB"),
            (format!("a\n\n{}", ",".repeat(5_000)), "line 3", "cells"),
        ] {
            let mut rows = Rows::new(Text::of("x.csv", &text), dialect);
            let refused = loop {
                match rows.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{word}"),
                    Err(refused) => break refused.to_string(),
                }
            };
            assert!(refused.contains(line) && refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_sign_is_named_or_is_itself() {
        for (text, sign) in [("tab", b'\t'), (";", b';'), ("\t", b'\t'), ("|", b'|'), ("apostrophe", b'\'')] {
            assert_eq!(text.parse::<Sign>(), Ok(Sign(sign)), "{text}");
            assert_eq!(Sign(sign).to_string().parse::<Sign>(), Ok(Sign(sign)));
        }
        for wrong in ["", "a", ",,", "é", "\n", "7"] {
            assert_eq!(wrong.parse::<Sign>(), Err(SignError), "{wrong:?}");
        }
    }
}
