//! The HTTP API, served by a process of its own, beside bare axum routes of the same process that do the same work and nothing
//! else: jobs given with an API key, what a caller's proof costs, an event told to many, browsers' sessions.

mod bare;
mod caller;
mod door;
mod sessions;
mod streams;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use presswork::{
    api,
    cli::{App, CliError},
    worker::Kind as _,
};
use serde::Serialize;

use self::{
    caller::{Caller, load, request},
    door::Door,
};
use super::{
    noop::Noop,
    per_second, percentile,
    place::{Place, engine_name},
    rounded, unless_stopped,
};

/// What `bench api` is told.
#[derive(Debug, Args)]
pub(super) struct ApiArguments {
    /// How many jobs each side takes
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    requests: u32,
    /// How many connections give them at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// How many follow one job's events
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    subscribers: u16,
    /// How many browsers are logged in and ask at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    sessions: u16,
    /// Give jobs to one side only, and measure nothing else: for a profile of it
    #[arg(long)]
    only: Option<Side>,
    /// Be the process that is measured: how the benchmark calls itself
    #[arg(long, hide = true)]
    serve: bool,
}

/// Who is given jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// `POST /v1/jobs` with an API key.
    Ours,
    /// The baseline.
    Bare,
}

/// Ours and the baseline's take turns: what else the machine does meanwhile meets both.
const TURNS: usize = 10;
/// How many requests one by one, for what a caller's proof costs.
const ONE_BY_ONE: usize = 4_000;
/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 200;

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    requests: u32,
    connections: u16,
    #[serde(flatten)]
    jobs: Jobs,
    #[serde(flatten)]
    streams: streams::Streams,
    #[serde(flatten)]
    sessions: sessions::Sessions,
}

/// What giving work costs.
#[derive(Debug, Serialize)]
struct Jobs {
    post_jobs_per_s: f64,
    bare_post_per_s: f64,
    ratio: f64,
    /// Time on a processor that the server took for a request; the callers, and a Redis, take theirs beside it.
    post_cpu_us: Option<f64>,
    bare_post_cpu_us: Option<f64>,
    known_p50_ms: f64,
    anybody_p50_ms: f64,
    authentication_p50_ms: f64,
}

pub(super) async fn run(arguments: ApiArguments, app: &App) -> Result<(), CliError> {
    if arguments.serve {
        return door::serve(app, arguments.sessions).await;
    }
    let most = u64::from(arguments.subscribers.max(arguments.sessions).max(arguments.connections));
    api::allow_files(most + OTHER_FILES).map_err(|error| {
        CliError::unavailable(format_args!("so many connections can't be opened: {error}"))
    })?;
    let place = Place::open(app).await?;
    if let Some(side) = arguments.only {
        let measured = unless_stopped(one_side(&arguments, &place, side)).await;
        place.close().await?;
        let one = measured?;
        return app.output().json_line(&one);
    }
    let measured = unless_stopped(measure(&arguments, &place, app)).await;
    let closed = place.close().await;
    closed?;
    let figures = measured?;
    app.output().json_line(&figures)?;
    app.output().table(&["WHAT", "OURS", "BARE", "WANTED", "SO"], &rows(&figures))
}

async fn measure(arguments: &ApiArguments, place: &Place, app: &App) -> Result<Figures, CliError> {
    let ApiArguments { requests, connections, subscribers, sessions, .. } = *arguments;
    // Each in a process of its own: what one part has allocated would hide what the next one needs.
    let jobs = jobs(arguments, &Door::open(place, 0).await?).await?;
    let streams = streams::measure(place, subscribers).await?;
    let sessions = sessions::measure(place, sessions).await?;
    Ok(Figures { bench: "api", engine: engine_name(app), requests, connections, jobs, streams, sessions })
}

/// What one side alone did.
#[derive(Debug, Serialize)]
struct One {
    side: Side,
    per_s: f64,
    server_cpu_us: Option<f64>,
}

async fn one_side(arguments: &ApiArguments, place: &Place, side: Side) -> Result<One, CliError> {
    let door = Door::open(place, 0).await?;
    let giving = Giving::of(arguments, &door, side)?;
    // Connections, caches and pages of the database are nobody's own.
    giving.warm_up().await?;
    let mut sum = Given::default();
    giving.turn(&door, &mut sum).await?;
    Ok(One { side, per_s: sum.per_second(), server_cpu_us: sum.cpu_us() })
}

/// Jobs for one side.
struct Giving {
    address: SocketAddr,
    request: Request,
    connections: u16,
    requests: usize,
}

/// What was given to it.
#[derive(Default)]
struct Given {
    requests: usize,
    took: Duration,
    cpu: Option<Duration>,
}

impl Giving {
    fn of(arguments: &ApiArguments, door: &Door, side: Side) -> Result<Self, CliError> {
        let payload = serde_json::to_string(&Noop::padded()).map_err(CliError::unavailable)?;
        let body = format!("{{\"kind\":\"{}\",\"payload\":{payload}}}", Noop::NAME);
        let proof = format!("authorization: Bearer {}\r\n", door.told.key);
        let (address, request) = match side {
            Side::Ours => (door.told.ours, request("POST", "/v1/jobs", door.told.ours, &proof, &body)),
            Side::Bare => (door.told.bare, request("POST", "/jobs", door.told.bare, "", &body)),
        };
        let ApiArguments { requests, connections, only, .. } = *arguments;
        let turns = if only.is_some() { 1 } else { TURNS };
        Ok(Self { address, request, connections, requests: (requests as usize).div_ceil(turns) })
    }

    async fn warm_up(&self) -> Result<(), CliError> {
        load(self.address, &self.request, self.connections, self.requests / 4 + 1).await.map(drop)
    }

    async fn turn(&self, door: &Door, sum: &mut Given) -> Result<(), CliError> {
        let before = door.on_processors().await;
        sum.took += load(self.address, &self.request, self.connections, self.requests).await?;
        let spent =
            door.on_processors().await.zip(before).map(|(after, before)| after.saturating_sub(before));
        sum.cpu = spent.map(|spent| spent + sum.cpu.unwrap_or_default());
        sum.requests += self.requests;
        Ok(())
    }
}

impl Given {
    fn per_second(&self) -> f64 {
        per_second(self.requests, self.took)
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn cpu_us(&self) -> Option<f64> {
        self.cpu.map(|cpu| rounded(cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64))
    }
}

async fn jobs(arguments: &ApiArguments, door: &Door) -> Result<Jobs, CliError> {
    let (given, plain) = (Giving::of(arguments, door, Side::Ours)?, Giving::of(arguments, door, Side::Bare)?);
    given.warm_up().await?;
    plain.warm_up().await?;
    let (mut known, mut open) = (Given::default(), Given::default());
    for _ in 0..TURNS {
        given.turn(door, &mut known).await?;
        plain.turn(door, &mut open).await?;
    }
    let (post_jobs_per_s, bare_post_per_s) = (known.per_second(), open.per_second());
    let (ours, proof) = (door.told.ours, format!("authorization: Bearer {}\r\n", door.told.key));
    let mut with = Caller::connect(ours, request("GET", "/bench/known", ours, &proof, "")).await?;
    let mut without = Caller::connect(ours, request("GET", "/bench/anybody", ours, "", "")).await?;
    let (mut knows, mut opens) = (Vec::new(), Vec::new());
    for _ in 0..ONE_BY_ONE {
        knows.push(with.ask().await?);
        opens.push(without.ask().await?);
    }
    let (known_p50_ms, anybody_p50_ms) = (percentile(&mut knows, 50), percentile(&mut opens, 50));
    Ok(Jobs {
        post_jobs_per_s,
        bare_post_per_s,
        ratio: rounded(post_jobs_per_s / bare_post_per_s.max(1.0)),
        post_cpu_us: known.cpu_us(),
        bare_post_cpu_us: open.cpu_us(),
        known_p50_ms,
        anybody_p50_ms,
        authentication_p50_ms: rounded(known_p50_ms - anybody_p50_ms),
    })
}

/// What issue 5 wants of each figure.
fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let Figures { jobs, streams, sessions, .. } = figures;
    let time = |micros: Option<f64>| micros.map_or("?".to_owned(), |micros| format!("{micros:.1} µs"));
    let is_so = |so: bool| if so { "yes" } else { "no" }.to_owned();
    let row = |what: &str, ours: String, bare: String, wanted: &str, so: bool| {
        vec![what.to_owned(), ours, bare, wanted.to_owned(), is_so(so)]
    };
    let (memory, reached) = (streams.memory_each_kib, streams.event_to_all_ms);
    vec![
        row(
            "POST /v1/jobs with an API key",
            format!("{:.0}/s ({:.2})", jobs.post_jobs_per_s, jobs.ratio),
            format!("{:.0}/s", jobs.bare_post_per_s),
            "0.60 of it",
            jobs.ratio >= 0.6,
        ),
        row(
            "the server's processor time for one",
            time(jobs.post_cpu_us),
            time(jobs.bare_post_cpu_us),
            "",
            true,
        ),
        row(
            "a caller's proof, p50",
            format!("{:.3} ms", jobs.known_p50_ms),
            format!("{:.3} ms", jobs.anybody_p50_ms),
            "0.3 ms more",
            jobs.authentication_p50_ms < 0.3,
        ),
        row(
            &format!("memory of a subscriber, of {}", streams.subscribers),
            memory.map_or("?".to_owned(), |each| format!("{each:.1} KiB")),
            streams.bare_memory_each_kib.map_or("?".to_owned(), |each| format!("{each:.1} KiB")),
            "64 KiB",
            memory.is_some_and(|each| each < 64.0),
        ),
        row(
            "an event to all of them, p50",
            format!("{reached:.1} ms"),
            format!("{:.1} ms", streams.bare_event_to_all_ms),
            "100 ms",
            reached <= 100.0,
        ),
        row(
            "the slowest event",
            format!("{:.1} ms", streams.slowest_event_ms),
            format!("{:.1} ms", streams.bare_slowest_event_ms),
            "100 ms",
            streams.slowest_event_ms <= 100.0,
        ),
        row(
            &format!("{} sessions at once", sessions.sessions),
            format!("{:.0}/s, p99 {:.1} ms", sessions.session_requests_per_s, sessions.session_p99_ms),
            String::new(),
            "none lost",
            sessions.sessions_refused == 0,
        ),
    ]
}

/// Bytes that are sent again and again.
type Request = Arc<[u8]>;
