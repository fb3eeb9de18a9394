//! `pause` and `resume`: stops handing out jobs of a tenant, of a kind, or at all.

use clap::Args;
use serde::Serialize;

use super::{app::App, audit, command::Command, error::CliError};
use crate::{
    domain::KindName,
    engine::Engine,
    queue::Scope,
    security::audit::{Action as Act, Entry},
};

pub(super) struct Pause;
pub(super) struct Resume;

#[derive(Args)]
pub(super) struct ScopeArguments {
    /// Jobs of this kind
    #[arg(long, conflicts_with = "everything")]
    kind: Option<KindName>,
    /// All jobs
    #[arg(long)]
    everything: bool,
}

impl ScopeArguments {
    /// The one scope that was named; a tenant counts only where a flag names it.
    fn scope(self, app: &App) -> Result<Scope, CliError> {
        match (self.kind, app.named_tenant.clone(), self.everything) {
            (Some(kind), None, false) => Ok(Scope::Kind(kind)),
            (None, Some(tenant), false) => Ok(Scope::Tenant(tenant)),
            (None, None, true) => Ok(Scope::Everything),
            _ => Err(CliError::usage("name one of --tenant T, --kind K and --everything")),
        }
    }
}

impl Command for Pause {
    const NAME: &'static str = "pause";
    const ABOUT: &'static str =
        "Stops handing out jobs of --tenant T, of --kind K, or --everything; what runs goes on";
    type Arguments = ScopeArguments;

    async fn run(arguments: ScopeArguments, app: &App) -> Result<(), CliError> {
        let scope = arguments.scope(app)?;
        let engine = app.engine().await?;
        engine.queue.pause(&scope).await?;
        audit::record(&engine, paused(&scope, "pause")).await;
        tell(app, &engine).await
    }
}

impl Command for Resume {
    const NAME: &'static str = "resume";
    const ABOUT: &'static str = "Hands them out again; a pause of another scope stays in force";
    type Arguments = ScopeArguments;

    async fn run(arguments: ScopeArguments, app: &App) -> Result<(), CliError> {
        let scope = arguments.scope(app)?;
        let engine = app.engine().await?;
        engine.queue.resume(&scope).await?;
        audit::record(&engine, paused(&scope, "resume")).await;
        tell(app, &engine).await
    }
}

fn paused(scope: &Scope, act: &'static str) -> Entry {
    let entry = Entry::new(Act::QueuePaused).to(words(std::slice::from_ref(scope))).with("act", act);
    if let Scope::Tenant(tenant) = scope { entry.of(tenant) } else { entry }
}

#[derive(Serialize)]
struct Document {
    paused: Vec<Scope>,
}

async fn tell(app: &App, engine: &Engine) -> Result<(), CliError> {
    let paused = engine.queue.paused().await?;
    let text = if paused.is_empty() { "nothing".to_owned() } else { words(&paused) };
    app.output().line(format_args!("paused: {text}"))?;
    app.output().document(&Document { paused })
}

/// The scopes, for people.
pub(super) fn words(scopes: &[Scope]) -> String {
    let word = |scope: &Scope| match scope {
        Scope::Everything => "everything".to_owned(),
        Scope::Tenant(tenant) => format!("tenant {tenant}"),
        Scope::Kind(kind) => format!("kind {kind}"),
    };
    scopes.iter().map(word).collect::<Vec<_>>().join(", ")
}
