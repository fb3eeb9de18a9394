//! Streams of models' answers on their way from a provider through jobs to those who follow them: what this takes of a core,
//! beside a client that reads the same bytes and looks at nothing. The provider is a process of its own and is not counted.

mod asking;
mod provider;

use std::time::{Duration, Instant};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    worker::Registry,
};
use serde::Serialize;

use self::{
    asking::Ask,
    provider::{Pace, Provider, WORDS},
};
use super::{
    cpu_seconds,
    noop::tenants,
    place::{Place, engine_name},
    rounded, unless_stopped,
};
use crate::in_process::Working;

/// What `bench generation` is told.
#[derive(Debug, Args)]
pub(super) struct GenerationArguments {
    /// How many answers come at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    streams: u16,
    /// How many tokens of each come a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rate: u16,
    /// How long each answer takes, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Be the provider: how the benchmark calls itself
    #[arg(long, hide = true)]
    serve: bool,
}

/// Of one core.
const WANTED: f64 = 0.2;
/// The jobs belong to so many.
const TENANTS: usize = 8;
/// Each way is taken so often, in turns: what else the machine does meets all.
const TURNS: u32 = 2;

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    streams: u16,
    tokens_per_s: f64,
    bare_core_share: f64,
    client_core_share: f64,
    jobs_core_share: f64,
    /// What the jobs take more than the bare client.
    overhead_core_share: f64,
    overhead_us_per_token: f64,
    /// How much later than by the bare client all answers were read to their end.
    jobs_later_ms: f64,
}

/// What one way of reading takes.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    cpu: f64,
    wall: Duration,
}

pub(super) async fn run(arguments: GenerationArguments, app: &App) -> Result<(), CliError> {
    let GenerationArguments { rate, seconds, .. } = arguments;
    let pieces = u32::from(rate) * u32::from(seconds);
    if arguments.serve {
        let gap = Duration::from_secs(1) / u32::from(rate);
        return provider::serve(app, Pace { pieces, gap }).await;
    }
    let provider = Provider::start(seconds, rate).await?;
    let place = Place::open_with(app, asking::settings(app.settings(), provider.address)?).await?;
    let measured = unless_stopped(measure(&arguments, &place, &provider, app)).await;
    let closed = place.close().await;
    let figures = measured?;
    closed?;
    app.output().json_line(&figures)?;
    app.output().table(&["64 STREAMS READ BY", "OF A CORE", "WANTED", "SO"], &rows(&figures))
}

async fn measure(
    arguments: &GenerationArguments,
    place: &Place,
    provider: &Provider,
    app: &App,
) -> Result<Figures, CliError> {
    let GenerationArguments { streams, rate, seconds, .. } = *arguments;
    let owners = tenants(TENANTS)?;
    let worker = place.worker_of(app, streams, Registry::new().register::<Ask>()).await?;
    let working = Working::start(worker);
    let pieces = usize::from(rate) * usize::from(seconds);
    let text: usize = WORDS.iter().cycle().take(pieces).map(|word| word.len()).sum();
    let whole = |read: usize| match read == text * usize::from(streams) {
        true => Ok(()),
        false => Err(CliError::unavailable("not all of the text has come through")),
    };
    let (mut bare, mut client, mut jobs) = (Taken::default(), Taken::default(), Taken::default());
    let measured = async {
        for _ in 0..TURNS {
            bare.add(async { asking::bare(provider.address, streams).await.map(drop) }).await?;
            client.add(async { whole(asking::client(provider.address, streams).await?) }).await?;
            jobs.add(async { whole(asking::jobs(place, &owners, streams).await?) }).await?;
        }
        Ok::<_, CliError>(())
    };
    let measured = measured.await;
    working.stop().await?;
    measured?;
    let tokens = f64::from(rate) * f64::from(seconds) * f64::from(streams) * f64::from(TURNS);
    let more = jobs.cpu - bare.cpu;
    let later = jobs.wall.saturating_sub(bare.wall) / TURNS;
    Ok(Figures {
        bench: "generation",
        engine: engine_name(app),
        streams,
        tokens_per_s: rounded(tokens / jobs.wall.as_secs_f64()),
        bare_core_share: bare.share(),
        client_core_share: client.share(),
        jobs_core_share: jobs.share(),
        overhead_core_share: rounded(more / jobs.wall.as_secs_f64()),
        overhead_us_per_token: rounded(more * 1e6 / tokens),
        jobs_later_ms: rounded(later.as_secs_f64() * 1_000.0),
    })
}

impl Taken {
    /// Does some work, and adds what it takes.
    async fn add(&mut self, work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
        let unknown = || CliError::unavailable("this system does not tell how much processor time is used");
        let (before, begun) = (cpu_seconds().await.ok_or_else(unknown)?, Instant::now());
        work.await?;
        self.wall += begun.elapsed();
        self.cpu += cpu_seconds().await.ok_or_else(unknown)? - before;
        Ok(())
    }

    fn share(&self) -> f64 {
        rounded(self.cpu / self.wall.as_secs_f64())
    }
}

/// What issue 6 wants.
fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let row = |what: &str, share: f64, wanted: &str, so: &str| {
        vec![what.to_owned(), format!("{:.1} %", share * 100.0), wanted.to_owned(), so.to_owned()]
    };
    let more = figures.overhead_core_share;
    vec![
        row("a bare client", figures.bare_core_share, "", ""),
        row("the model's client", figures.client_core_share, "", ""),
        row("jobs, with a subscriber each", figures.jobs_core_share, "", ""),
        row("jobs beyond the bare client", more, "20 %", if more < WANTED { "yes" } else { "no" }),
    ]
}
