//! `artifacts verify`: what holds, and what does not.

use serde::Serialize;

use super::{artifacts, list::Completed};
use crate::{
    artifact::{ArtifactError, ArtifactStore, Verified},
    cli::{
        app::App,
        error::{CliError, ErrorKind},
        show,
    },
    domain::{ArtifactPointer, FileName, Job, JobId},
    engine::Engine,
};

/// What was found of an artifact, in JSON.
#[derive(Serialize)]
struct Finding<'a> {
    job: JobId,
    name: &'a FileName,
    /// `ok`, `removed`, `missing`, `damaged` or `unreadable`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl<'a> Finding<'a> {
    async fn of(store: &ArtifactStore, job: JobId, pointer: &'a ArtifactPointer) -> Self {
        let name = &pointer.name;
        let error = match store.verify(pointer).await {
            Ok(verified) => return Self { job, name, state: "ok", verified: Some(verified), problem: None },
            Err(error) => error,
        };
        let state = match &error {
            ArtifactError::Removed { .. } => "removed",
            ArtifactError::Missing { .. } => "missing",
            ArtifactError::Damaged { .. } => "damaged",
            _ => "unreadable",
        };
        Self { job, name, state, verified: None, problem: Some(error.to_string()) }
    }

    fn line(&self) -> String {
        match (&self.verified, &self.problem) {
            (Some(verified), _) => {
                let seal = if verified.sealed { ", sealed" } else { "" };
                let (plain, stored) = (show::size(verified.plain_bytes), show::size(verified.stored_bytes));
                format!("ok {} {} ({plain}, {stored} stored{seal})", self.job, self.name)
            }
            (None, Some(problem)) => format!("{} {} {}: {problem}", self.state, self.job, self.name),
            (None, None) => String::new(),
        }
    }
}

/// How many were looked at, and how many are not as they should be.
#[derive(Default)]
struct Count {
    all: u64,
    wrong: u64,
    unreadable: u64,
    removed: u64,
}

impl Count {
    fn add(&mut self, finding: &Finding<'_>) {
        self.all += 1;
        match finding.state {
            "ok" => {}
            "removed" => self.removed += 1,
            "unreadable" => self.unreadable += 1,
            _ => self.wrong += 1,
        }
    }

    fn judge(&self) -> Result<(), CliError> {
        let Self { all, wrong, unreadable, .. } = self;
        match (wrong, unreadable) {
            (0, 0) => Ok(()),
            (0, _) => {
                Err(CliError::unavailable(format_args!("{unreadable} of {all} artifacts could not be read")))
            }
            _ => Err(CliError::new(
                ErrorKind::Damaged,
                format_args!("{wrong} of {all} artifacts are damaged or missing"),
            )
            .hint("export them again, and find out what happened to the storage")),
        }
    }
}

/// What one job has made, or some of it.
pub(super) async fn of_job(
    app: &App,
    store: &ArtifactStore,
    job: &Job,
    pointers: &[ArtifactPointer],
) -> Result<(), CliError> {
    let (mut document, mut count) = (app.output().list("artifacts")?, Count::default());
    for pointer in pointers {
        let finding = Finding::of(store, job.id, pointer).await;
        app.output().line(finding.line())?;
        document.item(&finding)?;
        count.add(&finding);
    }
    document.end(false)?;
    count.judge()?;
    // Who asks for what somebody has removed is told so; among all there may be such.
    match count.removed {
        0 => Ok(()),
        removed => {
            Err(CliError::not_found(format_args!("{removed} of {} artifacts were removed", count.all)))
        }
    }
}

/// What all of a tenant's jobs have made.
pub(super) async fn of_tenant(app: &App, engine: &Engine, store: &ArtifactStore) -> Result<(), CliError> {
    let (mut document, mut count) = (app.output().list("artifacts")?, Count::default());
    let mut jobs = Completed::new();
    while let Some(page) = jobs.next(app, engine).await? {
        for job in &page {
            for pointer in artifacts(job) {
                let finding = Finding::of(store, job.id, pointer).await;
                app.output().line(finding.line())?;
                document.item(&finding)?;
                count.add(&finding);
            }
        }
    }
    if count.all == 0 {
        app.output().line(format_args!("no artifacts of tenant {}", app.tenant()))?;
    }
    document.end(false)?;
    count.judge()
}
