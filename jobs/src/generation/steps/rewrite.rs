//! The job kind `rewrite`: a chapter once more, as its author asks. Pictures and links that it has may stay.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::desk::{Desk, WrittenChapter, chapters_told, entry, outline_of};
use crate::{
    asking::Caching,
    book::{
        project::Place,
        said::{line, text},
        words::WordCount,
    },
    generation::{
        brief::{LONGEST_TEXT, MOST_CHARACTERS, asked, number},
        clean::Kept,
        generate::{PATIENT, SHORT},
        outline::Planned,
        parts::{clean_with, without_title},
        people::People,
        prompts::Scene,
        templates::{Name, Values},
    },
    model::Finish,
};

/// So many chapters before it are told of.
const MOST_BEFORE: usize = 40;

/// Rewrites a chapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Which project.
    pub project: ProjectId,
    /// Which model writes.
    pub model: String,
    /// Which chapter, counted from 1.
    pub chapter: u32,
    /// What is to become of it.
    pub instruction: String,
    /// Who is in it: ids or names of the project's characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub characters: Vec<String>,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

impl Kind for Rewrite {
    const NAME: KindName = KindName::literal("rewrite");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = WrittenChapter;

    fn check(&self) -> Result<(), String> {
        asked(&self.model, self.templates.as_deref())?;
        number(self.chapter)?;
        if self.instruction.trim().is_empty() {
            return Err("say what is to become of the chapter: the instruction is empty".to_owned());
        }
        text("the instruction", &self.instruction, LONGEST_TEXT)?;
        if self.characters.len() > MOST_CHARACTERS {
            return Err(format!("at most {MOST_CHARACTERS} characters can be named"));
        }
        self.characters.iter().try_for_each(|name| line("a character's name", name))
    }

    async fn run(self, context: Context) -> Result<WrittenChapter, Failure> {
        let mut desk =
            Desk::open(&context, &self.project, &self.model, self.caching, self.templates.as_deref()).await?;
        let reader = desk.reader().await?;
        let book = reader.book().clone();
        let (index, entry) = entry(&book, self.chapter)?;
        let markdown = reader.chapter(&entry).await?;
        let answer = match desk.answer().await? {
            Some(answer) => answer,
            None => {
                let outline = outline_of(&*desk.project).await?;
                let mut chapters =
                    chapters_told(&reader, index.saturating_sub(MOST_BEFORE)..index, &[], MOST_BEFORE)
                        .await?;
                chapters.push(Planned {
                    title: entry.title.clone(),
                    ..outline.chapters.get(index).cloned().unwrap_or_default()
                });
                let people = People::of(&context, &self.project, &self.characters).await?;
                let sheets = people.all().await?;
                let brief = Values::new([
                    ("title", book.metadata.title.clone()),
                    ("language", book.metadata.language.clone()),
                    ("instruction", self.instruction.clone()),
                    ("text", without_title(&markdown).to_owned()),
                ]);
                let (last, number) = (chapters.len() - 1, self.chapter.to_string());
                let scene = Scene { brief, chapters: &chapters, index: last, sheets: &sheets, previous: "" };
                let values = |level| scene.values(level).with("number", number.clone());
                context.progress(0, 1, &format!("rewriting chapter {number}: {}", entry.title));
                let words = u32::try_from(WordCount::of(&markdown)).unwrap_or(u32::MAX);
                let output = desk.pen.output(words.saturating_mul(3) / 2 + 200);
                let request = desk.pen.request(desk.templates.get(Name::Rewrite), &values, output)?;
                let request = request.map_err(Failure::fatal)?;
                let text = match desk.pen.once(&format!("rewrite of chapter {number}"), request).await {
                    Ok((_, Finish::Length)) => Err(Failure::fatal(
                        "the rewritten chapter is longer than the model's answers: choose one with longer answers, or divide \
                         the chapter; it is left as it was",
                    )),
                    Ok((text, _)) => Ok(text),
                    Err(failure) => Err(failure),
                };
                desk.keep(text).await?
            }
        };
        let cleaned = clean_with(answer, &entry.title, Kept::of(&markdown)).await?;
        if cleaned.words == 0 {
            return Err(desk.no_text().await);
        }
        let title = entry.title.clone();
        let written = desk.place(&self.project, Place::At(entry), &title, cleaned, Vec::new()).await?;
        context.progress(1, 1, "the chapter is rewritten");
        Ok(written)
    }
}
