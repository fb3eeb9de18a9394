//! `stats`: how many jobs are where.

use clap::Args;
use serde::Serialize;

use super::{app::App, command::Command, error::CliError, pause, show};
use crate::{
    domain::{KindName, State, TenantId, Timestamp},
    queue::{LaneStats, Scope},
};

pub(super) struct StatsCommand;

#[derive(Args)]
pub(super) struct StatsArguments {}

/// One lane, in JSON: every state has its count, so that a script need not ask whether it is there.
#[derive(Serialize)]
struct Lane<'a> {
    tenant: &'a TenantId,
    kind: &'a KindName,
    jobs: serde_json::Map<String, serde_json::Value>,
    oldest_waiting: Option<Timestamp>,
}

#[derive(Serialize)]
struct Document<'a> {
    lanes: Vec<Lane<'a>>,
    paused: &'a [Scope],
}

impl Command for StatsCommand {
    const NAME: &'static str = "stats";
    const ABOUT: &'static str = "Counts jobs by tenant, kind and state; with --tenant, of one tenant";
    type Arguments = StatsArguments;

    async fn run(_: StatsArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        let stats = engine.queue.stats(app.named_tenant.as_ref()).await?;
        let paused = engine.queue.paused().await?;
        let now = engine.clock.now();
        let row = |lane: &LaneStats| {
            let counts = State::ALL.iter().map(|state| count(lane, *state).to_string());
            let oldest = lane.oldest_waiting.map_or_else(|| "-".to_owned(), |at| show::time(now.since(at)));
            let names = [lane.tenant.to_string(), lane.kind.to_string()];
            names.into_iter().chain(counts).chain([oldest]).collect()
        };
        let rows: Vec<Vec<String>> = stats.lanes.iter().map(row).collect();
        let states = State::ALL.map(|state| state.name().to_uppercase());
        let header: Vec<&str> = ["TENANT", "KIND"]
            .into_iter()
            .chain(states.iter().map(String::as_str))
            .chain(["OLDEST WAITS"])
            .collect();
        app.output().table(&header, &rows)?;
        if rows.is_empty() {
            app.output().line("no jobs")?;
        }
        if !paused.is_empty() {
            app.output().line(format_args!("paused: {}", pause::words(&paused)))?;
        }
        app.output().document(&Document { lanes: stats.lanes.iter().map(lane).collect(), paused: &paused })
    }
}

fn count(lane: &LaneStats, state: State) -> u64 {
    lane.jobs.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
}

fn lane(lane: &LaneStats) -> Lane<'_> {
    let jobs = State::ALL.iter().map(|state| (state.name().to_owned(), count(lane, *state).into())).collect();
    Lane { tenant: &lane.tenant, kind: &lane.kind, jobs, oldest_waiting: lane.oldest_waiting }
}
