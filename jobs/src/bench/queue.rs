//! The queue: no-op jobs of 200 bytes through the real worker, every step durable. The baselines are what the same
//! store does without a queue: bare rows of SQLite, bare commands of Redis, in the same batches, one by one, and handed
//! from one connection to another.

use std::time::{Duration, Instant};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    domain::{NewJob, State, TenantLimits},
};
use serde::Serialize;

use super::{
    baseline::{self, Rows, SetAndPush},
    noop::{Beginnings, noops, tenants},
    per_second, percentile,
    place::{Place, engine_name},
    rounded, unless_stopped,
};
use crate::in_process::{Working, enqueue};

/// What `bench queue` is told.
#[derive(Debug, Args)]
pub(super) struct QueueArguments {
    /// How many jobs are enqueued and drained
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    jobs: u32,
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

/// One by one, ours and the baseline's take turns: what else the machine does meanwhile meets both.
const TURNS: usize = 10;

#[derive(Debug, Default, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    jobs: u32,
    batch: u16,
    tenants: u16,
    enqueue_bulk_per_s: f64,
    enqueue_one_per_s: f64,
    drain_per_s: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    bytes_per_job: f64,
    left_bytes_per_job: Option<f64>,
    #[serde(flatten)]
    baselines: Baselines,
    bulk_ratio: f64,
    one_ratio: f64,
    latency_p99_beyond_ms: Option<f64>,
    /// Processor time a job while draining: this process', and the server's.
    drain_cpu_us_per_job: Option<f64>,
    drain_server_cpu_us_per_job: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
struct Baselines {
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_bulk_rows_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_one_row_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_rpush_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_evalsha_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_blpop_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_blpop_p99_ms: Option<f64>,
}

impl Baselines {
    fn bulk(&self) -> Option<f64> {
        self.baseline_bulk_rows_per_s.or(self.baseline_rpush_per_s)
    }

    fn one(&self) -> Option<f64> {
        self.baseline_one_row_per_s.or(self.baseline_evalsha_per_s)
    }
}

pub(super) async fn run(arguments: QueueArguments, app: &App) -> Result<(), CliError> {
    let place = Place::open(app).await?;
    let bench = Measured { place, arguments };
    let measured = unless_stopped(bench.measure(app)).await;
    let closed = bench.place.close().await;
    closed?;
    let figures = measured?;
    app.output().json_line(&figures)?;
    app.output().table(
        &["", "PER SECOND", "BARE STORE", "RATIO"],
        &[
            row("enqueue, in batches", figures.enqueue_bulk_per_s, figures.baselines.bulk()),
            row("enqueue, one by one", figures.enqueue_one_per_s, figures.baselines.one()),
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
    place: Place,
    arguments: QueueArguments,
}

impl Measured {
    async fn measure(&self, app: &App) -> Result<Figures, CliError> {
        let QueueArguments { jobs, batch, tenants: many, .. } = &self.arguments;
        let (count, size) = (*jobs as usize, usize::from(*batch));
        let owners = tenants(usize::from(*many))?;
        self.place.limit(&owners, &TenantLimits::default()).await?;
        let all = noops(&self.place.engine, &owners, 0, count)?;
        let mut figures = Figures {
            bench: "queue",
            engine: engine_name(app),
            jobs: *jobs,
            batch: *batch,
            tenants: *many,
            ..Figures::default()
        };
        // The first jobs bring scripts, lanes and connections with them, which are no job's own.
        let warm = noops(&self.place.engine, &owners, 0, 2 * size)?;
        self.place.enqueue(&warm, size).await?;
        self.drain(app, warm.len()).await?;
        self.place.sweep().await?;

        let rows = Rows::open(self.place.folder().join("bare.db")).await?;
        match &self.place.server {
            Some(server) => {
                figures.baselines.baseline_rpush_per_s =
                    Some(baseline::push_bulk(server, count, size).await?);
            }
            None => figures.baselines.baseline_bulk_rows_per_s = Some(rows.bulk(count, size).await?),
        }
        self.bulk(app, &all, &mut figures).await?;
        self.one_by_one(app, &rows, &mut figures).await?;
        self.latency(app, &mut figures).await?;
        let ratio = |ours: f64, bare: Option<f64>| bare.map_or(0.0, |bare| rounded(ours / bare));
        figures.bulk_ratio = ratio(figures.enqueue_bulk_per_s, figures.baselines.bulk());
        figures.one_ratio = ratio(figures.enqueue_one_per_s, figures.baselines.one());
        Ok(figures)
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    async fn bulk(&self, app: &App, all: &[NewJob], figures: &mut Figures) -> Result<(), CliError> {
        let jobs = all.len() as f64;
        let before = self.bytes().await?;
        let begun = Instant::now();
        self.place.enqueue(all, usize::from(self.arguments.batch)).await?;
        figures.enqueue_bulk_per_s = per_second(all.len(), begun.elapsed());
        figures.bytes_per_job = ((self.bytes().await? - before) / jobs).round();

        let (ours, theirs) = (super::cpu_seconds().await, self.server_cpu().await?);
        figures.drain_per_s = self.drain(app, all.len()).await?;
        let used = |before: Option<f64>, after: Option<f64>| {
            before.zip(after).map(|(before, after)| rounded((after - before) * 1e6 / jobs))
        };
        figures.drain_cpu_us_per_job = used(ours, super::cpu_seconds().await);
        figures.drain_server_cpu_us_per_job = used(theirs, self.server_cpu().await?);
        if self.place.server.is_some() {
            self.place.sweep().await?;
            figures.left_bytes_per_job = Some(rounded((self.bytes().await? - before) / jobs));
        }
        Ok(())
    }

    async fn server_cpu(&self) -> Result<Option<f64>, CliError> {
        match &self.place.server {
            Some(server) => server.cpu().await.map(Some),
            None => Ok(None),
        }
    }

    async fn one_by_one(&self, app: &App, rows: &Rows, figures: &mut Figures) -> Result<(), CliError> {
        let a_turn = if self.place.server.is_some() { 1_000 } else { 50 };
        let owners = tenants(usize::from(self.arguments.tenants))?;
        let bare = SetAndPush::new();
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for turn in 0..TURNS {
            let jobs = noops(&self.place.engine, &owners, 0, a_turn)?;
            let begun = Instant::now();
            for job in jobs {
                enqueue(&self.place.engine, vec![job]).await?;
            }
            ours += begun.elapsed();
            theirs += match &self.place.server {
                Some(server) => bare.one_by_one(server, turn * a_turn, a_turn).await?,
                None => rows.one_by_one(a_turn).await?,
            };
        }
        let all = TURNS * a_turn;
        figures.enqueue_one_per_s = per_second(all, ours);
        match &self.place.server {
            Some(_) => figures.baselines.baseline_evalsha_per_s = Some(per_second(all, theirs)),
            None => figures.baselines.baseline_one_row_per_s = Some(per_second(all, theirs)),
        }
        self.drain(app, all).await.map(drop)
    }

    /// From the call of enqueue to the handler, of a worker that waits for work.
    async fn latency(&self, app: &App, figures: &mut Figures) -> Result<(), CliError> {
        let count = if self.place.server.is_some() { 2_000 } else { 500 };
        let owners = tenants(usize::from(self.arguments.tenants))?;
        let working = Working::start(self.place.worker(app, self.arguments.slots).await?);
        let mut latencies = Vec::with_capacity(count);
        for job in noops(&self.place.engine, &owners, 0, count)? {
            let beginnings = Beginnings::expect(1);
            let begun = Instant::now();
            enqueue(&self.place.engine, vec![job]).await?;
            latencies.push(beginnings.last().await.saturating_duration_since(begun));
        }
        working.stop().await?;
        let mut at = |percent| percentile(&mut latencies, percent);
        (figures.latency_p50_ms, figures.latency_p99_ms) = (at(50), at(99));
        if let Some(server) = &self.place.server {
            let mut bare = baseline::hand_over(server, count).await?;
            let (p50, p99) = (percentile(&mut bare, 50), percentile(&mut bare, 99));
            figures.baselines.baseline_blpop_p50_ms = Some(p50);
            figures.baselines.baseline_blpop_p99_ms = Some(p99);
            figures.latency_p99_beyond_ms = Some(rounded(figures.latency_p99_ms - p99));
        }
        Ok(())
    }

    /// From a worker's start to its end, all jobs settled.
    async fn drain(&self, app: &App, jobs: usize) -> Result<f64, CliError> {
        let worker = self.place.worker(app, self.arguments.slots).await?;
        let (beginnings, begun) = (Beginnings::expect(jobs), Instant::now());
        let all_begun = async {
            beginnings.last().await;
        };
        let summary = worker.run(all_begun).await?;
        let elapsed = begun.elapsed();
        let left = self.place.engine.queue.stats(None).await?;
        let undone = left.count(State::Waiting) + left.count(State::Running);
        if summary.completed != jobs as u64 || undone > 0 {
            return Err(CliError::unavailable(format_args!(
                "the run went wrong: {summary:?}, {undone} left"
            )));
        }
        Ok(per_second(jobs, elapsed))
    }

    /// What the jobs take: of the server's memory, or of the queue's file and its journal.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    async fn bytes(&self) -> Result<f64, CliError> {
        if let Some(server) = &self.place.server {
            return server.memory().await;
        }
        let mut bytes = 0;
        for name in ["presswork.db", "presswork.db-wal"] {
            let metadata = tokio::fs::metadata(self.place.engine.folder().join(name)).await;
            bytes += metadata.map_or(0, |metadata| metadata.len());
        }
        Ok(bytes as f64)
    }
}
