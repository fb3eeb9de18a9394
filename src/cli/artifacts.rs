//! `artifacts list|get|cat|verify|rm|url`.

mod list;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::{
    app::App,
    command::Command,
    error::CliError,
    follow::{inspect, unknown_job},
    output::write_error,
    save::save,
    show,
};
use crate::{
    artifact::{ArtifactError, ArtifactStore, ByteRange, PlainBytes},
    config::TimeSpan,
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
    /// Lists what a job has made, or what all of the tenant's jobs have, the newest first
    List {
        /// The job [default: all of them]
        job: Option<JobId>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["all", "job"])]
        limit: u32,
        /// All of them
        #[arg(long, conflicts_with = "job")]
        all: bool,
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
        #[command(flatten)]
        piece: Piece,
    },
    /// Writes a file that a job has made to standard output; a damaged one ends in an error
    Cat {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        piece: Piece,
    },
    /// Reads all of what a job has made, and compares lengths, frames, parts, checksums and the seal
    Verify {
        /// The job
        #[arg(required_unless_present = "all")]
        job: Option<JobId>,
        /// One of its artifacts [default: all of them]
        name: Option<FileName>,
        /// What all of the tenant's jobs have made
        #[arg(long, conflicts_with = "job")]
        all: bool,
    },
    /// Removes what a job has made, for good; its record says so
    Rm {
        /// The job
        job: JobId,
        /// One of its artifacts [default: all of them]
        name: Option<FileName>,
        /// Yes, for good; asked for where somebody is looking
        #[arg(long)]
        yes: bool,
    },
    /// Prints an address by which whoever has it can fetch the stored file for a while, from the storage itself
    Url {
        #[command(flatten)]
        which: Which,
        /// For how long, at most 7d
        #[arg(long, value_name = "TIME", default_value = "5m")]
        expires: TimeSpan,
    },
}

#[derive(Args)]
struct Which {
    /// The job
    job: JobId,
    /// The artifact, where the job has made several
    name: Option<FileName>,
}

#[derive(Args)]
struct Piece {
    /// Some of its bytes only: 0-499 the first 500, 500- all behind those, -500 the last 500
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<ByteRange>,
}

impl Command for Artifacts {
    const NAME: &'static str = "artifacts";
    const ABOUT: &'static str = "Lists, fetches, checks and removes the files that jobs have made";
    type Arguments = ArtifactsArguments;

    async fn run(arguments: ArtifactsArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        // Whatever a record says: this tenant's artifacts and no others.
        let store = engine.artifacts.of(app.tenant());
        match arguments.action {
            Action::List { job: Some(job), .. } => {
                list::of_job(app, &store, &completed(app, &engine, job).await?).await
            }
            Action::List { job: None, limit, all } => {
                let most = if all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
                list::of_tenant(app, &engine, &store, most).await
            }
            Action::Cat { which, piece } => {
                let pointer = which.find(app, &engine).await?;
                cat(piece.read(&store, &pointer).await?).await
            }
            Action::Get { which, output, force, piece } => {
                let pointer = which.find(app, &engine).await?;
                match output {
                    Some(path) if path == Path::new("-") => cat(piece.read(&store, &pointer).await?).await,
                    output => {
                        let path = output.unwrap_or_else(|| PathBuf::from(pointer.name.as_str()));
                        get(app, &store, &pointer, &piece, path, force).await
                    }
                }
            }
            Action::Verify { job: Some(job), name, .. } => {
                let job = completed(app, &engine, job).await?;
                verify::of_job(app, &store, &job, &chosen(&job, name)?).await
            }
            Action::Verify { job: None, .. } => verify::of_tenant(app, &engine, &store).await,
            Action::Rm { job, name, yes } => {
                let job = completed(app, &engine, job).await?;
                remove(app, &engine, &store, &chosen(&job, name)?, yes).await
            }
            Action::Url { which, expires } => {
                let pointer = which.find(app, &engine).await?;
                lend(app, &store, &pointer, expires).await
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

/// The one of this name, or all of them.
fn chosen(job: &Job, name: Option<FileName>) -> Result<Vec<ArtifactPointer>, CliError> {
    let all = artifacts(job);
    if all.is_empty() {
        return Err(CliError::not_found(format_args!("job {} has made no artifact", job.id)));
    }
    let Some(name) = name else { return Ok(all.to_vec()) };
    all.iter().find(|one| one.name == name).map(|one| vec![one.clone()]).ok_or_else(|| {
        let names = all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        CliError::not_found(format_args!("job {} has made no artifact {name}", job.id))
            .hint(format_args!("there are: {names}"))
    })
}

impl Which {
    async fn find(self, app: &App, engine: &Engine) -> Result<ArtifactPointer, CliError> {
        let job = completed(app, engine, self.job).await?;
        let mut chosen = chosen(&job, self.name)?;
        if chosen.len() > 1 {
            let names = chosen.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::usage(format_args!("job {} has made several artifacts", self.job))
                .hint(format_args!("name one of them: {names}")));
        }
        chosen.pop().ok_or_else(|| CliError::not_found(format_args!("job {} has made no artifact", self.job)))
    }
}

impl Piece {
    async fn read(
        &self,
        store: &ArtifactStore,
        pointer: &ArtifactPointer,
    ) -> Result<PlainBytes, ArtifactError> {
        match self.range {
            None => store.read(pointer).await,
            Some(range) => store.read_range(pointer, range.of(pointer.plain_bytes)?).await,
        }
    }
}

async fn cat(mut pieces: PlainBytes) -> Result<(), CliError> {
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
    /// Of the whole artifact.
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
}

async fn get(
    app: &App,
    store: &ArtifactStore,
    pointer: &ArtifactPointer,
    piece: &Piece,
    path: PathBuf,
    force: bool,
) -> Result<(), CliError> {
    let bytes = match piece.range {
        None => pointer.plain_bytes,
        Some(range) => range.of(pointer.plain_bytes).map(|range| range.end - range.start)?,
    };
    let path = save(piece.read(store, pointer), path, force).await?;
    app.output().line(format_args!("{} ({})", path.display(), show::size(bytes)))?;
    let range = piece.range.map(|range| range.to_string());
    app.output().document(&Fetched { file: &path, bytes, sha256: &pointer.sha256, range })
}

/// What was removed, in JSON.
#[derive(Serialize)]
struct Removed<'a> {
    removed: Vec<&'a FileName>,
    /// Those that somebody had removed before.
    gone: Vec<&'a FileName>,
}

async fn remove(
    app: &App,
    engine: &Engine,
    store: &ArtifactStore,
    pointers: &[ArtifactPointer],
    yes: bool,
) -> Result<(), CliError> {
    if !yes && app.output().is_terminal() {
        let names = pointers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(CliError::usage(format_args!("this removes {names} for good"))
            .hint("say --yes if that is what you want"));
    }
    let (mut removed, mut gone) = (Vec::new(), Vec::new());
    for pointer in pointers {
        if store.remove(pointer, engine.clock.now()).await? {
            app.output().line(format_args!("{} removed", pointer.name))?;
            removed.push(&pointer.name);
        } else {
            app.output().line(format_args!("{} was removed before", pointer.name))?;
            gone.push(&pointer.name);
        }
    }
    app.output().document(&Removed { removed, gone })
}

/// A lent address, in JSON.
#[derive(Serialize)]
struct Lent<'a> {
    url: &'a str,
    expires_in_seconds: u64,
    encoding: &'static str,
}

async fn lend(
    app: &App,
    store: &ArtifactStore,
    pointer: &ArtifactPointer,
    expires: TimeSpan,
) -> Result<(), CliError> {
    let url = store.presign(pointer, expires.0).await?;
    if pointer.encoding != crate::domain::Encoding::None {
        app.output().note(format_args!(
            "what it leads to is compressed by {}: whoever fetches it has to decode it",
            pointer.encoding
        ));
    }
    app.output().line(url.as_str())?;
    let (expires_in_seconds, encoding) = (expires.0.as_secs(), pointer.encoding.name());
    app.output().document(&Lent { url: url.as_str(), expires_in_seconds, encoding })
}
