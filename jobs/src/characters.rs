//! `presswork characters add|list|show|remove`: a project's characters by hand. Many at a time are an import's affair.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::prefix::PrefixStore;
use presswork::{
    artifact::key,
    cli::{App, CliError, Command},
    domain::ProjectId,
};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use crate::book::{BookError, Character, CharacterId, Characters};

/// The command.
#[derive(Debug)]
pub struct CharactersCommand;

/// What it is told.
#[derive(Debug, Args)]
pub struct CharactersArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Puts characters into a project
    Add {
        /// The project
        project: ProjectId,
        /// JSON files, each a character or a list of them: {"id": "odysseus", "name": "Odysseus", …}
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Replace characters that are there
        #[arg(long)]
        replace: bool,
    },
    /// Lists a project's characters by id
    List {
        /// The project
        project: ProjectId,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
        limit: u32,
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Shows a character as it is on storage
    Show {
        /// The project
        project: ProjectId,
        /// The character
        id: CharacterId,
    },
    /// Removes characters from a project
    Remove {
        /// The project
        project: ProjectId,
        /// The characters
        #[arg(required = true, value_name = "ID")]
        ids: Vec<CharacterId>,
    },
}

impl Command for CharactersCommand {
    const NAME: &'static str = "characters";
    const ABOUT: &'static str = "Puts characters into a project, lists, shows and removes them";
    type Arguments = CharactersArguments;

    async fn run(arguments: CharactersArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Add { project, files, replace } => {
                let characters = of(app, &app.engine().await?, &project);
                add(app, &characters, &files, replace).await
            }
            Action::List { project, limit, all } => {
                let characters = of(app, &app.existing_engine().await?, &project);
                let most = if all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
                list(app, &characters, most).await
            }
            Action::Show { project, id } => {
                let characters = of(app, &app.existing_engine().await?, &project);
                let found = characters.get(&id).await.map_err(explain)?;
                let found = found.ok_or_else(|| unknown(app, &project, [&id]))?;
                app.output().line(serde_json::to_string_pretty(&found).unwrap_or_default())?;
                app.output().document(&found)
            }
            Action::Remove { project, ids } => {
                let characters = of(app, &app.existing_engine().await?, &project);
                remove(app, &characters, &project, ids).await
            }
        }
    }
}

fn of(app: &App, engine: &presswork::engine::Engine, project: &ProjectId) -> Characters {
    let folder = key([app.tenant().as_str(), "projects", project.as_str()]);
    Characters::of(Arc::new(PrefixStore::new(engine.storage.clone(), folder)))
}

fn explain(error: BookError) -> CliError {
    match error {
        BookError::Input { .. } => CliError::usage(error),
        BookError::Storage { .. } | BookError::Stopped(_) => CliError::unavailable(error),
    }
}

fn unknown<'a>(app: &App, project: &ProjectId, ids: impl IntoIterator<Item = &'a CharacterId>) -> CliError {
    let ids = ids.into_iter().map(CharacterId::as_str).collect::<Vec<_>>().join(", ");
    CliError::not_found(format_args!("project {project} has no character {ids}"))
        .hint(format_args!("`{} characters list {project}` tells which there are", app.name()))
}

/// What was put in, in JSON.
#[derive(Serialize)]
struct Added {
    added: Vec<CharacterId>,
}

async fn add(app: &App, characters: &Characters, files: &[PathBuf], replace: bool) -> Result<(), CliError> {
    // All files are read before anything is stored, so that a faulty one leaves nothing half done.
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file).await?);
    }
    let (mut added, mut there) = (Vec::new(), Vec::new());
    for character in all {
        let stored = characters.put(&character, replace).await.map_err(explain)?;
        if stored {
            app.output().line(&character.id)?;
            added.push(character.id);
        } else {
            there.push(character.id.to_string());
        }
    }
    if !there.is_empty() {
        let there = there.join(", ");
        return Err(CliError::usage(format_args!("left alone, as they are there already: {there}"))
            .hint("--replace puts these in their place; the others are stored"));
    }
    app.output().document(&Added { added })
}

/// How many bytes a file has at most.
const MOST_FILE_BYTES: u64 = 64 << 20;

async fn read(file: &Path) -> Result<Vec<Character>, CliError> {
    let wrong = |problem: &dyn fmt::Display| CliError::usage(format_args!("{}: {problem}", file.display()));
    let opened = tokio::fs::File::open(file).await.map_err(|error| wrong(&error))?;
    let mut json = Vec::new();
    let read =
        opened.take(MOST_FILE_BYTES + 1).read_to_end(&mut json).await.map_err(|error| wrong(&error))?;
    if read as u64 > MOST_FILE_BYTES {
        return Err(wrong(&"it is larger than 64 MiB: divide it"));
    }
    let is_list = json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let no_character = |error: serde_json::Error| wrong(&format_args!("is no character: {error}"));
    if !is_list {
        return Ok(vec![serde_json::from_slice(&json).map_err(no_character)?]);
    }
    serde_json::from_slice(&json).map_err(no_character)
}

/// A character in a list, in JSON.
#[derive(Serialize)]
struct Row {
    id: CharacterId,
    name: String,
    role: String,
}

#[derive(Serialize)]
struct Listing {
    characters: Vec<Row>,
    more: bool,
}

async fn list(app: &App, characters: &Characters, most: usize) -> Result<(), CliError> {
    let mut all = characters.all().map_ok(|one| Row { id: one.id, name: one.name, role: one.role });
    let mut rows = Vec::new();
    while rows.len() < most
        && let Some(row) = all.next().await
    {
        rows.push(row.map_err(explain)?);
    }
    let more = rows.len() == most && all.next().await.is_some();
    let cells = |row: &Row| vec![row.id.to_string(), row.name.clone(), row.role.clone()];
    app.output().table(&["ID", "NAME", "ROLE"], &rows.iter().map(cells).collect::<Vec<_>>())?;
    if rows.is_empty() {
        app.output().line("no characters")?;
    }
    if more {
        app.output().note("there are more: --all shows them");
    }
    app.output().document(&Listing { characters: rows, more })
}

/// What was removed, in JSON.
#[derive(Serialize)]
struct Removed {
    removed: Vec<CharacterId>,
}

async fn remove(
    app: &App,
    characters: &Characters,
    project: &ProjectId,
    ids: Vec<CharacterId>,
) -> Result<(), CliError> {
    let (mut removed, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        if characters.remove(&id).await.map_err(explain)? {
            app.output().line(&id)?;
            removed.push(id);
        } else {
            missing.push(id);
        }
    }
    if !missing.is_empty() {
        return Err(unknown(app, project, &missing));
    }
    app.output().document(&Removed { removed })
}
