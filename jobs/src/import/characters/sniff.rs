//! What a file of characters is and how its table is written, told by its beginning where nobody says it.

use super::{
    Form, Text,
    columns::Columns,
    csv::{Dialect, Rows, Sign},
    payload::{Table, Told},
};
use crate::book::BookError;

/// How much of a file is looked at.
pub(super) const HEAD_BYTES: usize = 64 << 10;
/// How many rows.
const MOST_ROWS: usize = 50;
/// What stands between cells, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What a file is, by its beginning and, between JSON and JSON Lines, its name.
pub(super) fn form(head: &str, name: &str) -> Form {
    let begin = head.trim_start();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let first = begin.lines().next().unwrap_or_default();
    match begin.as_bytes().first() {
        Some(b'{') => match extension.as_deref() {
            Some("jsonl" | "ndjson") => Form::Jsonl,
            _ if serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok() => Form::Jsonl,
            _ => Form::Json,
        },
        // An array a line is no character; a table may begin with a bracket, but is not called so.
        Some(b'[') if !matches!(extension.as_deref(), Some("csv" | "tsv")) => Form::Json,
        _ if matches!(extension.as_deref(), Some("jsonl" | "ndjson")) => Form::Jsonl,
        _ if extension.as_deref() == Some("json") => Form::Json,
        _ => Form::Csv,
    }
}

/// How a table is written, and its columns, if `rows` stands at its beginning; passes over the line that Excel takes for a hint.
pub(super) fn table(text: &mut Text, said: &Table, told: &Told) -> Result<Dialect, BookError> {
    let hint = hint(text.head(8)?);
    if let Some((_, bytes)) = hint {
        for _ in 0..bytes {
            text.take()?;
        }
    }
    let head = text.head(HEAD_BYTES)?;
    let is_cut = head.len() + 4 > HEAD_BYTES;
    let delimiter = said.delimiter.map(|Sign(sign)| sign).or(hint.map(|(sign, _)| sign));
    let escape = said.escape.map(|Sign(sign)| sign);
    let quotes = match said.quote {
        Some(Sign(quote)) => vec![quote],
        None => vec![b'"', b'\''],
    };
    let mut best: Option<(Score, Dialect)> = None;
    for delimiter in delimiter.map_or(DELIMITERS.to_vec(), |sign| vec![sign]) {
        for &quote in &quotes {
            let dialect = Dialect { delimiter, quote, escape };
            let score = score(head, is_cut, dialect, said, told);
            if best.as_ref().is_none_or(|(most, _)| score > *most) {
                best = Some((score, dialect));
            }
        }
    }
    let usual = Dialect { delimiter: b',', quote: b'"', escape };
    Ok(best.map_or(usual, |(_, dialect)| dialect))
}

/// Excel's `sep=;` and how many bytes it has.
fn hint(head: &str) -> Option<(u8, usize)> {
    let rest = head.strip_prefix("sep=").or_else(|| head.strip_prefix("SEP="))?;
    match rest.as_bytes() {
        [sign, b'\r', b'\n', ..] => Some((*sign, 7)),
        [sign, b'\n' | b'\r', ..] => Some((*sign, 6)),
        _ => None,
    }
}

/// How well a dialect fits: known columns, then rows of as many cells as the first, then how many those are.
type Score = (usize, usize, usize);

fn score(head: &str, is_cut: bool, dialect: Dialect, said: &Table, told: &Told) -> Score {
    let mut rows = Rows::new(Text::of("", head), dialect);
    let (mut widths, mut known) = (Vec::new(), 0);
    while widths.len() < MOST_ROWS {
        match rows.next() {
            Ok(Some(row)) => {
                if widths.is_empty() {
                    let names: Vec<&str> = row.cells().collect();
                    known = Columns::new(&names, said.header, told).known();
                }
                widths.push(row.len());
            }
            // The end of what is looked at may stand inside of quotes.
            Ok(None) | Err(_) => break,
        }
    }
    if is_cut && widths.len() > 1 {
        widths.pop();
    }
    let first = widths.first().copied().unwrap_or_default();
    let alike = widths.iter().filter(|width| first > 1 && **width == first).count();
    (known, alike * 100 / widths.len().max(1), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (u8, u8, String) {
        let mut text = Text::of("x.csv", text);
        let dialect = table(&mut text, &Table::default(), &Told::default()).unwrap();
        (dialect.delimiter, dialect.quote, text.head(6).unwrap().to_owned())
    }

    #[test]
    fn delimiters_and_quotes_are_told_by_the_columns_and_by_what_is_alike() {
        for (text, delimiter, quote) in [
            ("id,name\na,A;B;C\n", b',', b'"'),
            ("id;name;notes\na;A;1,5\nb;B;2,5\n", b';', b'"'),
            ("id\tname\na\tA, B\n", b'\t', b'"'),
            ("'id','name'\n'a','A, B'\n", b',', b'\''),
            ("Figur|Rolle|Alter\nx|y|1\n", b'|', b'"'),
            ("name\nA\n", b',', b'"'),
            ("", b',', b'"'),
        ] {
            let (found, quoted, _) = told(text);
            assert_eq!((found, quoted), (delimiter, quote), "{text:?}");
        }
        assert_eq!(told("sep=|\r\nid|name\n"), (b'|', b'"', "id|nam".to_owned()));
        assert_eq!(told("sep=;\nid;name\n").2, "id;nam");
        let long = format!("id;name;notes\n{}", "a;A;x, y, z\n".repeat(20_000));
        assert_eq!(told(&long).0, b';');
    }

    #[test]
    fn the_form_is_told_by_the_beginning() {
        for (head, name, form_of) in [
            ("[{", "x", Form::Json),
            (" {\"id\":1}\n{", "x", Form::Jsonl),
            ("{\n\"id\":1}", "x.json", Form::Json),
            ("{\"id\":1", "x.jsonl", Form::Jsonl),
            ("id,name", "x.txt", Form::Csv),
            ("[id],name", "x.csv", Form::Csv),
        ] {
            assert_eq!(form(head, name), form_of, "{head}");
        }
    }
}
