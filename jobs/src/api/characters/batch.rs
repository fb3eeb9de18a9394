//! Many characters out of one body: a JSON array, JSON Lines, or CSV as the export of characters writes it. An item that can't be
//! used does not keep the others from being read.

use presswork::api::{Problem, ProblemType};
use serde_json::Value;

use super::{read, table};
use crate::book::Character;

/// The most items of a batch.
pub(super) const MOST_ITEMS: usize = 1_000;

/// A form that a batch may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An array of objects, or one object.
    Json,
    /// An object a line.
    Lines,
    /// A row each, below a row of column names.
    Csv,
}

impl Form {
    /// The form that a `Content-Type` says.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/json-lines" => Some(Self::Lines),
            "text/csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The items of a body, each a character or what is wrong with it.
    ///
    /// # Errors
    /// [`Problem`] where the body as a whole can't be read, or has too many items.
    pub(super) fn items(self, body: &[u8]) -> Result<Vec<Result<Character, String>>, Problem> {
        let invalid = |problem: String| Problem::new(ProblemType::Invalid, problem);
        match self {
            Self::Json => {
                let value =
                    serde_json::from_slice::<Value>(body).map_err(|error| invalid(error.to_string()))?;
                let all = match value {
                    Value::Array(all) => all,
                    one => vec![one],
                };
                bounded(all.len())?;
                Ok(all.into_iter().map(|value| read(value, None)).collect())
            }
            Self::Lines => {
                let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(MOST_ITEMS + 1).collect();
                bounded(lines.len())?;
                let item = |line: &&[u8]| {
                    serde_json::from_slice::<Value>(line)
                        .map_err(|error| error.to_string())
                        .and_then(|value| read(value, None))
                };
                Ok(lines.iter().map(item).collect())
            }
            Self::Csv => {
                let items = table::rows(body, MOST_ITEMS + 1).map_err(invalid)?;
                bounded(items.len())?;
                Ok(items)
            }
        }
    }
}

fn bounded(items: usize) -> Result<(), Problem> {
    if items > MOST_ITEMS {
        let text = format!("a batch has {MOST_ITEMS} characters at most: send the others in another one");
        return Err(Problem::new(ProblemType::TooLarge, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(form: Form, body: &str) -> Vec<Result<String, String>> {
        let items = form.items(body.as_bytes()).unwrap();
        items.into_iter().map(|item| item.map(|one| format!("{} {}", one.id, one.name))).collect()
    }

    #[test]
    fn one_that_can_not_be_read_leaves_the_others() {
        let array = r#"[{"id":"a","name":"A"},{"id":"../b","name":"B"},7,{"id":"c","name":"C"}]"#;
        let read = names(Form::Json, array);
        assert_eq!((&read[0], &read[3]), (&Ok("a A".to_owned()), &Ok("c C".to_owned())));
        assert!(read[1].is_err() && read[2].is_err(), "{read:?}");
        let lines =
            names(Form::Lines, "{\"id\":\"a\",\"name\":\"A\"}\r\n\n{\"id\":\n{\"id\":\"c\",\"name\":\"C\"}");
        assert_eq!((lines.len(), lines[1].is_err()), (3, true), "{lines:?}");
    }

    #[test]
    fn a_batch_is_bounded_in_every_form() {
        let many = vec!["{\"id\":\"a\",\"name\":\"A\"}"; MOST_ITEMS + 1];
        let csv = format!("id,name\n{}", "a,A\n".repeat(MOST_ITEMS + 1));
        for (form, body) in
            [(Form::Json, format!("[{}]", many.join(","))), (Form::Lines, many.join("\n")), (Form::Csv, csv)]
        {
            let refused = form.items(body.as_bytes()).unwrap_err();
            assert_eq!(refused.kind(), ProblemType::TooLarge, "{form:?}");
        }
    }

    #[test]
    fn the_form_is_what_the_content_type_says() {
        assert_eq!(Form::of("Application/JSON; charset=utf-8"), Some(Form::Json));
        assert_eq!(Form::of("application/x-ndjson"), Some(Form::Lines));
        assert_eq!(Form::of("text/csv;header=present"), Some(Form::Csv));
        assert_eq!(Form::of("text/html"), None);
    }
}
