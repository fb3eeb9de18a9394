//! The job kind `chapter`: writes one chapter of a project's plan, or one of its own plan, into the book. Several at once that name
//! no chapter write one behind the other, each a chapter of its own.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::{
    desk::{Chosen, Desk, WrittenChapter, chapters_told, outline_of},
    turn::Turn,
};
use crate::{
    asking::Caching,
    book::{
        ProjectReader,
        project::Place,
        said::{line, text},
    },
    generation::{
        brief::{Brief, asked, number, words},
        extract,
        generate::{PATIENT, SHORT},
        outline::{MOST_PLAN, MOST_TITLE, Outline, Planned},
        parts::{clean, metadata, without_title},
        pen::Wanted,
        people::People,
        prompts::Scene,
        templates::Name,
    },
};

/// So many chapters before it are remembered.
const MOST_BEFORE: usize = 200;
/// How many characters sum it up in the project's plan.
const EXTRACT: usize = 800;

/// Writes one chapter into a project's book: the next one, or another one in the place of one that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteChapter {
    /// Which project.
    pub project: ProjectId,
    /// Which model writes.
    pub model: String,
    /// Which chapter, counted from 1; the one behind the last where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chapter: Option<u32>,
    /// Whether one that is there may be replaced.
    #[serde(default)]
    pub replace: bool,
    /// Its title, in place of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What happens in it, in place of what is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// How many words it has; as many as the brief says where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<u32>,
    /// What book it is; what the project's plan was made for where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

impl Kind for WriteChapter {
    const NAME: KindName = KindName::literal("chapter");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = WrittenChapter;

    fn check(&self) -> Result<(), String> {
        asked(&self.model, self.templates.as_deref())?;
        self.chapter.map_or(Ok(()), number)?;
        self.words.map_or(Ok(()), |asked| words("a chapter", asked))?;
        self.brief.as_ref().map_or(Ok(()), Brief::check)?;
        line("the title", self.title.as_deref().unwrap_or_default())?;
        text("the title", self.title.as_deref().unwrap_or_default(), MOST_TITLE)?;
        text("the plan", self.plan.as_deref().unwrap_or_default(), MOST_PLAN)
    }

    async fn run(self, context: Context) -> Result<WrittenChapter, Failure> {
        let mut turn = Turn::of(&context, &self.project);
        let written = self.in_turn(&context, &mut turn).await;
        if !matches!(written, Err(Failure::LeaseLost)) {
            turn.give_back().await;
        }
        written
    }
}

impl WriteChapter {
    /// Writes the chapter where it is its turn, or has no need of one.
    async fn in_turn(&self, context: &Context, turn: &mut Turn) -> Result<WrittenChapter, Failure> {
        // Before all that takes reading: a job that is behind others looks again and again.
        let may_replace = self.chapter.is_some() && self.replace;
        if !may_replace && !Desk::is_answered(context) {
            turn.take().await?;
        }
        let mut desk =
            Desk::open(context, &self.project, &self.model, self.caching, self.templates.as_deref()).await?;
        match (desk.answer().await?, desk.chosen()) {
            (Some(answer), Some(chosen)) => self.put(&mut desk, answer, chosen, Vec::new()).await,
            _ => self.write(&mut desk, turn).await,
        }
    }

    /// Writes the chapter whose turn it is, and puts it into the book.
    async fn write(&self, desk: &mut Desk, turn: &mut Turn) -> Result<WrittenChapter, Failure> {
        let mut reader = desk.reader_if_any().await?;
        let there =
            |reader: &Option<ProjectReader>| reader.as_ref().map_or(0, |reader| reader.book().chapters.len());
        let is_next = self.chapter.is_none_or(|number| number as usize > there(&reader));
        if is_next && !turn.is_taken() {
            turn.take().await?;
            // Others have written until then.
            reader = desk.reader_if_any().await?;
        }
        let there = there(&reader);
        let outline = outline_of(&*desk.project).await?;
        let brief = self.brief(&outline)?;
        // What an earlier attempt has put there is this job's.
        let placed = reader.as_ref().and_then(|reader| desk.placed(reader.book()));
        let index = match (placed, self.chapter) {
            (Some(index), _) => index,
            (None, Some(number)) => number as usize - 1,
            (None, None) => there,
        };
        if placed.is_none() {
            self.check_place(index, there)?;
        }
        let planned = self.planned(&outline, index)?;
        let replaced = reader.as_ref().and_then(|reader| reader.book().chapters.get(index));
        let file = replaced.map(|chapter| chapter.file());
        let chosen = Chosen { index, planned: planned.clone(), file };
        let mut chapters = Vec::new();
        let mut previous = String::new();
        if let Some(reader) = &reader
            && let Some(last) = index.checked_sub(1).and_then(|last| reader.book().chapters.get(last))
        {
            chapters = chapters_told(reader, 0..index, &outline.chapters, MOST_BEFORE).await?;
            without_title(&reader.chapter(last).await?).clone_into(&mut previous);
        }
        let before = chapters.len();
        chapters.push(planned.clone());
        chapters.extend(outline.chapters.iter().skip(index + 1).cloned());
        let people = People::of(&desk.context, &self.project, &brief.characters).await?;
        let sheets = people.in_chapter(&planned).await?;
        let scene = Scene {
            brief: brief.values(),
            chapters: &chapters,
            index: before,
            sheets: &sheets,
            previous: &previous,
        };
        let words = self.words.unwrap_or(brief.words);
        let values = |level| {
            scene.values(level).with("number", (index + 1).to_string()).with("words", words.to_string())
        };
        let wanted = Wanted {
            step: &format!("chapter {}", index + 1),
            template: desk.templates.get(Name::Chapter),
            values: &values,
            continuation: desk.templates.get(Name::Continuation),
            words,
        };
        desk.context.progress(0, 1, &format!("writing chapter {}: {}", index + 1, planned.title));
        let prose = turn.kept_while(desk.pen.prose(&wanted)).await;
        let mut warnings = Vec::new();
        if prose.as_ref().is_ok_and(|prose| prose.is_cut) {
            warnings.push("the chapter was cut where the model's longest answer ended".to_owned());
        }
        let answer = desk.keep_for(&chosen, prose.map(|prose| prose.text)).await?;
        self.put(desk, answer, chosen, warnings).await
    }

    /// Puts a chapter that is written into the book and the plan.
    async fn put(
        &self,
        desk: &mut Desk,
        answer: String,
        chosen: Chosen,
        warnings: Vec<String>,
    ) -> Result<WrittenChapter, Failure> {
        let Chosen { index, planned, .. } = &chosen;
        let cleaned = clean(answer, &planned.title).await?;
        if cleaned.words == 0 {
            return Err(desk.no_text().await);
        }
        let place = match chosen.replaced() {
            Some(entry) => Place::At(entry),
            None => {
                let brief = self.brief(&outline_of(&*desk.project).await?)?;
                let metadata = Box::new(metadata(&brief.title, &brief.author, &brief.language));
                if self.chapter.is_some() { Place::Next(*index, metadata) } else { Place::End(metadata) }
            }
        };
        let summary = extract::summary(without_title(&cleaned.markdown), EXTRACT);
        let mut written = desk.place(&self.project, place, &planned.title, cleaned, warnings).await?;
        if written.chapter != *index as u64 + 1 {
            let (place, meant) = (written.chapter, index + 1);
            written.warnings.push(format!(
                "it was written as chapter {meant} and is chapter {place}: others were written meanwhile"
            ));
        }
        // As it is now: another job may have planned anew meanwhile.
        Outline::change(&*desk.project, |outline| {
            let Some(chapter) = outline.chapters.get_mut(*index) else { return };
            if self.title.is_some() || self.plan.is_some() {
                *chapter = Planned { summary: summary.clone(), ..planned.clone() };
            } else if chapter.title == planned.title {
                chapter.summary.clone_from(&summary);
            }
        })
        .await?;
        desk.context.progress(1, 1, "the chapter is written");
        Ok(written)
    }

    fn brief(&self, outline: &Outline) -> Result<Brief, Failure> {
        self.brief.clone().or_else(|| outline.brief.clone()).ok_or_else(|| {
            Failure::fatal(
                "nobody has said what book it is: give a brief, or plan the book with the kind outline",
            )
        })
    }

    fn check_place(&self, index: usize, there: usize) -> Result<(), Failure> {
        let number = index + 1;
        if index > there {
            let next = there + 1;
            return Err(Failure::fatal(format_args!(
                "chapter {number} can't be written yet: the next one is chapter {next}"
            )));
        }
        if index < there && !self.replace {
            let how = "say replace to have another one in its place, or ask for a rewrite";
            return Err(Failure::fatal(format_args!("chapter {number} is written already: {how}")));
        }
        Ok(())
    }

    /// What is planned for it, by the project or by this job.
    fn planned(&self, outline: &Outline, index: usize) -> Result<Planned, Failure> {
        let planned = outline.chapters.get(index).cloned();
        if planned.is_none() && self.plan.is_none() && self.title.is_none() {
            return Err(Failure::fatal(format_args!(
                "nothing is planned for chapter {}: give a plan or a title, or plan the book with the kind outline",
                index + 1
            )));
        }
        let mut planned = planned.unwrap_or_default();
        if let Some(plan) = &self.plan {
            planned.plan.clone_from(plan);
        }
        if let Some(title) = &self.title {
            planned.title.clone_from(title);
        }
        if planned.title.trim().is_empty() {
            planned.title = (index + 1).to_string();
        }
        Ok(planned)
    }
}
