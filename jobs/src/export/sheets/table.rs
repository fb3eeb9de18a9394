//! Characters as CSV (RFC 4180), a row each, for spreadsheets.
//!
//! `=`, `+`, `-` and `@`, also in full width, get an apostrophe in front where a cell begins, as a tab and a line end do:
//! spreadsheets would take it for a formula and run it, and it may come from somebody else's manuscript. As a cell may
//! begin for them behind a semicolon, tab or line end, so it is there; an import takes the apostrophes off again. Control characters are dropped. Lists stand in one cell, separated by
//! `; `, with a backslash before a semicolon or backslash of their own; relationships as `id: kind`. What else a file
//! has stands in the last column, as JSON.

use csv::{Terminator, WriterBuilder};

use crate::book::{
    BookError, Character, Losses,
    characters::cells::{FIELDS, columns, guard, join},
    check::is_legal,
};

/// Writes the columns' names.
pub(super) fn head(out: &mut Vec<u8>) -> Result<(), BookError> {
    record(columns(), out)
}

/// Writes a character's row.
pub(super) fn row(character: &Character, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), BookError> {
    let extra = if character.extra.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&character.extra)
            .map_err(|error| BookError::storage("writing a character", error))?
    };
    let relationships =
        character.relationships.iter().map(|one| format!("{}: {}", one.to, one.kind)).collect::<Vec<_>>();
    let cells: [String; FIELDS.len() + 1] = [
        character.id.to_string(),
        character.name.clone(),
        join(&character.aliases),
        character.role.clone(),
        character.description.clone(),
        join(&character.traits),
        character.appearance.clone(),
        character.background.clone(),
        join(&relationships),
        character.notes.clone(),
        character.first_chapter.map(|number| number.to_string()).unwrap_or_default(),
        extra,
    ];
    record(cells.iter().map(|cell| harmless(cell, losses)), out)
}

fn record(cells: impl Iterator<Item = impl AsRef<[u8]>>, out: &mut Vec<u8>) -> Result<(), BookError> {
    let failed = |error: csv::Error| BookError::storage("writing a row", error);
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(cells).map_err(failed)?;
    writer.flush().map_err(|error| BookError::storage("writing a row", error))
}

/// A cell that no spreadsheet runs.
fn harmless(cell: &str, losses: &mut Losses) -> String {
    let is_good = |c: &char| is_legal(*c) && (!c.is_control() || matches!(c, '\t' | '\n' | '\r'));
    if cell.chars().all(|c| is_good(&c)) {
        return guard(cell);
    }
    losses.add("illegal control character");
    guard(&cell.chars().filter(is_good).collect::<String>())
}
