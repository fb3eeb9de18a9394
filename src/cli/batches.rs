//! `batches show`: how far several jobs are together.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, command::Command, error::CliError};
use crate::domain::{Batch, BatchId};

pub(super) struct Batches;

#[derive(Args)]
pub(super) struct BatchesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows how far a batch is and which job follows it
    Show {
        /// The batch
        batch: BatchId,
    },
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
    const ABOUT: &'static str = "Shows how far several jobs are together";
    type Arguments = BatchesArguments;

    async fn run(arguments: BatchesArguments, app: &App) -> Result<(), CliError> {
        let Action::Show { batch: id } = arguments.action;
        let engine = app.existing_engine().await?;
        let found = engine.queue.batch(app.tenant(), id).await?;
        let batch = found.ok_or_else(|| unknown(app, id))?;
        for (label, text) in lines(&batch) {
            app.output().line(format_args!("{label:<12} {text}"))?;
        }
        app.output().document(&Document { batch: &batch, ended: batch.ended(), percent: batch.percent() })
    }
}

fn unknown(app: &App, batch: BatchId) -> CliError {
    let (tenant, folder) = (app.tenant(), app.settings().data_dir.display());
    CliError::not_found(format_args!("there is no batch {batch}")).hint(format_args!(
        "looked for it among tenant {tenant}'s in {folder}; a batch is removed a while after all of its jobs have ended"
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
