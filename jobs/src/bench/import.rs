//! A large manuscript of every format, each read in a process of its own, so that its peak memory is its own, by the real job
//! through the real worker. The manuscripts are our own exports of one book. Beside it, where pandoc is installed, what its
//! reader takes for the same EPUB or DOCX, at a size that it can bear.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Args;
use presswork::{
    cli::{App, CliError, one_of},
    config::{ByteSize, Settings},
    domain::{JobId, ProjectId},
    engine::Engine,
    worker::new_job,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    export::{Baseline, Other, TheBook, local_project},
    mib, rounded, scratch, unless_stopped,
};
use crate::{
    export::Format,
    import::{Brought, Handed, Import, SourceFormat},
    in_process::done,
    memory,
};

/// What `bench import` is told.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// How many bytes of Markdown the book has that the manuscripts are made of
    #[arg(long, default_value = "100MiB")]
    size: ByteSize,
    /// Only this format; may be repeated
    #[arg(long = "format", value_parser = one_of::<SourceFormat>(SourceFormat::ALL.map(SourceFormat::name)))]
    formats: Vec<SourceFormat>,
    /// How many bytes of Markdown the book has that pandoc is given, where it is installed; 0 for not at all
    #[arg(long, default_value = "1MiB")]
    baseline_size: ByteSize,
    /// The prepared data directory: how the benchmark calls itself, once a format
    #[arg(long, hide = true)]
    prepared: Option<PathBuf>,
    /// The manuscript in it
    #[arg(long, hide = true, default_value = "")]
    file: String,
}

/// The project that the manuscripts are made of, and the one that pandoc can bear.
const PROJECTS: [&str; 2] = ["bench", "beside"];

/// What a process that imports one manuscript tells.
#[derive(Debug, Serialize, Deserialize)]
struct Read {
    seconds: f64,
    peak_bytes: u64,
    chapters: u64,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    format: SourceFormat,
    markdown_mib: f64,
    file_mib: f64,
    chapters: u64,
    seconds: f64,
    mib_per_s: f64,
    peak_mib: f64,
    baseline: Option<Baseline>,
}

impl Figures {
    fn row(&self) -> Vec<String> {
        vec![
            self.format.name().to_owned(),
            format!("{:.0} MiB", self.file_mib),
            format!("{:.1} s", self.seconds),
            format!("{:.0} MiB/s", self.mib_per_s),
            format!("{:.1} MiB", self.peak_mib),
            self.baseline.as_ref().map_or_else(|| "-".to_owned(), Baseline::shown),
        ]
    }
}

pub(super) async fn run(arguments: ImportArguments, app: &App) -> Result<(), CliError> {
    if let (Some(data), [format]) = (&arguments.prepared, &arguments.formats[..]) {
        return app.output().json_line(&import_one(app, data, *format, &arguments.file).await?);
    }
    let folder = scratch().await?;
    unless_stopped(measure(&arguments, app, folder.path())).await
}

async fn measure(arguments: &ImportArguments, app: &App, folder: &Path) -> Result<(), CliError> {
    let data = folder.join("data");
    let engine = app.engine_with(&own(app, &data)).await?;
    let book = TheBook::read(folder).await?;
    let sizes = [arguments.size.0, arguments.baseline_size.0];
    let mut written = [0; 2];
    for ((project, size), written) in PROJECTS.into_iter().zip(sizes).zip(&mut written) {
        if size > 0 {
            *written = book.write_project(local_project(app, &engine, project)?, size).await?;
        }
    }
    app.output().line(format_args!("manuscripts of {:.0} MiB of Markdown", mib(written[0])))?;
    let formats = match &arguments.formats[..] {
        [] => SourceFormat::ALL.to_vec(),
        formats => formats.to_vec(),
    };
    let place = Place { app, engine, data };
    let mut rows = Vec::new();
    for format in formats {
        let (file, bytes) = place.manuscript(format, PROJECTS[0]).await?;
        let (read, _) = place.import(format, &file).await?;
        place.forget(&file).await?;
        let baseline = if written[1] > 0 { place.beside(format, written[1]).await? } else { None };
        let figures = Figures {
            bench: "import",
            format,
            markdown_mib: rounded(mib(written[0])),
            file_mib: rounded(mib(bytes)),
            chapters: read.chapters,
            seconds: rounded(read.seconds),
            mib_per_s: rounded(mib(written[0]) / read.seconds.max(1e-9)),
            peak_mib: rounded(mib(read.peak_bytes)),
            baseline,
        };
        app.output().json_line(&figures)?;
        rows.push(figures.row());
    }
    app.output().table(&["FORMAT", "FILE", "TIME", "SPEED", "PEAK", "BESIDE"], &rows)
}

/// Where the benchmark works: a data directory of its own.
struct Place<'a> {
    app: &'a App,
    engine: Engine,
    data: PathBuf,
}

impl Place<'_> {
    /// The tenant's folder of uploaded files.
    fn files(&self) -> Result<PathBuf, CliError> {
        let key = presswork::artifact::key([self.app.tenant().as_str(), "files"]);
        self.engine.local_path(key.as_ref()).ok_or_else(|| {
            CliError::usage("imports are measured on this machine's disk: leave the storage's URL out")
        })
    }

    /// Makes a manuscript out of a project; its name and its size.
    async fn manuscript(&self, format: SourceFormat, project: &str) -> Result<(String, u64), CliError> {
        let export = match format {
            SourceFormat::Markdown => Format::Markdown,
            SourceFormat::Text => Format::Text,
            SourceFormat::Html => Format::Html,
            SourceFormat::Epub => Format::Epub,
            SourceFormat::Docx => Format::Docx,
            SourceFormat::Json => Format::Json,
        };
        let name = format!("{project}.{}", export.extension());
        let failed = |error: std::io::Error| {
            CliError::unavailable(format_args!("the manuscript can't be made: {error}"))
        };
        let path = self.files()?.join(&name);
        tokio::fs::create_dir_all(self.files()?).await.map_err(failed)?;
        let mut arguments = vec!["export", "--format", export.name(), "--project", project, "--copy-to"];
        let copy_to = path.display().to_string();
        arguments.push(&copy_to);
        self.in_a_process::<serde::de::IgnoredAny>(&arguments).await?;
        let bytes = tokio::fs::metadata(&path).await.map_err(failed)?.len();
        Ok((name, bytes))
    }

    async fn import(&self, format: SourceFormat, file: &str) -> Result<(Read, Duration), CliError> {
        self.in_a_process(&["import", "--format", format.name(), "--file", file]).await
    }

    async fn forget(&self, file: &str) -> Result<(), CliError> {
        let removed = tokio::fs::remove_file(self.files()?.join(file)).await;
        removed.map_err(|error| CliError::unavailable(format_args!("{file} can't be removed: {error}")))
    }

    /// Runs this program once more; how long the process lived beside what it tells.
    async fn in_a_process<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<(T, Duration), CliError> {
        let failed = |problem: &dyn std::fmt::Display| {
            let what = arguments.join(" ");
            CliError::unavailable(format_args!("{what} in a process of its own failed: {problem}"))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = tokio::process::Command::new(program);
        command.arg("bench").args(arguments).arg("--json");
        command.arg("--prepared").arg(&self.data).arg("--data-dir").arg(&self.data);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let output = command.output().await.map_err(|error| failed(&error))?;
        let lived = begun.elapsed();
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok((serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?, lived))
    }

    /// pandoc's reader and ours, one after the other; `None` where it reads not so much better, or is not here.
    async fn beside(&self, format: SourceFormat, markdown: u64) -> Result<Option<Baseline>, CliError> {
        let Some(other) = Other::reading(format) else { return Ok(None) };
        let (file, _) = self.manuscript(format, PROJECTS[1]).await?;
        let manuscript = self.files()?.join(&file);
        let Some(theirs) = other.read(&manuscript).await? else {
            tracing::warn!(
                "{format}: no baseline: pandoc is not installed; on Debian: apt-get install pandoc"
            );
            return Ok(None);
        };
        let (ours, lived) = self.import(format, &file).await?;
        self.forget(&file).await?;
        Ok(Some(Baseline::of("pandoc", markdown, theirs, (lived, ours.peak_bytes))))
    }
}

/// Embedded, whatever Redis there is: the workers of a fleet would take the jobs.
fn own(app: &App, data: &Path) -> Settings {
    Settings { data_dir: data.to_owned(), redis_url: None, storage_url: None, ..app.settings().clone() }
}

/// The import itself: the real job through a worker.
async fn import_one(app: &App, data: &Path, format: SourceFormat, file: &str) -> Result<Read, CliError> {
    let engine = app.engine_with(&own(app, data)).await?;
    let project: ProjectId = "imported".parse()?;
    let import = Import {
        project,
        source: vec![Handed::at(format!("files/{file}"), file)],
        folder: false,
        format: Some(format),
        chapters: Vec::new(),
        title: None,
        authors: Vec::new(),
        language: None,
    };
    let job = new_job(JobId::new(engine.clock.now(), &*engine.random), app.tenant().clone(), &import)?;
    let id = job.id;
    let (job, took) = done(app, &engine, job, format.name()).await?;
    let lost = || CliError::not_found(format_args!("job {id} completed without a result"));
    let brought = job.output.map(|output| output.result).ok_or_else(lost)?;
    let brought: Brought = serde_json::from_value(brought).map_err(|_| lost())?;
    let peak_bytes = memory::peak_bytes().unwrap_or_default();
    Ok(Read { seconds: took.as_secs_f64(), peak_bytes, chapters: brought.report.chapters })
}
