//! Fairness, as tenants meet it: a job behind another tenant's many, shares by weight, and a quiet tenant beside one that
//! would take more than its rate allows.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    domain::{LaneLimits, Rate, State, TenantId, TenantLimits},
    queue::Claim,
    worker::Kind as _,
};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    direct::{claim, fill, settle},
    noop::{Beginnings, Noop, Watch, begun, noop, tenants},
    percentile,
    place::{Place, engine_name},
    rounded, unless_stopped,
};
use crate::in_process::{Working, enqueue};

/// What `bench fairness` is told.
#[derive(Debug, Args)]
pub(super) struct FairnessArguments {
    /// How many jobs of another tenant wait before the one that is watched [default: 1000000 on Redis, else 100000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    jobs: Option<u32>,
    /// How many jobs a claim hands out
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// How many handlers run at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
}

/// How many times the one job is watched.
const WATCHED: usize = 20;
const WEIGHTS: [u32; 3] = [1, 2, 4];
/// How many jobs the weighted tenants are given: they all have some waiting to the end.
const SHARED: usize = 7_000;
/// How many jobs the noisy tenant may start in a second, and at once.
const NOISY_RATE: u32 = 50;
const NOISY_BURST: u32 = 50;
/// How many jobs of the quiet tenant are watched, and the time from one to the next.
const QUIET: usize = 200;
const PACE: Duration = Duration::from_millis(10);

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    batch: u16,
    behind: Behind,
    weights: Weights,
    noisy: Noisy,
}

/// One job of a tenant behind many of another.
#[derive(Debug, Serialize)]
struct Behind {
    jobs: usize,
    /// How many of the others a claim handed out before it, once it was accepted: the most of all tries.
    claimed_before: usize,
    /// How many of the others a worker started before it, and how long it took, likewise.
    started_before: usize,
    start_p50_ms: f64,
    start_p99_ms: f64,
}

/// Service by weight while all have jobs waiting.
#[derive(Debug, Serialize)]
struct Weights {
    weights: [u32; 3],
    jobs: usize,
    shares: [f64; 3],
    ideal: [f64; 3],
    /// The largest difference of a share from the ideal, of the ideal.
    worst_error: f64,
}

/// A quiet tenant alone, then beside one with a backlog and a rate.
#[derive(Debug, Serialize)]
struct Noisy {
    alone_p50_ms: f64,
    alone_p99_ms: f64,
    beside_p50_ms: f64,
    beside_p99_ms: f64,
    noisy_started: usize,
    /// What its rate and burst allowed meanwhile.
    noisy_allowed: usize,
}

pub(super) async fn run(arguments: FairnessArguments, app: &App) -> Result<(), CliError> {
    let fresh = Fresh { app, arguments: &arguments };
    let figures = Figures {
        bench: "fairness",
        engine: engine_name(app),
        batch: arguments.batch,
        behind: fresh.behind().await?,
        weights: fresh.weights().await?,
        noisy: fresh.noisy().await?,
    };
    app.output().json_line(&figures)?;
    let Figures { behind, weights, noisy, .. } = &figures;
    let output = app.output();
    output.line(format_args!(
        "one job behind {} of another tenant: {} of those were claimed before it, {} started; p99 {} ms",
        behind.jobs, behind.claimed_before, behind.started_before, behind.start_p99_ms
    ))?;
    output.line(format_args!(
        "weights {:?}: shares {:?}, at most {:.2} % off",
        weights.weights,
        weights.shares,
        weights.worst_error * 100.0
    ))?;
    output.line(format_args!(
        "a quiet tenant alone: p99 {} ms; beside a noisy one: p99 {} ms ({} of its jobs started, {} allowed)",
        noisy.alone_p99_ms, noisy.beside_p99_ms, noisy.noisy_started, noisy.noisy_allowed
    ))
}

/// Each figure in a place of its own.
struct Fresh<'a> {
    app: &'a App,
    arguments: &'a FairnessArguments,
}

impl Fresh<'_> {
    async fn behind(&self) -> Result<Behind, CliError> {
        let place = Place::open(self.app).await?;
        let measured = unless_stopped(self.behind_in(&place)).await;
        place.close().await.and(measured)
    }

    async fn behind_in(&self, place: &Place) -> Result<Behind, CliError> {
        let many = if place.server.is_some() { 1_000_000 } else { 100_000 };
        let jobs = self.arguments.jobs.map_or(many, |jobs| jobs as usize);
        let owners = tenants(2)?;
        place.limit(&owners, &TenantLimits::default()).await?;
        fill(place, &owners[..1], jobs).await?;
        let mut claimed_before = 0;
        for _ in 0..WATCHED {
            // So that the lane of the many has been served for a while.
            settle(place, self.claim(place).await?).await?;
            let one = noop(&place.engine, &owners[1])?;
            let id = one.id;
            enqueue(&place.engine, vec![one]).await?;
            let mut before = 0;
            loop {
                let claims = self.claim(place).await?;
                let found = claims.iter().position(|claim| claim.job.id == id);
                before += found.unwrap_or(claims.len());
                let is_over = found.is_some() || claims.is_empty();
                settle(place, claims).await?;
                if is_over {
                    break;
                }
            }
            claimed_before = claimed_before.max(before);
        }
        let (started_before, mut latencies) = self.started(place, &owners[1]).await?;
        Ok(Behind {
            jobs,
            claimed_before,
            started_before,
            start_p50_ms: percentile(&mut latencies, 50),
            start_p99_ms: percentile(&mut latencies, 99),
        })
    }

    /// The same through a worker at full speed, which has claimed some jobs ahead.
    async fn started(&self, place: &Place, owner: &TenantId) -> Result<(usize, Vec<Duration>), CliError> {
        let first = Beginnings::expect(1);
        let working = Working::start(place.worker(self.app, self.arguments.slots).await?);
        first.last().await;
        let (mut most, mut latencies) = (0, Vec::with_capacity(WATCHED));
        for _ in 0..WATCHED {
            let one = noop(&place.engine, owner)?;
            let watch = Watch::on(&one);
            let asked = Instant::now();
            enqueue(&place.engine, vec![one]).await?;
            let accepted = begun();
            let (number, at) = watch.begun().await?;
            most = most.max(number.saturating_sub(accepted));
            latencies.push(at.saturating_duration_since(asked));
        }
        working.stop().await?;
        Ok((most, latencies))
    }

    async fn weights(&self) -> Result<Weights, CliError> {
        let place = Place::open(self.app).await?;
        let measured = unless_stopped(self.weights_in(&place)).await;
        place.close().await.and(measured)
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    async fn weights_in(&self, place: &Place) -> Result<Weights, CliError> {
        let owners = tenants(WEIGHTS.len())?;
        for (owner, weight) in owners.iter().zip(WEIGHTS) {
            let limits = TenantLimits { weight, ..TenantLimits::default() };
            place.limit(std::slice::from_ref(owner), &limits).await?;
        }
        // Each has as many as all of them together are given.
        fill(place, &owners, SHARED * owners.len()).await?;
        let mut served: BTreeMap<TenantId, usize> = BTreeMap::new();
        let mut all = 0;
        while all < SHARED {
            let claims = self.claim(place).await?;
            all += claims.len();
            for claim in &claims {
                *served.entry(claim.job.tenant.clone()).or_default() += 1;
            }
            settle(place, claims).await?;
        }
        let weight: u32 = WEIGHTS.iter().sum();
        let ideal = WEIGHTS.map(|each| f64::from(each) / f64::from(weight));
        let mut shares = [0.0; 3];
        for (share, owner) in shares.iter_mut().zip(&owners) {
            *share = served.get(owner).copied().unwrap_or(0) as f64 / all as f64;
        }
        let errors = shares.iter().zip(ideal).map(|(share, ideal)| (share - ideal).abs() / ideal);
        let worst_error = rounded(errors.fold(0.0, f64::max));
        Ok(Weights {
            weights: WEIGHTS,
            jobs: all,
            shares: shares.map(rounded),
            ideal: ideal.map(rounded),
            worst_error,
        })
    }

    async fn noisy(&self) -> Result<Noisy, CliError> {
        let place = Place::open(self.app).await?;
        let measured = unless_stopped(self.noisy_in(&place)).await;
        place.close().await.and(measured)
    }

    async fn noisy_in(&self, place: &Place) -> Result<Noisy, CliError> {
        let owners = tenants(2)?;
        let rate = Some(Rate::per_second(NOISY_RATE, NOISY_BURST));
        let kinds = [(Noop::NAME, LaneLimits { rate, ..LaneLimits::default() })].into();
        place.limit(&owners[..1], &TenantLimits { kinds, ..TenantLimits::default() }).await?;
        let working = Working::start(place.worker(self.app, self.arguments.slots).await?);
        let mut alone = self.quiet(place, &owners[1]).await?;
        let (before, since) = (begun(), Instant::now());
        fill(place, &owners[..1], 10_000).await?;
        let mut beside = self.quiet(place, &owners[1]).await?;
        let (noisy_started, elapsed) = (begun() - before - QUIET, since.elapsed());
        working.stop().await?;
        let waiting = place.engine.queue.stats(Some(&owners[0])).await?.count(State::Waiting);
        if waiting == 0 {
            return Err(CliError::unavailable("the noisy tenant ran out of jobs"));
        }
        Ok(Noisy {
            alone_p50_ms: percentile(&mut alone, 50),
            alone_p99_ms: percentile(&mut alone, 99),
            beside_p50_ms: percentile(&mut beside, 50),
            beside_p99_ms: percentile(&mut beside, 99),
            noisy_started,
            noisy_allowed: NOISY_BURST as usize + elapsed.as_millis() as usize * NOISY_RATE as usize / 1_000,
        })
    }

    /// How long each job of a quiet tenant takes from enqueue to handler.
    async fn quiet(&self, place: &Place, owner: &TenantId) -> Result<Vec<Duration>, CliError> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latencies = Vec::with_capacity(QUIET);
        for _ in 0..QUIET {
            pace.tick().await;
            let one = noop(&place.engine, owner)?;
            let watch = Watch::on(&one);
            let asked = Instant::now();
            enqueue(&place.engine, vec![one]).await?;
            latencies.push(watch.begun().await?.1.saturating_duration_since(asked));
        }
        Ok(latencies)
    }

    async fn claim(&self, place: &Place) -> Result<Vec<Claim>, CliError> {
        claim(place, usize::from(self.arguments.batch)).await
    }
}
