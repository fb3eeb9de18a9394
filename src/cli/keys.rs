//! `keys list|rotate|rewrap`: the tenants' data keys. What is shown of a key is its id, never the key.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, audit, command::Command, error::CliError};
use crate::{
    domain::TenantId,
    engine::Engine,
    security::{
        MasterKeyId, TenantFacts,
        audit::{Action as Act, Entry},
    },
};

pub(super) struct Keys;

#[derive(Args)]
pub(super) struct KeysArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Subcommand)]
enum Action {
    /// Lists data keys: ids, versions, when they were made, which master key they are under; of one tenant with --tenant
    List,
    /// Makes a new data key for each tenant that has one, or for that of --tenant; what is sealed with the old ones stays readable
    Rotate,
    /// Puts data keys under the newest master key, those of --tenant only where it is named; nothing that is sealed changes
    Rewrap,
}

#[derive(Serialize)]
struct RotatedDocument {
    rotated: u64,
}

#[derive(Default, Serialize)]
struct RewrappedDocument {
    rewrapped: u64,
    missed: Vec<MasterKeyId>,
}

impl Command for Keys {
    const NAME: &'static str = "keys";
    const ABOUT: &'static str = "Lists and rotates the keys that tenants' data is sealed with";
    type Arguments = KeysArguments;

    async fn run(arguments: KeysArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        match arguments.action {
            Action::List => list(app, &engine).await,
            Action::Rotate => rotate(app, &engine).await,
            Action::Rewrap => rewrap(app, &engine).await,
        }
    }
}

/// A piece of the tenants that are spoken of: the one that is named, or those behind `after`.
async fn tenants(app: &App, engine: &Engine, after: Option<TenantId>) -> Result<Vec<TenantFacts>, CliError> {
    Ok(match (&app.named_tenant, after) {
        (Some(named), None) => vec![engine.keyring.facts(named).await?],
        (Some(_), Some(_)) => Vec::new(),
        (None, after) => engine.keyring.list(after.as_ref()).await?,
    })
}

async fn list(app: &App, engine: &Engine) -> Result<(), CliError> {
    const HEADER: [&str; 6] = ["TENANT", "KEY", "VERSION", "CREATED", "MASTER KEY", "AT HAND"];
    let output = app.output();
    let mut documents = output.list("tenants")?;
    let (mut after, mut any) = (None, false);
    loop {
        let page = tenants(app, engine, after).await?;
        let Some(last) = page.last().map(|facts| facts.tenant.clone()) else { break };
        let mut rows = Vec::new();
        for facts in &page {
            documents.item(facts)?;
            rows.extend(facts.keys.iter().map(|key| {
                let at_hand = if key.at_hand { "yes" } else { "NO" };
                let cells = [
                    &facts.tenant as &dyn ToString,
                    &key.id,
                    &key.version,
                    &key.created_at,
                    &key.master,
                    &at_hand,
                ];
                cells.map(|cell| cell.to_string()).to_vec()
            }));
        }
        if any {
            output.more_rows(&HEADER, &rows)?;
        } else {
            output.table(&HEADER, &rows)?;
        }
        any |= !rows.is_empty();
        after = Some(last);
    }
    if !any {
        output.line("no data keys: `tenants set NAME --seal on` makes a tenant's first")?;
    }
    documents.end(false)
}

async fn rotate(app: &App, engine: &Engine) -> Result<(), CliError> {
    let (mut after, mut rotated) = (None, 0);
    loop {
        let page = tenants(app, engine, after).await?;
        let Some(last) = page.last().map(|facts| facts.tenant.clone()) else { break };
        for facts in page {
            if facts.keys.is_empty() && app.named_tenant.is_none() {
                continue;
            }
            let facts = engine.keyring.rotate(&facts.tenant).await?;
            if let Some(key) = facts.keys.first() {
                let (tenant, id, version) = (&facts.tenant, key.id, key.version);
                let entry =
                    Entry::new(Act::KeyringRotated).of(tenant).to(id.to_string()).with("version", version);
                audit::record(engine, entry).await;
                app.output().line(format_args!("{tenant}: new data key {id}, version {version}"))?;
            }
            rotated += 1;
        }
        after = Some(last);
    }
    app.output().note("running processes use the new keys within ten seconds");
    app.output().document(&RotatedDocument { rotated })
}

async fn rewrap(app: &App, engine: &Engine) -> Result<(), CliError> {
    let (mut after, mut done) = (None, RewrappedDocument::default());
    loop {
        let page = tenants(app, engine, after).await?;
        let Some(last) = page.last().map(|facts| facts.tenant.clone()) else { break };
        for facts in page {
            let rewrapped = engine.keyring.rewrap(&facts.tenant).await?;
            let entry = Entry::new(Act::KeyringRotated).of(&facts.tenant).to("rewrapped");
            audit::record(engine, entry.with("keys", rewrapped.rewrapped)).await;
            done.rewrapped += rewrapped.rewrapped;
            done.missed.extend(rewrapped.missed);
        }
        done.missed.sort_unstable();
        done.missed.dedup();
        after = Some(last);
    }
    app.output().line(format_args!("{} data keys are now under the newest master key", done.rewrapped))?;
    app.output().document(&done)?;
    if done.missed.is_empty() {
        return Ok(());
    }
    let missed: Vec<String> = done.missed.iter().map(ToString::to_string).collect();
    let message = format!(
        "some data keys were left: they are under master keys that are not at hand ({})",
        missed.join(", ")
    );
    Err(CliError::unavailable(message).hint("give those master keys as well, behind the newest one"))
}
