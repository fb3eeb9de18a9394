//! `presswork bench`: figures of this machine, each beside a baseline measured in the same run, so that they can be
//! compared from one machine to the next. One file a benchmark.

mod api;
mod baseline;
mod cache;
mod corpus;
mod direct;
mod export;
mod fairness;
mod generation;
mod import;
mod noop;
mod place;
mod queue;
mod tenants;

use std::time::Duration;

use clap::{Args, Subcommand};
use presswork::{
    cli::{App, CliError, Command, ErrorKind},
    worker::shutdown,
};

/// The command.
#[derive(Debug)]
pub struct Bench;

/// What it is told.
#[derive(Debug, Args)]
pub struct BenchArguments {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// No-op jobs through the queue and a real worker, durable: enqueued, drained, one at a time
    Queue(queue::QueueArguments),
    /// A large book to every format, each in a process of its own, beside `zstd -3` of the same bytes
    Export(export::ExportArguments),
    /// A large manuscript of every format, each in a process of its own, beside pandoc's reader
    Import(import::ImportArguments),
    /// Every file of a folder, imported in a process of its own: what came of each
    #[command(hide = true)]
    Corpus(corpus::CorpusArguments),
    /// One tenant's job behind another's million, shares by weight, a quiet tenant beside a noisy one
    Fairness(fairness::FairnessArguments),
    /// The HTTP API beside bare routes: jobs given with an API key, events followed by many, browsers' sessions
    Api(api::ApiArguments),
    /// The same book's jobs twice: what of it the cache of answers saves
    Cache(cache::CacheArguments),
    /// What streams of models' answers cost on their way from the provider to subscribers, beside clients that only read them
    Generation(generation::GenerationArguments),
    /// What a claim costs with ten tenants, with thousands, and with nearly all of them throttled
    Tenants(tenants::TenantsArguments),
}

impl Command for Bench {
    const NAME: &'static str = "bench";
    const ABOUT: &'static str = "Measures this machine: the queue, its fairness, exports, imports, the API, generation; in a place of its own, gone at the end";
    type Arguments = BenchArguments;

    async fn run(arguments: BenchArguments, app: &App) -> Result<(), CliError> {
        match arguments.which {
            Which::Queue(arguments) => queue::run(arguments, app).await,
            Which::Export(arguments) => export::run(arguments, app).await,
            Which::Import(arguments) => import::run(arguments, app).await,
            Which::Corpus(arguments) => corpus::run(arguments, app).await,
            Which::Fairness(arguments) => fairness::run(arguments, app).await,
            Which::Api(arguments) => api::run(arguments, app).await,
            Which::Cache(arguments) => cache::run(arguments, app).await,
            Which::Generation(arguments) => generation::run(arguments, app).await,
            Which::Tenants(arguments) => tenants::run(arguments, app).await,
        }
    }
}

/// What is measured, unless ctrl-c or SIGTERM comes first: whoever called tidies up in either case.
async fn unless_stopped<T>(measuring: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let signal = shutdown::signal()
        .map_err(|error| CliError::unavailable(format_args!("signals can't be listened for: {error}")))?;
    tokio::select! {
        measured = measuring => measured,
        () = signal => Err(CliError::new(ErrorKind::Interrupted, "stopped; nothing is left of what was measured")),
    }
}

/// A folder beside nothing that matters, gone when it is dropped; `TMPDIR` says where.
async fn scratch() -> Result<tempfile::TempDir, CliError> {
    let made = tokio::task::spawn_blocking(|| tempfile::Builder::new().prefix("presswork-bench-").tempdir());
    let failed =
        |error: &dyn std::fmt::Display| CliError::unavailable(format_args!("no scratch folder: {error}"));
    made.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// To three digits behind the point: more is noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per_second(count: usize, elapsed: Duration) -> f64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-9)).round()
}

/// In milliseconds.
fn percentile(latencies: &mut [Duration], percent: usize) -> f64 {
    latencies.sort();
    let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies.get(place).map_or(0.0, |latency| rounded(latency.as_secs_f64() * 1_000.0))
}

/// Processor time that this process has used so far, where the system tells.
#[expect(clippy::cast_precision_loss, reason = "for people")]
async fn cpu_seconds() -> Option<f64> {
    let text = tokio::fs::read_to_string("/proc/self/stat").await.ok()?;
    // Behind the name, which may hold anything: user and system time are the 14th and 15th field, in hundredths.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}
