//! `limits show|set|reset`: how much a tenant may use of what.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, audit, command::Command, error::CliError, show, tenants::Limit};
use crate::{
    domain::Rate,
    engine::Engine,
    limits::{Bucket, Resource},
    security::audit::{Action as Act, Entry},
};

pub(super) struct Limits;

#[derive(Args)]
pub(super) struct LimitsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows what holds for the tenant, and how much of it is left
    Show,
    /// Sets a limit of the tenant, in force everywhere within a second
    Set {
        /// What is used, such as generation or model:openai/key-1
        resource: Resource,
        /// How much of it in a time, such as 20/min:5 (at most 5 at once); none for no limit
        rate: Limit<Rate>,
    },
    /// Lets the default hold again
    Reset {
        /// What is used
        resource: Resource,
    },
}

impl Command for Limits {
    const NAME: &'static str = "limits";
    const ABOUT: &'static str =
        "Shows and sets how much a tenant may use of models, exports, the API and so on";
    type Arguments = LimitsArguments;

    async fn run(arguments: LimitsArguments, app: &App) -> Result<(), CliError> {
        let engine = match arguments.action {
            Action::Show => app.existing_engine().await?,
            Action::Set { resource, rate } => {
                let engine = app.engine().await?;
                engine.rules.set(app.tenant(), &resource, rate.0).await?;
                let text = rate.0.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
                audit::record(&engine, changed(app, &resource).with("rate", text)).await;
                engine
            }
            Action::Reset { resource } => {
                let engine = app.engine().await?;
                engine.rules.reset(app.tenant(), &resource).await?;
                audit::record(&engine, changed(app, &resource).with("rate", "default")).await;
                engine
            }
        };
        tell(app, &engine).await
    }
}

fn changed(app: &App, resource: &Resource) -> Entry {
    Entry::new(Act::TenantChanged).of(app.tenant()).to(format!("limit:{}", resource.as_str()))
}

/// One limit, in JSON.
#[derive(Serialize)]
struct Row {
    resource: Resource,
    /// None where it is not limited.
    rate: Option<Rate>,
    /// Whether it is the default.
    default: bool,
    /// How many there are now.
    remaining: Option<u32>,
    /// For how long nothing is let through yet.
    parked_ms: Option<u64>,
}

#[derive(Serialize)]
struct Document {
    tenant: String,
    limits: Vec<Row>,
}

async fn tell(app: &App, engine: &Engine) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for (resource, rate) in engine.rules.all(app.tenant()).await? {
        let bucket = Bucket::new(app.tenant(), &resource);
        let (remaining, parked) = match rate {
            Some(rate) => {
                let level = engine.limiter.level(&bucket, rate).await?;
                (Some(level.remaining), level.parked)
            }
            None => (None, engine.limiter.parked(&bucket).await?),
        };
        let text = rate.map_or_else(|| "no limit".to_owned(), |rate| rate.to_string());
        let left = remaining.map(|left| format!("{left} left"));
        let stop = parked.map(|wait| format!("parked for {}", show::time(wait)));
        let line = [Some(text), left, stop].into_iter().flatten().collect::<Vec<_>>().join(", ");
        app.output().line(format_args!("{:<24} {line}", resource.as_str()))?;
        rows.push(Row {
            default: engine.rules.defaults().0.get(&resource) == rate.as_ref(),
            resource,
            rate,
            remaining,
            parked_ms: parked.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        });
    }
    app.output().document(&Document { tenant: app.tenant().to_string(), limits: rows })
}
