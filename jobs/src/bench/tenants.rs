//! What a claim and its settlement cost as tenants grow in number, and with nearly all of them throttled: at the
//! queue, without a worker. Each case has a place of its own and all take turns, so that what else the machine does
//! meanwhile meets all of them.

use std::time::{Duration, Instant};

use clap::Args;
use presswork::{
    cli::{App, CliError},
    domain::{LaneLimits, Rate, TenantId, TenantLimits},
    worker::Kind as _,
};
use serde::Serialize;

use super::{
    direct::{claim, fill, settle},
    noop::{Noop, tenants},
    place::{Place, engine_name},
    rounded, unless_stopped,
};

/// What `bench tenants` is told.
#[derive(Debug, Args)]
pub(super) struct TenantsArguments {
    /// The most tenants [default: 100000 on Redis, else 10000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    most: Option<u32>,
    /// How many jobs a claim hands out
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// How many claims are measured of each case
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(10..))]
    claims: u16,
}

/// How many turns each case has.
const TURNS: usize = 10;
/// Few tenants, to compare with.
const FEW: usize = 10;
/// Jobs of each tenant, where there are many tenants: as many as a claim takes of a lane at once.
const LEAST_JOBS: usize = 8;

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    batch: u16,
    cases: Vec<Case>,
}

#[derive(Debug, Serialize)]
struct Case {
    tenants: usize,
    throttled: usize,
    claim_us_per_job: f64,
    settle_us_per_job: f64,
    us_per_job: f64,
    /// Of the cost with few tenants.
    ratio: f64,
}

pub(super) async fn run(arguments: TenantsArguments, app: &App) -> Result<(), CliError> {
    let most = if app.settings().redis_url.is_some() { 100_000 } else { 10_000 };
    let most = arguments.most.map_or(most, |most| most as usize);
    let shapes = [(FEW, 0), (most / 10, 0), (most, 0), (most, most / 100 * 99)];
    let mut places = Vec::new();
    let measured = async {
        for (many, throttled) in shapes {
            places.push(Measured {
                place: Place::open(app).await?,
                many,
                throttled,
                spent: Spent::default(),
            });
        }
        measure(&arguments, &mut places).await
    };
    let measured = unless_stopped(measured).await;
    let cases: Vec<Case> = places.iter().map(|measured| measured.case(places[0].spent.us())).collect();
    for measured in places {
        measured.place.close().await?;
    }
    measured?;
    let (engine, batch) = (engine_name(app), arguments.batch);
    let rows: Vec<Vec<String>> = cases.iter().map(Case::row).collect();
    app.output().json_line(&Figures { bench: "tenants", engine, batch, cases })?;
    app.output().table(&["TENANTS", "THROTTLED", "CLAIM us", "SETTLE us", "BOTH us", "RATIO"], &rows)
}

impl Case {
    fn row(&self) -> Vec<String> {
        vec![
            self.tenants.to_string(),
            self.throttled.to_string(),
            self.claim_us_per_job.to_string(),
            self.settle_us_per_job.to_string(),
            self.us_per_job.to_string(),
            self.ratio.to_string(),
        ]
    }
}

async fn measure(arguments: &TenantsArguments, places: &mut [Measured]) -> Result<(), CliError> {
    let batch = usize::from(arguments.batch);
    let claims = usize::from(arguments.claims);
    for measured in &*places {
        measured.prepare(claims * batch, batch).await?;
    }
    for _ in 0..TURNS {
        for measured in &mut *places {
            measured.turn(claims / TURNS, batch).await?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Spent {
    claiming: Duration,
    settling: Duration,
    jobs: u32,
}

impl Spent {
    fn us(&self) -> f64 {
        self.each(self.claiming + self.settling)
    }

    fn each(&self, spent: Duration) -> f64 {
        spent.as_secs_f64() * 1e6 / f64::from(self.jobs.max(1))
    }
}

struct Measured {
    place: Place,
    many: usize,
    throttled: usize,
    spent: Spent,
}

impl Measured {
    fn case(&self, few_us: f64) -> Case {
        let Self { many, throttled, spent, .. } = self;
        Case {
            tenants: *many,
            throttled: *throttled,
            claim_us_per_job: rounded(spent.each(spent.claiming)),
            settle_us_per_job: rounded(spent.each(spent.settling)),
            us_per_job: rounded(spent.us()),
            ratio: rounded(spent.us() / few_us.max(1e-9)),
        }
    }

    /// Enough jobs for so many to be claimed, at least some of each tenant.
    async fn prepare(&self, jobs: usize, batch: usize) -> Result<(), CliError> {
        let owners = tenants(self.many)?;
        let (throttled, free) = owners.split_at(self.throttled);
        if self.many == FEW {
            self.place.limit(free, &TenantLimits::default()).await?;
        }
        self.throttle(throttled, batch).await?;
        let each = jobs.div_ceil(free.len()).max(LEAST_JOBS).next_multiple_of(LEAST_JOBS);
        fill(&self.place, free, each * free.len()).await
    }

    /// Each has used its only token and has a job that waits for the next one, which comes in an hour.
    async fn throttle(&self, owners: &[TenantId], batch: usize) -> Result<(), CliError> {
        if owners.is_empty() {
            return Ok(());
        }
        let rate: Rate = "1/h".parse().map_err(CliError::usage)?;
        let kinds = [(Noop::NAME, LaneLimits { rate: Some(rate), ..LaneLimits::default() })].into();
        self.place.limit(owners, &TenantLimits { kinds, ..TenantLimits::default() }).await?;
        fill(&self.place, owners, 2 * owners.len()).await?;
        let mut used = 0;
        while used < owners.len() {
            let claims = claim(&self.place, batch).await?;
            if claims.is_empty() {
                break;
            }
            used += claims.len();
            settle(&self.place, claims).await?;
        }
        if used == owners.len() && claim(&self.place, batch).await?.is_empty() {
            return Ok(());
        }
        Err(CliError::unavailable(format_args!("{} tenants used {used} tokens", owners.len())))
    }

    async fn turn(&mut self, claims: usize, batch: usize) -> Result<(), CliError> {
        for _ in 0..claims {
            let begun = Instant::now();
            let claims = claim(&self.place, batch).await?;
            self.spent.claiming += begun.elapsed();
            if claims.len() != batch {
                let (found, many) = (claims.len(), self.many);
                return Err(CliError::unavailable(format_args!(
                    "a claim found {found} jobs of {batch} with {many} tenants"
                )));
            }
            let begun = Instant::now();
            settle(&self.place, claims).await?;
            self.spent.settling += begun.elapsed();
            self.spent.jobs += u32::try_from(batch).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}
