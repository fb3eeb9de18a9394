//! `kinds list|show|set`: what can be run, and limits of a kind, all tenants together.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, command::Command, error::CliError, tenants::Limit};
use crate::domain::{KindLimits, KindName};

pub(super) struct Kinds;

#[derive(Args)]
pub(super) struct KindsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the kinds that this program can run
    List,
    /// Shows a kind's limits
    Show {
        /// The kind
        kind: KindName,
    },
    /// Sets a kind's limits, in force from the next claim
    Set {
        /// The kind
        kind: KindName,
        /// Jobs of the kind running at once, all tenants together; none for no limit
        #[arg(long, value_name = "N")]
        max_running: Limit<u32>,
    },
}

#[derive(Serialize)]
struct Listing {
    kinds: Vec<KindName>,
}

#[derive(Serialize)]
struct Document<'a> {
    kind: &'a KindName,
    #[serde(flatten)]
    limits: KindLimits,
}

impl Command for Kinds {
    const NAME: &'static str = "kinds";
    const ABOUT: &'static str = "Lists the kinds of jobs, shows and sets what they may use";
    type Arguments = KindsArguments;

    async fn run(arguments: KindsArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::List => {
                let kinds = app.registry().kinds();
                kinds.iter().try_for_each(|kind| app.output().line(kind))?;
                app.output().document(&Listing { kinds })
            }
            Action::Show { kind } => {
                let limits = app.existing_engine().await?.queue.kind_limits(&kind).await?;
                tell(app, &kind, limits)
            }
            Action::Set { kind, max_running } => {
                let limits = KindLimits { max_running: max_running.0 };
                app.engine().await?.queue.set_kind_limits(&kind, limits).await?;
                tell(app, &kind, limits)
            }
        }
    }
}

fn tell(app: &App, kind: &KindName, limits: KindLimits) -> Result<(), CliError> {
    let text = limits.max_running.map_or("no limit".to_owned(), |most| most.to_string());
    app.output().line(format_args!("{kind}: max running {text}"))?;
    app.output().document(&Document { kind, limits })
}
