//! `verify`: how safe the settings are, and that a production process does not start on what is not.

use clap::Args;

use super::{
    app::{App, blocking},
    choice::one_of,
    command::Command,
    error::{CliError, ErrorKind},
};
use crate::{
    config::{Environment, Settings},
    engine::verify::{Finding, Report, Severity, look_into, verify},
};

pub(super) struct Verify;

#[derive(Args)]
pub(super) struct VerifyArguments {
    /// Judge as for this environment [default: the one that is set]
    #[arg(long, value_name = "ENVIRONMENT", value_parser = one_of::<Environment>(["development", "production"]))]
    env: Option<Environment>,
    /// Look at settings and files only, not into the store
    #[arg(long)]
    offline: bool,
}

impl Command for Verify {
    const NAME: &'static str = "verify";
    const ABOUT: &'static str = "Checks how safe the settings are: a score, and each finding with its fix";
    type Arguments = VerifyArguments;

    async fn run(arguments: VerifyArguments, app: &App) -> Result<(), CliError> {
        let VerifyArguments { env, offline } = arguments;
        let environment = env.unwrap_or(app.settings().environment);
        let settings = Settings { environment, ..app.settings().clone() };
        let mut report = judge(&settings).await?;
        if !offline && is_there(app, &settings).await {
            match app.engine_with(&settings).await {
                Ok(engine) => report = look_into(&engine, &settings, report).await,
                Err(error) => app.output().note(format_args!("the store could not be looked into: {error}")),
            }
        }
        tell(app, &report)?;
        if report.critical().next().is_none() { Ok(()) } else { Err(refusal(&report, "not safe")) }
    }
}

/// Whether there is something to look into: a look makes no data directory.
async fn is_there(app: &App, settings: &Settings) -> bool {
    let database = app.settings().data_dir.join("presswork.db");
    settings.redis_url.is_some() || tokio::fs::try_exists(&database).await.unwrap_or(false)
}

async fn judge(settings: &Settings) -> Result<Report, CliError> {
    let settings = settings.clone();
    blocking(move || verify(&settings, &|name| std::env::var_os(name))).await
}

/// Refuses to go on in production where something critical is found.
///
/// # Errors
/// Exit code 4, with each of the findings.
pub(super) async fn guard(settings: &Settings) -> Result<(), CliError> {
    if settings.environment != Environment::Production {
        return Ok(());
    }
    let report = judge(settings).await?;
    for Finding { check, severity, what, fix } in &report.findings {
        if *severity == Severity::High {
            tracing::warn!(check, fix, "not safe: {what}");
        }
    }
    if report.critical().next().is_none() {
        Ok(())
    } else {
        Err(refusal(&report, "production does not start so"))
    }
}

fn refusal(report: &Report, what: &str) -> CliError {
    let named: Vec<String> = report
        .critical()
        .map(|finding| format!("{} ({}): {}", finding.what, finding.check, finding.fix))
        .collect();
    CliError::new(ErrorKind::Insecure, format_args!("{what}: {}", named.join("; ")))
        .hint("`verify` lists all findings; `environment` (PRESSWORK_ENV) is what makes them count")
}

fn tell(app: &App, report: &Report) -> Result<(), CliError> {
    let Report { environment, score, checks, findings } = report;
    for Finding { check, severity, what, fix } in findings {
        app.output().line(format_args!("{:<9} {check:<22} {what}", severity.name()))?;
        app.output().line(format_args!("{:<32} fix: {fix}", ""))?;
    }
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = Severity::ALL.map(|severity| format!("{} {}", count(severity), severity.name())).join(", ");
    app.output().line(format_args!("{score} of 100 for {environment}: {checks} checks, {counts}"))?;
    app.output().document(report)
}
