//! The job kind `synopsis`: tells what a book is about, from what its chapters are about.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::desk::{Desk, chapters_told, outline_of};
use crate::{
    asking::{Bill, Caching},
    book::{
        project::{Guard, describe_book},
        said::language,
    },
    generation::{
        brief::{asked, words},
        clean::shown,
        extract::{cut, whole_sentences},
        generate::{PATIENT, SHORT},
        templates::{Name, Values},
    },
    model::Finish,
};

/// So many chapters are told of, evenly.
const MOST_CHAPTERS: usize = 300;
/// How many words may be asked for; the answer is a small one.
const MOST_WORDS: u32 = 3_000;
/// How many characters of it the title page takes.
const MOST_DESCRIPTION: usize = 4_000;

/// Tells what a project's book is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synopsis {
    /// Which project.
    pub project: ProjectId,
    /// Which model writes.
    pub model: String,
    /// How many words at most; 300 where nothing is said.
    #[serde(default = "usual_words")]
    pub words: u32,
    /// In which language (BCP 47); the book's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether it becomes the book's description, too.
    #[serde(default)]
    pub describe: bool,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

/// What a book is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The project.
    pub project: ProjectId,
    /// The synopsis.
    pub synopsis: String,
    /// What was spent, in all attempts together.
    pub bill: Bill,
}

pub(in crate::generation) fn usual_words() -> u32 {
    300
}

impl Kind for Synopsis {
    const NAME: KindName = KindName::literal("synopsis");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = Told;

    fn check(&self) -> Result<(), String> {
        asked(&self.model, self.templates.as_deref())?;
        words("a synopsis", self.words)?;
        if self.words > MOST_WORDS {
            return Err(format!("a synopsis has at most {MOST_WORDS} words"));
        }
        self.language.as_deref().map_or(Ok(()), language)
    }

    async fn run(self, context: Context) -> Result<Told, Failure> {
        let mut desk =
            Desk::open(&context, &self.project, &self.model, self.caching, self.templates.as_deref()).await?;
        let answer = match desk.answer().await? {
            Some(answer) => answer,
            None => {
                context.progress(0, 1, "reading the book");
                let reader = desk.reader().await?;
                let book = reader.book();
                let outline = outline_of(&*desk.project).await?;
                let told =
                    chapters_told(&reader, 0..book.chapters.len(), &outline.chapters, MOST_CHAPTERS).await?;
                let genre =
                    outline.brief.filter(|brief| brief.title == book.metadata.title).map(|brief| brief.genre);
                let values = |level: usize| {
                    let room = [1_500, 600, 250, 100, 40][level.min(4)];
                    let line = |chapter: &crate::generation::Planned| {
                        format!("{}: {}", chapter.title, cut(&chapter.summary, room))
                    };
                    Values::new([
                        ("title", book.metadata.title.clone()),
                        ("author", book.metadata.authors.join(", ")),
                        ("genre", genre.clone().unwrap_or_default()),
                        ("language", self.language.clone().unwrap_or_else(|| book.metadata.language.clone())),
                        ("words", self.words.to_string()),
                        ("text", told.iter().map(line).collect::<Vec<_>>().join("\n\n")),
                    ])
                };
                let output = desk.pen.output(self.words);
                let request = desk.pen.request(desk.templates.get(Name::Synopsis), &values, output)?;
                let request = request.map_err(Failure::fatal)?;
                context.progress(0, 1, "writing the synopsis");
                let text = desk.pen.once("synopsis", request).await.map(|(mut text, finish)| {
                    if finish == Finish::Length {
                        text.truncate(whole_sentences(&text));
                    }
                    text
                });
                desk.keep(text).await?
            }
        };
        let mut synopsis = shown(answer.trim()).into_owned();
        // As bounded as a result has to be, whatever came.
        synopsis.truncate(synopsis.floor_char_boundary(64 << 10));
        if self.describe {
            context.save(&desk.point()).await?;
            let description = cut(&synopsis, MOST_DESCRIPTION);
            describe_book(desk.project.clone(), &Guard::of(&context), &description).await?;
        }
        context.progress(1, 1, "the synopsis is written");
        Ok(Told { project: self.project, synopsis, bill: desk.bill() })
    }
}
