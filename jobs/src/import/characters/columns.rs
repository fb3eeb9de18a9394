//! Which field of a character a column of a table, or a key of an object, is: as is said, else by its name, whatever its case and
//! whether blanks, hyphens or underscores stand in it. One that nobody knows is a field of its own.

use std::collections::BTreeMap;

use super::payload::Told;
use crate::book::characters::cells::{EXTRA, FIELDS};

/// The columns of a table, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    names: Vec<String>,
    fields: Vec<String>,
}

impl Columns {
    /// Those of a first row, or where that is no header, numbered ones of as many cells.
    pub(super) fn new(first: &[&str], header: bool, told: &Told) -> Self {
        let names: Vec<String> = match header {
            true => first.iter().map(|name| name.trim().trim_matches('"').to_owned()).collect(),
            false => (1..=first.len()).map(|number| number.to_string()).collect(),
        };
        let fields = names.iter().map(|name| field(name, told)).collect();
        Self { names, fields }
    }

    /// How many of them are fields that a character has.
    pub(super) fn known(&self) -> usize {
        self.fields.iter().filter(|field| is_known(field)).count()
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The field of each.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }

    /// What each column became, for the report.
    pub(super) fn report(&self) -> BTreeMap<String, String> {
        let used = self.names.iter().cloned().zip(self.fields.iter().cloned());
        used.filter(|(_, field)| !field.is_empty()).take(100).collect()
    }

    /// # Errors
    /// What is missing or there twice, and what to say.
    pub(super) fn check(&self, header: bool, told: &Told) -> Result<(), String> {
        let names =
            || self.names.iter().take(20).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let needed: &[&str] = if told.ids_from_names { &["name"] } else { &["id", "name"] };
        for needed in needed {
            if !self.fields.iter().any(|field| field == needed) {
                let hint = match (*needed, header) {
                    ("id", true) => "; ids_from_names makes ids of the names",
                    _ => "",
                };
                return Err(format!(
                    "none of the columns {} is the field {needed:?}: say which, as in {}={needed}{hint}",
                    names(),
                    self.names.first().map_or("Figure", |name| name)
                ));
            }
        }
        for (place, field) in self.fields.iter().enumerate().filter(|(_, field)| !field.is_empty()) {
            if self.fields[..place].contains(field) {
                return Err(format!("two of the columns {} are the field {field:?}", names()));
            }
        }
        if let Some((name, _)) =
            told.columns.iter().find(|(name, _)| !self.names.iter().any(|one| is_same(one, name)))
        {
            return Err(format!("there is no column {name:?}; there are {}", names()));
        }
        Ok(())
    }
}

fn is_known(field: &str) -> bool {
    field == EXTRA || FIELDS.contains(&field)
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The field that a column's or key's name means; nothing where it is left out.
pub(super) fn field(name: &str, told: &Told) -> String {
    if let Some(field) = told.columns.get(name) {
        return field.clone();
    }
    if let Some((_, field)) = told.columns.iter().find(|(column, _)| is_same(column, name)) {
        return field.clone();
    }
    let plain: String =
        name.trim().to_lowercase().chars().map(|c| if matches!(c, ' ' | '-') { '_' } else { c }).collect();
    if is_known(&plain) { plain } else { name.trim().to_owned() }
}

/// The field that a key of an object means: one that nobody knows is a field as it is.
pub(super) fn key(name: &str, told: &Told) -> String {
    let field = field(name, told);
    let is_said = told.columns.keys().any(|column| is_same(column, name));
    if is_said || FIELDS.contains(&field.as_str()) { field } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(columns: &[(&str, &str)]) -> Told {
        let columns = columns.iter().map(|(name, field)| ((*name).to_owned(), (*field).to_owned()));
        Told { columns: columns.collect(), ids_from_names: false }
    }

    #[test]
    fn columns_are_known_by_what_is_said_and_by_their_names() {
        let told = told(&[("Figur", "name"), ("nr", "id"), ("Seite", "")]);
        let columns = Columns::new(&[" NR", "Figur ", "First Chapter", "Haar", "Seite"], true, &told);
        assert_eq!(columns.fields().collect::<Vec<_>>(), ["id", "name", "first_chapter", "Haar", ""]);
        assert_eq!((columns.known(), columns.check(true, &told)), (3, Ok(())));
        let numbered = self::told(&[("1", "id"), ("2", "name")]);
        assert_eq!(Columns::new(&["x", "y"], false, &numbered).fields().collect::<Vec<_>>(), ["id", "name"]);
    }

    #[test]
    fn what_is_missing_or_twice_is_told_with_what_to_say() {
        for (names, columns, word) in [
            (&["Figur", "name"][..], &[][..], "Figur=id"),
            (&["id", "Figur"], &[], "\"name\""),
            (&["id", "name", "Name"], &[], "two of the columns"),
            (&["id", "name"], &[("nam", "name")], "no column \"nam\""),
        ] {
            let told = told(columns);
            let refused = Columns::new(names, true, &told).check(true, &told).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
