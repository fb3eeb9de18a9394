//! The job kind `generate`: what it is told, and what it tells. `author` does the work.

use std::{str::FromStr, time::Duration};

use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::{
    author::Author,
    brief::{Brief, asked},
};
use crate::{
    asking::{Bill, Caching},
    book::Losses,
};

/// Writes a whole book into a project: plans it, writes its chapters one after the other, revises them where that is asked for.
/// Each chapter is stored as soon as it is finished, and a job that is interrupted goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Which project; made where there is none. A book that it holds stays whole and in use until the new one is whole.
    pub project: ProjectId,
    /// What is to be written.
    pub brief: Brief,
    /// Which model writes: the name of one of `[models]`, or `builtin`.
    pub model: String,
    /// Whether each chapter is revised once it is written.
    #[serde(default)]
    pub revision: bool,
    /// Which model revises; the one that writes where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_model: Option<String>,
    /// How a chapter is remembered for those behind it.
    #[serde(default)]
    pub summaries: Summaries,
    /// Whether questions that were asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates, where it has one: `noir` for its files `noir.chapter.md` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

/// How a chapter is remembered for those behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Summaries {
    /// The model sums it up.
    #[default]
    Model,
    /// A few of its own sentences are taken, which costs nothing.
    Extract,
}

impl Summaries {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Model, Self::Extract];

    /// The name users write: `model`, `extract`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Extract => "extract",
        }
    }
}

/// The text is no way to remember a chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a way to remember a chapter: one of model, extract")]
pub struct SummariesError;

impl FromStr for Summaries {
    type Err = SummariesError;

    fn from_str(text: &str) -> Result<Self, SummariesError> {
        Self::ALL.into_iter().find(|way| way.name() == text).ok_or(SummariesError)
    }
}

/// What a generation tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// The project.
    pub project: ProjectId,
    /// The book's title.
    pub title: String,
    /// How many chapters were written.
    pub chapters: u64,
    /// How many words they have, more or less.
    pub words: u64,
    /// What was spent, in all attempts together, and what came from the cache.
    pub bill: Bill,
    /// What of the models' texts was dropped, counted: links, pictures, raw HTML.
    pub dropped: Losses,
    /// What the owner should know.
    pub warnings: Vec<String>,
}

/// A book takes as long as it takes: a job that has had its turn goes on later. What a dead worker has set aside of budgets comes
/// back after this.
const LONG: Duration = Duration::from_secs(6 * 3_600);
/// One step is a few answers.
pub(super) const SHORT: Duration = Duration::from_secs(2 * 3_600);
/// Providers are away for minutes.
pub(super) const PATIENT: RetryPolicy =
    RetryPolicy::attempts(8).backoff(Duration::from_secs(2), Duration::from_secs(600));

impl Kind for Generate {
    const NAME: KindName = KindName::literal("generate");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = LONG;
    type Output = Generated;

    fn check(&self) -> Result<(), String> {
        self.brief.check()?;
        asked(&self.model, self.templates.as_deref())?;
        match &self.revision_model {
            Some(_) if !self.revision => {
                Err("a model for the revision is named, but no revision is asked for: say revision, or leave it out".to_owned())
            }
            Some(model) => asked(model, None),
            None => Ok(()),
        }
    }

    fn cost(&self) -> u32 {
        self.brief.chapters.max(1)
    }

    async fn run(self, context: Context) -> Result<Generated, Failure> {
        let author = Box::pin(Author::new(self, context)).await?;
        Box::pin(author.write()).await
    }
}
