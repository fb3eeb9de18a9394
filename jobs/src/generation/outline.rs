//! The plan of a book: what a model answers read leniently (JSON in any of its usual shapes, or a numbered list), a plain plan
//! where that gives none, and the project's file of it, `outline.json`. Must not know: jobs, models.

use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use presswork::domain::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Brief, clean::unwrapped, extract::cut};
use crate::book::{
    markdown::plain_text,
    project::fence::{MOST_TRIES as MOST_TRIES_AT_ONCE, Seen, busy, put_where},
};

/// The file in a project.
pub const FILE: &str = "outline.json";
/// The file's `format`.
const FORMAT: &str = "presswork-outline";
/// The newest `version` that this program reads and the one that it writes.
const VERSION: u32 = 1;
/// How many bytes the file has at most.
const MOST_BYTES: u64 = 8 << 20;
/// How many characters a chapter's title has at most.
pub(super) const MOST_TITLE: usize = 120;
/// And what is planned for it, and what it was about.
pub(super) const MOST_PLAN: usize = 1_500;
/// How many characters of a chapter are named at most.
const MOST_NAMES: usize = 20;
/// At so many places of an answer JSON is looked for.
const MOST_TRIES: usize = 20;

/// A book's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Always `presswork-outline`.
    pub format: String,
    /// The version of this form.
    pub version: u32,
    /// What book it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// In order.
    pub chapters: Vec<Planned>,
}

/// A chapter that is planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its title, plain text.
    pub title: String,
    /// What happens in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan: String,
    /// Who is in it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub characters: Vec<String>,
    /// What it was about, once it is written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

impl Outline {
    /// Of these chapters.
    pub fn new(chapters: Vec<Planned>) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, brief: None, chapters }
    }

    /// The one that a project has, if it has one.
    ///
    /// # Errors
    /// Fatal where its file can't be used, Retry where storage fails.
    pub async fn read(project: &dyn ObjectStore) -> Result<Option<Self>, Failure> {
        Ok(Self::look(project).await?.map(|(outline, _)| outline))
    }

    /// The same, and which version of it that is.
    async fn look(project: &dyn ObjectStore) -> Result<Option<(Self, Seen)>, Failure> {
        let got = match project.get(&Path::from(FILE)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            got => got.map_err(Failure::retry)?,
        };
        let seen = Seen::of(&got.meta);
        if got.meta.size > MOST_BYTES {
            return Err(Failure::fatal(format_args!("{FILE} is larger than 8 MiB")));
        }
        let bytes = got.bytes().await.map_err(Failure::retry)?;
        let outline: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::fatal(format_args!("{FILE}, line {} column {}: {error}", error.line(), error.column()))
        })?;
        if outline.format != FORMAT || outline.version == 0 || outline.version > VERSION {
            return Err(Failure::fatal(format_args!("{FILE} is no outline that this program reads")));
        }
        Ok(Some((outline, seen)))
    }

    /// Changes the one that a project has, where it has one, and loses nothing that others change at the same time.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn change(project: &dyn ObjectStore, mut change: impl FnMut(&mut Self)) -> Result<(), Failure> {
        for _ in 0..MOST_TRIES_AT_ONCE {
            let Some((mut outline, seen)) = Self::look(project).await? else { return Ok(()) };
            change(&mut outline);
            let json = serde_json::to_vec_pretty(&outline).map_err(Failure::fatal)?;
            if put_where(project, &Path::from(FILE), json, &seen).await.map_err(Failure::retry)? {
                return Ok(());
            }
        }
        Err(busy(FILE).into())
    }

    /// Makes it the project's.
    ///
    /// # Errors
    /// Retry where storage fails.
    pub async fn write(&self, project: &dyn ObjectStore) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(self).map_err(Failure::fatal)?;
        project.put(&Path::from(FILE), PutPayload::from(json)).await.map(drop).map_err(Failure::retry)
    }
}

/// The plan that a model has answered with, of at most `wanted` chapters; `None` where it gave no plan or less than half of it.
pub(super) fn read(answer: &str, wanted: usize) -> Option<Vec<Planned>> {
    let text = unwrapped(answer);
    let mut chapters = of_json(text).unwrap_or_default();
    if chapters.is_empty() {
        chapters = of_lines(text);
    }
    chapters.truncate(wanted);
    (!chapters.is_empty() && chapters.len() * 2 >= wanted).then_some(chapters)
}

/// A plan that says no more than where in the story each chapter is, for the places that `chapters` leaves.
pub(super) fn filled_up(mut chapters: Vec<Planned>, wanted: usize) -> Vec<Planned> {
    while chapters.len() < wanted {
        let number = chapters.len() + 1;
        let plan = match number * 4 / wanted.max(1) {
            _ if number == 1 => {
                "The beginning: who is there, where they are, what they want, and what happens to them."
            }
            _ if number == wanted => "The end: what was open is decided, and everybody finds a place.",
            0 | 1 => "The way begins: first steps, first obstacles, and what is at stake.",
            2 => "The middle: a turn that nobody has foreseen makes all that was planned useless.",
            _ => "The worst moment: everything seems lost, and somebody has to decide.",
        };
        chapters.push(Planned { title: number.to_string(), plan: plan.to_owned(), ..Planned::default() });
    }
    chapters
}

/// Chapters of the first piece of JSON in a text that has some.
fn of_json(text: &str) -> Option<Vec<Planned>> {
    let places = text.match_indices(['{', '[']).map(|(place, _)| place).take(MOST_TRIES);
    for place in places {
        // serde_json bounds how deep values are.
        let value = serde_json::Deserializer::from_str(&text[place..]).into_iter::<Value>().next();
        let Some(Ok(value)) = value else { continue };
        let chapters: Vec<Planned> = list(&value)?.iter().filter_map(planned).collect();
        if !chapters.is_empty() {
            return Some(chapters);
        }
    }
    None
}

fn list(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Object(fields) => ["chapters", "outline", "plan", "book"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .chain(fields.values().filter(|value| value.is_array()))
            .find_map(list),
        _ => None,
    }
}

fn planned(value: &Value) -> Option<Planned> {
    let fields = match value {
        Value::String(text) => return named(text),
        Value::Object(fields) => fields,
        _ => return None,
    };
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| fields.get(*name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let title = text(&["title", "name", "heading", "chapter_title", "chapter"]);
    let plan = text(&["plan", "summary", "description", "synopsis", "content", "outline"]);
    let characters = fields.get("characters").and_then(Value::as_array).into_iter().flatten();
    let characters = characters.filter_map(Value::as_str).take(MOST_NAMES).map(|name| clean(name, 100));
    let planned = Planned {
        title: title_of(&title),
        plan: clean(&plan, MOST_PLAN),
        characters: characters.filter(|name| !name.is_empty()).collect(),
        summary: String::new(),
    };
    (!planned.title.is_empty() || !planned.plan.is_empty()).then(|| with_title(planned))
}

/// Chapters of a numbered list: `1. Title: plan`, `## Chapter 2 – Title` with the plan in the lines below it.
fn of_lines(text: &str) -> Vec<Planned> {
    let mut chapters: Vec<Planned> = Vec::new();
    for line in text.lines() {
        match numbered(line) {
            Some((number, rest)) if number == chapters.len() + 1 => {
                if let Some(planned) = named(rest) {
                    chapters.push(planned);
                }
            }
            _ => {
                let more = clean(line.trim_start_matches(['-', '*', ' ', '\t']), MOST_PLAN);
                if let Some(last) = chapters.last_mut().filter(|_| !more.is_empty()) {
                    last.plan = cut(&format!("{} {more}", last.plan), MOST_PLAN);
                }
            }
        }
    }
    chapters
}

/// The number that a line begins with, and what is behind it.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_start_matches(['#', '*', '-', '_', ' ', '\t', '>']);
    // A word before the number: Chapter, Kapitel, Chapitre, Глава.
    let at = line.find(|c: char| c.is_ascii_digit()).filter(|at| *at <= 24)?;
    let word = line[..at].trim();
    if !word.chars().all(char::is_alphabetic) || (at > 0 && word.is_empty()) {
        return None;
    }
    let digits = &line[at..];
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number = digits[..end].parse().ok()?;
    let rest = digits[end..].trim_start();
    let separated = rest.trim_start_matches(['.', ')', ':', '-', '–', '—', '*', '_']);
    // `3 men in a boat` is no third chapter.
    (separated.len() < rest.len() || (rest.is_empty() && !word.is_empty())).then_some((number, separated))
}

/// `Title: plan`, `**Title** plan` or a title alone.
fn named(text: &str) -> Option<Planned> {
    let text = text.trim();
    let bold = text.strip_prefix("**").and_then(|text| text.split_once("**"));
    let parted = bold.or_else(|| {
        [": ", " – ", " — ", " - "]
            .iter()
            .filter_map(|sign| text.split_once(sign))
            .min_by_key(|(title, _)| title.len())
    });
    let (title, plan) = parted.unwrap_or((text, ""));
    let plan = plan.trim_start_matches([':', '-', '–', '—', ' ']);
    let planned = Planned { title: title_of(title), plan: clean(plan, MOST_PLAN), ..Planned::default() };
    (!planned.title.is_empty()).then_some(planned)
}

fn with_title(planned: Planned) -> Planned {
    if planned.title.is_empty() { Planned { title: cut(&planned.plan, 60), ..planned } } else { planned }
}

/// A title without what models put around it: quotes, markup, `Chapter 3:`.
fn title_of(text: &str) -> String {
    let plain = clean(&plain_text(text), MOST_TITLE);
    let bare = match numbered(&plain) {
        Some((_, rest)) if !rest.is_empty() => rest.trim(),
        _ => &plain,
    };
    bare.trim_matches(['"', '“', '”', '„', '«', '»', '*', '_', ' ']).to_owned()
}

fn clean(text: &str, most: usize) -> String {
    let legal: String = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
    cut(&legal, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(answer: &str, wanted: usize) -> Option<Vec<String>> {
        read(answer, wanted).map(|chapters| chapters.into_iter().map(|chapter| chapter.title).collect())
    }

    #[test]
    fn plans_are_read_in_whatever_form_they_come() {
        for answer in [
            r#"{"chapters": [{"title": "One", "plan": "p", "characters": ["Ann"]}, {"title": "Two"}]}"#,
            "Here it is:\n```json\n[{\"name\": \"Chapter 1: One\", \"summary\": \"p\"}, \"Two: q\"]\n```\nEnjoy {it}!",
            r#"{"book": {"title": "x", "outline": [{"chapter": "One"}, {"chapter_title": "**Two**"}]}}"#,
            "1. One: p\n2. Two\n",
            "## Chapter 1: \"One\"\n\nAnn wakes.\n\n## Chapter 2 – Two\nShe leaves.\n",
            "**1. One**\n- Ann wakes.\n**2. Two**\n",
            "Kapitel 1\n1. One\n2. Two",
            "1) One - p\n2) Two - q\n3) Three - r",
        ] {
            let found = titles(answer, 2).unwrap_or_else(|| panic!("{answer}"));
            let expected = if answer.starts_with("Kapitel") { 2 } else { 0 };
            assert_eq!(found.len(), 2, "{answer}: {found:?}");
            assert!(expected == 2 || found == ["One", "Two"], "{answer}: {found:?}");
        }
        let read =
            read(r#"{"chapters": [{"title": "One", "plan": "p", "characters": ["Ann", 7]}]}"#, 1).unwrap();
        assert_eq!((&*read[0].plan, &read[0].characters), ("p", &vec!["Ann".to_owned()]));
        let below = super::read("## Chapter 1: One\n\nAnn wakes.\nShe *goes*.", 1).unwrap();
        assert_eq!(below[0].plan, "Ann wakes. She *goes*.");
    }

    #[test]
    fn what_is_no_plan_is_told_and_a_plain_one_takes_its_place() {
        for answer in
            ["", "I can't do that.", "[]", "{\"chapters\": 3}", "3 men in a boat", "{\"a\":[[[[[[]]]]]]}"]
        {
            assert_eq!(read(answer, 3), None, "{answer}");
        }
        assert_eq!(titles("1. One", 3), None, "less than half");
        let filled = filled_up(read("1. One\n2. Two", 4).unwrap(), 4);
        assert_eq!(
            filled.iter().map(|chapter| &*chapter.title).collect::<Vec<_>>(),
            ["One", "Two", "3", "4"]
        );
        assert!(filled[3].plan.starts_with("The end"));
        assert_eq!(filled_up(Vec::new(), 200).len(), 200);
    }

    #[test]
    fn titles_and_plans_are_plain_lines_of_bounded_length() {
        let hostile = serde_json::json!([{"title": "../../etc\u{1b}[31m <b>x</b>\n# y", "plan": "p\u{0}".repeat(90_000)}]);
        let read = read(&hostile.to_string(), 1).unwrap();
        assert!(!read[0].title.chars().any(char::is_control) && read[0].title.chars().count() <= MOST_TITLE);
        assert!(read[0].plan.chars().count() <= MOST_PLAN);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(super::read(&deep, 1), None);
    }
}
