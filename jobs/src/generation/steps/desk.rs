//! What the steps share: their model, their project, and how an answer survives a crash: it is kept in the checkpoint as soon as
//! it is whole, and not asked for again.

use std::{ops::Range, sync::Arc};

use object_store::ObjectStore;
use presswork::{
    artifact::ArtifactOptions,
    domain::{Failure, FileName, ProjectId},
    worker::{Context, JobFacts},
};
use serde::{Deserialize, Serialize};

use crate::{
    asking::{Bill, Caching},
    book::{
        Book, BookError, ChapterEntry, Losses, ProjectReader,
        project::{Growing, Guard, Hand, Place, put_chapter},
    },
    generation::{
        clean::Cleaned,
        extract,
        outline::{Outline, Planned},
        parts::without_title,
        pen::Pen,
        templates::Templates,
    },
};

/// How many characters of a chapter stand for it where nobody has summed it up.
const EXTRACT: usize = 500;

/// An answer of so many bytes stands in the checkpoint itself, however its letters are escaped there.
const MOST_HERE: usize = 6 << 10;

/// The checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Point {
    #[serde(default)]
    bill: Bill,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Kept>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chosen: Option<Chosen>,
}

/// Which chapter an answer is: chosen before it was asked for, and the same in each attempt, whatever others do with the book
/// meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// Its place in the plan and, unless others were faster, in the book; counted from 0.
    pub(super) index: usize,
    /// What was planned for it.
    pub(super) planned: Planned,
    /// The file of the one that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

impl Chosen {
    /// A chapter of a book that is written anew.
    pub(super) fn anew(index: usize, entry: &ChapterEntry) -> Self {
        let planned = Planned { title: entry.title.clone(), ..Planned::default() };
        Self { index, planned, file: Some(entry.file.clone()) }
    }

    /// The one that it replaces.
    pub(super) fn replaced(&self) -> Option<ChapterEntry> {
        let title = self.planned.title.clone();
        self.file.clone().map(|file| ChapterEntry { file, title })
    }
}

/// Where an answer is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kept {
    Here(String),
    /// It is too long for a checkpoint. The file goes with the next book that is published in the project.
    File(String),
}

/// Who does one step.
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) templates: Templates,
    pub(super) pen: Pen,
    pub(super) project: Arc<dyn ObjectStore>,
    growing: Growing,
    point: Point,
    job: String,
}

/// What a step tells of the chapter that it has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenChapter {
    /// The project.
    pub project: ProjectId,
    /// Which chapter, counted from 1.
    pub chapter: u64,
    /// Its title.
    pub title: String,
    /// How many words it has.
    pub words: u64,
    /// The artifact that has its text, too.
    pub file: FileName,
    /// What was spent, in all attempts together.
    pub bill: Bill,
    /// What of the model's text was dropped, counted.
    pub dropped: Losses,
    /// What the owner should know.
    pub warnings: Vec<String>,
}

impl Desk {
    pub(super) async fn open(
        context: &Context,
        project: &ProjectId,
        model: &str,
        caching: Caching,
        templates: Option<&str>,
    ) -> Result<Self, Failure> {
        let templates = Templates::load(&*context.storage(), templates).await?;
        let point: Point = context.checkpoint().unwrap_or_default();
        let pen = Pen::new(context, model, caching, point.bill.clone())?;
        let JobFacts { id, epoch, .. } = context.job();
        let (storage, job) = (context.project(project), id.to_string());
        let growing = Growing::begin(storage.clone(), &job, *epoch)?;
        Ok(Self { context: context.clone(), templates, pen, project: storage, growing, point, job })
    }

    /// Whether an earlier attempt has kept a chapter, as far as can be told without storage.
    pub(super) fn is_answered(context: &Context) -> bool {
        context.checkpoint::<Point>().is_some_and(|point| point.answer.is_some() && point.chosen.is_some())
    }

    /// The answer of an earlier attempt.
    pub(super) async fn answer(&self) -> Result<Option<String>, Failure> {
        match &self.point.answer {
            None => Ok(None),
            Some(Kept::Here(text)) => Ok(Some(text.clone())),
            Some(Kept::File(file)) => {
                let bytes = self.growing.get(file).await?;
                Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }

    /// Which chapter it is the answer for.
    pub(super) fn chosen(&self) -> Option<Chosen> {
        self.point.chosen.clone()
    }

    /// The same for an answer that is this chapter.
    pub(super) async fn keep_for(
        &mut self,
        chosen: &Chosen,
        answer: Result<String, Failure>,
    ) -> Result<String, Failure> {
        self.point.chosen = Some(chosen.clone());
        self.keep(answer).await
    }

    /// Keeps an answer: it is not asked for again. Where none came, what was spent is kept.
    pub(super) async fn keep(&mut self, answer: Result<String, Failure>) -> Result<String, Failure> {
        self.point.bill = self.pen.bill().clone();
        match answer {
            Ok(text) => {
                // What was spent is saved in any case.
                let stored = self.stored(&text).await.map(|answer| self.point.answer = Some(answer));
                self.context.save(&self.point).await?;
                stored?;
                Ok(text)
            }
            Err(Failure::LeaseLost) => Err(Failure::LeaseLost),
            Err(failure) => {
                if let Err(error) = self.context.save(&self.point).await {
                    tracing::warn!(%error, "what was spent could not be saved");
                }
                Err(failure)
            }
        }
    }

    /// An answer that is no text, whatever it was taken for when it was kept: it is asked for anew by the next attempt.
    pub(super) async fn no_text(&mut self) -> Failure {
        (self.point.answer, self.point.chosen) = (None, None);
        match self.context.save(&self.point).await {
            Ok(()) => Failure::retry("nothing that the model wrote is text: the book is left as it was"),
            Err(failure) => failure,
        }
    }

    /// Puts an answer where a later attempt finds it.
    async fn stored(&self, text: &str) -> Result<Kept, BookError> {
        if text.len() <= MOST_HERE {
            return Ok(Kept::Here(text.to_owned()));
        }
        Ok(Kept::File(self.growing.put("answer.md", text.to_owned().into()).await?))
    }

    /// The checkpoint as it is.
    pub(super) fn point(&self) -> &Point {
        &self.point
    }

    /// What was spent until now.
    pub(super) fn bill(&self) -> Bill {
        self.pen.bill().clone()
    }

    /// The project's book.
    pub(super) async fn reader(&self) -> Result<ProjectReader, Failure> {
        Ok(ProjectReader::open(self.project.clone()).await?)
    }

    /// The same where there may be none yet.
    pub(super) async fn reader_if_any(&self) -> Result<Option<ProjectReader>, Failure> {
        if self.growing.get("book.json").await?.is_none() { Ok(None) } else { self.reader().await.map(Some) }
    }

    /// The chapter that an earlier attempt of this job has put into the book.
    pub(super) fn placed(&self, book: &Book) -> Option<usize> {
        book.placed_by(&self.job)
    }

    /// Puts a chapter into the book, unless an earlier attempt has done so, and tells of it.
    pub(super) async fn place(
        &mut self,
        project: &ProjectId,
        place: Place,
        title: &str,
        cleaned: Cleaned,
        warnings: Vec<String>,
    ) -> Result<WrittenChapter, Failure> {
        let Cleaned { markdown, words, losses } = cleaned;
        let file = artifact(&self.context, "chapter.md", "text/markdown", markdown.as_bytes()).await?;
        // A last look at the lease: whoever has lost it must not change the book.
        self.context.save(&self.point).await?;
        let hand = Hand::of(&self.job, self.context.job().epoch)?.guarded(Guard::of(&self.context));
        let (_, index) = put_chapter(self.project.clone(), &hand, place, title, markdown).await?;
        Ok(WrittenChapter {
            project: project.clone(),
            chapter: index as u64 + 1,
            title: title.to_owned(),
            words,
            file,
            bill: self.bill(),
            dropped: losses,
            warnings,
        })
    }
}

/// The chapters of a book as their plan would tell of them: with its summary where the outline has one, else a few sentences of their
/// own. Only `most` of them, evenly, are looked at.
pub(super) async fn chapters_told(
    reader: &ProjectReader,
    places: Range<usize>,
    outline: &[Planned],
    most: usize,
) -> Result<Vec<Planned>, BookError> {
    let step = places.len().div_ceil(most.max(1)).max(1);
    let mut told = Vec::with_capacity(places.len().min(most));
    for (index, place) in places.enumerate().step_by(step) {
        let Some(entry) = reader.book().chapters.get(place) else { break };
        let planned = outline.get(index).filter(|planned| planned.title == entry.title);
        let summary = match planned.filter(|planned| !planned.summary.is_empty()) {
            Some(planned) => planned.summary.clone(),
            None => extract::summary(without_title(&reader.chapter(entry).await?), EXTRACT),
        };
        let planned = planned.cloned().unwrap_or_default();
        told.push(Planned { title: entry.title.to_owned(), summary, ..planned });
    }
    Ok(told)
}

/// The project's plan; one without chapters where it has none.
pub(super) async fn outline_of(project: &dyn ObjectStore) -> Result<Outline, Failure> {
    Ok(Outline::read(project).await?.unwrap_or_else(|| Outline::new(Vec::new())))
}

/// Gives something back as an artifact of the job.
pub(super) async fn artifact(
    context: &Context,
    name: &str,
    content_type: &str,
    bytes: &[u8],
) -> Result<FileName, Failure> {
    let name: FileName = name.parse().map_err(Failure::fatal)?;
    let options = ArtifactOptions { content_type: content_type.to_owned(), ..ArtifactOptions::default() };
    let mut artifact = context.artifact(&name, options).await?;
    artifact.write(bytes).await?;
    artifact.finish().await?;
    Ok(name)
}

/// The chapter of this number.
pub(super) fn entry(book: &Book, number: u32) -> Result<(usize, ChapterEntry), Failure> {
    let index = (number as usize).saturating_sub(1);
    let found = book.chapters.get(index).map(|chapter| (index, chapter.entry()));
    let there = book.chapters.len();
    found.ok_or_else(|| Failure::fatal(format_args!("there is no chapter {number}: the book has {there}")))
}
