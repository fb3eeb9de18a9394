//! The job kind `outline`: plans a book. The plan is the project's `outline.json`, by which the kind `chapter` writes.

use std::time::Duration;

use presswork::{
    domain::{Failure, FileName, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

use super::desk::{Desk, artifact};
use crate::{
    asking::{Bill, Caching},
    generation::{
        brief::{Brief, asked},
        generate::{PATIENT, SHORT},
        outline::Outline,
        parts::plan,
        people::People,
    },
};

/// Plans a book; the plan that the project had is replaced, its book is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteOutline {
    /// Which project; made where there is none.
    pub project: ProjectId,
    /// What is to be written.
    pub brief: Brief,
    /// Which model plans.
    pub model: String,
    /// Whether a question that was asked before may be answered from the cache.
    #[serde(default)]
    pub caching: Caching,
    /// The tenant's set of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlined {
    /// The project.
    pub project: ProjectId,
    /// The chapters' titles.
    pub chapters: Vec<String>,
    /// The artifact that has all of it.
    pub file: FileName,
    /// What was spent, in all attempts together.
    pub bill: Bill,
    /// What the owner should know.
    pub warnings: Vec<String>,
}

impl Kind for WriteOutline {
    const NAME: KindName = KindName::literal("outline");
    const RETRY: RetryPolicy = PATIENT;
    const TIMEOUT: Duration = SHORT;
    type Output = Outlined;

    fn check(&self) -> Result<(), String> {
        self.brief.check()?;
        asked(&self.model, self.templates.as_deref())
    }

    async fn run(self, context: Context) -> Result<Outlined, Failure> {
        let Self { project, brief, model, caching, templates } = self;
        let people = People::of(&context, &project, &brief.characters).await?;
        let mut desk = Desk::open(&context, &project, &model, caching, templates.as_deref()).await?;
        let (json, warnings) = match desk.answer().await? {
            Some(json) => (json, Vec::new()),
            None => {
                context.progress(0, 1, "planning the book");
                let sheets = people.all().await?;
                let planned = plan(&mut desk.pen, &desk.templates, &brief, &sheets).await;
                let (json, warning) = match planned {
                    Ok((chapters, warning)) => {
                        let outline = Outline { brief: Some(brief), ..Outline::new(chapters) };
                        (serde_json::to_string_pretty(&outline).map_err(Failure::fatal), warning)
                    }
                    Err(failure) => (Err(failure), None),
                };
                (desk.keep(json).await?, warning.into_iter().collect())
            }
        };
        let outline: Outline = serde_json::from_str(&json).map_err(Failure::fatal)?;
        outline.write(&*desk.project).await?;
        let file = artifact(&context, "outline.json", "application/json", json.as_bytes()).await?;
        context.progress(1, 1, "the book is planned");
        let chapters = outline.chapters.into_iter().map(|chapter| chapter.title).collect();
        Ok(Outlined { project, chapters, file, bill: desk.bill(), warnings })
    }
}
