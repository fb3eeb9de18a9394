//! Characters out of CSV, as the export of characters writes it: a column each of their fields, lists in one cell with `; `
//! between, relationships as `id: kind`, an apostrophe in front of what a spreadsheet would run. Columns may be left out but
//! for `id` and `name`; one that nobody knows is a field of its own.

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use super::read;
use crate::book::{Character, characters::cells::fields};

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
    read(Value::Object(fields(columns.iter().map(str::trim).zip(record))?), None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
