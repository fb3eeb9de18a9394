//! `jobs list|show|why|wait|cancel|retry`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    app::App,
    choice::one_of,
    command::Command,
    error::CliError,
    follow::{inspect, unknown_job},
    show, why,
};
use crate::{
    api::JobDocument,
    config::TimeSpan,
    domain::{JobId, KindName, State},
    engine::Engine,
    queue::{CancelOutcome, Filter, RequeueOutcome, WaitError},
};

pub(super) struct Jobs;

#[derive(Args)]
pub(super) struct JobsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists jobs, newest first
    List(ListArguments),
    /// Shows all that is known of a job
    Show {
        /// The job
        job: JobId,
    },
    /// Tells what holds a job up, how many go before it, and when it is likely to start
    Why {
        /// The job
        job: JobId,
    },
    /// Waits until a job has ended, and shows all that is known of it
    Wait {
        /// The job
        job: JobId,
        /// Give up after this time, such as 10m; the job goes on [default: never]
        #[arg(long, value_name = "TIME")]
        timeout: Option<TimeSpan>,
    },
    /// Cancels jobs: at once, or as soon as their handlers have stopped
    Cancel {
        /// The jobs
        #[arg(required = true)]
        jobs: Vec<JobId>,
    },
    /// Puts dead or cancelled jobs back, with all their attempts anew
    Retry(RetryArguments),
}

#[derive(Args)]
struct ListArguments {
    /// Only in this state
    #[arg(long, value_parser = one_of::<State>(State::ALL.map(State::name)))]
    state: Option<State>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<KindName>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
    limit: u32,
    /// All of them
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct RetryArguments {
    /// The jobs
    #[arg(required_unless_present = "all_dead", conflicts_with = "all_dead")]
    jobs: Vec<JobId>,
    /// All that are dead
    #[arg(long)]
    all_dead: bool,
    /// With --all-dead: only of this kind
    #[arg(long, requires = "all_dead")]
    kind: Option<KindName>,
}

impl Command for Jobs {
    const NAME: &'static str = "jobs";
    const ABOUT: &'static str = "Lists, shows, awaits, cancels and retries jobs; tells why one waits";
    type Arguments = JobsArguments;

    async fn run(arguments: JobsArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        match arguments.action {
            Action::List(arguments) => list(arguments, app, &engine).await,
            Action::Show { job } => {
                let missing = format!("there is no job {job}");
                let found = inspect(&engine, app.tenant(), job).await?;
                let found = found.ok_or_else(|| unknown_job(app, job, &missing))?;
                show::job(app.output(), &found)?;
                app.output().document(&JobDocument::whole(&found))
            }
            Action::Why { job } => why::why(job, app, &engine).await,
            Action::Wait { job, timeout } => {
                let within = timeout.map_or(Duration::MAX, |timeout| timeout.0);
                let ended =
                    engine.wait_for(app.tenant(), job, within).await.map_err(|error| match error {
                        WaitError::UnknownJob { .. } => unknown_job(app, job, &error),
                        WaitError::Progress(error) => error.into(),
                        WaitError::Queue(error) => error.into(),
                    })?;
                let late = || CliError::unavailable(format_args!("job {job} has not ended yet; it goes on"));
                let ended = ended.ok_or_else(late)?;
                show::job(app.output(), &ended)?;
                app.output().document(&JobDocument::whole(&ended))?;
                show::ended(&ended, app.name())
            }
            Action::Cancel { jobs } => cancel(&jobs, app, &engine).await,
            Action::Retry(arguments) if arguments.all_dead => {
                retry_all_dead(arguments.kind, app, &engine).await
            }
            Action::Retry(arguments) => retry(&arguments.jobs, app, &engine).await,
        }
    }
}

/// How many jobs are read or changed at a time.
const BATCH: usize = 200;

async fn list(arguments: ListArguments, app: &App, engine: &Engine) -> Result<(), CliError> {
    let filter = Filter { state: arguments.state, kind: arguments.kind };
    let mut left =
        if arguments.all { usize::MAX } else { usize::try_from(arguments.limit).unwrap_or(usize::MAX) };
    let mut document = app.output().list("jobs")?;
    let (mut cursor, mut is_first) = (None, true);
    let more = loop {
        let page = engine.queue.list(app.tenant(), &filter, cursor.as_ref(), left.min(BATCH)).await?;
        left -= page.items.len();
        for job in &page.items {
            document.item(&JobDocument::new(job))?;
        }
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|job| {
                let attempt = format!("{}/{}", job.attempt, job.max_attempts);
                let reason = job.reason.as_ref().map_or_else(String::new, |reason| short(reason.as_str()));
                let (id, state) = (job.id.to_string(), job.state.to_string());
                vec![
                    id,
                    format!("{state:9}"),
                    job.kind.to_string(),
                    attempt,
                    job.created_at.to_string(),
                    reason,
                ]
            })
            .collect();
        let header = ["JOB", "STATE", "KIND", "ATTEMPT", "CREATED", "REASON"];
        if is_first {
            app.output().table(&header, &rows)?;
        } else {
            app.output().more_rows(&header, &rows)?;
        }
        is_first &= rows.is_empty();
        cursor = page.next;
        if cursor.is_none() || left == 0 {
            break cursor.is_some();
        }
    };
    if is_first {
        app.output().line(format_args!("no jobs of tenant {}", app.tenant()))?;
    }
    if more {
        app.output().note("there are more: --limit N or --all");
    }
    document.end(more)
}

/// The first line of a text, at most 60 characters of it.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(60).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}

/// What became of one of many jobs, in JSON.
#[derive(Serialize)]
struct Outcome {
    id: JobId,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

#[derive(Serialize)]
struct Outcomes {
    jobs: Vec<Outcome>,
}

/// Shows what became of each, and fails where one was unknown or in the wrong state.
fn tell(outcomes: Vec<Outcome>, app: &App, wrong: &str) -> Result<(), CliError> {
    for Outcome { id, outcome, state } in &outcomes {
        let state = state.map_or_else(String::new, |state| format!(" ({state})"));
        app.output().line(format_args!("{id} {outcome}{state}"))?;
    }
    let unknown = outcomes.iter().find(|outcome| outcome.outcome == "unknown").map(|outcome| outcome.id);
    let unfit = outcomes.iter().find(|outcome| outcome.outcome == "unchanged").map(|outcome| outcome.id);
    app.output().document(&Outcomes { jobs: outcomes })?;
    match (unknown, unfit) {
        (Some(job), _) => Err(unknown_job(app, job, &format!("there is no job {job}"))),
        (None, Some(job)) => Err(CliError::usage(format_args!("job {job} {wrong}"))),
        (None, None) => Ok(()),
    }
}

async fn cancel(jobs: &[JobId], app: &App, engine: &Engine) -> Result<(), CliError> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    for batch in jobs.chunks(BATCH) {
        let answers = engine.queue.cancel(app.tenant(), batch).await?;
        outcomes.extend(batch.iter().zip(answers).map(|(id, answer)| {
            let (outcome, state) = match answer {
                CancelOutcome::Cancelled => ("cancelled", None),
                CancelOutcome::Asked => ("asked to stop", None),
                // Nothing is left to cancel: what was wanted is so.
                CancelOutcome::Ended(state @ State::Cancelled) => ("cancelled before", Some(state)),
                CancelOutcome::Ended(state) => ("unchanged", Some(state)),
                CancelOutcome::Unknown => ("unknown", None),
            };
            Outcome { id: *id, outcome, state }
        }));
    }
    tell(outcomes, app, "has ended already: there is nothing to cancel")
}

async fn requeue(jobs: &[JobId], app: &App, engine: &Engine) -> Result<Vec<Outcome>, CliError> {
    let answers = engine.queue.requeue(app.tenant(), jobs).await?;
    let outcomes = jobs.iter().zip(answers).map(|(id, answer)| {
        let (outcome, state) = match answer {
            RequeueOutcome::Requeued => ("waiting again", None),
            RequeueOutcome::NotEnded(state) => ("unchanged", Some(state)),
            RequeueOutcome::Unknown => ("unknown", None),
        };
        Outcome { id: *id, outcome, state }
    });
    Ok(outcomes.collect())
}

async fn retry(jobs: &[JobId], app: &App, engine: &Engine) -> Result<(), CliError> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    for batch in jobs.chunks(BATCH) {
        outcomes.append(&mut requeue(batch, app, engine).await?);
    }
    tell(outcomes, app, "is neither dead nor cancelled: only those can be put back")
}

async fn retry_all_dead(kind: Option<KindName>, app: &App, engine: &Engine) -> Result<(), CliError> {
    let filter = Filter { state: Some(State::Dead), kind };
    let (mut cursor, mut outcomes) = (None, Vec::new());
    loop {
        // The cursor goes on behind what was put back, so that a job which dies again meanwhile is left alone.
        let page = engine.queue.list(app.tenant(), &filter, cursor.as_ref(), BATCH).await?;
        let jobs: Vec<JobId> = page.items.iter().map(|job| job.id).collect();
        let answered = requeue(&jobs, app, engine).await?;
        // Somebody else may have been quicker with one or the other.
        outcomes.extend(answered.into_iter().filter(|outcome| outcome.outcome == "waiting again"));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if outcomes.is_empty() {
        app.output().line(format_args!("no dead jobs of tenant {}", app.tenant()))?;
    }
    tell(outcomes, app, "")
}
