//! How safe a process's settings are. Owns: [`verify`] and [`Report`]: each [`Finding`] with what to do about it, a score, and
//! which findings keep a production process from starting. One file a side of it. Must not know: the command line, HTTP.

mod door;
mod live;
mod secrets;
mod stores;

use std::path::Path;

use serde::Serialize;

use crate::{
    config::{Environment, Settings, Variables},
    engine::Engine,
};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Better otherwise.
    Low,
    /// Helps whoever has got in elsewhere, or hides him.
    Medium,
    /// Lets somebody in whom one other mistake lets through.
    High,
    /// Lets somebody in, or loses what can't be had again: a production process does not start.
    Critical,
}

impl Severity {
    /// All of them, the gravest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// What it takes from the score.
    const fn weight(self) -> u32 {
        match self {
            Self::Low => 1,
            Self::Medium => 4,
            Self::High => 12,
            Self::Critical => 35,
        }
    }
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it; stable.
    pub check: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What is so. Never a secret.
    pub what: String,
    /// What to do about it.
    pub fix: &'static str,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// For which environment it was judged.
    pub environment: Environment,
    /// 100 where nothing was found; each finding takes from it by its severity.
    pub score: u32,
    /// How many checks there were.
    pub checks: usize,
    /// The gravest first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The findings that keep a production process from starting.
    pub fn critical(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Critical)
    }

    fn of(environment: Environment, mut found: Found) -> Self {
        found.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let lost: u32 = found.findings.iter().map(|finding| finding.severity.weight()).sum();
        Self {
            environment,
            score: 100_u32.saturating_sub(lost),
            checks: found.checks,
            findings: found.findings,
        }
    }
}

/// Findings as they come.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    checks: usize,
}

impl Found {
    /// One check: what `problem` tells is a finding, nothing is well.
    fn check(&mut self, check: &'static str, severity: Severity, problem: Option<String>, fix: &'static str) {
        self.checks += 1;
        self.findings.extend(problem.map(|what| Finding { check, severity, what, fix }));
    }

    /// The same, where there is nothing more to say than that it is so.
    fn unless(
        &mut self,
        is_well: bool,
        check: &'static str,
        severity: Severity,
        what: &str,
        fix: &'static str,
    ) {
        self.check(check, severity, (!is_well).then(|| what.to_owned()), fix);
    }
}

/// Judges settings, and the files and variables that belong to them. Blocks for the time of looking at some files.
pub fn verify(settings: &Settings, variable: &Variables<'_>) -> Report {
    Report::of(settings.environment, offline(settings, variable))
}

/// Adds to a report what only the engine can tell: what is stored, and how the servers are set up.
pub async fn look_into(engine: &Engine, settings: &Settings, report: Report) -> Report {
    let mut found = Found { findings: report.findings, checks: report.checks };
    live::check(&mut found, settings, engine).await;
    Report::of(report.environment, found)
}

fn offline(settings: &Settings, variable: &Variables<'_>) -> Found {
    let mut found = Found::default();
    if settings.api.listen.is_some() {
        door::check(&mut found, settings);
    }
    stores::check(&mut found, settings, variable);
    secrets::check(&mut found, settings, variable);
    found
}

/// A file's or folder's permissions, where the system has such and it is there.
#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(path.metadata().ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}
