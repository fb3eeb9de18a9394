//! The rules: what of an entry counts for which, and how much is too much. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

use crate::security::audit::{Action, Entry, Outcome};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Logins of one account are refused.
    LoginsOfAccount,
    /// Logins and credentials from one address are refused.
    LoginsFromAddress,
    /// Logins of many accounts are refused.
    LoginsSpread,
    /// One tenant or address hits its limits all the time.
    LimitStorm,
    /// Input that looks like an attack.
    SuspiciousInput,
    /// Settings, limits, keys that seal, or pauses were changed.
    ConfigChange,
    /// A refresh token was used twice: it was stolen, from or by whoever uses it.
    RefreshReuse,
    /// The audit log was tampered with, has lost entries, or can't be written.
    AuditBroken,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LoginsOfAccount,
        Self::LoginsFromAddress,
        Self::LoginsSpread,
        Self::LimitStorm,
        Self::SuspiciousInput,
        Self::ConfigChange,
        Self::RefreshReuse,
        Self::AuditBroken,
    ];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginsOfAccount => "logins-of-account",
            Self::LoginsFromAddress => "logins-from-address",
            Self::LoginsSpread => "logins-spread",
            Self::LimitStorm => "limit-storm",
            Self::SuspiciousInput => "suspicious-input",
            Self::ConfigChange => "config-change",
            Self::RefreshReuse => "refresh-reuse",
            Self::AuditBroken => "audit-broken",
        }
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::ConfigChange => Severity::Notice,
            Self::LoginsOfAccount | Self::LoginsFromAddress | Self::LimitStorm | Self::SuspiciousInput => {
                Severity::Warning
            }
            Self::LoginsSpread | Self::RefreshReuse | Self::AuditBroken => Severity::Critical,
        }
    }

    const fn usual(self) -> Threshold {
        let (count, seconds) = match self {
            Self::LoginsOfAccount => (5, 600),
            Self::LoginsFromAddress => (20, 600),
            Self::LoginsSpread => (20, 600),
            Self::LimitStorm => (200, 60),
            Self::SuspiciousInput => (3, 600),
            Self::ConfigChange => (1, 60),
            Self::RefreshReuse | Self::AuditBroken => (1, 600),
        };
        Threshold { count, window: Duration::from_secs(seconds) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a rule: logins-of-account, logins-from-address, logins-spread, limit-storm, suspicious-input, config-change, \
     refresh-reuse or audit-broken"
)]
pub struct RuleError;

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or(RuleError)
    }
}

/// So many in such a time are too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// How many; at least 1.
    pub count: u64,
    /// In which time; also how long an alert of the same holds back the next.
    pub window: Duration,
}

/// How much is too much, by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRules(BTreeMap<Rule, Threshold>);

impl Default for AlertRules {
    fn default() -> Self {
        Self(Rule::ALL.into_iter().map(|rule| (rule, rule.usual())).collect())
    }
}

impl AlertRules {
    /// How much is too much; `None` where the rule is off.
    pub fn of(&self, rule: Rule) -> Option<Threshold> {
        self.0.get(&rule).copied()
    }

    /// The same with another threshold; `None` turns the rule off. That the audit log is broken can't be turned off.
    #[must_use]
    pub fn with(mut self, rule: Rule, threshold: Option<Threshold>) -> Self {
        if let Some(threshold) = threshold {
            self.0.insert(rule, threshold);
        } else if rule != Rule::AuditBroken {
            self.0.remove(&rule);
        }
        self
    }
}

/// What counts for a rule.
pub(super) struct Hit {
    pub(super) rule: Rule,
    pub(super) subject: String,
    pub(super) weight: u64,
    /// In words.
    pub(super) what: String,
}

/// What of an entry counts for which rule.
pub(super) fn hits(entry: &Entry) -> Vec<Hit> {
    // Where the password is wrong the door records what was typed, and not whether that is anybody.
    let typed = || entry.detail.get("account").map(String::as_str);
    let named = entry.target.as_deref().or_else(typed);
    let tenant = entry.tenant.as_ref().map(|tenant| tenant.as_str());
    let address = entry.address.map(|address| address.to_string());
    let who = address.as_deref().or(tenant).unwrap_or_else(|| entry.actor.name());
    let mut hits = Vec::new();
    let mut hit = |rule, subject: &str, what: String| {
        hits.push(Hit { rule, subject: subject.to_owned(), weight: weight(entry), what });
    };
    let is_refused = entry.outcome != Outcome::Done;
    match entry.action {
        Action::Login | Action::SecondFactor | Action::OidcLogin if is_refused => {
            if let Some(account) = named {
                hit(Rule::LoginsOfAccount, account, format!("logins of {account} are refused"));
                hit(Rule::LoginsSpread, account, "logins of many accounts are refused".to_owned());
            }
            if let Some(address) = &address {
                hit(Rule::LoginsFromAddress, address, format!("logins from {address} are refused"));
            }
        }
        Action::CredentialRefused => {
            if let Some(address) = &address {
                hit(Rule::LoginsFromAddress, address, format!("credentials from {address} are refused"));
            }
        }
        Action::RefreshReuse => {
            let subject = named.unwrap_or_else(|| entry.actor.name());
            hit(Rule::RefreshReuse, subject, format!("a refresh token of {subject} was used twice"));
        }
        Action::LimitHit => {
            let subject = tenant.or(address.as_deref()).unwrap_or(who);
            hit(Rule::LimitStorm, subject, format!("{subject} hits its limits again and again"));
        }
        Action::SuspiciousInput => {
            hit(Rule::SuspiciousInput, who, format!("input from {who} looks like an attack"));
        }
        Action::ConfigChanged
        | Action::TenantChanged
        | Action::KeyringRotated
        | Action::QueuePaused
        | Action::ScheduleChanged => {
            let what = entry.action.name();
            let of = named.or(tenant).map(|of| format!(" {of}")).unwrap_or_default();
            hit(Rule::ConfigChange, &format!("{what}{of}"), format!("{what}{of} by {}", entry.actor.name()));
        }
        Action::AuditChecked if is_refused => {
            hit(Rule::AuditBroken, "audit log", "the audit log was found broken".to_owned());
        }
        _ => {}
    }
    hits
}

/// For how many an entry stands.
fn weight(entry: &Entry) -> u64 {
    let counted = entry.detail.get("stands_for").or_else(|| entry.detail.get("count"));
    counted.and_then(|count| count.parse().ok()).unwrap_or(1).max(1)
}
