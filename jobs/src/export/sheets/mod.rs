//! A project's characters as one file: a table for spreadsheets (`table`), a JSON array for programs ([`SCHEMA`]), or a
//! Markdown sheet each (`sheet`). Written as they are read: no more than those that are read side by side is held.

mod sheet;
mod table;
#[cfg(test)]
mod tests;

use futures_util::{StreamExt as _, stream::BoxStream};

use super::Format;
use crate::book::{BookError, Character, Characters, Losses};

/// What the JSON file is: a JSON Schema (2020-12).
pub const SCHEMA: &str = include_str!("characters.schema.json");

/// How many bytes are collected before they are handed on; more only by the last character.
const COLLECTED_BYTES: usize = 32 << 10;

/// Writes characters in one format.
pub(super) struct Sheets {
    all: BoxStream<'static, Result<Character, BookError>>,
    form: Form,
    has_ended: bool,
    /// How many are written.
    count: u64,
    losses: Losses,
}

enum Form {
    Table,
    Array,
    Sheets,
}

impl Sheets {
    /// A file of the format with these characters, not begun.
    ///
    /// # Errors
    /// `Input` where characters have no such form.
    pub(super) fn new(format: Format, characters: &Characters) -> Result<Self, BookError> {
        let form = match format {
            Format::Csv => Form::Table,
            Format::Json => Form::Array,
            Format::Markdown => Form::Sheets,
            _ => return Err(BookError::input("characters", format!("characters have no form in {format}"))),
        };
        Ok(Self { all: characters.all(), form, has_ended: false, count: 0, losses: Losses::default() })
    }

    /// What stands before the first one.
    fn begin(&self, out: &mut Vec<u8>) -> Result<(), BookError> {
        match self.form {
            Form::Table => table::head(out),
            Form::Array => {
                out.extend_from_slice(b"[");
                Ok(())
            }
            Form::Sheets => Ok(()),
        }
    }

    fn character(&mut self, character: &Character, out: &mut Vec<u8>) -> Result<(), BookError> {
        self.count += 1;
        match self.form {
            Form::Table => table::row(character, &mut self.losses, out),
            Form::Array => {
                out.extend_from_slice(if self.count == 1 { b"\n" } else { b",\n" });
                serde_json::to_writer(out, character)
                    .map_err(|error| BookError::storage("writing a character", error))
            }
            Form::Sheets => {
                if self.count > 1 {
                    out.push(b'\n');
                }
                sheet::write(character, &mut self.losses, out)
            }
        }
    }

    /// What stands behind the last one.
    fn end(&self, out: &mut Vec<u8>) {
        if let Form::Array = self.form {
            out.extend_from_slice(b"\n]\n");
        }
    }

    /// Appends the next of them to `out`, some tens of kilobytes; answers whether anything was left to append.
    ///
    /// # Errors
    /// What reading them says.
    pub(super) async fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, BookError> {
        if self.has_ended {
            return Ok(false);
        }
        if self.count == 0 {
            self.begin(out)?;
        }
        while out.len() < COLLECTED_BYTES {
            let Some(character) = self.all.next().await else {
                self.end(out);
                self.has_ended = true;
                break;
            };
            self.character(&character?, out)?;
        }
        Ok(true)
    }

    /// What the format could not carry so far.
    pub(super) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// How many are written so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
