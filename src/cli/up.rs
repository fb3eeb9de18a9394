//! `up`: a worker in the foreground, with maintenance, until it is told to stop.

use std::future::{Future, pending};

use clap::Args;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    api::{Listen, SETTLES_WITHIN, Served},
    app::{self, App},
    command::Command,
    error::{CliError, ErrorKind},
    verify,
};
use crate::{
    config::{Layer, TimeSpan},
    domain::KindName,
    worker::{Summary, Worker, shutdown},
};

pub(super) struct Up;

#[derive(Args)]
pub(super) struct UpArguments {
    /// Jobs to run at once [default: two a core, at least four]
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Only jobs of this kind; may be repeated
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<KindName>,
    /// How long running jobs may go on after a signal [default: 30s]
    #[arg(long, value_name = "TIME")]
    drain: Option<TimeSpan>,
    /// How soon the jobs of a killed worker run elsewhere [default: 15s]
    #[arg(long, value_name = "TIME")]
    lease: Option<TimeSpan>,
    /// How long finished jobs and their artifacts are kept [default: 7d]
    #[arg(long, value_name = "TIME")]
    retention: Option<TimeSpan>,
    /// How many finished jobs are kept of each tenant, at most; 0 for any number [default: 100000]
    #[arg(long, value_name = "N")]
    keep_finished: Option<u64>,
    #[command(flatten)]
    listen: Listen,
}

/// What `up` tells, in JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Told<'a> {
    Started {
        worker: &'a str,
        data_dir: String,
        redis: Option<String>,
        concurrency: usize,
        kinds: &'a [KindName],
    },
    Stopped {
        completed: u64,
        retrying: u64,
        put_off: u64,
        cancelled: u64,
        dead: u64,
        lost: u64,
    },
}

impl Command for Up {
    const NAME: &'static str = "up";
    const ABOUT: &'static str = "Runs jobs in the foreground until SIGTERM or ctrl-c";
    const LOG: &'static str = "info,apalis=warn,apalis_core=warn";
    type Arguments = UpArguments;

    async fn run(arguments: UpArguments, app: &App) -> Result<(), CliError> {
        let UpArguments { concurrency, kinds, drain, lease, retention, keep_finished, listen: door } =
            arguments;
        let flags = Layer {
            concurrency,
            drain,
            lease,
            retention,
            keep_finished,
            api: Some(door.layer()),
            ..Layer::default()
        };
        let settings = app.settings().clone().under(flags)?;
        verify::guard(&settings).await?;
        let mut options = app::options(&settings);
        options.kinds = (!kinds.is_empty()).then_some(kinds);

        // From now on, so that a signal that comes early is not lost.
        let signal = listen()?;
        let engine = app.engine_with(&settings).await?;
        let started = options.clone();
        let worker = app.worker(&engine, options).await?;
        let kinds = started.kinds.unwrap_or_else(|| app.registry().kinds());
        let (id, slots) = (started.id.as_str(), started.concurrency);
        let data_dir = engine.folder().display().to_string();
        let redis = settings.redis_url.as_ref().map(ToString::to_string);
        let jobs = redis.as_ref().map_or_else(String::new, |redis| format!("jobs on {redis}, "));
        tell(
            app,
            &format!("worker {id}: {slots} jobs at once, {jobs}data in {data_dir}; ctrl-c stops it"),
            &Told::Started { worker: id, data_dir, redis, concurrency: slots, kinds: &kinds },
        )?;
        let served = match settings.api.listen {
            Some(address) => Some(Served::start(app, &engine, &settings, address).await?),
            None => None,
        };
        let stopping = served.as_ref().map(|served| served.stopping.clone()).unwrap_or_default();
        let signal = async move {
            signal.await;
            stopping.cancel();
        };
        let serving = async {
            match served {
                Some(served) => served.run().await,
                None => Ok(()),
            }
        };
        // The API drains beside the worker; where it fails, the worker is not left alone.
        let both = async {
            let (summary, ()) = tokio::try_join!(work(app, worker, signal), serving)?;
            Ok::<_, CliError>(summary)
        };
        let ended = tokio::select! {
            ended = both => ended,
            () = engine.maintain() => Err(CliError::new(ErrorKind::Bug, "maintenance ended")),
        };
        // Whoever stops it at once is not kept waiting.
        if !ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            engine.settle(SETTLES_WITHIN).await;
        }
        let Summary { completed, retrying, put_off, cancelled, dead, lost } = ended?;
        tell(
            app,
            &format!(
                "{completed} completed, {retrying} to be retried, {put_off} put off, {cancelled} cancelled, {dead} dead, {lost} lost"
            ),
            &Told::Stopped { completed, retrying, put_off, cancelled, dead, lost },
        )
    }
}

fn listen() -> Result<impl Future<Output = ()> + Send, CliError> {
    shutdown::signal()
        .map_err(|error| CliError::unavailable(format_args!("signals can't be listened for: {error}")))
}

/// Runs until the first signal and drains; a second one ends it at once.
async fn work(
    app: &App,
    worker: Worker,
    signal: impl Future<Output = ()> + Send,
) -> Result<Summary, CliError> {
    let (told, hearing) = oneshot::channel();
    let first = async move {
        signal.await;
        app.output().note("stopping: what runs may finish; ctrl-c once more stops at once");
        // Where nobody hears it the worker has ended already.
        told.send(()).unwrap_or_default();
    };
    let second = async move {
        match (hearing.await, listen()) {
            (Ok(()), Ok(again)) => again.await,
            _ => pending().await,
        }
    };
    tokio::select! {
        ended = worker.run(first) => Ok(ended?),
        () = second => {
            let text = "stopped at once: what ran goes on when its leases have lapsed";
            Err(CliError::new(ErrorKind::Interrupted, text))
        }
    }
}

/// Tells how it goes. That nobody reads is no reason to stop working.
fn tell(app: &App, text: &str, told: &Told<'_>) -> Result<(), CliError> {
    match app.output().line(text).and_then(|()| app.output().json_line(told)) {
        Err(error) if error.kind() == ErrorKind::OutputClosed => Ok(()),
        ended => ended,
    }
}
