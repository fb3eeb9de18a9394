//! A large book to every format. The book is the handbook, repeated chapter by chapter, chapters of a novel's length; each format is exported in a
//! process of its own, so that its peak memory is its own, by the real job through the real worker. The baseline is
//! `zstd -3` of the very bytes that came out, in one thread of this process.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_compression::{Level, tokio::write::ZstdEncoder};
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use object_store::{local::LocalFileSystem, prefix::PrefixStore};
use presswork::{
    cli::{App, CliError},
    config::{ByteSize, Settings},
    domain::{ArtifactPointer, JobId, ProjectId},
    engine::Engine,
    worker::new_job,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use super::{mib, rounded, scratch};
use crate::{
    book::{BookError, Metadata, names::chapter_name, project::ProjectWriter},
    export::{Export, Format},
    handbook,
    import::{BookSink, Source, SourceFile, SourceFormat, import},
    in_process::{Working, completed, enqueue},
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
    /// The prepared data directory: how the benchmark calls itself, once a format
    #[arg(long, hide = true)]
    prepared: Option<PathBuf>,
}

/// What a process that exports one format tells.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    seconds: f64,
    peak_bytes: u64,
    artifact: ArtifactPointer,
}

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    format: Format,
    source_mib: f64,
    output_mib: f64,
    stored_mib: f64,
    seconds: f64,
    mib_per_s: f64,
    peak_mib: f64,
    zstd3_seconds: f64,
    zstd3_mib_per_s: f64,
    times_zstd3: f64,
}

const PROJECT: &str = "bench";

pub(super) async fn run(arguments: ExportArguments, app: &App) -> Result<(), CliError> {
    if let (Some(folder), [format]) = (&arguments.prepared, &arguments.formats[..]) {
        return app.output().json_line(&export_one(app, folder, *format).await?);
    }
    let folder = scratch().await?;
    let data = folder.path().join("data");
    let engine = app.engine_with(&own(app, &data)).await?;
    let source_bytes = prepare(app, &engine, folder.path(), arguments.size.0).await?;
    app.output().line(format_args!("a book of {:.0} MiB of Markdown", mib(source_bytes)))?;
    let formats = if arguments.formats.is_empty() { Format::ALL.to_vec() } else { arguments.formats };
    let mut rows = Vec::new();
    for format in formats {
        let exported = in_a_process(&data, format, arguments.size).await?;
        let zstd = zstd3(&engine, &exported.artifact).await?;
        let figures = Figures::of(format, source_bytes, &exported, zstd);
        app.output().json_line(&figures)?;
        rows.push(figures.row());
        // Gone before the next, so that the disk need hold only one.
        engine.artifacts.sweep(&Nothing).await?;
    }
    app.output().table(&["FORMAT", "OUT", "STORED", "TIME", "SPEED", "PEAK", "ZSTD -3", "RATIO"], &rows)
}

impl Figures {
    fn of(format: Format, source_bytes: u64, exported: &Exported, zstd: Duration) -> Self {
        let (source_mib, output_mib) = (mib(source_bytes), mib(exported.artifact.plain_bytes));
        let zstd3_seconds = zstd.as_secs_f64();
        Self {
            bench: "export",
            format,
            source_mib: rounded(source_mib),
            output_mib: rounded(output_mib),
            stored_mib: rounded(mib(exported.artifact.stored_bytes)),
            seconds: rounded(exported.seconds),
            mib_per_s: rounded(source_mib / exported.seconds.max(1e-9)),
            peak_mib: rounded(mib(exported.peak_bytes)),
            zstd3_seconds: rounded(zstd3_seconds),
            zstd3_mib_per_s: rounded(output_mib / zstd3_seconds.max(1e-9)),
            times_zstd3: rounded(exported.seconds / zstd3_seconds.max(1e-9)),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.format.name().to_owned(),
            format!("{:.0} MiB", self.output_mib),
            format!("{:.0} MiB", self.stored_mib),
            format!("{:.1} s", self.seconds),
            format!("{:.0} MiB/s", self.mib_per_s),
            format!("{:.1} MiB", self.peak_mib),
            format!("{:.1} s", self.zstd3_seconds),
            format!("{:.2}", self.times_zstd3),
        ]
    }
}

/// Embedded, whatever Redis there is: the workers of a fleet would take the jobs.
fn own(app: &App, data: &Path) -> Settings {
    Settings { data_dir: data.to_owned(), redis_url: None, ..app.settings().clone() }
}

/// Runs this program once more for one format.
async fn in_a_process(data: &Path, format: Format, size: ByteSize) -> Result<Exported, CliError> {
    let failed = |problem: &dyn std::fmt::Display| {
        CliError::unavailable(format_args!("exporting {format} in a process of its own failed: {problem}"))
    };
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = tokio::process::Command::new(program);
    command.args(["bench", "export", "--json", "--format", format.name(), "--size", &size.0.to_string()]);
    command
        .arg("--prepared")
        .arg(data)
        .arg("--data-dir")
        .arg(data)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))
}

/// The export itself: the real job through a worker.
async fn export_one(app: &App, data: &Path, format: Format) -> Result<Exported, CliError> {
    let engine = app.engine_with(&own(app, data)).await?;
    let project: ProjectId = PROJECT.parse()?;
    let export = Export { project, format, compression: None, chunk_bytes: None, page: None };
    let job = new_job(JobId::new(engine.clock.now(), &*engine.random), app.tenant().clone(), &export)?;
    let id = job.id;
    enqueue(&engine, vec![job]).await?;
    let working = Working::start(app.worker(&engine, app.worker_options()).await?);
    let mut events = engine.progress.follow(app.tenant(), id, 0).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    working.stop().await?;
    let job = completed(&engine, app.tenant(), id, format.name()).await?;
    let lost = || CliError::not_found(format_args!("job {id} completed without an artifact"));
    let (Some(started), Some(finished)) = (job.started_at, job.finished_at) else { return Err(lost()) };
    Ok(Exported {
        seconds: finished.since(started).as_secs_f64(),
        peak_bytes: memory::peak_bytes().unwrap_or_default(),
        artifact: job.output.and_then(|output| output.artifacts.into_iter().next()).ok_or_else(lost)?,
    })
}

/// How long one thread takes to compress the artifact's bytes at level 3; reading and decoding them is not counted.
async fn zstd3(engine: &Engine, artifact: &ArtifactPointer) -> Result<Duration, CliError> {
    let failed = |error: std::io::Error| CliError::unavailable(format_args!("the baseline failed: {error}"));
    let mut encoder = ZstdEncoder::with_quality(tokio::io::sink(), Level::Precise(3));
    let (mut pieces, mut spent) = (engine.artifacts.read(artifact).await?, Duration::ZERO);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let begun = Instant::now();
        encoder.write_all(&piece).await.map_err(failed)?;
        spent += begun.elapsed();
    }
    let begun = Instant::now();
    encoder.shutdown().await.map_err(failed)?;
    Ok(spent + begun.elapsed())
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

/// The handbook's chapters and pictures.
#[derive(Default)]
struct Collected {
    chapters: Vec<(String, String)>,
    assets: Vec<(String, String, Vec<u8>)>,
}

impl BookSink for Collected {
    fn chapter(&mut self, _: &str, title: &str, markdown: String) -> Result<(), BookError> {
        self.chapters.push((title.to_owned(), markdown));
        Ok(())
    }

    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        self.assets.push((name.to_owned(), media_type.to_owned(), bytes));
        Ok(())
    }
}

/// Makes the project; answers how many bytes of Markdown it has. Pictures stand in the first copy only: else the
/// HTML, which holds each picture where it stands, would be pictures for the most part.
async fn prepare(app: &App, engine: &Engine, scratch: &Path, size: u64) -> Result<u64, CliError> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::unavailable(format_args!("the book can't be made: {error}"))
    };
    let folder = scratch.join("handbook");
    let read = tokio::task::spawn_blocking(move || read_handbook(&folder)).await;
    let (book, metadata) = read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let root = presswork::artifact::key([app.tenant().as_str(), "projects", PROJECT]);
    // Past the engine, which puts each file on the disk for good before it goes on: this book need not outlive us.
    let objects = LocalFileSystem::new_with_prefix(engine.local_path("")).map_err(|error| failed(&error))?;
    let storage = Arc::new(PrefixStore::new(objects, root));
    let mut writer = ProjectWriter::begin(storage, "bench").map_err(|error| failed(&error))?;
    for (name, media_type, bytes) in book.assets {
        let pieces = stream::iter([Ok(Bytes::from(bytes))]).boxed();
        writer.asset(&name, &media_type, pieces).await.map_err(|error| failed(&error))?;
    }
    let chapters: Vec<(String, String)> = book.chapters.into_iter().map(of_a_novels_length).collect();
    let (mut bytes, mut index) = (0, 0);
    while bytes < size {
        for (title, markdown) in &chapters {
            let text = if index < chapters.len() { markdown.clone() } else { without_pictures(markdown) };
            bytes += text.len() as u64;
            let name = chapter_name(index, title);
            writer.chapter(&name, title, text).await.map_err(|error| failed(&error))?;
            index += 1;
        }
    }
    writer.publish(metadata).await.map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// The handbook's chapters are short. Each is repeated until it is as long as a novel's, without its pictures and,
/// as a chapter has one title, with its further ones a level down.
fn of_a_novels_length((title, first): (String, String)) -> (String, String) {
    const BYTES: usize = 24 << 10;
    let again = without_pictures(&first).replacen("# ", "## ", 1);
    let times = BYTES.saturating_sub(first.len()).div_ceil(again.len().max(1));
    let whole = std::iter::once(first.as_str()).chain(std::iter::repeat_n(again.as_str(), times));
    (title, whole.collect::<Vec<_>>().join("\n\n"))
}

fn without_pictures(markdown: &str) -> String {
    markdown.lines().filter(|line| !line.starts_with("![")).flat_map(|line| [line, "\n"]).collect()
}

/// Blocking.
fn read_handbook(folder: &Path) -> Result<(Collected, Metadata), BookError> {
    handbook::write(folder)?;
    let file = |(name, _): &handbook::File| SourceFile { name: (*name).to_owned(), path: folder.join(name) };
    let files = handbook::FILES.iter().map(file).collect();
    let mut book = Collected::default();
    let imported = import(SourceFormat::Markdown, &Source::Folder(files), &mut book)?;
    Ok((book, imported.metadata))
}
