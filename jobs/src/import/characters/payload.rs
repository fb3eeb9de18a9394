//! What an import of characters is asked for.

use std::{collections::BTreeMap, fmt, str::FromStr};

use presswork::domain::ProjectId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{super::Handed, csv::Sign};

/// A form that characters come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A table: a row each, below a row of column names.
    Csv,
    /// An array of objects, or one object.
    Json,
    /// An object a line.
    Jsonl,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Json, Self::Jsonl];

    /// The name users write: `csv`, `json`, `jsonl`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is no form of characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a form of characters: one of csv, json, jsonl")]
pub struct FormError;

impl FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::ALL.into_iter().find(|form| form.name() == text).ok_or(FormError)
    }
}

/// How a table is written; what is not said is told by its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// What stands between cells: `comma`, `semicolon`, `tab`, `pipe` or a sign of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Sign>,
    /// What stands around cells: `quote`, `apostrophe` or a sign of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Sign>,
    /// What stands before a quote inside of quotes, where that is not doubled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Sign>,
    /// Whether its first row has the columns' names; else they are called 1, 2, 3….
    pub header: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { delimiter: None, quote: None, escape: None, header: true }
    }
}

impl Table {
    fn check(&self) -> Result<(), String> {
        let (delimiter, quote) = (self.delimiter, self.quote.or(Some(Sign(b'"'))));
        if delimiter.is_some() && delimiter == quote {
            return Err("delimiter and quote are the same sign".to_owned());
        }
        if self.escape.is_some() && self.escape == delimiter {
            return Err("delimiter and escape are the same sign".to_owned());
        }
        Ok(())
    }
}

/// What is said of a file's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) columns: BTreeMap<String, String>,
    pub(super) ids_from_names: bool,
}

/// How much may fail: so many items, or so many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So many.
    Items(u64),
    /// In hundredths of a per cent.
    Share(u32),
}

impl Tolerance {
    /// Whether so many are too many.
    pub(super) fn is_passed(self, failed: u64, of: u64) -> bool {
        match self {
            Self::Items(most) => failed > most,
            Self::Share(most) => u128::from(failed) * 10_000 > u128::from(of) * u128::from(most),
        }
    }
}

/// The text says not how much may fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number of failures: a count such as 10, or a share such as 2.5%")]
pub struct ToleranceError;

impl FromStr for Tolerance {
    type Err = ToleranceError;

    fn from_str(text: &str) -> Result<Self, ToleranceError> {
        let Some(share) = text.strip_suffix('%') else {
            return text.parse().map(Self::Items).map_err(|_| ToleranceError);
        };
        let (whole, rest) = share.split_once('.').unwrap_or((share, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if rest.len() > 2 || whole.is_empty() || whole.len() > 3 || !is_number(whole) || !is_number(rest) {
            return Err(ToleranceError);
        }
        let hundredths = format!("{whole}{rest:0<2}").parse().map_err(|_| ToleranceError)?;
        if hundredths > 10_000 { Err(ToleranceError) } else { Ok(Self::Share(hundredths)) }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Items(most) => write!(f, "{most}"),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
        }
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Items(most) => serializer.serialize_u64(*most),
            Self::Share(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Items(u64),
            Text(String),
        }
        match Given::deserialize(deserializer)? {
            Given::Items(most) => Ok(Self::Items(most)),
            Given::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// Brings characters into a project: each is stored under its id, or reported with its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportCharacters {
    /// Which project; made where there is none.
    pub project: ProjectId,
    /// The file.
    pub source: Handed,
    /// What it is; told by its beginning where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Form>,
    /// Its charset, as web pages name them; told by its content where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
    /// How a table is written.
    #[serde(default)]
    pub table: Table,
    /// Which field a column, or a key of a JSON object, is; an empty one is left out. All others go by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Whether one that says no id gets one that is made of its name.
    #[serde(default)]
    pub ids_from_names: bool,
    /// Whether one of the same id that is there already, and is not the same, is replaced; else it is left alone.
    #[serde(default)]
    pub replace: bool,
    /// How many are stored before that is noted: a job that is interrupted goes on behind the last batch.
    #[serde(default = "usual_batch")]
    pub batch_size: u32,
    /// How many may fail. Where more do, nothing is stored and the job is dead. All may but the last one, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<Tolerance>,
}

/// How many characters a batch has, where nothing is said.
pub(super) const fn usual_batch() -> u32 {
    500
}

/// How many a batch has at most.
pub(super) const MOST_BATCH: u32 = 5_000;
/// How many columns may be said.
const MOST_SAID: usize = 100;
/// How many bytes a column's name has at most.
const MOST_NAME_BYTES: usize = 200;

impl ImportCharacters {
    /// What is wrong with it, but for its source.
    pub(super) fn problem(&self) -> Result<(), String> {
        self.table.check()?;
        if let Some(charset) = &self.charset
            && encoding_rs::Encoding::for_label(charset.as_bytes()).is_none()
        {
            return Err(format!(
                "{:?} is no charset that is known here",
                charset.chars().take(40).collect::<String>()
            ));
        }
        if !(1..=MOST_BATCH).contains(&self.batch_size) {
            return Err(format!("a batch has 1 to {MOST_BATCH} characters"));
        }
        if self.columns.len() > MOST_SAID {
            return Err(format!("at most {MOST_SAID} columns can be named"));
        }
        let mut taken = Vec::new();
        for (name, field) in &self.columns {
            if name.len().max(field.len()) > MOST_NAME_BYTES {
                return Err(format!("a column's name has at most {MOST_NAME_BYTES} bytes"));
            }
            if !field.is_empty() && taken.contains(&field) {
                return Err(format!("two columns are said to be the field {field:?}"));
            }
            taken.push(field);
        }
        Ok(())
    }

    pub(super) fn told(&self) -> Told {
        Told { columns: self.columns.clone(), ids_from_names: self.ids_from_names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_count_or_a_share() {
        for (text, tolerance) in [
            ("0", Tolerance::Items(0)),
            ("12", Tolerance::Items(12)),
            ("5%", Tolerance::Share(500)),
            ("2.5%", Tolerance::Share(250)),
            ("0.05%", Tolerance::Share(5)),
            ("100%", Tolerance::Share(10_000)),
        ] {
            assert_eq!(text.parse(), Ok(tolerance), "{text}");
            let json = serde_json::to_string(&tolerance).unwrap();
            assert_eq!(serde_json::from_str::<Tolerance>(&json).unwrap(), tolerance, "{json}");
        }
        for wrong in ["", "-1", "%", "101%", "1.234%", "1e2", "+1%", ".5%"] {
            assert_eq!(wrong.parse::<Tolerance>(), Err(ToleranceError), "{wrong}");
        }
        assert!(!Tolerance::Items(2).is_passed(2, 100) && Tolerance::Items(2).is_passed(3, 100));
        assert!(!Tolerance::Share(500).is_passed(5, 100) && Tolerance::Share(500).is_passed(6, 100));
        assert!(Tolerance::Share(0).is_passed(1, u64::MAX));
    }

    #[test]
    fn what_can_not_be_asked_for_is_refused_at_the_door() {
        let payload = |more: &str| {
            let json = format!(r#"{{"project":"p","source":{{"name":"a.csv","key":"files/a.csv"}}{more}}}"#);
            serde_json::from_str::<ImportCharacters>(&json).map_err(|error| error.to_string())
        };
        assert_eq!(payload("").unwrap().problem(), Ok(()));
        for (more, word) in [
            (r#","charset":"klingon""#, "charset"),
            (r#","batch_size":0"#, "batch"),
            (r#","columns":{"a":"id","b":"id"}"#, "two columns"),
            (r#","table":{"delimiter":"\""}"#, "same sign"),
        ] {
            let refused = payload(more).unwrap().problem().unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
        for more in [r#","table":{"delimiter":"ab"}"#, r#","max_failures":"x%""#, r#","other":1"#] {
            assert!(payload(more).is_err(), "{more}");
        }
    }
}
