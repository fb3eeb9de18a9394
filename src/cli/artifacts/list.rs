//! `artifacts list`: what is there, and what was removed.

use futures_util::future::try_join_all;
use serde::Serialize;

use super::artifacts;
use crate::{
    artifact::{ArtifactError, ArtifactStore},
    cli::{app::App, error::CliError, show},
    domain::{ArtifactPointer, Job, JobId, State, Timestamp},
    engine::Engine,
    queue::{Cursor, Filter},
};

/// So many are asked for side by side whether they were removed.
const SIDE_BY_SIDE: usize = 8;
/// So many jobs are looked through at a time.
const JOBS: usize = 100;

/// An artifact, in JSON.
#[derive(Serialize)]
struct Row {
    job: JobId,
    #[serde(flatten)]
    pointer: ArtifactPointer,
    /// When somebody removed it, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_at: Option<Timestamp>,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let one = &self.pointer;
        let (plain, stored) = (show::size(one.plain_bytes), show::size(one.stored_bytes));
        let stored = if self.removed_at.is_some() { "removed".to_owned() } else { stored };
        let seal = if one.seal.is_some() { "sealed" } else { "-" };
        vec![
            plain,
            stored,
            one.encoding.to_string(),
            seal.to_owned(),
            one.content_type.clone(),
            one.name.to_string(),
        ]
    }
}

const HEADER: [&str; 6] = ["SIZE", "STORED", "ENCODING", "SEAL", "TYPE", "NAME"];

async fn rows(store: &ArtifactStore, jobs: &[Job], most: usize) -> Result<Vec<Row>, ArtifactError> {
    let mut all: Vec<(JobId, ArtifactPointer)> = Vec::new();
    for job in jobs {
        let room = most.saturating_sub(all.len());
        all.extend(artifacts(job).iter().take(room).map(|one| (job.id, one.clone())));
    }
    let mut rows = Vec::with_capacity(all.len());
    for some in all.chunks(SIDE_BY_SIDE) {
        let asked: Vec<_> = some.iter().map(|(_, pointer)| store.removed_at(pointer)).collect();
        let answers = try_join_all(asked).await?;
        for ((job, pointer), removed_at) in some.iter().zip(answers) {
            rows.push(Row { job: *job, pointer: pointer.clone(), removed_at });
        }
    }
    Ok(rows)
}

#[derive(Serialize)]
struct Listing {
    artifacts: Vec<Row>,
}

/// What one job has made.
pub(super) async fn of_job(app: &App, store: &ArtifactStore, job: &Job) -> Result<(), CliError> {
    let artifacts = rows(store, std::slice::from_ref(job), usize::MAX).await?;
    app.output().table(&HEADER, &artifacts.iter().map(Row::cells).collect::<Vec<_>>())?;
    if artifacts.is_empty() {
        app.output().line("no artifacts")?;
    }
    app.output().document(&Listing { artifacts })
}

/// What a tenant's jobs have made, the newest first.
pub(super) async fn of_tenant(
    app: &App,
    engine: &Engine,
    store: &ArtifactStore,
    most: usize,
) -> Result<(), CliError> {
    let mut document = app.output().list("artifacts")?;
    let (mut jobs, mut left, mut is_first) = (Completed::new(), most, true);
    let mut header = vec!["JOB"];
    header.extend(HEADER);
    let more = loop {
        let Some(page) = jobs.next(app, engine).await? else { break false };
        let there: usize = page.iter().map(|job| artifacts(job).len()).sum();
        let rows = rows(store, &page, left).await?;
        left -= rows.len();
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| [vec![row.job.to_string()], row.cells()].concat()).collect();
        if is_first {
            app.output().table(&header, &cells)?;
        } else {
            app.output().more_rows(&header, &cells)?;
        }
        is_first &= cells.is_empty();
        for row in &rows {
            document.item(row)?;
        }
        if there > rows.len() || (left == 0 && !jobs.at_end()) {
            break true;
        }
    };
    if is_first {
        app.output().line(format_args!("no artifacts of tenant {}", app.tenant()))?;
    }
    if more {
        app.output().note("there may be more: --limit N or --all");
    }
    document.end(more)
}

/// A tenant's completed jobs, page by page, the newest first.
pub(super) struct Completed(Option<Option<Cursor>>);

impl Completed {
    pub(super) fn new() -> Self {
        Self(Some(None))
    }

    /// Whether there is no further page.
    pub(super) fn at_end(&self) -> bool {
        self.0.is_none()
    }

    /// The next page, which may be empty.
    pub(super) async fn next(&mut self, app: &App, engine: &Engine) -> Result<Option<Vec<Job>>, CliError> {
        let Some(cursor) = self.0.take() else { return Ok(None) };
        let filter = Filter { state: Some(State::Completed), kind: None };
        let page = engine.queue.list(app.tenant(), &filter, cursor.as_ref(), JOBS).await?;
        self.0 = page.next.map(Some);
        Ok(Some(page.items))
    }
}
