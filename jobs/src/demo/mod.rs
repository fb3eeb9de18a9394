//! `presswork demo [FILE]`: the main job from end to end. Imports a manuscript (the handbook where none is given), exports
//! it to every format, fetches the files; with `--generate` a model writes chapters of it first. In this one process and with no server; on Redis, where one is named, with two
//! worker processes that share the work, while this one follows their progress.

mod fleet;
mod novel;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use futures_util::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use presswork::{
    cli::{App, CliError, Command, Door, Submit as _, save_artifact, size},
    domain::{Event, EventBody, Job, JobId, NewJob, ProjectId, State},
    engine::Engine,
    worker::new_job,
};
use serde::Serialize;

use self::{fleet::Fleet, novel::Novel};
use crate::{
    export::{Export, Format, What},
    handbook,
    import::{Import, ImportArguments},
    in_process::{Working, completed, enqueue},
    memory,
};

/// The command.
#[derive(Debug)]
pub struct Demo;

/// What it is told.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// A manuscript: a Markdown, text or EPUB file, or a folder of Markdown chapters [default: Presswork's handbook]
    file: Option<PathBuf>,
    /// First let the built-in model write two chapters, shown as they come, which are taken in with the handbook
    #[arg(long, conflicts_with = "file")]
    generate: bool,
}

/// What it tells, as JSON.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<Novel>,
    project: ProjectId,
    title: String,
    chapters: u64,
    words: u64,
    import_job: JobId,
    /// What the import could not keep, and how often.
    lost: serde_json::Value,
    warnings: Vec<String>,
    artifacts: Vec<Line>,
    /// The worker processes beside this one, and what each did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workers: Vec<fleet::Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
}

/// One format's outcome.
#[derive(Debug, Serialize)]
struct Line {
    format: Format,
    job: JobId,
    file: PathBuf,
    bytes: u64,
    stored_bytes: u64,
    sha256: String,
    seconds: f64,
    mib_per_s: f64,
    dropped: serde_json::Value,
}

impl Command for Demo {
    const NAME: &'static str = "demo";
    const ABOUT: &'static str =
        "Imports a book and exports it to every format: in this process, or by two others on Redis";
    type Arguments = DemoArguments;

    async fn run(arguments: DemoArguments, app: &App) -> Result<(), CliError> {
        let engine = app.engine().await?;
        let stage = Stage { app, engine: &engine };
        let report = match &app.settings().redis_url {
            None => {
                let working = Working::start(app.worker(&engine, app.worker_options()).await?);
                let report = stage.play(arguments).await;
                let stopped = working.stop().await;
                let report = report?;
                stopped?;
                report
            }
            Some(url) => {
                let fleet = Fleet::start(WORKERS, app, url).await?;
                let mut report = stage.play(arguments).await?;
                report.workers = fleet.stop().await?;
                report
            }
        };
        print(app, &report)
    }
}

/// Worker processes of the demo on Redis.
const WORKERS: usize = 2;

struct Stage<'a> {
    app: &'a App,
    engine: &'a Engine,
}

impl Stage<'_> {
    async fn play(&self, DemoArguments { file, generate }: DemoArguments) -> Result<Report, CliError> {
        let generated = if generate { Some(Novel::write(self).await?) } else { None };
        let bars = MultiProgress::with_draw_target(if self.app.output().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        // The handbook is written out, so that it comes in like any other folder.
        let handbook = match &file {
            Some(_) => None,
            None => Some(write_handbook(self.engine.folder().join("tmp"), generated.as_ref()).await?),
        };
        let path = match (&file, &handbook) {
            (Some(file), _) => file.clone(),
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        let project = project_for(file.as_deref())?;

        let import = self.import(path, project.clone()).await?;
        enqueue(self.engine, vec![import.clone()]).await?;
        let imported = self.follow(import.id, "import", &bars).await?;

        let mut exports = Vec::new();
        for format in Format::ALL {
            let export = Export {
                project: project.clone(),
                format,
                what: What::Book,
                chapters: None,
                compression: None,
                chunk_bytes: Some(self.app.settings().chunk_size),
                page: None,
            };
            exports.push((format, new_job(self.new_id(), self.app.tenant().clone(), &export)?));
        }
        enqueue(self.engine, exports.iter().map(|(_, job)| job.clone()).collect()).await?;
        let followed = exports.iter().map(|(format, job)| self.follow(job.id, format.name(), &bars));
        let finished = futures_util::future::try_join_all(followed).await?;
        let mut artifacts = Vec::new();
        for ((format, _), job) in exports.into_iter().zip(finished) {
            artifacts.push(self.fetch(format, job, &project).await?);
        }
        let result = imported.output.map(|output| output.result).unwrap_or_default();
        Ok(Report {
            generated,
            project,
            title: result["title"].as_str().unwrap_or_default().to_owned(),
            chapters: result["chapters"].as_u64().unwrap_or_default(),
            words: result["words"].as_u64().unwrap_or_default(),
            import_job: imported.id,
            lost: result["dropped"].clone(),
            warnings: serde_json::from_value(result["warnings"].clone()).unwrap_or_default(),
            artifacts,
            workers: Vec::new(),
            peak_memory_bytes: memory::peak_bytes(),
        })
    }

    fn new_id(&self) -> JobId {
        JobId::new(self.engine.clock.now(), &*self.engine.random)
    }

    async fn import(&self, path: PathBuf, project: ProjectId) -> Result<NewJob, CliError> {
        let door = Door::new(self.app, self.engine);
        let payload = Import::prepare(ImportArguments::new(path, project), &door).await?;
        Ok(new_job(door.job(), door.tenant().clone(), &payload)?)
    }

    /// Follows a job to its end; an end that is not completion is an error.
    async fn follow(&self, id: JobId, name: &'static str, bars: &MultiProgress) -> Result<Job, CliError> {
        let bar = bars.add(ProgressBar::new(1_000).with_style(style()).with_prefix(name));
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut events = self.engine.progress.follow(self.app.tenant(), id, 0).await?;
        while let Some(event) = events.next().await {
            show(&bar, &event?);
        }
        bar.finish();
        completed(self.engine, self.app.tenant(), id, name).await
    }

    /// Fetches an artifact to the demo's folder, decoded and checked.
    async fn fetch(&self, format: Format, job: Job, project: &ProjectId) -> Result<Line, CliError> {
        let (id, seconds) = (job.id, elapsed(&job).as_secs_f64());
        let lost = || CliError::not_found(format_args!("job {id} completed without an artifact"));
        let output = job.output.ok_or_else(lost)?;
        let pointer = output.artifacts.into_iter().next().ok_or_else(lost)?;
        let folder = self.engine.folder().join("demo").join(project.as_str());
        let file = folder.join(pointer.name.as_str());
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(|error| {
            CliError::unavailable(format_args!("{} can't be made: {error}", folder.display()))
        })?;
        save_artifact(self.engine, &pointer, file.clone(), true).await?;
        Ok(Line {
            format,
            job: id,
            file,
            bytes: pointer.plain_bytes,
            stored_bytes: pointer.stored_bytes,
            sha256: pointer.sha256,
            seconds,
            mib_per_s: mib(pointer.plain_bytes) / seconds.max(1e-6),
            dropped: output.result["dropped"].clone(),
        })
    }
}

/// How long the attempt that completed took.
fn elapsed(job: &Job) -> Duration {
    match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => finished.since(started),
        _ => Duration::ZERO,
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// The project that a manuscript goes into: called like its file, as far as that is a proper name.
fn project_for(file: Option<&Path>) -> Result<ProjectId, CliError> {
    let Some(file) = file else { return Ok("handbook".parse()?) };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_ .".contains(c) { c } else { '-' })
        .take(40)
        .collect();
    let plain = plain.trim_matches(['.', ' ', '-']).to_owned();
    Ok(plain.parse().or_else(|_| format!("book-{plain}").parse()).or_else(|_| "book".parse())?)
}

/// The handbook as a folder, with what was written for it, gone when it is dropped.
async fn write_handbook(scratch: PathBuf, novel: Option<&Novel>) -> Result<tempfile::TempDir, CliError> {
    let novel = novel.cloned();
    let written = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(&scratch)?;
        let folder = tempfile::Builder::new().prefix("handbook-").tempdir_in(scratch)?;
        handbook::write(folder.path())?;
        novel.map_or(Ok(()), |novel| novel.add_to(folder.path()))?;
        Ok::<_, std::io::Error>(folder)
    });
    let failed = |error: &dyn std::fmt::Display| {
        CliError::unavailable(format_args!("the handbook can't be written to the data directory: {error}"))
    };
    written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>9} {bar:30} {percent:>3}% {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn show(bar: &ProgressBar, event: &Event) {
    match &event.body {
        EventBody::Progress(progress) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
            bar.set_position((progress.percent.clamp(0.0, 100.0) * 10.0) as u64);
            bar.set_message(progress.message.clone());
        }
        EventBody::State { state: State::Completed, .. } => {
            bar.set_position(1_000);
            bar.set_message("done");
        }
        EventBody::State { state, .. } => bar.set_message(state.name()),
        EventBody::Text { .. } => {}
    }
}

fn print(app: &App, report: &Report) -> Result<(), CliError> {
    let out = app.output();
    out.document(report)?;
    out.line(format_args!(
        "{}: {} chapters, {} words, imported by {}\n",
        report.title, report.chapters, report.words, report.import_job
    ))?;
    for (what, count) in report.lost.as_object().into_iter().flatten() {
        out.line(format_args!("not taken in, {what}: {count}"))?;
    }
    for warning in &report.warnings {
        out.line(format_args!("warning: {warning}"))?;
    }
    let rows: Vec<Vec<String>> = report.artifacts.iter().map(Line::row).collect();
    out.table(&["FORMAT", "SIZE", "STORED", "TIME", "SPEED", "FILE"], &rows)?;
    let mut dropped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in &report.artifacts {
        let losses = line.dropped.as_object().into_iter().flatten();
        for (what, count) in losses {
            dropped.entry(format!("{what}: {count}")).or_default().push(line.format.name());
        }
    }
    for (what, formats) in dropped {
        out.line(format_args!("not carried over, {what} ({})", formats.join(", ")))?;
    }
    for share in &report.workers {
        out.line(share.words())?;
    }
    if let Some(bytes) = report.peak_memory_bytes {
        out.line(format_args!("\npeak memory: {}", size(bytes)))?;
    }
    Ok(())
}

impl Line {
    fn row(&self) -> Vec<String> {
        vec![
            self.format.name().to_owned(),
            size(self.bytes),
            size(self.stored_bytes),
            format!("{:.2} s", self.seconds),
            format!("{:.1} MiB/s", self.mib_per_s),
            self.file.display().to_string(),
        ]
    }
}
