//! What is to be written, as its author says it. Owns: [`Brief`] and its bounds, and the bounds of what all kinds here are told.

use serde::{Deserialize, Serialize};

use super::templates::{Values, check_set};
use crate::book::said::{language, line, text};

/// How many chapters a book has at most.
pub(super) const MOST_CHAPTERS: u32 = 200;
/// How many words a chapter has at most, as far as that is asked for.
pub(super) const MOST_WORDS: u32 = 20_000;
/// And at least.
const LEAST_WORDS: u32 = 20;
/// How many characters may be named.
pub(super) const MOST_CHARACTERS: usize = 100;
const LONGEST_STYLE: usize = 2_000;
pub(super) const LONGEST_TEXT: usize = 20_000;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// The book's title.
    pub title: String,
    /// What sort of book: `crime novel`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub genre: String,
    /// How it is written: `first person, dry`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub style: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub premise: String,
    /// What else the models must know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Who is in it: ids or names of the project's characters, whose sheets go into what models are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub characters: Vec<String>,
    /// How many chapters; 10 where nothing is said.
    #[serde(default = "usual_chapters")]
    pub chapters: u32,
    /// How many words a chapter has, more or less; 1,500 where nothing is said.
    #[serde(default = "usual_words")]
    pub words: u32,
    /// In which language (BCP 47); `en` where nothing is said.
    #[serde(default = "usual_language")]
    pub language: String,
    /// Whose name stands on it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
}

pub(super) fn usual_chapters() -> u32 {
    10
}

pub(super) fn usual_words() -> u32 {
    1_500
}

pub(super) fn usual_language() -> String {
    "en".to_owned()
}

impl Brief {
    /// Whether it can be written.
    ///
    /// # Errors
    /// What is wrong with it, for the one who made it.
    pub fn check(&self) -> Result<(), String> {
        if self.title.trim().is_empty() {
            return Err("the book needs a title".to_owned());
        }
        line("the title", &self.title)?;
        line("the genre", &self.genre)?;
        line("the author", &self.author)?;
        text("the style", &self.style, LONGEST_STYLE)?;
        text("the premise", &self.premise, LONGEST_TEXT)?;
        text("the notes", &self.notes, LONGEST_TEXT)?;
        if self.characters.len() > MOST_CHARACTERS {
            return Err(format!("at most {MOST_CHARACTERS} characters can be named"));
        }
        for name in &self.characters {
            if name.trim().is_empty() {
                return Err("a character's name is empty".to_owned());
            }
            line("a character's name", name)?;
        }
        if !(1..=MOST_CHAPTERS).contains(&self.chapters) {
            return Err(format!("a book has 1 to {MOST_CHAPTERS} chapters, not {}", self.chapters));
        }
        words("a chapter", self.words)?;
        language(&self.language)
    }

    /// What templates may say of it.
    pub(super) fn values(&self) -> Values {
        Values::new([
            ("title", self.title.clone()),
            ("genre", self.genre.clone()),
            ("style", self.style.clone()),
            ("premise", self.premise.clone()),
            ("notes", self.notes.clone()),
            ("author", self.author.clone()),
            ("language", self.language.clone()),
            ("chapters", self.chapters.to_string()),
            ("words", self.words.to_string()),
        ])
    }
}

/// Whether so many words can be asked for.
pub(super) fn words(of: &str, words: u32) -> Result<(), String> {
    if (LEAST_WORDS..=MOST_WORDS).contains(&words) {
        return Ok(());
    }
    Err(format!("{of} of {words} words: ask for {LEAST_WORDS} to {MOST_WORDS}"))
}

/// Whether a chapter can have this number.
pub(super) fn number(number: u32) -> Result<(), String> {
    if number == 0 { Err("chapters are counted from 1".to_owned()) } else { Ok(()) }
}

/// Whether a model can be called so, and a set of templates.
pub(super) fn asked(model: &str, templates: Option<&str>) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if model.is_empty() || model.len() > 60 || !model.bytes().all(plain) {
        return Err("model is the name of a table below [models] of the settings: 1 to 60 of a-z 0-9 - _ ."
            .to_owned());
    }
    templates.map_or(Ok(()), check_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_written_is_said_before_it_is_paid_for() {
        let brief = |json: serde_json::Value| serde_json::from_value::<Brief>(json).unwrap();
        let good = brief(serde_json::json!({"title": "T"}));
        assert_eq!((good.check(), good.chapters, good.words, &*good.language), (Ok(()), 10, 1_500, "en"));
        type Slip = fn(&mut Brief);
        let cases: [(Slip, &str); 12] = [
            (|brief| brief.title = " ".into(), "needs a title"),
            (|brief| brief.title = "x".repeat(201), "201 characters"),
            (|brief| brief.title = "a\nb".into(), "control characters"),
            (|brief| brief.genre = "\u{1b}".into(), "control characters"),
            (|brief| brief.premise = "x".repeat(20_001), "the premise has 20001"),
            (|brief| brief.characters = vec!["x".into(); 101], "at most 100"),
            (|brief| brief.characters = vec![" ".into()], "is empty"),
            (|brief| brief.chapters = 0, "1 to 200"),
            (|brief| brief.chapters = 201, "1 to 200"),
            (|brief| brief.words = 5, "20 to 20000"),
            (|brief| brief.language = "englisch oder so".into(), "no language"),
            (|brief| brief.language = String::new(), "no language"),
        ];
        for (spoil, what) in cases {
            let mut brief = good.clone();
            spoil(&mut brief);
            let problem = brief.check().unwrap_err();
            assert!(problem.contains(what), "{problem}");
        }
        for model in ["", "a b", "A", "../x", &"x".repeat(61)] {
            assert!(asked(model, None).is_err(), "{model}");
        }
        assert!(asked("gpt-4.1_x", Some("noir")).is_ok() && asked("m", Some("../x")).is_err());
    }
}
