//! `presswork demo --generate`: the built-in model writes two chapters, which are shown as they come and then stand behind the
//! handbook's own. Must not know: what becomes of the book.

use std::{fs, io, path::Path, sync::Arc};

use futures_util::StreamExt as _;
use object_store::prefix::PrefixStore;
use presswork::{
    artifact::key,
    cli::CliError,
    domain::{EventBody, JobId, ProjectId},
    worker::new_job,
};
use serde::Serialize;

use super::Stage;
use crate::{
    asking::{Bill, Caching},
    book::{BookError, ProjectReader},
    generation::{Brief, Generate, Generated, Summaries},
    in_process::{completed, enqueue},
};

/// The project that they are written into.
const PROJECT: &str = "novel";
const TITLE: &str = "The Keeper of the Light";
const CHAPTERS: u32 = 2;
/// Some of each.
const WORDS: u32 = 250;

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Novel {
    job: JobId,
    project: ProjectId,
    title: String,
    chapters: u64,
    words: u64,
    /// What it took: tokens, and no money.
    bill: Bill,
    #[serde(skip)]
    texts: Vec<String>,
}

impl Novel {
    /// Has them written, and shows them meanwhile.
    pub(super) async fn write(stage: &Stage<'_>) -> Result<Self, CliError> {
        let Stage { app, engine } = stage;
        let (project, tenant, out) = (PROJECT.parse::<ProjectId>()?, app.tenant(), app.output());
        let job = new_job(stage.new_id(), tenant.clone(), &order(project.clone()))?;
        let id = job.id;
        enqueue(engine, vec![job]).await?;
        let mut events = engine.progress.follow(tenant, id, 0).await?;
        while let Some(event) = events.next().await {
            if let EventBody::Text { text } = event?.body {
                out.piece(&text)?;
            }
        }
        let job = completed(engine, tenant, id, "generate").await?;
        let result = job.output.map(|output| output.result).unwrap_or_default();
        let Generated { title, chapters, words, bill, .. } =
            serde_json::from_value(result).map_err(CliError::unavailable)?;
        out.line(format_args!("\n{title}: {chapters} chapters, {words} words, written by {id}; {bill}\n"))?;
        let folder = key([tenant.as_str(), "projects", project.as_str()]);
        let storage = Arc::new(PrefixStore::new(engine.storage.clone(), folder));
        let texts = texts(storage).await.map_err(CliError::unavailable)?;
        Ok(Self { job: id, project, title, chapters, words, bill, texts })
    }

    /// Puts them behind the chapters of a folder. Blocks.
    pub(super) fn add_to(&self, folder: &Path) -> io::Result<()> {
        for (number, text) in (1..).zip(&self.texts) {
            // Its own title may be no more than a number.
            let body = text.strip_prefix("# ").and_then(|text| text.split_once('\n'));
            let body = body.map_or(&**text, |(_, body)| body);
            let chapter = format!("# {TITLE}, chapter {number}\n{body}");
            fs::write(folder.join(format!("90-novel-{number}.md")), chapter)?;
        }
        Ok(())
    }
}

fn order(project: ProjectId) -> Generate {
    Generate {
        project,
        brief: Brief {
            title: TITLE.to_owned(),
            genre: "novel".to_owned(),
            style: "of the nineteenth century".to_owned(),
            premise: "The lighthouse is kept by Ada Byron. One evening a stranger comes over the sea, Hugo Sand, who says that he \
                      has been there before."
                .to_owned(),
            notes: String::new(),
            characters: Vec::new(),
            chapters: CHAPTERS,
            words: WORDS,
            language: "en".to_owned(),
            author: "Presswork's built-in model".to_owned(),
        },
        model: "builtin".to_owned(),
        revision: false,
        revision_model: None,
        summaries: Summaries::Extract,
        // Written before the eyes of whoever has asked for it, each time.
        caching: Caching::Fresh,
        templates: None,
    }
}

async fn texts(
    storage: Arc<PrefixStore<Arc<dyn object_store::ObjectStore>>>,
) -> Result<Vec<String>, BookError> {
    let reader = ProjectReader::open(storage).await?;
    let mut texts = Vec::new();
    for entry in reader.book().chapters.iter() {
        texts.push(reader.chapter(entry).await?);
    }
    Ok(texts)
}
