//! `enqueue KIND …`: makes a job; `--wait` follows it.

use clap::{ArgMatches, Args, FromArgMatches as _};
use futures_util::FutureExt as _;
use serde::Serialize;

use super::{
    app::App,
    choice::one_of,
    command::Entry,
    error::{CliError, ErrorKind},
    follow::{Show, follow},
    show,
    submit::{Door, Submitter},
};
use crate::{
    api::JobDocument,
    config::TimeSpan,
    domain::{
        BatchId, IdempotencyKey, JobId, KindName, NewJob, Priority, TenantId, Timestamp, Unique, Window,
    },
    engine::Engine,
    queue::Enqueued,
};

// What all kinds have. No doc comment: clap would take it for a kind's description.
#[derive(Args, Clone)]
#[command(next_help_heading = "The job")]
struct Common {
    /// Stay until the job has ended
    #[arg(long)]
    wait: bool,
    /// Before or after others of the same tenant and kind
    #[arg(long, default_value_t, value_parser = one_of::<Priority>(Priority::ALL.map(Priority::name)))]
    priority: Priority,
    /// Not before this time from now, such as 10m
    #[arg(long, value_name = "TIME", conflicts_with = "at")]
    delay: Option<TimeSpan>,
    /// Not before this instant, such as 2026-11-22T08:30:00Z
    #[arg(long, value_name = "RFC3339")]
    at: Option<Timestamp>,
    /// Your word for this request: a second job with the same word is not made
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
    /// Not before this job has completed; several times, or separated by commas, for several jobs
    #[arg(long, value_name = "JOB", value_delimiter = ',')]
    after: Vec<JobId>,
    /// A word of which there is one job at a time: while there is one, no second is made
    #[arg(long, value_name = "KEY")]
    unique: Option<IdempotencyKey>,
    /// While which job there is no second: one that waits to run, or any that has not ended
    #[arg(long, value_name = "WINDOW", default_value_t = Window::Waiting, requires = "unique",
        value_parser = one_of::<Window>(["waiting", "unfinished"]))]
    unique_window: Window,
    /// The open batch that it belongs to
    #[arg(long)]
    batch: Option<BatchId>,
}

/// The command, with a subcommand for each kind.
pub(super) fn entry(submitters: Vec<Submitter>) -> Entry {
    let kinds = submitters.iter().map(|submitter| Common::augment_args(submitter.command.clone()));
    let command = clap::Command::new("enqueue")
        .about("Makes a job and prints its id; --wait follows it to its end")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("KIND")
        .subcommand_help_heading("Kinds")
        .subcommands(kinds);
    let start = move |matches: &ArgMatches| -> Result<_, clap::Error> {
        let Some((name, matches)) = matches.subcommand() else {
            return Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand));
        };
        let submitter = submitters.iter().find(|submitter| submitter.kind.as_str() == name).cloned();
        let submitter =
            submitter.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))?;
        let common = Common::from_arg_matches(matches)?;
        Ok((submitter, common, matches.clone()))
    };
    Entry {
        command,
        log: "warn",
        run: Box::new(move |matches, app| {
            let (submitter, common, matches) = start(matches)?;
            Ok(enqueue(submitter, common, matches, app).boxed())
        }),
    }
}

async fn enqueue(
    submitter: Submitter,
    common: Common,
    matches: ArgMatches,
    app: &App,
) -> Result<(), CliError> {
    let engine = app.engine().await?;
    let door = Door::new(app, &engine);
    let mut job = submitter.job(app.registry(), matches, &door).await?;
    job.priority = common.priority;
    job.run_at = common.delay.map(|delay| engine.clock.now().after(delay.0)).or(common.at);
    job.idempotency_key = common.idempotency_key;
    job.unique = common.unique.map(|key| Unique { key, window: common.unique_window });
    (job.after, job.batch) = (common.after, common.batch);
    let answer = Answer::of(accept(&engine, job).await?, app.tenant(), &submitter.kind);
    if answer.duplicate {
        app.output().note("it was there already: no second job was made");
    }
    app.output().line(answer.id)?;
    if !common.wait {
        return app.output().document(&answer);
    }
    let job = follow(app, &engine, answer.id, Show::AsRemark).await?;
    app.output().document(&Waited { duplicate: answer.duplicate, job: JobDocument::new(&job) })?;
    show::ended(&job, app.name())
}

async fn accept(engine: &Engine, job: NewJob) -> Result<Enqueued, CliError> {
    let answers = engine.queue.enqueue(vec![job]).await?;
    let answer = answers.into_iter().next();
    Ok(answer.ok_or_else(|| CliError::new(ErrorKind::Bug, "the queue gave no answer"))??)
}

/// A job that was accepted, in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    id: JobId,
    tenant: &'a TenantId,
    kind: &'a KindName,
    duplicate: bool,
}

impl<'a> Answer<'a> {
    fn of(enqueued: Enqueued, tenant: &'a TenantId, kind: &'a KindName) -> Self {
        Self { id: enqueued.id(), tenant, kind, duplicate: matches!(enqueued, Enqueued::Duplicate(_)) }
    }
}

/// A job that has ended, in JSON.
#[derive(Serialize)]
struct Waited<'a> {
    duplicate: bool,
    #[serde(flatten)]
    job: JobDocument<'a>,
}
