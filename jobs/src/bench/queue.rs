//! The embedded queue: no-op jobs of 200 bytes through the real worker, every step durable. The baseline is what the
//! same file does without a queue: bare rows of the same size, in the same batches, one by one.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    config::Settings,
    domain::{Failure, JobId, KindName, NewJob, State, TenantId},
    engine::Engine,
    store::sqlite::{Database, Migrations},
    worker::{Context, Kind, Registry, Worker, new_job},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{rounded, scratch};
use crate::in_process::{Working, enqueue};

/// What `bench queue` is told.
#[derive(Debug, Args)]
pub(super) struct QueueArguments {
    /// How many jobs are enqueued and drained
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How many jobs go in one call
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// How many tenants they belong to
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    tenants: u16,
    /// How many handlers run at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
}

/// How many jobs go one by one.
const SINGLE: usize = 500;

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    jobs: usize,
    batch: u16,
    tenants: u16,
    enqueue_bulk_per_s: f64,
    enqueue_one_per_s: f64,
    drain_per_s: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    bytes_per_job: u64,
    baseline_bulk_rows_per_s: f64,
    baseline_one_row_per_s: f64,
    bulk_ratio: f64,
    one_ratio: f64,
}

/// A job that does nothing but tell when it was begun.
#[derive(Serialize, Deserialize)]
struct Noop {
    padding: String,
}

/// Handlers know nothing of who measures: what they tell stands here.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static LATEST: Mutex<Option<Instant>> = Mutex::new(None);
static CHANGED: Notify = Notify::const_new();

impl Kind for Noop {
    const NAME: KindName = KindName::literal("bench-noop");
    type Output = ();

    async fn run(self, _context: Context) -> Result<(), Failure> {
        *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        BEGUN.fetch_add(1, Ordering::SeqCst);
        CHANGED.notify_one();
        Ok(())
    }
}

impl Noop {
    /// As JSON it has 200 bytes.
    fn padded() -> Self {
        Self { padding: "x".repeat(186) }
    }
}

pub(super) async fn run(arguments: QueueArguments, app: &App) -> Result<(), CliError> {
    let folder = scratch().await?;
    let bare = bare(folder.path().join("bare.db"), arguments.jobs, usize::from(arguments.batch)).await?;
    let settings = Settings { data_dir: folder.path().join("data"), ..app.settings().clone() };
    let bench = Measured { engine: app.engine_with(&settings).await?, arguments };
    let figures = bench.measure(app, bare).await?;
    app.output().json_line(&figures)?;
    app.output().table(
        &["", "PER SECOND", "BARE ROWS", "RATIO"],
        &[
            row("enqueue, in batches", figures.enqueue_bulk_per_s, Some(figures.baseline_bulk_rows_per_s)),
            row("enqueue, one by one", figures.enqueue_one_per_s, Some(figures.baseline_one_row_per_s)),
            row("claim, run, settle", figures.drain_per_s, None),
        ],
    )?;
    app.output().line(format_args!(
        "idle latency from enqueue to handler: p50 {} ms, p99 {} ms; {} bytes a waiting job",
        figures.latency_p50_ms, figures.latency_p99_ms, figures.bytes_per_job
    ))
}

fn row(name: &str, figure: f64, baseline: Option<f64>) -> Vec<String> {
    let (bare, ratio) = match baseline {
        Some(bare) => (format!("{bare:.0}"), format!("{:.2}", figure / bare)),
        None => (String::new(), String::new()),
    };
    vec![name.to_owned(), format!("{figure:.0}"), bare, ratio]
}

struct Measured {
    engine: Engine,
    arguments: QueueArguments,
}

impl Measured {
    async fn measure(&self, app: &App, bare: (f64, f64)) -> Result<Figures, CliError> {
        let jobs = self.arguments.jobs;
        let begun = Instant::now();
        let all = self.jobs(jobs)?;
        let batches: Vec<_> = all.chunks(usize::from(self.arguments.batch)).map(<[NewJob]>::to_vec).collect();
        let made = begun.elapsed();
        tracing::debug!(?made, "made the jobs");
        let bulk = Instant::now();
        for batch in batches {
            enqueue(&self.engine, batch).await?;
        }
        let enqueue_bulk_per_s = per_second(jobs, bulk.elapsed());
        let bytes_per_job = self.bytes().await / jobs.max(1) as u64;
        let drain_per_s = self.drain(app, jobs).await?;

        let one = Instant::now();
        for job in self.jobs(SINGLE)? {
            enqueue(&self.engine, vec![job]).await?;
        }
        let enqueue_one_per_s = per_second(SINGLE, one.elapsed());
        self.drain(app, SINGLE).await?;
        let mut latencies = self.latencies(app).await?;
        latencies.sort();
        let at = |percent: usize| {
            let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, |latency| rounded(latency.as_secs_f64() * 1_000.0))
        };
        Ok(Figures {
            bench: "queue",
            engine: "sqlite",
            jobs,
            batch: self.arguments.batch,
            tenants: self.arguments.tenants,
            enqueue_bulk_per_s,
            enqueue_one_per_s,
            drain_per_s,
            latency_p50_ms: at(50),
            latency_p99_ms: at(99),
            bytes_per_job,
            baseline_bulk_rows_per_s: bare.0,
            baseline_one_row_per_s: bare.1,
            bulk_ratio: rounded(enqueue_bulk_per_s / bare.0),
            one_ratio: rounded(enqueue_one_per_s / bare.1),
        })
    }

    fn jobs(&self, count: usize) -> Result<Vec<NewJob>, CliError> {
        let tenants = (0..self.arguments.tenants).map(|number| format!("bench-{number}").parse());
        let tenants: Vec<TenantId> = tenants.collect::<Result<_, _>>()?;
        let payload = Noop::padded();
        let id = || JobId::new(self.engine.clock.now(), &*self.engine.random);
        let jobs = tenants.iter().cycle().take(count).map(|tenant| new_job(id(), tenant.clone(), &payload));
        Ok(jobs.collect::<Result<_, _>>()?)
    }

    async fn worker(&self, app: &App) -> Result<Worker, CliError> {
        let registry = Arc::new(Registry::new().register::<Noop>());
        let mut options = app.worker_options();
        options.concurrency = usize::from(self.arguments.slots);
        Ok(Worker::new(self.engine.parts(registry).await?, options)?)
    }

    /// From a worker's start to its end, all jobs settled.
    async fn drain(&self, app: &App, jobs: usize) -> Result<f64, CliError> {
        let (worker, target) = (self.worker(app).await?, BEGUN.load(Ordering::SeqCst) + jobs);
        let begun = Instant::now();
        let summary = worker.run(until_begun(target)).await?;
        let elapsed = begun.elapsed();
        let left = self.engine.queue.stats(None).await?;
        let undone = left.count(State::Waiting) + left.count(State::Running);
        if summary.completed != jobs as u64 || undone > 0 {
            return Err(CliError::unavailable(format_args!(
                "the run went wrong: {summary:?}, {undone} left"
            )));
        }
        Ok(per_second(jobs, elapsed))
    }

    /// From the call of enqueue to the handler, of a worker that waits for work.
    async fn latencies(&self, app: &App) -> Result<Vec<Duration>, CliError> {
        let working = Working::start(self.worker(app).await?);
        let mut latencies = Vec::with_capacity(SINGLE);
        for job in self.jobs(SINGLE)? {
            let target = BEGUN.load(Ordering::SeqCst) + 1;
            let begun = Instant::now();
            enqueue(&self.engine, vec![job]).await?;
            until_begun(target).await;
            let latest = *LATEST.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.extend(latest.map(|latest| latest.saturating_duration_since(begun)));
        }
        working.stop().await?;
        Ok(latencies)
    }

    /// Bytes of the queue's file and its journal.
    async fn bytes(&self) -> u64 {
        let mut bytes = 0;
        for name in ["presswork.db", "presswork.db-wal"] {
            bytes += tokio::fs::metadata(self.engine.folder().join(name))
                .await
                .map_or(0, |metadata| metadata.len());
        }
        bytes
    }
}

/// Ends once so many handlers have begun.
async fn until_begun(target: usize) {
    while BEGUN.load(Ordering::SeqCst) < target {
        CHANGED.notified().await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per_second(count: usize, elapsed: Duration) -> f64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-9)).round()
}

/// Rows a second without a queue: in batches, and one by one.
async fn bare(path: std::path::PathBuf, rows: usize, batch: usize) -> Result<(f64, f64), CliError> {
    const TABLE: Migrations = Migrations {
        module: "bench",
        steps: &["CREATE TABLE bare (id INTEGER PRIMARY KEY, tenant TEXT, payload BLOB) STRICT"],
    };
    let failed =
        |error: &dyn std::fmt::Display| CliError::unavailable(format_args!("the baseline failed: {error}"));
    let opened = tokio::task::spawn_blocking(move || Database::open(&path, &[TABLE])).await;
    let database = opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let insert = async |count: usize| {
        database
            .write(move |connection| {
                let mut statement =
                    connection.prepare_cached("INSERT INTO bare (tenant, payload) VALUES (?1, ?2)")?;
                (0..count).try_for_each(|_| statement.execute(("bench-0", [b'x'; 200])).map(drop))
            })
            .await
    };
    let bulk = Instant::now();
    for _ in 0..rows.div_ceil(batch) {
        insert(batch).await.map_err(|error| failed(&error))?;
    }
    let bulk = per_second(rows.div_ceil(batch) * batch, bulk.elapsed());
    let one = Instant::now();
    for _ in 0..SINGLE {
        insert(1).await.map_err(|error| failed(&error))?;
    }
    Ok((bulk, per_second(SINGLE, one.elapsed())))
}
