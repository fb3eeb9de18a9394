//! `artifacts list|get|cat`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::{
    app::{App, blocking},
    command::Command,
    error::{CliError, ErrorKind},
    follow::{inspect, unknown_job},
    output::write_error,
    show,
};
use crate::{
    domain::{ArtifactPointer, FileName, Job, JobId, State},
    engine::Engine,
};

pub(super) struct Artifacts;

#[derive(Args)]
pub(super) struct ArtifactsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists what a job has made
    List {
        /// The job
        job: JobId,
    },
    /// Fetches a file that a job has made, decoded and checked
    Get {
        #[command(flatten)]
        which: Which,
        /// Where to [default: the artifact's own name, in this folder; - for standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Writes a file that a job has made to standard output; a damaged one ends in an error
    Cat {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
struct Which {
    /// The job
    job: JobId,
    /// The artifact, where the job has made several
    name: Option<FileName>,
}

impl Command for Artifacts {
    const NAME: &'static str = "artifacts";
    const ABOUT: &'static str = "Lists and fetches the files that jobs have made";
    type Arguments = ArtifactsArguments;

    async fn run(arguments: ArtifactsArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        match arguments.action {
            Action::List { job } => list(app, &completed(app, &engine, job).await?),
            Action::Cat { which } => cat(&engine, &which.find(app, &engine).await?).await,
            Action::Get { which, output, force } => {
                let pointer = which.find(app, &engine).await?;
                match output {
                    Some(path) if path == Path::new("-") => cat(&engine, &pointer).await,
                    output => {
                        let path = output.unwrap_or_else(|| PathBuf::from(pointer.name.as_str()));
                        get(app, &engine, &pointer, path, force).await
                    }
                }
            }
        }
    }
}

/// The job, if it is one that can have published anything.
async fn completed(app: &App, engine: &Engine, job: JobId) -> Result<Job, CliError> {
    let found = inspect(engine, app.tenant(), job).await?;
    let found = found.ok_or_else(|| unknown_job(app, job, &format!("there is no job {job}")))?;
    if found.state == State::Completed {
        return Ok(found);
    }
    let hint = if found.state.is_final() { "jobs show" } else { "watch" };
    let text = format!("job {job} is {}: only completed jobs have artifacts", found.state);
    Err(CliError::not_found(text).hint(format_args!("`{} {hint} {job}` tells more", app.name())))
}

fn artifacts(job: &Job) -> &[ArtifactPointer] {
    job.output.as_ref().map_or(&[], |output| &output.artifacts)
}

impl Which {
    async fn find(self, app: &App, engine: &Engine) -> Result<ArtifactPointer, CliError> {
        let job = completed(app, engine, self.job).await?;
        let all = artifacts(&job);
        let names = || all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        match (self.name, all) {
            (_, []) => Err(CliError::not_found(format_args!("job {} has made no artifact", self.job))),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(CliError::usage(format_args!("job {} has made several artifacts", self.job))
                .hint(format_args!("name one of them: {}", names()))),
            (Some(name), all) => all.iter().find(|one| one.name == name).cloned().ok_or_else(|| {
                CliError::not_found(format_args!("job {} has made no artifact {name}", self.job))
                    .hint(format_args!("there are: {}", names()))
            }),
        }
    }
}

#[derive(Serialize)]
struct Listing<'a> {
    artifacts: &'a [ArtifactPointer],
}

fn list(app: &App, job: &Job) -> Result<(), CliError> {
    let all = artifacts(job);
    let row = |one: &ArtifactPointer| {
        let (plain, stored) = (show::size(one.plain_bytes), show::size(one.stored_bytes));
        vec![plain, stored, one.encoding.to_string(), one.content_type.clone(), one.name.to_string()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    app.output().table(&["SIZE", "STORED", "ENCODING", "TYPE", "NAME"], &rows)?;
    if all.is_empty() {
        app.output().line("no artifacts")?;
    }
    app.output().document(&Listing { artifacts: all })
}

async fn cat(engine: &Engine, pointer: &ArtifactPointer) -> Result<(), CliError> {
    let mut pieces = engine.artifacts.read(pointer).await?;
    let mut out = tokio::io::stdout();
    while let Some(piece) = pieces.next().await {
        out.write_all(&piece?).await.map_err(write_error)?;
    }
    out.flush().await.map_err(write_error)
}

/// What was fetched, in JSON.
#[derive(Serialize)]
struct Fetched<'a> {
    file: &'a Path,
    bytes: u64,
    sha256: &'a str,
}

async fn get(
    app: &App,
    engine: &Engine,
    pointer: &ArtifactPointer,
    path: PathBuf,
    force: bool,
) -> Result<(), CliError> {
    let path = save_artifact(engine, pointer, path, force).await?;
    let bytes = pointer.plain_bytes;
    app.output().line(format_args!("{} ({})", path.display(), show::size(bytes)))?;
    app.output().document(&Fetched { file: &path, bytes, sha256: &pointer.sha256 })
}

/// Fetches an artifact, decoded, to a file that appears only once it is whole and its checksum held; answers where
/// that is. With `force` an ordinary file that is there is replaced.
///
/// # Errors
/// Where the file can't be written or is there, and where the artifact is gone or damaged.
pub async fn save_artifact(
    engine: &Engine,
    pointer: &ArtifactPointer,
    path: PathBuf,
    force: bool,
) -> Result<PathBuf, CliError> {
    let path = blocking(move || destination(path, force)).await??;
    let target = path.clone();
    let beside = blocking(move || new_file_beside(&target)).await?;
    let (mut file, temporary) = beside.map_err(|error| cannot_write(&path, &error))?.into_parts();
    let mut pieces = engine.artifacts.read(pointer).await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        file = blocking(move || file.write_all(&piece).map(|()| file))
            .await?
            .map_err(|error| cannot_write(&path, &error))?;
    }
    // Only now is it known to be what was written: the stream has compared the checksum.
    let target = path.clone();
    let kept = blocking(move || {
        file.sync_all()?;
        if force { temporary.persist(&target) } else { temporary.persist_noclobber(&target) }
            .map_err(|error| error.error)
    });
    kept.await?.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => is_there(&path),
        _ => cannot_write(&path, &error),
    })?;
    Ok(path)
}

/// Where the file goes: a link's own target, so that the link stays. Only an ordinary file is ever replaced. Blocks.
fn destination(path: PathBuf, force: bool) -> Result<PathBuf, CliError> {
    let Ok(there) = path.metadata() else { return Ok(path) };
    if there.is_dir() {
        return Err(CliError::usage(format_args!("{} is a folder", path.display()))
            .hint("name the file in it: -o FOLDER/FILE"));
    }
    if !there.is_file() {
        return Err(CliError::usage(format_args!("{} is no ordinary file", path.display()))
            .hint("-o - writes to standard output"));
    }
    if !force {
        return Err(is_there(&path));
    }
    path.canonicalize().map_err(|error| cannot_write(&path, &error))
}

/// A new file in the folder of `path`, with the permissions that any new file would have; gone unless it is kept.
fn new_file_beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = tempfile::Builder::new();
    #[cfg(unix)]
    files.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    files.prefix(".presswork-").suffix(".part").tempfile_in(folder)
}

fn is_there(path: &Path) -> CliError {
    CliError::usage(format_args!("{} is there already", path.display()))
        .hint("--force replaces it, -o FILE writes elsewhere")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            CliError::usage(format_args!("{}: its folder is not there", path.display()))
        }
        _ => CliError::new(
            ErrorKind::Unavailable,
            format_args!("{} can't be written: {error}", path.display()),
        ),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_file_is_replaced_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |name: &str| folder.join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("socket"), at("link-to-socket")).unwrap();

        assert_eq!(destination(at("new"), false).unwrap(), at("new"));
        assert_eq!(destination(at("link"), true).unwrap(), at("file"));
        for (name, force) in
            [("file", false), ("link", false), ("socket", true), ("link-to-socket", true), ("", true)]
        {
            let error = destination(at(name), force).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{name}: {error}");
        }
    }
}
