//! Jobs run by a worker of this very process, for the demo and the benchmarks. Must not know: what the jobs are.

use std::time::Duration;

use futures_util::StreamExt as _;
use presswork::{
    cli::{App, CliError, ErrorKind},
    domain::{Job, JobId, NewJob, State, TenantId},
    engine::Engine,
    worker::{Summary, Worker, WorkerError},
};
use tokio::{sync::oneshot, task::JoinHandle};

/// A worker at work, until it is told to stop. Dropped, it is told as well.
pub(crate) struct Working {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<Summary, WorkerError>>,
}

impl Working {
    /// Sets a worker to work.
    pub(crate) fn start(worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        Self { stop, worker: tokio::spawn(worker.run(async { drop(stopped.await) })) }
    }

    /// Tells it to stop, and waits until everything is settled.
    pub(crate) async fn stop(self) -> Result<(), CliError> {
        drop(self.stop);
        let ended = self.worker.await;
        ended.map_err(|error| CliError::unavailable(format_args!("the worker died: {error}")))??;
        Ok(())
    }
}

/// Enqueues jobs; one that is refused is an error.
pub(crate) async fn enqueue(engine: &Engine, jobs: Vec<NewJob>) -> Result<(), CliError> {
    for answer in engine.queue.enqueue(jobs).await? {
        answer?;
    }
    Ok(())
}

/// Has one job of the app's kinds done by a worker of this process, and follows it to its end; how long its attempt took
/// beside it.
pub(crate) async fn done(
    app: &App,
    engine: &Engine,
    job: NewJob,
    name: &str,
) -> Result<(Job, Duration), CliError> {
    let id = job.id;
    enqueue(engine, vec![job]).await?;
    let working = Working::start(app.worker(engine, app.worker_options()).await?);
    let mut events = engine.progress.follow(app.tenant(), id, 0).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    working.stop().await?;
    let job = completed(engine, app.tenant(), id, name).await?;
    match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => Ok((job, finished.since(started))),
        _ => Err(CliError::not_found(format_args!("job {id} completed, and nobody noted when"))),
    }
}

/// A job that has ended, if it is completed; else an error that says how `name` ended.
pub(crate) async fn completed(
    engine: &Engine,
    tenant: &TenantId,
    id: JobId,
    name: &str,
) -> Result<Job, CliError> {
    let found = engine.queue.inspect(tenant, &[id]).await?.into_iter().next().flatten();
    let job = found.ok_or_else(|| CliError::not_found(format_args!("there is no job {id}")))?;
    if job.state == State::Completed {
        return Ok(job);
    }
    let reason =
        job.reason.map_or_else(|| "for no reason that it told".to_owned(), |reason| reason.to_string());
    Err(CliError::new(ErrorKind::JobFailed, format_args!("{name} ended {}: {reason}", job.state)))
}
