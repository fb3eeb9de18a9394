//! The job kind `continuation`: a chapter goes on where it ends.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::desk::{Chosen, Desk, WrittenChapter, chapters_told, entry, outline_of};
use crate::{
    asking::Caching,
    book::{Book, ChapterEntry, project::Place, said::text, words::WordCount},
    generation::{
        brief::{LONGEST_TEXT, asked, number, words},
        clean::Cleaned,
        extract::tail,
        generate::{PATIENT, SHORT},
        outline::Planned,
        parts::{clean, without_title},
        pen::Wanted,
        prompts::Scene,
        templates::{Name, Values},
    },
};

/// So many chapters before it are told of.
const MOST_BEFORE: usize = 40;
/// How many characters of its end the model is shown, at most.
const SHOWN: usize = 6_000;

/// Goes on with a chapter where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continuation {
    /// Which project.
    pub project: ProjectId,
    /// Which model writes.
    pub model: String,
    /// Which chapter, counted from 1; the last one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chapter: Option<u32>,
    /// How many words more; 500 where nothing is said.
    #[serde(default = "usual_words")]
    pub words: u32,
    /// What is to happen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instruction: String,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

pub(in crate::generation) fn usual_words() -> u32 {
    500
}

impl Kind for Continuation {
    const NAME: KindName = KindName::literal("continuation");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = WrittenChapter;

    fn check(&self) -> Result<(), String> {
        asked(&self.model, self.templates.as_deref())?;
        self.chapter.map_or(Ok(()), number)?;
        words("a continuation", self.words)?;
        text("the instruction", &self.instruction, LONGEST_TEXT)
    }

    async fn run(self, context: Context) -> Result<WrittenChapter, Failure> {
        let mut desk =
            Desk::open(&context, &self.project, &self.model, self.caching, self.templates.as_deref()).await?;
        let reader = desk.reader().await?;
        let book = reader.book().clone();
        let last = u32::try_from(book.chapters.len()).unwrap_or(u32::MAX);
        // The last one of the first attempt: others may have been added since.
        let (number, (index, entry)) = match desk.chosen() {
            Some(chosen) => again(&book, &chosen)?,
            None => {
                let number = self.chapter.unwrap_or(last);
                (number, entry(&book, number)?)
            }
        };
        let markdown = reader.chapter(&entry).await?;
        let before = without_title(&markdown);
        let mut warnings = Vec::new();
        let answer = match desk.answer().await? {
            Some(answer) => answer,
            None => {
                let outline = outline_of(&*desk.project).await?;
                let first = index.saturating_sub(MOST_BEFORE);
                let mut chapters = chapters_told(&reader, first..index, &[], MOST_BEFORE).await?;
                let planned = outline.chapters.get(index).filter(|planned| planned.title == entry.title);
                chapters.push(Planned { title: entry.title.clone(), ..planned.cloned().unwrap_or_default() });
                let brief = Values::new([
                    ("title", book.metadata.title.clone()),
                    ("language", book.metadata.language.clone()),
                    ("words", self.words.to_string()),
                    ("instruction", self.instruction.clone()),
                ]);
                let scene = Scene {
                    brief,
                    chapters: &chapters,
                    index: chapters.len() - 1,
                    sheets: &[],
                    previous: "",
                };
                let values = |level: usize| {
                    let shown = tail(before, SHOWN >> level.min(4));
                    scene.values(level).with("number", number.to_string()).with("text", shown)
                };
                let template = desk.templates.get(Name::Continuation);
                let wanted = Wanted {
                    step: &format!("continuation of chapter {number}"),
                    template,
                    values: &values,
                    continuation: template,
                    words: self.words,
                };
                context.progress(0, 1, &format!("going on with chapter {number}: {}", entry.title));
                let prose = desk.pen.prose(&wanted).await;
                if prose.as_ref().is_ok_and(|prose| prose.is_cut) {
                    warnings.push("the text was cut where the model's longest answer ended".to_owned());
                }
                let chosen = Chosen::anew(index, &entry);
                desk.keep_for(&chosen, prose.map(|prose| prose.text)).await?
            }
        };
        let added = clean(answer, &entry.title).await?;
        if added.words == 0 {
            return Err(desk.no_text().await);
        }
        // What an earlier attempt has put there is the whole already.
        let cleaned = if desk.placed(&book) == Some(index) {
            Cleaned { words: WordCount::of(before), markdown: markdown.clone(), losses: added.losses }
        } else {
            let whole = format!("{}\n\n{}\n", markdown.trim_end(), without_title(&added.markdown));
            Cleaned { words: WordCount::of(without_title(&whole)), markdown: whole, losses: added.losses }
        };
        let title = entry.title.clone();
        let written = desk.place(&self.project, Place::At(entry), &title, cleaned, warnings).await?;
        context.progress(1, 1, "the chapter goes on");
        Ok(written)
    }
}

/// The chapter that an earlier attempt has chosen, under whatever number it is now.
fn again(book: &Book, chosen: &Chosen) -> Result<(u32, (usize, ChapterEntry)), Failure> {
    let entry = chosen.replaced().unwrap_or(ChapterEntry { file: String::new(), title: String::new() });
    let found = book.chapters.iter().position(|chapter| chapter.name() == entry.name());
    let found = found.and_then(|index| book.chapters.get(index).map(|chapter| (index, chapter.entry())));
    let (index, entry) = found.ok_or_else(|| {
        Failure::fatal(format_args!("the chapter {:?} has gone from the book meanwhile", entry.title))
    })?;
    Ok((u32::try_from(index + 1).unwrap_or(u32::MAX), (index, entry)))
}
