//! The job kind `character-sheet`: describes a character and puts it among the project's.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::desk::{Desk, outline_of};
use crate::{
    asking::{Bill, Caching},
    book::{
        Character, CharacterId, Characters, Stored,
        names::slug,
        said::{language, line, text},
    },
    generation::{
        brief::{LONGEST_TEXT, MOST_CHARACTERS, asked, usual_language},
        clean::unwrapped,
        extract::cut,
        generate::{PATIENT, SHORT},
        parts::in_short,
        people::People,
        templates::{Name, Values},
    },
};

/// How many words of a sheet are asked for, at most.
const WORDS: u32 = 400;
/// How many characters a field has at most.
const MOST_FIELD: usize = 4_000;
/// And a word or name in a list.
const MOST_WORD: usize = 100;
/// How many words a list has at most.
const MOST_TRAITS: usize = 30;

/// Describes a character of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharacterSheet {
    /// Which project; made where there is none.
    pub project: ProjectId,
    /// Which model writes.
    pub model: String,
    /// What people call them.
    pub name: String,
    /// What their file is called; made of the name where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CharacterId>,
    /// What is known of them already.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Others whom the model is to know: ids or names of the project's characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub characters: Vec<String>,
    /// In which language (BCP 47); `en` where nothing is said.
    #[serde(default = "usual_language")]
    pub language: String,
    /// Whether one of this id that is there may be replaced.
    #[serde(default)]
    pub replace: bool,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

/// A character that was described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// The project.
    pub project: ProjectId,
    /// The character, as it is in the project now.
    pub character: Character,
    /// What was spent, in all attempts together.
    pub bill: Bill,
}

impl Kind for CharacterSheet {
    const NAME: KindName = KindName::literal("character-sheet");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = Sheet;

    fn check(&self) -> Result<(), String> {
        asked(&self.model, self.templates.as_deref())?;
        line("the name", &self.name)?;
        text("the notes", &self.notes, LONGEST_TEXT)?;
        language(&self.language)?;
        if self.characters.len() > MOST_CHARACTERS {
            return Err(format!("at most {MOST_CHARACTERS} characters can be named"));
        }
        self.characters.iter().try_for_each(|name| line("a character's name", name))?;
        if self.name.trim().is_empty() {
            return Err("the character needs a name".to_owned());
        }
        self.character_id().map(drop)
    }

    async fn run(self, context: Context) -> Result<Sheet, Failure> {
        let id = self.character_id().map_err(Failure::fatal)?;
        let mut desk =
            Desk::open(&context, &self.project, &self.model, self.caching, self.templates.as_deref()).await?;
        let characters = Characters::of(desk.project.clone());
        let answer = match desk.answer().await? {
            Some(answer) => answer,
            None => {
                if !self.replace && characters.has(&id).await? {
                    return Err(taken(&id));
                }
                let brief = outline_of(&*desk.project).await?.brief;
                let people = People::of(&context, &self.project, &self.characters).await?;
                let sheets = people.all().await?;
                let values = |level: usize| {
                    let mut values = Values::new([
                        ("name", self.name.clone()),
                        ("notes", self.notes.clone()),
                        ("language", self.language.clone()),
                        ("characters", in_short(&sheets)),
                    ]);
                    if let Some(brief) = &brief {
                        values.set("title", brief.title.clone());
                        values.set("genre", brief.genre.clone());
                        values.set("premise", brief.premise.clone());
                    }
                    if values.is_empty("title") {
                        values.set("title", self.project.to_string());
                    }
                    for name in ["notes", "premise", "characters"] {
                        values.shorten(name, LONGEST_TEXT >> (2 * level));
                    }
                    values
                };
                context.progress(0, 1, &format!("describing {}", self.name));
                let output = desk.pen.output(WORDS);
                let request = desk.pen.request(desk.templates.get(Name::CharacterSheet), &values, output)?;
                let request = request.map_err(Failure::fatal)?;
                let text = desk.pen.once(&format!("sheet of {}", self.name), request).await;
                desk.keep(text.map(|(text, _)| text)).await?
            }
        };
        let character = read(&answer, id.clone(), self.name.trim());
        // Which one it was is told by the answer that was kept: a second attempt finds what the first has stored.
        if characters.ensure(&character, self.replace).await? == Stored::Kept {
            return Err(taken(&id));
        }
        context.progress(1, 1, "the character is described");
        Ok(Sheet { project: self.project, character, bill: desk.bill() })
    }
}

impl CharacterSheet {
    fn character_id(&self) -> Result<CharacterId, String> {
        match &self.id {
            Some(id) => Ok(id.clone()),
            None => slug(&self.name, 100)
                .parse()
                .map_err(|error| format!("no id can be made of the name: {error}; give one")),
        }
    }
}

fn taken(id: &CharacterId) -> Failure {
    Failure::fatal(format_args!("there is a character {id} already: say replace, or give another id"))
}

/// A character out of a model's answer: JSON in some form, or a description.
fn read(answer: &str, id: CharacterId, name: &str) -> Character {
    let text = unwrapped(answer);
    let place = text.find('{').unwrap_or(text.len());
    let value = serde_json::Deserializer::from_str(&text[place..]).into_iter::<Value>().next();
    let fields = match value {
        Some(Ok(Value::Object(fields))) => fields,
        _ => serde_json::Map::new(),
    };
    let field = |names: &[&str], most: usize| {
        let found = names.iter().find_map(|name| fields.get(*name));
        let text = found.map_or_else(String::new, plain);
        cut(&clean(&text), most)
    };
    let traits = match fields.get("traits") {
        Some(Value::Array(items)) => items.iter().map(plain).collect(),
        Some(Value::String(text)) => text.split([',', ';']).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let traits = traits.iter().map(|word| cut(&clean(word), MOST_WORD)).filter(|word| !word.is_empty());
    let mut character = Character {
        id,
        name: name.to_owned(),
        aliases: Vec::new(),
        role: field(&["role"], MOST_WORD),
        description: field(&["description", "summary"], MOST_FIELD),
        traits: traits.take(MOST_TRAITS).collect(),
        appearance: field(&["appearance", "looks"], MOST_FIELD),
        background: field(&["background", "history"], MOST_FIELD),
        relationships: Vec::new(),
        notes: String::new(),
        first_chapter: None,
        extra: serde_json::Map::new(),
    };
    if fields.is_empty() {
        character.description = cut(&clean(text), MOST_FIELD);
    }
    character
}

/// A value's text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_read_from_whatever_the_model_says() {
        let read = |answer: &str| read(answer, "ann".parse().unwrap(), "Ann");
        let json = r#"Sure: {"role": "heroine\u001b", "traits": "brave, late", "appearance": ["tall", "grey"], "age": 7, "notes": "no"}"#;
        let character = read(json);
        assert_eq!((&*character.role, &*character.appearance), ("heroine", "tall, grey"));
        assert_eq!((character.traits, &*character.notes), (vec!["brave".to_owned(), "late".to_owned()], ""));
        assert_eq!(read("She is\u{0} brave.").description, "She is brave.");
        assert!(read(&format!("{{\"description\": \"{}\"}}", "x ".repeat(90_000))).file().is_ok());
        assert_eq!(read("{\"a\": ").description, "{\"a\":");
    }
}
