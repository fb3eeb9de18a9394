//! Characters out of CSV, as the export of characters writes it: a column each of their fields, lists in one cell with `; `
//! between, relationships as `id: kind`, an apostrophe in front of what a spreadsheet would run. Columns may be left out but
//! for `id` and `name`; one that nobody knows is a field of its own.

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value, json};

use super::read;
use crate::book::Character;

/// The rows, at most `most` of them: each a character or what is wrong with it.
///
/// # Errors
/// Where the columns can't be told.
pub(super) fn rows(body: &[u8], most: usize) -> Result<Vec<Result<Character, String>>, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(body);
    let columns = reader.headers().map_err(|error| format!("the columns' names: {error}"))?.clone();
    for needed in ["id", "name"] {
        if !columns.iter().any(|column| column.trim() == needed) {
            return Err(format!("there is no column {needed:?} in the first row"));
        }
    }
    let row = |record: csv::Result<StringRecord>| {
        let record = record.map_err(|error| error.to_string())?;
        if record.len() > columns.len() {
            let (cells, names) = (record.len(), columns.len());
            return Err(format!(
                "the row has {cells} cells for {names} columns: quote what has commas in it"
            ));
        }
        character(&columns, &record)
    };
    Ok(reader.records().take(most).map(row).collect())
}

fn character(columns: &StringRecord, record: &StringRecord) -> Result<Character, String> {
    let mut fields = Map::new();
    for (column, cell) in columns.iter().map(str::trim).zip(record) {
        if cell.is_empty() {
            continue;
        }
        let value = match column {
            "aliases" | "traits" => Value::from(list(cell)),
            "relationships" => {
                let all: Result<Vec<Value>, String> =
                    list(cell).iter().map(|one| relationship(one)).collect();
                Value::from(all?)
            }
            "first_chapter" => {
                let number = cell.trim().parse::<u32>();
                Value::from(number.map_err(|_| format!("first_chapter is no number: {cell:?}"))?)
            }
            "extra" => {
                let extra = serde_json::from_str::<Map<String, Value>>(&plain(cell));
                fields.extend(extra.map_err(|error| format!("extra is no JSON object: {error}"))?);
                continue;
            }
            "" => continue,
            _ => Value::from(plain(cell)),
        };
        fields.insert(column.to_owned(), value);
    }
    read(Value::Object(fields), None)
}

fn relationship(text: &str) -> Result<Value, String> {
    let (to, kind) = text
        .split_once(": ")
        .ok_or_else(|| format!("a relationship is written as `id: kind`, not {text:?}"))?;
    Ok(json!({ "to": to, "kind": kind }))
}

/// A cell's text without the apostrophe that keeps a spreadsheet from running it.
fn plain(cell: &str) -> String {
    let guarded = cell
        .strip_prefix('\'')
        .filter(|rest| rest.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\n', '\r']));
    guarded.unwrap_or(cell).to_owned()
}

/// The items of a cell: `; ` between them, a backslash before a semicolon or backslash of their own.
fn list(cell: &str) -> Vec<String> {
    let (mut items, mut item, mut letters) = (Vec::new(), String::new(), cell.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => item.extend(letters.next()),
            ';' => items.push(std::mem::take(&mut item)),
            _ => item.push(letter),
        }
    }
    items.push(item);
    items.iter().map(|item| plain(item.trim())).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_export_writes_is_read_back() {
        let csv = "id,name,aliases,relationships,first_chapter,extra,notes\r\n\
            odysseus,'=X(),Outis; a\\;b,penelope: wife; argos: dog,1,\"{\"\"age\"\":7}\",\"a,\n\"\"b\"\"\"\r\n";
        let one = rows(csv.as_bytes(), 10).unwrap().remove(0).unwrap();
        assert_eq!((one.name.as_str(), &one.aliases), ("=X()", &vec!["Outis".to_owned(), "a;b".to_owned()]));
        assert_eq!((one.relationships.len(), one.relationships[1].kind.as_str()), (2, "dog"));
        assert_eq!((one.first_chapter.unwrap().get(), &one.extra["age"]), (1, &json!(7)));
        assert_eq!(one.notes, "a,\n\"b\"");
    }

    #[test]
    fn a_row_that_can_not_be_used_is_told_and_a_table_without_names_refused() {
        let read = rows(b"id,name,first_chapter\na,A,x\nb,B,2,3\nc,C\n", 10).unwrap();
        assert!(read[0].is_err() && read[1].is_err() && read[2].is_ok(), "{read:?}");
        assert!(rows(b"id\na\n", 10).unwrap_err().contains("name"));
        assert!(rows(b"", 10).is_err());
    }
}
