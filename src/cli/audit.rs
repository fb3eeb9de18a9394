//! `audit tail|search|verify|report|export`: who did what. Also how the command line itself is recorded.

mod check;
mod filter;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{
    app::{App, blocking},
    command::Command,
    error::CliError,
};
use crate::{
    engine::Engine,
    security::audit::{Actor, Entry, Filter, Folder, Follow, Line, from_files, from_store, is_harmful},
};
use filter::FilterArguments;

/// How long a command waits at its end for what it has recorded.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How many entries are read at a time.
const PAGE: usize = 500;

/// Records an act of the command line, with the number of the system's user who runs it.
pub(super) async fn record(engine: &Engine, entry: Entry) {
    #[cfg(unix)]
    let entry = entry.with("uid", rustix::process::getuid().as_raw());
    engine.audit.record(entry.by(Actor::CommandLine)).await;
    engine.audit.settle(SETTLES_WITHIN).await;
}

pub(super) struct AuditCommand;

#[derive(Args)]
pub(super) struct AuditArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows this node's latest entries
    Tail {
        /// So many
        #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
        lines: u32,
        /// And those that come, until ctrl-c
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        filter: FilterArguments,
    },
    /// Finds entries, the latest last
    Search {
        #[command(flatten)]
        filter: FilterArguments,
        /// At most so many, the latest
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
        /// Of all nodes, from the engine's store, instead of this node's files
        #[arg(long)]
        fleet: bool,
    },
    /// Checks that no entry was changed, removed, added or moved, and that the tail is there; exit code 0 where all is whole, 3 where something is broken or can't be read
    Verify {
        /// Files of one node in their order [default: this node's own]
        files: Vec<PathBuf>,
    },
    /// Sums up: actions, outcomes, actors, days, failed logins, keys, changes, gaps, and whether the log is whole
    Report {
        #[command(flatten)]
        filter: FilterArguments,
        /// Of all nodes, from the engine's store, instead of this node's files
        #[arg(long)]
        fleet: bool,
    },
    /// Writes entries as they are kept, one JSON document a line, the oldest first
    Export {
        #[command(flatten)]
        filter: FilterArguments,
    },
}

impl Command for AuditCommand {
    const NAME: &'static str = "audit";
    const ABOUT: &'static str = "Shows, searches, checks and sums up who did what";
    type Arguments = AuditArguments;

    async fn run(arguments: AuditArguments, app: &App) -> Result<(), CliError> {
        let folder = Folder::new(app.settings().data_dir.join("audit"));
        match arguments.action {
            Action::Tail { lines, follow, filter } => {
                tail(app, folder, &filter.filter(app), lines, follow).await
            }
            Action::Search { filter, limit, fleet: true } => {
                fleet(app, &filter.filter(app), usize::try_from(limit).unwrap_or(PAGE)).await
            }
            Action::Search { filter, limit, fleet: false } => {
                tail(app, folder, &filter.filter(app), limit, false).await
            }
            Action::Verify { files } => check::verify(app, &folder, files).await,
            Action::Report { filter, fleet } => report::report(app, &folder, filter.filter(app), fleet).await,
            Action::Export { filter } => export(app, folder, filter.filter(app)).await,
        }
    }
}

/// The files can't be read.
fn unreadable(error: std::io::Error) -> CliError {
    CliError::unavailable(format_args!("the audit log can't be read: {error}"))
}

/// The files of this node.
async fn files(folder: &Folder) -> Result<Vec<PathBuf>, CliError> {
    let folder = folder.clone();
    let files = blocking(move || folder.files()).await?.map_err(unreadable)?;
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn show(app: &App, line: &Line) -> Result<(), CliError> {
    app.output().line(line.to_text())?;
    app.output().json_line(line)
}

async fn tail(app: &App, folder: Folder, filter: &Filter, lines: u32, follow: bool) -> Result<(), CliError> {
    let (wanted, most) = (filter.clone(), usize::try_from(lines).unwrap_or(usize::MAX));
    let (mut place, last) =
        blocking(move || Follow::begin(folder, &wanted, most)).await?.map_err(unreadable)?;
    if last.is_empty() && !follow {
        app.output().note("there is no such entry");
    }
    last.iter().try_for_each(|line| show(app, line))?;
    if !follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let wanted = filter.clone();
        let (next, lines) = blocking(move || {
            let lines = place.next(&wanted);
            (place, lines)
        })
        .await?;
        place = next;
        lines.map_err(unreadable)?.iter().try_for_each(|line| show(app, line))?;
    }
}

async fn fleet(app: &App, filter: &Filter, most: usize) -> Result<(), CliError> {
    let engine = app.existing_engine().await?;
    let mut lines = Vec::new();
    each_of_fleet(&engine, filter, |line| {
        lines.push(line);
        lines.len() < most
    })
    .await?;
    if lines.is_empty() {
        app.output().note("there is no such entry");
    }
    lines.iter().rev().try_for_each(|line| show(app, line))
}

/// Gives entries of the store to `take`, the newest first, until it answers `false`.
async fn each_of_fleet(
    engine: &Engine,
    filter: &Filter,
    mut take: impl FnMut(Line) -> bool,
) -> Result<(), CliError> {
    if let Err(error) = engine.audit.ship().await {
        tracing::warn!(%error, "this node's latest entries are not in the store yet");
    }
    let mut cursor = None;
    loop {
        let found = from_store(&engine.records, filter, cursor.as_deref(), PAGE).await?.unwrap_or_default();
        if !found.lines.into_iter().all(&mut take) {
            return Ok(());
        }
        cursor = found.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn export(app: &App, folder: Folder, filter: Filter) -> Result<(), CliError> {
    let paths = files(&folder).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(PAGE);
    let reading = tokio::task::spawn_blocking(move || {
        // Nobody may be writing any more.
        from_files(&paths, &filter, |line| sender.blocking_send(line).is_ok())
    });
    while let Some(line) = receiver.recv().await {
        // Of what the log wrote itself these are the very bytes of its line.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        if text.chars().any(is_harmful) {
            text = text.chars().filter(|c| !is_harmful(*c)).collect();
        }
        app.output().script(&(text + "\n"))?;
    }
    let read = reading.await.map_err(std::io::Error::other).and_then(|read| read);
    read.map_err(unreadable)
}
