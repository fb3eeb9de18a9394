//! `audit verify`.

use std::path::PathBuf;

use super::{files, unreadable};
use crate::{
    cli::{
        app::{App, blocking},
        error::{CliError, ErrorKind},
    },
    security::{
        MasterSource,
        audit::{Folder, Head, Signer, Verdict, verify as check},
    },
};

/// What the files of this node hold, against what the store has seen; or other files, on their own.
pub(super) async fn verdict(app: &App, folder: &Folder, named: Vec<PathBuf>) -> Result<Verdict, CliError> {
    let own = named.is_empty();
    let (mut signer, mut head): (_, Option<Head>) = (Signer::new(&MasterSource::Absent), None);
    match app.existing_engine().await {
        Ok(engine) => {
            let audit = engine.audit.clone();
            signer = blocking(move || audit.signer()).await?;
            if own {
                match engine.audit.head().await {
                    Ok(found) => head = found,
                    Err(error) => {
                        app.output().note(format_args!("what the store has seen is not known: {error}"))
                    }
                }
            }
        }
        Err(error) => app.output().note(format_args!("without the engine's store and master key: {error}")),
    }
    let paths = if own { files(folder).await? } else { named };
    blocking(move || check(&paths, head.as_ref(), &signer)).await?.map_err(unreadable)
}

pub(super) async fn verify(app: &App, folder: &Folder, named: Vec<PathBuf>) -> Result<(), CliError> {
    let verdict = verdict(app, folder, named).await?;
    tell(app, &verdict)?;
    app.output().document(&verdict)?;
    if verdict.whole {
        return Ok(());
    }
    let message = format!("the audit log is broken in {} places", verdict.breaks);
    Err(CliError::new(ErrorKind::Damaged, message).hint(
        "keep the files as they are, and compare them with an exported copy; the store has what it was sent",
    ))
}

/// The state of the chain, for people.
pub(super) fn tell(app: &App, verdict: &Verdict) -> Result<(), CliError> {
    let line =
        |label: &str, text: &dyn std::fmt::Display| app.output().line(format_args!("{label:<14} {text}"));
    let from = verdict
        .first
        .map_or_else(String::new, |first| format!(", {first} to {}", verdict.last.unwrap_or(first)));
    line("chain", &if verdict.whole { "whole" } else { "BROKEN" })?;
    line("node", &verdict.node.as_deref().unwrap_or("none"))?;
    line("entries", &format_args!("{}{from}, in {} files", verdict.entries, verdict.files))?;
    let signed = match (verdict.signed_until, verdict.unchecked) {
        (Some(seq), _) => format!("up to entry {seq}, by {} checkpoints", verdict.checkpoints),
        (None, 0) => {
            "no checkpoint: without a master key who can write the files can also hash them anew".to_owned()
        }
        (None, unchecked) => format!("not known: the master key of {unchecked} checkpoints is not at hand"),
    };
    line("signed", &signed)?;
    line("tail", &verdict.tail)?;
    line("lost", &verdict.lost)?;
    for note in &verdict.notes {
        line("note", note)?;
    }
    for finding in &verdict.findings {
        line("broken", &format_args!("{}, line {}: {}", finding.file, finding.line, finding.problem))?;
    }
    Ok(())
}
