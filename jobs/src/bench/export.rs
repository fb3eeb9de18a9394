//! A large book to every format: each in a process of its own, so that its peak memory is its own, by the real job through
//! the real worker. Beside it, in the same run: `zstd -3` of the very bytes that came out, in one thread; the stage that
//! compresses, seals and stores them, fed with those bytes ready made; and what other people's programs take for the same
//! Markdown, at a size that they can bear.

mod book;
mod figures;
mod others;
mod prose;
mod stage;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore as _, local::LocalFileSystem, prefix::PrefixStore};
use presswork::{
    cli::{App, CliError},
    config::{ByteSize, Settings},
    domain::{ArtifactPointer, Encoding, JobId, ProjectId, Random as _, SystemRandom},
    engine::Engine,
    worker::new_job,
};
use serde::{Deserialize, Serialize};

pub(super) use self::{book::TheBook, figures::Baseline, others::Other};
use self::{
    figures::Figures,
    stage::{Stage, zstd3},
};
use super::{mib, scratch, unless_stopped};
use crate::{
    export::{Export, Format, What},
    in_process::done,
    memory,
};

/// What `bench export` is told.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// How many bytes of Markdown the book has
    #[arg(long, default_value = "100MiB")]
    size: ByteSize,
    /// Only this format; may be repeated
    #[arg(long = "format")]
    formats: Vec<Format>,
    /// Seal what is stored
    #[arg(long)]
    sealed: bool,
    /// How many bytes of Markdown pandoc and WeasyPrint are given, where they are installed; 0 for not at all
    #[arg(long, default_value = "1MiB")]
    baseline_size: ByteSize,
    /// The prepared data directory: how the benchmark calls itself, once a format
    #[arg(long, hide = true)]
    prepared: Option<PathBuf>,
    /// The project in it
    #[arg(long, hide = true, default_value = LARGE)]
    project: ProjectId,
    /// Where the artifact goes as plain bytes
    #[arg(long, hide = true)]
    copy_to: Option<PathBuf>,
}

/// What a process that exports one format tells.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    seconds: f64,
    peak_bytes: u64,
    artifact: ArtifactPointer,
}

/// The project that is measured.
const LARGE: &str = "bench";
/// The one that others can bear.
const SMALL: &str = "beside";

pub(super) async fn run(arguments: ExportArguments, app: &App) -> Result<(), CliError> {
    if let (Some(folder), [format]) = (&arguments.prepared, &arguments.formats[..]) {
        return app.output().json_line(&export_one(app, folder, *format, &arguments).await?);
    }
    let folder = scratch().await?;
    let place = Place::open(app, folder.path(), arguments.sealed).await?;
    let measured = unless_stopped(measure(&arguments, app, &place)).await;
    measured.and(place.empty().await)
}

async fn measure(arguments: &ExportArguments, app: &App, place: &Place) -> Result<(), CliError> {
    let book = TheBook::read(&place.folder).await?;
    let source_bytes = book.write_project(place.project(app, LARGE)?, arguments.size.0).await?;
    app.output().line(format_args!("a book of {:.0} MiB of Markdown", mib(source_bytes)))?;
    let small = if arguments.baseline_size.0 > 0 {
        Some(Small::prepare(app, place, book, arguments.baseline_size.0).await?)
    } else {
        None
    };
    let formats = if arguments.formats.is_empty() { Format::ALL.to_vec() } else { arguments.formats.clone() };
    let mut rows = Vec::new();
    for format in formats {
        let (exported, _) = place.in_a_process(format, LARGE, None).await?;
        let engine = &place.engine;
        let zstd = zstd3(engine, &exported.artifact).await?;
        let stage = Stage::measure(engine, app.tenant(), &exported.artifact).await?;
        // Gone before the next, so that the disk need hold only one.
        engine.artifacts.sweep(&Nothing).await?;
        let baseline = match &small {
            Some(small) => small.beside(place, format).await?,
            None => None,
        };
        let figures = Figures::of(format, place, source_bytes, &exported, zstd, stage, baseline);
        app.output().json_line(&figures)?;
        rows.push(figures.row());
    }
    let header =
        ["FORMAT", "OUT", "STORED", "TIME", "SPEED", "PEAK", "ZSTD -3", "RATIO", "STAGE ADDS", "BESIDE"];
    app.output().table(&header, &rows)
}

/// Where the benchmark works: a data directory of its own, and on a storage that is named a folder of its own.
struct Place {
    folder: PathBuf,
    data: PathBuf,
    settings: Settings,
    engine: Engine,
    sealed: bool,
    storage: String,
}

impl Place {
    async fn open(app: &App, folder: &Path, sealed: bool) -> Result<Self, CliError> {
        let data = folder.join("data");
        let mut settings = own(app, &data);
        let mut storage = "local".to_owned();
        if let Some(url) = &settings.storage_url {
            let url = url.to_string();
            let name = format!("presswork-bench-{:08x}", SystemRandom.below(1 << 32));
            let within = format!("{}/{name}", url.trim_end_matches('/'));
            settings.storage_url = Some(within.parse().map_err(|_| {
                CliError::usage(
                    "this storage can't be measured: each format is exported by a process of its own",
                )
                .hint("name one that processes share, as in s3://bucket/prefix or file:///folder")
            })?);
            storage = url.split(':').next().unwrap_or_default().to_owned();
        }
        let engine = app.engine_with(&settings).await?;
        if sealed {
            engine.keyring.set_seals(app.tenant(), true).await.map_err(|error| {
                CliError::unavailable(format_args!("the benchmark's tenant can't be sealed: {error}"))
            })?;
        }
        Ok(Self { folder: folder.to_owned(), data, settings, engine, sealed, storage })
    }

    /// Where a project of the benchmark is kept.
    fn project(&self, app: &App, name: &str) -> Result<Arc<dyn object_store::ObjectStore>, CliError> {
        local_project(app, &self.engine, name)
    }

    /// Runs this program once more for one format; how long the process lived beside what it tells.
    async fn in_a_process(
        &self,
        format: Format,
        project: &str,
        copy_to: Option<&Path>,
    ) -> Result<(Exported, Duration), CliError> {
        let failed = |problem: &dyn std::fmt::Display| {
            CliError::unavailable(format_args!(
                "exporting {format} in a process of its own failed: {problem}"
            ))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = tokio::process::Command::new(program);
        command.args(["bench", "export", "--json", "--format", format.name(), "--project", project]);
        command.arg("--prepared").arg(&self.data).arg("--data-dir").arg(&self.data);
        if let Some(url) = &self.settings.storage_url {
            command.arg("--storage-url").arg(url.to_string());
        }
        if let Some(file) = copy_to {
            command.arg("--copy-to").arg(file);
        }
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let output = command.output().await.map_err(|error| failed(&error))?;
        let lived = begun.elapsed();
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok((serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?, lived))
    }

    /// Takes away what was put on a storage that stays.
    async fn empty(&self) -> Result<(), CliError> {
        if self.settings.storage_url.is_none() {
            return Ok(());
        }
        // Uploads of a process that was stopped, too.
        self.engine.artifacts.sweep(&Nothing).await?;
        let storage = &self.engine.storage;
        let keys = storage.list(None).map_ok(|object| object.location).boxed();
        let removed = storage.delete_stream(keys).try_for_each(async |_| Ok(())).await;
        removed.map_err(|error| {
            CliError::unavailable(format_args!("what was measured could not be removed: {error}"))
        })
    }
}

/// Where a project of a benchmark is kept, on the disk of this machine if it is there.
pub(super) fn local_project(
    app: &App,
    engine: &Engine,
    name: &str,
) -> Result<Arc<dyn object_store::ObjectStore>, CliError> {
    let root = presswork::artifact::key([app.tenant().as_str(), "projects", name]);
    let Some(folder) = engine.local_path("") else {
        return Ok(Arc::new(PrefixStore::new(engine.storage.clone(), root)));
    };
    // Past the engine, which puts each file on the disk for good before it goes on: this book need not outlive us.
    let objects = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| CliError::unavailable(format_args!("the book can't be made: {error}")))?;
    Ok(Arc::new(PrefixStore::new(objects, root)))
}

/// The small book, for others.
struct Small {
    folder: PathBuf,
    bytes: u64,
}

impl Small {
    async fn prepare(app: &App, place: &Place, book: TheBook, size: u64) -> Result<Self, CliError> {
        let bytes = book.write_project(place.project(app, SMALL)?, size).await?;
        let folder = place.folder.join(SMALL).join("chapters");
        let written = folder.clone();
        let made = tokio::task::spawn_blocking(move || book.write_file(&written, size)).await;
        let failed = |error: &dyn std::fmt::Display| {
            CliError::unavailable(format_args!("the book can't be made: {error}"))
        };
        made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self { folder, bytes })
    }

    /// The other program and ours, one after the other; `None` where nobody else makes the format, or who does is not here.
    async fn beside(&self, place: &Place, format: Format) -> Result<Option<Baseline>, CliError> {
        let Some(other) = Other::of(format.name()) else { return Ok(None) };
        if other.reads_html() {
            place.in_a_process(Format::Html, SMALL, Some(&self.folder.join(others::HTML))).await?;
        }
        let Some(theirs) = other.run(&self.folder).await? else {
            // Also beside JSON: `"baseline": null` does not say why.
            tracing::warn!(
                "{format}: no baseline: {0} is not installed; on Debian: apt-get install {0}",
                other.program
            );
            return Ok(None);
        };
        let (ours, lived) = place.in_a_process(format, SMALL, None).await?;
        place.engine.artifacts.sweep(&Nothing).await?;
        Ok(Some(Baseline::of(other.program, self.bytes, theirs, (lived, ours.peak_bytes))))
    }
}

/// Embedded, whatever Redis there is: the workers of a fleet would take the jobs.
fn own(app: &App, data: &Path) -> Settings {
    Settings { data_dir: data.to_owned(), redis_url: None, ..app.settings().clone() }
}

/// The export itself: the real job through a worker.
async fn export_one(
    app: &App,
    data: &Path,
    format: Format,
    arguments: &ExportArguments,
) -> Result<Exported, CliError> {
    let engine = app.engine_with(&own(app, data)).await?;
    // HTML that others read is read as it is stored.
    let compression = arguments.copy_to.is_some().then_some(Encoding::None);
    let (project, what) = (arguments.project.clone(), What::Book);
    let export = Export { project, format, what, chapters: None, compression, chunk_bytes: None, page: None };
    let job = new_job(JobId::new(engine.clock.now(), &*engine.random), app.tenant().clone(), &export)?;
    let id = job.id;
    let (job, took) = done(app, &engine, job, format.name()).await?;
    let lost = || CliError::not_found(format_args!("job {id} completed without an artifact"));
    let peak_bytes = memory::peak_bytes().unwrap_or_default();
    let artifact = job.output.and_then(|output| output.artifacts.into_iter().next()).ok_or_else(lost)?;
    if let Some(file) = &arguments.copy_to {
        let plain = stage::plain(&engine, &artifact, u64::MAX).await?;
        tokio::fs::write(file, plain).await.map_err(|error| {
            CliError::unavailable(format_args!("{} can't be written: {error}", file.display()))
        })?;
    }
    Ok(Exported { seconds: took.as_secs_f64(), peak_bytes, artifact })
}

/// Keeps no artifact.
struct Nothing;

#[async_trait::async_trait]
impl presswork::artifact::sweep::Keeper for Nothing {
    async fn keep(
        &self,
        _: &presswork::domain::TenantId,
        _: JobId,
    ) -> Result<presswork::artifact::sweep::Keep, presswork::artifact::ArtifactError> {
        Ok(presswork::artifact::sweep::Keep::Nothing)
    }
}
