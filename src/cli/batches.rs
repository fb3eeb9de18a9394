//! `batches open|show`: room for several jobs with one that follows them, and how far they are together.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    app::App,
    command::Command,
    error::CliError,
    submit::{Door, read_payload},
};
use crate::{
    domain::{Batch, BatchId, JobId, KindName, NewBatch, TenantId},
    queue::Opened,
};

pub(super) struct Batches;

#[derive(Args)]
pub(super) struct BatchesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Opens a batch and prints its id: `enqueue … --batch ID` brings its jobs in
    Open(OpenArguments),
    /// Shows how far a batch is and which job follows it
    Show {
        /// The batch
        batch: BatchId,
    },
}

#[derive(Args)]
struct OpenArguments {
    /// How many jobs it will have
    #[arg(long, value_name = "N")]
    size: u32,
    /// The kind of the job that runs once all of them have ended, however they ended
    #[arg(long, value_name = "KIND", requires = "payload")]
    callback: Option<KindName>,
    /// The payload of that job as JSON; @FILE for a file's content, - for what comes on standard input
    #[arg(long, value_name = "JSON", requires = "callback")]
    payload: Option<String>,
    /// Your id for it, so that a repeated call opens no second one
    #[arg(long, value_name = "BATCH")]
    id: Option<BatchId>,
}

/// A batch that was opened, in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    id: BatchId,
    tenant: &'a TenantId,
    duplicate: bool,
    callback: Option<JobId>,
}

/// A batch in JSON, with what is reckoned from its counts.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    batch: &'a Batch,
    ended: u32,
    percent: f64,
}

impl Command for Batches {
    const NAME: &'static str = "batches";
    const ABOUT: &'static str = "Opens batches of jobs and shows how far they are";
    type Arguments = BatchesArguments;

    async fn run(arguments: BatchesArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Open(arguments) => open(arguments, app).await,
            Action::Show { batch } => show(batch, app).await,
        }
    }
}

async fn open(arguments: OpenArguments, app: &App) -> Result<(), CliError> {
    let engine = app.engine().await?;
    let callback = match (arguments.callback, arguments.payload) {
        (Some(kind), Some(payload)) => {
            let (door, json) = (Door::new(app, &engine), read_payload(&payload).await?);
            Some(app.registry().new_job(door.job(), door.tenant().clone(), &kind, json)?)
        }
        _ => None,
    };
    let id = arguments.id.unwrap_or_else(|| BatchId::new(engine.clock.now(), &*engine.random));
    let batch = NewBatch { id, tenant: app.tenant().clone(), size: arguments.size, callback };
    let duplicate = engine.queue.open_batch(batch).await?? == Opened::Before;
    let opened = engine.queue.batch(app.tenant(), id).await?;
    let callback = opened.and_then(|batch| batch.callback);
    if duplicate {
        app.output().note("it was open already: nothing has changed");
    }
    app.output().line(id)?;
    app.output().document(&Answer { id, tenant: app.tenant(), duplicate, callback })
}

async fn show(id: BatchId, app: &App) -> Result<(), CliError> {
    let engine = app.existing_engine().await?;
    let found = engine.queue.batch(app.tenant(), id).await?;
    let batch = found.ok_or_else(|| unknown(app, id))?;
    for (label, text) in lines(&batch) {
        app.output().line(format_args!("{label:<12} {text}"))?;
    }
    app.output().document(&Document { batch: &batch, ended: batch.ended(), percent: batch.percent() })
}

fn unknown(app: &App, batch: BatchId) -> CliError {
    let (tenant, place) = (app.tenant(), app.place());
    CliError::not_found(format_args!("there is no batch {batch}")).hint(format_args!(
        "looked for it among tenant {tenant}'s on {place}; a batch is removed a while after all of its jobs have ended"
    ))
}

/// A batch, for people.
fn lines(batch: &Batch) -> Vec<(&'static str, String)> {
    let follows = batch.callback.map_or_else(|| "nothing".to_owned(), |job| job.to_string());
    vec![
        ("batch", batch.id.to_string()),
        ("tenant", batch.tenant.to_string()),
        ("enqueued", format!("{} of {} jobs", batch.enqueued, batch.size)),
        ("ended", format!("{} ({:.1} %)", batch.ended(), batch.percent())),
        ("completed", batch.completed.to_string()),
        ("dead", batch.dead.to_string()),
        ("cancelled", batch.cancelled.to_string()),
        ("then", follows),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            id: "batch_01kanp6f5rwe9b4p0e4y0m8sjg".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            size: 8,
            enqueued: 6,
            completed: 1,
            dead: 1,
            cancelled: 1,
            callback: None,
        }
    }

    #[test]
    fn people_see_how_many_there_are_and_how_they_ended() {
        let text: Vec<String> =
            lines(&batch()).into_iter().map(|(label, text)| format!("{label} {text}")).collect();
        for line in ["enqueued 6 of 8 jobs", "ended 3 (37.5 %)", "dead 1", "then nothing"] {
            assert!(text.iter().any(|shown| shown == line), "{line:?} is not in {text:?}");
        }
        let callback = Some("job_01kanp6f5rwe9b4p0e4y0m8sjg".parse().unwrap());
        let follows = lines(&Batch { callback, ..batch() }).pop().unwrap();
        assert_eq!(follows, ("then", "job_01kanp6f5rwe9b4p0e4y0m8sjg".to_owned()));
    }

    #[test]
    fn scripts_see_the_same() {
        let batch = batch();
        let document = Document { batch: &batch, ended: batch.ended(), percent: batch.percent() };
        let json = serde_json::to_value(document).unwrap();
        assert_eq!((&json["size"], &json["ended"], &json["percent"]), (&8.into(), &3.into(), &37.5.into()));
        assert_eq!(json["id"], "batch_01kanp6f5rwe9b4p0e4y0m8sjg");
    }
}
