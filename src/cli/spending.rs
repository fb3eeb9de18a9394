//! `spending show|budget`: what a tenant has spent on models, and what it may spend.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{app::App, audit, command::Command, error::CliError};
use crate::{
    api::{BudgetsDocument, DayDocument, SpendingDocument},
    domain::Day,
    engine::Engine,
    security::audit::{Action as Act, Entry},
    spending::{Measure, ReportError, Standing, Totals},
};

pub(super) struct SpendingCommand;

#[derive(Args)]
pub(super) struct SpendingArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows what the tenant has spent, by day, provider and model, and how its budgets stand
    Show {
        /// The first day, such as 2026-11-01 [default: the first of the month]
        #[arg(long)]
        from: Option<Day>,
        /// The last day [default: today]
        #[arg(long)]
        to: Option<Day>,
    },
    /// Sets what the tenant may spend
    Budget {
        #[command(subcommand)]
        action: BudgetAction,
    },
}

#[derive(Subcommand)]
enum BudgetAction {
    /// Shows the tenant's budgets, and how much of them is spent
    Show,
    /// Sets a budget of the tenant, in force everywhere within a second
    Set {
        /// Which: daily, monthly (money), daily-tokens or monthly-tokens
        budget: Measure,
        /// How much: money such as 12.50 in the currency of the prices, or a number of tokens; none for no limit
        amount: String,
    },
    /// Lets the default hold again
    Reset {
        /// Which
        budget: Measure,
    },
}

impl Command for SpendingCommand {
    const NAME: &'static str = "spending";
    const ABOUT: &'static str = "Shows what a tenant has spent on models, and sets what it may spend";
    type Arguments = SpendingArguments;

    async fn run(arguments: SpendingArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Show { from, to } => show(app, &app.existing_engine().await?, from, to).await,
            Action::Budget { action: BudgetAction::Show } => {
                budgets(app, &app.existing_engine().await?).await
            }
            Action::Budget { action: BudgetAction::Set { budget, amount } } => {
                let read = |text: &str| {
                    budget.read(text).map_err(|error| CliError::usage(format!("{error}, or none")))
                };
                let read = if amount == "none" { None } else { Some(read(&amount)?) };
                let engine = app.engine().await?;
                engine.spending.budgets().set(app.tenant(), budget, read).await?;
                audit::record(&engine, changed(app, budget).with("amount", amount)).await;
                budgets(app, &engine).await
            }
            Action::Budget { action: BudgetAction::Reset { budget } } => {
                let engine = app.engine().await?;
                engine.spending.budgets().reset(app.tenant(), budget).await?;
                audit::record(&engine, changed(app, budget).with("amount", "default")).await;
                budgets(app, &engine).await
            }
        }
    }
}

fn changed(app: &App, budget: Measure) -> Entry {
    Entry::new(Act::TenantChanged).of(app.tenant()).to(format!("budget:{budget}"))
}

/// All that is shown, in JSON.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    spending: SpendingDocument,
    budgets: BudgetsDocument,
}

async fn show(app: &App, engine: &Engine, from: Option<Day>, to: Option<Day>) -> Result<(), CliError> {
    let report = engine.spending.report(app.tenant(), from, to).await.map_err(|error| match error {
        ReportError::Days(problem) => CliError::usage(problem),
        ReportError::Store(error) => error.into(),
    })?;
    let (total, (from, to)) = (report.total(), (report.from, report.to));
    for day in &report.days {
        for model in &day.models {
            let name = format!("{}/{}", model.name.provider, model.name.model);
            app.output().line(format_args!("{}  {name:<32} {}", day.day, words(&model.totals)))?;
        }
    }
    app.output().line(format_args!("{from} to {to}: {}", words(&total)))?;
    let standings = engine.spending.standings(app.tenant()).await?;
    for standing in standings.iter().filter(|standing| standing.limit.is_some()) {
        app.output().line(format_args!("{}", line(standing)))?;
    }
    let defaults = engine.spending.budgets().defaults();
    app.output().document(&Document {
        spending: SpendingDocument {
            tenant: app.tenant().to_string(),
            from,
            to,
            total: total.into(),
            days: report.days.into_iter().map(DayDocument::from).collect(),
        },
        budgets: BudgetsDocument::new(app.tenant(), standings, defaults),
    })
}

async fn budgets(app: &App, engine: &Engine) -> Result<(), CliError> {
    let standings = engine.spending.standings(app.tenant()).await?;
    for standing in &standings {
        app.output().line(format_args!("{}", line(standing)))?;
    }
    let defaults = engine.spending.budgets().defaults();
    app.output().document(&BudgetsDocument::new(app.tenant(), standings, defaults))
}

/// How a budget stands, for people.
fn line(standing: &Standing) -> String {
    let Standing { measure, limit, spent, reserved, resets_at } = standing;
    let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {}", measure.show(limit)));
    let aside = match reserved {
        0 => String::new(),
        reserved => format!(", {} set aside", measure.show(*reserved)),
    };
    format!("{measure:<16} {} spent {limit}{aside}, anew at {resets_at}", measure.show(*spent))
}

/// What was used, for people.
fn words(totals: &Totals) -> String {
    let cost = match totals.whole_cost() {
        Some(cost) => format!("cost {cost}"),
        None => format!(
            "cost not known: {} calls without a price, the others {}",
            totals.unpriced_calls, totals.cost
        ),
    };
    let mut text = format!(
        "{} calls, {} tokens in, {} out, {cost}",
        totals.calls, totals.input_tokens, totals.output_tokens
    );
    if totals.estimated_calls > 0 {
        text.push_str(&format!(" ({} calls estimated)", totals.estimated_calls));
    }
    if totals.cached_calls > 0 {
        text.push_str(&format!("; {} from the cache, {} saved", totals.cached_calls, totals.saved));
    }
    text
}
