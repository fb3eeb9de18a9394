//! `tenants show|set`: what a tenant may use, and whether its data is sealed.

use std::{fmt, str::FromStr};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, audit, choice::one_of, command::Command, error::CliError, show};
use crate::{
    config::ByteSize,
    domain::{KindName, Rate, TenantId, TenantLimits},
    engine::Engine,
    security::{
        TenantFacts,
        audit::{Action as Act, Entry},
        seal::KeyId,
    },
};

pub(super) struct Tenants;

#[derive(Args)]
pub(super) struct TenantsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows a tenant's limits, and whether it seals
    Show {
        /// The tenant [default: the one of --tenant]
        name: Option<TenantId>,
    },
    /// Sets a tenant's limits, in force from the next claim; what is not named stays
    Set(SetArguments),
}

#[derive(Args)]
#[group(id = "changes", required = true, multiple = true)]
struct Changes {
    /// Share beside other tenants, 1 to 1000: twice the weight, twice the service
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    weight: Option<u32>,
    /// Jobs running at once, all kinds together; none for no limit
    #[arg(long, value_name = "N")]
    max_running: Option<Limit<u32>>,
    /// Jobs not finished and not running; none for no limit
    #[arg(long, value_name = "N")]
    max_waiting: Option<Limit<u64>>,
    /// Bytes of payload of those jobs, such as 1GiB; none for no limit
    #[arg(long, value_name = "SIZE")]
    max_waiting_bytes: Option<Limit<ByteSize>>,
    /// Starts in a time of one kind, such as export=20/min:5; export=none for no limit; may be repeated
    #[arg(long, value_name = "KIND=RATE")]
    limit: Vec<OfKind<Rate>>,
    /// Jobs of one kind running at once, such as export=2; export=none for no limit; may be repeated
    #[arg(long, value_name = "KIND=N")]
    kind_max_running: Vec<OfKind<u32>>,
    /// Whether payloads and artifacts that are made from now on are sealed with a key of the tenant's own: on or off
    #[arg(long, value_name = "SWITCH", value_parser = one_of::<Switch>(["on", "off"]))]
    seal: Option<Switch>,
    /// Limits back to the defaults first
    #[arg(long)]
    reset: bool,
}

impl Changes {
    /// The names of what is to change.
    fn words(&self) -> String {
        let named = [
            ("reset", self.reset),
            ("weight", self.weight.is_some()),
            ("max-running", self.max_running.is_some()),
            ("max-waiting", self.max_waiting.is_some()),
            ("max-waiting-bytes", self.max_waiting_bytes.is_some()),
            ("limit", !self.limit.is_empty()),
            ("kind-max-running", !self.kind_max_running.is_empty()),
            ("seal on", self.seal == Some(Switch::On)),
            ("seal off", self.seal == Some(Switch::Off)),
        ];
        let named = named.into_iter().filter_map(|(name, is_named)| is_named.then_some(name));
        named.collect::<Vec<_>>().join(", ")
    }
}

#[derive(Args)]
struct SetArguments {
    /// The tenant
    name: TenantId,
    #[command(flatten)]
    changes: Changes,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

/// The text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("on or off")]
struct SwitchError;

impl FromStr for Switch {
    type Err = SwitchError;

    fn from_str(text: &str) -> Result<Self, SwitchError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(SwitchError),
        }
    }
}

/// A limit, or the word that lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit<T>(pub(super) Option<T>);

impl<T: FromStr<Err: fmt::Display>> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            text => {
                text.parse().map(|limit| Self(Some(limit))).map_err(|problem| format!("{problem}, or none"))
            }
        }
    }
}

/// A limit of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OfKind<T> {
    kind: KindName,
    limit: Limit<T>,
}

impl<T: FromStr<Err: fmt::Display>> FromStr for OfKind<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, limit) = text.split_once('=').ok_or("write the kind, =, and the limit")?;
        let kind = kind.parse().map_err(|problem: crate::domain::NameError| problem.to_string())?;
        Ok(Self { kind, limit: limit.parse()? })
    }
}

impl Command for Tenants {
    const NAME: &'static str = "tenants";
    const ABOUT: &'static str = "Shows and sets what a tenant may use";
    type Arguments = TenantsArguments;

    async fn run(arguments: TenantsArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Show { name } => {
                let engine = app.existing_engine().await?;
                let name = name.unwrap_or_else(|| app.tenant().clone());
                let limits = engine.queue.tenant_limits(&name).await?;
                tell(app, &engine, &name, &limits).await
            }
            Action::Set(SetArguments { name, changes }) => {
                let engine = app.engine().await?;
                if let Some(switch) = changes.seal {
                    engine.keyring.set_seals(&name, switch == Switch::On).await?;
                }
                let before = if changes.reset {
                    TenantLimits::default()
                } else {
                    engine.queue.tenant_limits(&name).await?
                };
                let words = changes.words();
                let limits = changed(before, changes);
                let stored = (limits != TenantLimits::default()).then(|| limits.clone());
                engine.queue.set_tenant_limits(&name, stored).await?;
                let entry = Entry::new(Act::TenantChanged).of(&name).to("limits").with("changed", words);
                audit::record(&engine, entry).await;
                tell(app, &engine, &name, &limits).await
            }
        }
    }
}

fn changed(mut limits: TenantLimits, changes: Changes) -> TenantLimits {
    limits.weight = changes.weight.unwrap_or(limits.weight);
    limits.max_running = changes.max_running.map_or(limits.max_running, |limit| limit.0);
    limits.max_waiting = changes.max_waiting.map_or(limits.max_waiting, |limit| limit.0);
    let bytes = changes.max_waiting_bytes.map(|limit| limit.0.map(|size| size.0));
    limits.max_waiting_bytes = bytes.unwrap_or(limits.max_waiting_bytes);
    for OfKind { kind, limit } in changes.limit {
        limits.kinds.entry(kind).or_default().rate = limit.0;
    }
    for OfKind { kind, limit } in changes.kind_max_running {
        limits.kinds.entry(kind).or_default().max_running = limit.0;
    }
    limits.kinds.retain(|_, lane| lane.rate.is_some() || lane.max_running.is_some());
    limits
}

/// A tenant's limits, in JSON.
#[derive(Serialize)]
struct Document<'a> {
    tenant: &'a TenantId,
    #[serde(flatten)]
    limits: &'a TenantLimits,
    seal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_key: Option<KeyId>,
}

async fn tell(app: &App, engine: &Engine, tenant: &TenantId, limits: &TenantLimits) -> Result<(), CliError> {
    let TenantFacts { seal, keys, .. } = engine.keyring.facts(tenant).await?;
    let newest_key = keys.first().map(|key| key.id);
    let line = |label: &str, text: String| app.output().line(format_args!("{label:<20} {text}"));
    let or_none = |limit: Option<String>| limit.unwrap_or_else(|| "no limit".to_owned());
    line("tenant", tenant.to_string())?;
    line("weight", limits.weight.to_string())?;
    line("max running", or_none(limits.max_running.map(|limit| limit.to_string())))?;
    line("max waiting", or_none(limits.max_waiting.map(|limit| limit.to_string())))?;
    line("max waiting bytes", or_none(limits.max_waiting_bytes.map(show::size)))?;
    for (kind, lane) in &limits.kinds {
        let rate = lane.rate.map(|rate| rate.to_string());
        let running = lane.max_running.map(|most| format!("max running {most}"));
        let both: Vec<String> = [rate, running].into_iter().flatten().collect();
        line(&format!("limit of {kind}"), both.join(", "))?;
    }
    let state = if seal { "on" } else { "off" };
    let key = newest_key.map_or_else(String::new, |id| format!(", newest key {id}"));
    line("seal", format!("{state}{key}"))?;
    app.output().document(&Document { tenant, limits, seal, newest_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        changes: Changes,
    }

    fn change(limits: TenantLimits, line: &str) -> TenantLimits {
        let line = <Line as clap::Parser>::try_parse_from(line.split(' ')).unwrap();
        changed(limits, line.changes)
    }

    #[test]
    fn what_is_not_named_stays_and_none_lifts_a_limit() {
        let set = change(
            TenantLimits::default(),
            "x --weight 2 --max-running 8 --limit export=20/min:5 --kind-max-running export=2 --max-waiting-bytes 1KiB",
        );
        assert_eq!((set.weight, set.max_running, set.max_waiting), (2, Some(8), Some(100_000)));
        assert_eq!(set.max_waiting_bytes, Some(1_024));
        let lane = set.kinds.values().next().unwrap();
        assert_eq!((lane.rate, lane.max_running), (Some("20/min:5".parse().unwrap()), Some(2)));

        let lifted = change(set, "x --max-running none --limit export=none --kind-max-running export=none");
        assert_eq!((lifted.weight, lifted.max_running), (2, None));
        assert!(lifted.kinds.is_empty());
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_refused() {
        for text in ["export", "export=20", "=20/min", "Export=1/s"] {
            assert!(text.parse::<OfKind<Rate>>().is_err(), "{text}");
        }
        assert!("many".parse::<Limit<u32>>().is_err());
    }
}
