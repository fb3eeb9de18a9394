//! What a reader of compliance asks of the log: counts, failed logins, keys, changes, gaps. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    entry::{Action, Outcome},
    line::Line,
};
use crate::domain::Timestamp;

/// How many names a count has at most; what is more is counted together.
const MOST_NAMES: usize = 1_000;
/// What the others are counted as.
const OTHERS: &str = "(others)";
/// How many changes are listed.
const MOST_CHANGES: usize = 200;

/// A summary of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many entries were read.
    pub entries: u64,
    /// The oldest.
    pub since: Option<Timestamp>,
    /// The newest.
    pub until: Option<Timestamp>,
    /// By action, and how it ended.
    pub actions: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// By how it ended.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// By who acted.
    pub actors: BTreeMap<String, u64>,
    /// By day, in UTC.
    pub days: BTreeMap<String, u64>,
    /// By node.
    pub nodes: BTreeMap<String, u64>,
    /// Logins that were refused, by the account that was named.
    pub failed_logins: BTreeMap<String, u64>,
    /// Logins that were refused, by address.
    pub failed_logins_from: BTreeMap<String, u64>,
    /// API keys that were used, by how often.
    pub keys_used: BTreeMap<String, u64>,
    /// Changes of settings, tenants, keys, users and secrets, the latest 200.
    pub changes: Vec<Change>,
    /// How many such changes there were.
    pub changes_total: u64,
    /// Entries that were lost, by the log's own word.
    pub lost: u64,
    /// Times that the log found itself broken.
    pub broken: u64,
}

/// A change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: String,
    /// By whom.
    pub actor: String,
    /// Whose data.
    pub tenant: Option<String>,
    /// Of what.
    pub target: Option<String>,
    /// What else there is to say.
    pub detail: BTreeMap<String, String>,
}

const CHANGES: [Action; 13] = [
    Action::ConfigChanged,
    Action::TenantChanged,
    Action::KeyringRotated,
    Action::QueuePaused,
    Action::ScheduleChanged,
    Action::UserChanged,
    Action::PasswordChanged,
    Action::FactorChanged,
    Action::KeyCreated,
    Action::KeyRevoked,
    Action::SecretStored,
    Action::SecretRemoved,
    Action::RefreshReuse,
];

impl Report {
    /// Counts an entry.
    pub fn add(&mut self, line: &Line) {
        let (outcome, name) = (line.outcome.name(), line.action.as_str());
        self.entries += 1;
        self.since = Some(self.since.map_or(line.at, |since| since.min(line.at)));
        self.until = Some(self.until.map_or(line.at, |until| until.max(line.at)));
        *self.outcomes.entry(outcome).or_default() += 1;
        if self.actions.len() < MOST_NAMES || self.actions.contains_key(name) {
            *self.actions.entry(name.to_owned()).or_default().entry(outcome).or_default() += 1;
        }
        count(&mut self.actors, &line.actor, 1);
        count(&mut self.nodes, &line.node, 1);
        let at = line.at.to_string();
        count(&mut self.days, at.split_once('T').map_or("?", |(day, _)| day), 1);
        let is = |action: Action| name == action.name();
        if (is(Action::Login) || is(Action::SecondFactor) || is(Action::OidcLogin))
            && line.outcome != Outcome::Done
        {
            count(&mut self.failed_logins, line.target.as_deref().unwrap_or("(not named)"), 1);
            count(&mut self.failed_logins_from, line.address.as_deref().unwrap_or("(not known)"), 1);
        }
        if is(Action::KeyUsed) {
            // One entry may stand for many uses.
            let uses = line.detail.get("stands_for").or_else(|| line.detail.get("count"));
            let uses = uses.and_then(|uses| uses.parse().ok()).unwrap_or(1);
            count(&mut self.keys_used, line.target.as_deref().unwrap_or(&line.actor), uses);
        }
        if CHANGES.into_iter().any(is) {
            self.changes_total += 1;
            let (actor, action, at) = (line.actor.clone(), line.action.clone(), line.at);
            let (tenant, target, detail) = (line.tenant.clone(), line.target.clone(), line.detail.clone());
            self.changes.push(Change { at, action, actor, tenant, target, detail });
            if self.changes.len() >= 2 * MOST_CHANGES {
                self.trim();
            }
        }
        match line.event() {
            Some("gap") => {
                self.lost += line.detail.get("lost").and_then(|lost| lost.parse().ok()).unwrap_or(1)
            }
            Some("broken" | "gone" | "unreadable") => self.broken += 1,
            _ => {}
        }
    }

    /// The whole report, once all entries are counted.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.trim();
        self
    }

    fn trim(&mut self) {
        self.changes.sort_by_key(|change| change.at);
        let surplus = self.changes.len().saturating_sub(MOST_CHANGES);
        self.changes.drain(..surplus);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    let name = if counts.len() < MOST_NAMES || counts.contains_key(name) { name } else { OTHERS };
    *counts.entry(name.to_owned()).or_default() += by;
}
