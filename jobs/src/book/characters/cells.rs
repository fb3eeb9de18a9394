//! A character as a row of a table: its fields as cells' text, and back. Lists stand in one cell with `; ` between, relationships as
//! `id: kind`; what a spreadsheet would run is guarded by an apostrophe. What [`guard`] and [`join`] write, [`unguard`] and
//! [`split`] read as it was.

use serde_json::{Map, Value, json};

/// The fields that a character has, in the order of their columns; a table's last column, `extra`, holds all else as JSON.
pub(crate) const FIELDS: [&str; 11] = [
    "id",
    "name",
    "aliases",
    "role",
    "description",
    "traits",
    "appearance",
    "background",
    "relationships",
    "notes",
    "first_chapter",
];
/// The column of what else a character has.
pub(crate) const EXTRA: &str = "extra";

/// A table's columns, in order.
pub(crate) fn columns() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().chain([EXTRA])
}

/// Whether a spreadsheet takes a cell for a formula that begins so.
fn is_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r')
}

/// Whether what begins here would be run, or looks as if it had been guarded from that.
fn is_dangerous(rest: &str, is_first: bool) -> bool {
    let behind = rest.trim_start_matches('\'').chars().next();
    behind.is_some_and(|c| is_formula(c) || (is_first && is_space(c)))
}

/// Whether a cell may begin for a spreadsheet behind `c`.
fn begins_behind(c: char, is_begin: bool) -> bool {
    c == ';' || is_space(c) || (is_begin && c.is_whitespace())
}

/// A cell that no spreadsheet runs: where it begins, and where it may begin for one behind a semicolon, tab or line end, an
/// apostrophe stands before what makes a formula, and before apostrophes that do.
pub(crate) fn guard(cell: &str) -> String {
    let (mut out, mut is_begin) = (String::with_capacity(cell.len() + 1), true);
    for (at, c) in cell.char_indices() {
        if is_begin && is_dangerous(&cell[at..], at == 0) {
            out.push('\'');
        }
        out.push(c);
        is_begin = begins_behind(c, is_begin);
    }
    out
}

/// A cell's text without the apostrophes of [`guard`].
pub(crate) fn unguard(cell: &str) -> String {
    let (mut out, mut is_begin, mut letters) = (String::with_capacity(cell.len()), true, cell.char_indices());
    while let Some((at, mut c)) = letters.next() {
        if is_begin
            && c == '\''
            && is_dangerous(&cell[at + 1..], at == 0)
            && let Some((_, guarded)) = letters.next()
        {
            c = guarded;
        }
        out.push(c);
        is_begin = begins_behind(c, is_begin);
    }
    out
}

/// Items in one cell: `; ` between them, a backslash before a semicolon or backslash of their own and before a blank at an end.
pub(crate) fn join(items: &[String]) -> String {
    let mut cell = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            cell.push_str("; ");
        }
        let (first, last) = (item.len() - item.trim_start().len(), item.trim_end().len());
        for (at, c) in item.char_indices() {
            if matches!(c, ';' | '\\') || at < first || at >= last {
                cell.push('\\');
            }
            cell.push(c);
        }
    }
    cell
}

/// The items of a cell; what is blank is none.
pub(crate) fn split(cell: &str) -> Vec<String> {
    let (mut items, mut item, mut letters) = (Vec::new(), Item::default(), cell.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => item.push(letters.next().unwrap_or('\\'), true),
            ';' => std::mem::take(&mut item).end(&mut items),
            _ => item.push(letter, false),
        }
    }
    item.end(&mut items);
    items
}

/// An item that is being read: blanks at its ends count only where they were written with a backslash.
#[derive(Default)]
struct Item {
    text: String,
    /// Up to where the text stands, whatever comes.
    kept: usize,
}

impl Item {
    fn push(&mut self, letter: char, is_meant: bool) {
        if is_meant || !letter.is_whitespace() {
            self.text.push(letter);
            self.kept = self.text.len();
        } else if !self.text.is_empty() {
            self.text.push(letter);
        }
    }

    fn end(mut self, items: &mut Vec<String>) {
        self.text.truncate(self.kept);
        if !self.text.is_empty() {
            items.push(self.text);
        }
    }
}

/// A character's fields, out of cells by the names of their fields; an unknown name is a field of its own. Empty cells say nothing.
///
/// # Errors
/// What is wrong with a cell.
pub(crate) fn fields<'a>(
    cells: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    for (field, cell) in cells {
        if cell.is_empty() || field.is_empty() {
            continue;
        }
        let cell = unguard(cell);
        let value = match field {
            "id" => Value::from(cell.trim()),
            "aliases" | "traits" => Value::from(split(&cell)),
            "relationships" => {
                let all: Result<Vec<Value>, String> =
                    split(&cell).iter().map(|one| relationship(one)).collect();
                Value::from(all?)
            }
            "first_chapter" => {
                let number = cell.trim().parse::<u32>();
                Value::from(number.map_err(|_| format!("first_chapter is no number: {:?}", shown(&cell)))?)
            }
            EXTRA => {
                let extra = serde_json::from_str::<Map<String, Value>>(&cell)
                    .map_err(|error| format!("extra is no JSON object: {error}"))?;
                if let Some(known) = extra.keys().find(|key| FIELDS.contains(&key.as_str())) {
                    return Err(format!("extra holds {known:?}, which has a column of its own"));
                }
                fields.extend(extra);
                continue;
            }
            _ => Value::from(cell),
        };
        fields.insert(field.to_owned(), value);
    }
    Ok(fields)
}

fn relationship(text: &str) -> Result<Value, String> {
    let (to, kind) = text
        .split_once(": ")
        .ok_or_else(|| format!("a relationship is written as `id: kind`, not {:?}", shown(text)))?;
    Ok(json!({ "to": to, "kind": kind }))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use presswork::domain::{Random as _, SeededRandom};

    use super::*;

    fn scribble(random: &SeededRandom, letters: &[char], most: u64) -> String {
        let pick = |_| letters[usize::try_from(random.below(letters.len() as u64)).unwrap()];
        (0..random.below(most)).map(pick).collect()
    }

    #[test]
    fn whatever_is_guarded_or_joined_is_read_as_it_was() {
        let random = SeededRandom::new(7);
        let letters = ['=', '+', '@', '＝', '\'', '\'', ';', '\t', '\n', '\r', ' ', 'a', '\\', '"', ','];
        for round in 0..20_000 {
            let cell = scribble(&random, &letters, 9);
            let guarded = guard(&cell);
            assert_eq!(unguard(&guarded), cell, "round {round}: {guarded:?}");
            let items: Vec<String> = (0..random.below(4)).map(|_| scribble(&random, &letters, 5)).collect();
            let items: Vec<String> = items.into_iter().filter(|item| !item.is_empty()).collect();
            assert_eq!(split(&unguard(&guard(&join(&items)))), items, "round {round}");
        }
    }

    #[test]
    fn no_guarded_cell_begins_like_a_formula() {
        let random = SeededRandom::new(8);
        for _ in 0..20_000 {
            let cell = guard(&scribble(&random, &['=', '-', '\'', ';', '\n', '\t', ' ', 'x'], 9));
            let mut begin = true;
            for (at, c) in cell.char_indices() {
                assert!(!(begin && (is_formula(c) || (at == 0 && is_space(c)))), "{cell:?}");
                begin = begins_behind(c, begin);
            }
        }
    }

    #[test]
    fn lists_written_by_hand_are_read_without_their_blanks() {
        assert_eq!(split(" a;b ;; c d "), ["a", "b", "c d"]);
        assert_eq!(split("a\\;b; \\ c\\ ;\\"), ["a;b", " c ", "\\"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn extra_can_not_take_the_place_of_a_column() {
        let refused = fields([("id", "a"), ("name", "A"), ("extra", r#"{"id":"b"}"#)]).unwrap_err();
        assert!(refused.contains("\"id\""), "{refused}");
        let fields =
            fields([("id", " a "), ("hair", "'-red"), ("", "x"), ("extra", r#"{"age":7}"#)]).unwrap();
        assert_eq!(Value::from(fields), json!({ "id": "a", "hair": "-red", "age": 7 }));
    }
}
