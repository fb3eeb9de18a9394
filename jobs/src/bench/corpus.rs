//! Every file of a folder, imported by a process of its own with a limit of time: what came of each. For other people's
//! manuscripts by the hundred. Nothing is stored.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    domain::SystemRandom,
};
use serde::{Deserialize, Serialize};

use super::{mib, rounded, unless_stopped};
use crate::{
    book::BookError,
    import::{BookSink, Report, SourceFile, local_folder, read_any},
    memory,
    scratch::Scratch,
};

/// What `bench corpus` is told.
#[derive(Debug, Args)]
pub(super) struct CorpusArguments {
    /// The folder; its folders are looked into
    folder: PathBuf,
    /// The folder itself is one manuscript
    #[arg(long)]
    whole: bool,
    /// Write what was read below this folder, to be looked at
    #[arg(long)]
    keep: Option<PathBuf>,
    /// How many seconds a file may take
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// That one is a file, to be read by this very process: how the benchmark calls itself
    #[arg(long, hide = true)]
    one: bool,
}

/// What came of a manuscript.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    file: String,
    /// `imported`, `refused`, `crashed` or `hung`.
    outcome: String,
    /// Why it was refused, or what the process said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    seconds: f64,
    peak_mib: f64,
}

pub(super) async fn run(arguments: CorpusArguments, app: &App) -> Result<(), CliError> {
    if arguments.one {
        let read = tokio::task::spawn_blocking(move || one(&arguments)).await;
        let outcome = read.map_err(CliError::unavailable)??;
        return app.output().json_line(&outcome);
    }
    unless_stopped(each(arguments, app)).await
}

async fn each(arguments: CorpusArguments, app: &App) -> Result<(), CliError> {
    let folder = arguments.folder.clone();
    let files = if arguments.whole {
        vec![folder]
    } else {
        let mut files = Vec::new();
        let found = tokio::task::spawn_blocking(move || collect(&folder, &mut files).map(|()| files)).await;
        let found = found.map_err(CliError::unavailable)?;
        found.map_err(|error| CliError::usage(format_args!("the folder can't be read: {error}")))?
    };
    let mut counts = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let keep = arguments.keep.as_ref().map(|keep| keep.join(format!("{number:05}")));
        let outcome = in_a_process(file, keep.as_deref(), Duration::from_secs(arguments.seconds)).await?;
        app.output().json_line(&outcome)?;
        *counts.entry(outcome.outcome).or_insert(0_u64) += 1;
    }
    let rows: Vec<Vec<String>> =
        counts.into_iter().map(|(outcome, count)| vec![outcome, count.to_string()]).collect();
    app.output().table(&["OUTCOME", "FILES"], &rows)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        match entry.file_type()? {
            kind if kind.is_dir() => collect(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

async fn in_a_process(file: &Path, keep: Option<&Path>, most: Duration) -> Result<Outcome, CliError> {
    let failed = |error: std::io::Error| {
        CliError::unavailable(format_args!("a process of its own can't be started: {error}"))
    };
    let mut command = tokio::process::Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["bench", "corpus", "--json", "--one"]).arg(file);
    if let Some(keep) = keep {
        command.arg("--keep").arg(keep);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let begun = Instant::now();
    let child = command.spawn().map_err(failed)?;
    let ended = tokio::time::timeout(most, child.wait_with_output()).await;
    let other = |outcome: &str, reason: Option<String>| Outcome {
        file: file.display().to_string(),
        outcome: outcome.to_owned(),
        reason,
        title: None,
        report: None,
        seconds: rounded(begun.elapsed().as_secs_f64()),
        peak_mib: 0.0,
    };
    let Ok(ended) = ended else { return Ok(other("hung", None)) };
    let Output { status, stdout, stderr } = ended.map_err(failed)?;
    match serde_json::from_slice(&stdout) {
        Ok(outcome) if status.success() => Ok(outcome),
        _ => {
            let said: String = String::from_utf8_lossy(&stderr).chars().take(500).collect();
            Ok(other("crashed", Some(format!("{status}: {said}"))))
        }
    }
}

/// Counts what it gets, and keeps it where that is said.
struct Keep(Option<PathBuf>);

impl Keep {
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BookError> {
        let Some(folder) = &self.0 else { return Ok(()) };
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(folder.join(name), bytes));
        written.map_err(|error| BookError::storage(format!("writing {name}"), error))
    }
}

impl BookSink for Keep {
    fn chapter(&mut self, name: &str, _: &str, markdown: String) -> Result<(), BookError> {
        self.write(name, markdown.as_bytes())
    }

    fn asset(&mut self, name: &str, _: &str, data: &mut dyn Read) -> Result<(), BookError> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        self.write(name, &bytes)
    }
}

/// Blocking.
fn one(arguments: &CorpusArguments) -> Result<Outcome, CliError> {
    let failed = |error: std::io::Error| CliError::unavailable(format_args!("no scratch folder: {error}"));
    let (path, begun) = (arguments.folder.as_path(), Instant::now());
    let scratch = tempfile::tempdir().map_err(failed)?;
    let files = if path.is_dir() {
        local_folder(path)?
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        vec![SourceFile::new(name, path)]
    };
    let mut keep = Keep(arguments.keep.clone());
    let read = read_any(files, path.is_dir(), &Scratch::within(scratch.path(), &SystemRandom), &mut keep);
    let (outcome, reason, title, report) = match read {
        Ok(imported) => ("imported", None, Some(imported.metadata.title), Some(imported.report)),
        Err(error @ BookError::Input { .. }) => ("refused", Some(error.to_string()), None, None),
        Err(error) => return Err(CliError::unavailable(error)),
    };
    Ok(Outcome {
        file: path.display().to_string(),
        outcome: outcome.to_owned(),
        reason,
        title,
        report,
        seconds: rounded(begun.elapsed().as_secs_f64()),
        peak_mib: rounded(mib(memory::peak_bytes().unwrap_or_default())),
    })
}
