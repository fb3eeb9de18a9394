//! `audit report`: for who has to show that the log was looked at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{check, each_of_fleet, files, unreadable};
use crate::{
    cli::{
        app::{App, blocking},
        error::CliError,
    },
    security::audit::{Filter, Folder, Report, Verdict, from_files},
};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// The state of this node's chain.
    chain: &'a Verdict,
}

/// How many of a count are shown to people.
const SHOWN: usize = 15;

pub(super) async fn report(app: &App, folder: &Folder, filter: Filter, fleet: bool) -> Result<(), CliError> {
    let report = if fleet {
        let engine = app.existing_engine().await?;
        let mut report = Report::default();
        each_of_fleet(&engine, &filter, |line| {
            report.add(&line);
            true
        })
        .await?;
        report
    } else {
        let paths = files(folder).await?;
        let read = blocking(move || {
            let mut report = Report::default();
            from_files(&paths, &filter, |line| {
                report.add(&line);
                true
            })?;
            Ok::<_, std::io::Error>(report)
        });
        read.await?.map_err(unreadable)?
    };
    let (report, chain) = (report.end(), check::verdict(app, folder, Vec::new()).await?);
    tell(app, &report, &chain)?;
    app.output().document(&Document { report: &report, chain: &chain })
}

fn tell(app: &App, report: &Report, chain: &Verdict) -> Result<(), CliError> {
    let output = app.output();
    let time = |at: Option<crate::domain::Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    output.line(format_args!("Audit log from {} to {}", time(report.since), time(report.until)))?;
    output.line("")?;
    check::tell(app, chain)?;
    let rows: Vec<Vec<String>> = report
        .actions
        .iter()
        .map(|(action, outcomes)| {
            let count = |name| outcomes.get(name).copied().unwrap_or(0).to_string();
            vec![action.clone(), count("done"), count("refused"), count("failed")]
        })
        .collect();
    output.line("")?;
    output.table(&["ACTION", "DONE", "REFUSED", "FAILED"], &rows)?;
    counts(app, "ACTOR", &report.actors)?;
    counts(app, "NODE", &report.nodes)?;
    counts(app, "REFUSED LOGINS OF", &report.failed_logins)?;
    counts(app, "REFUSED LOGINS FROM", &report.failed_logins_from)?;
    counts(app, "KEY USED", &report.keys_used)?;
    let days: Vec<Vec<String>> =
        report.days.iter().map(|(day, count)| vec![format!("day {day}"), count.to_string()]).collect();
    if !days.is_empty() {
        output.line("")?;
        output.table(&["DAY", "ENTRIES"], &days)?;
    }
    if !report.changes.is_empty() {
        let rows: Vec<Vec<String>> = report.changes.iter().map(change).collect();
        output.line("")?;
        output.table(&["CHANGED AT", "WHAT", "BY", "OF", "TO"], &rows)?;
        let more = report.changes_total.saturating_sub(report.changes.len() as u64);
        if more > 0 {
            output.line(format_args!("and {more} changes before these"))?;
        }
    }
    output.line("")?;
    output.line(format_args!("entries lost {}, times found broken {}", report.lost, report.broken))
}

fn change(change: &crate::security::audit::Change) -> Vec<String> {
    let detail =
        change.detail.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let of = change.tenant.clone().unwrap_or_default();
    let to = [change.target.clone().unwrap_or_default(), detail].join(" ");
    vec![change.at.to_string(), change.action.clone(), change.actor.clone(), of, to.trim().to_owned()]
}

fn counts(app: &App, head: &str, counts: &BTreeMap<String, u64>) -> Result<(), CliError> {
    if counts.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
    sorted.sort_by(|one, other| other.1.cmp(one.1));
    let rows: Vec<Vec<String>> =
        sorted.iter().take(SHOWN).map(|(name, count)| vec![(*name).clone(), count.to_string()]).collect();
    app.output().line("")?;
    app.output().table(&[head, "ENTRIES"], &rows)?;
    if sorted.len() > SHOWN {
        app.output().line(format_args!("and {} more", sorted.len() - SHOWN))?;
    }
    Ok(())
}
