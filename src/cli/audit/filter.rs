//! Which entries are wanted, as flags.

use clap::Args;

use crate::{
    cli::{app::App, choice::one_of},
    domain::Timestamp,
    security::audit::{Filter, Outcome},
};

#[derive(Args, Clone)]
pub(super) struct FilterArguments {
    /// Of this action, such as auth.login; auth. for all that begin so
    #[arg(long)]
    action: Option<String>,
    /// By him: user:ID, key:ID, anonymous, command-line, system
    #[arg(long)]
    actor: Option<String>,
    /// That ended so
    #[arg(long, value_parser = one_of::<Outcome>(["done", "refused", "failed"]))]
    outcome: Option<Outcome>,
    /// From this address
    #[arg(long, value_name = "IP")]
    address: Option<std::net::IpAddr>,
    /// Not before this, such as 2026-11-22T08:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// With this text anywhere
    #[arg(long)]
    text: Option<String>,
}

impl FilterArguments {
    /// What the flags say; a tenant counts only where a flag names it.
    pub(super) fn filter(self, app: &App) -> Filter {
        Filter {
            action: self.action,
            actor: self.actor,
            tenant: app.named_tenant.clone(),
            outcome: self.outcome,
            since: self.since,
            until: self.until,
            address: self.address.map(|address| address.to_string()),
            text: self.text,
        }
    }
}
