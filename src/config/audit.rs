//! `[audit]` and `[alerts]` of `presswork.toml`, and what the environment says of the webhook. Must not know: how they are used.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::{ByteSize, ConfigError, TimeSpan, Variables};
use crate::security::{
    alerts::{AlertOptions, AlertRules, Rule, SecretUrl, Threshold, WebhookSecret, WebhookTarget},
    audit::Keeping,
};

/// What one place says of the audit log. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditLayer {
    /// [`Keeping::rotate_bytes`].
    pub rotate_bytes: Option<ByteSize>,
    /// [`Keeping::rotate_after`].
    pub rotate_after: Option<TimeSpan>,
    /// [`Keeping::keep_files`].
    pub keep_files: Option<usize>,
    /// [`Keeping::keep_for`].
    pub keep_for: Option<TimeSpan>,
    /// [`Keeping::keep_entries`].
    pub keep_entries: Option<u64>,
}

impl AuditLayer {
    /// How the log is kept, with what is said here put over what was said there.
    pub(super) fn over(self, keeping: Keeping) -> Result<Keeping, ConfigError> {
        let keeping = Keeping {
            rotate_bytes: self.rotate_bytes.map_or(keeping.rotate_bytes, |size| size.0),
            rotate_after: self.rotate_after.map_or(keeping.rotate_after, |span| span.0),
            keep_files: self.keep_files.unwrap_or(keeping.keep_files),
            keep_for: self.keep_for.map_or(keeping.keep_for, |span| span.0),
            keep_entries: self.keep_entries.unwrap_or(keeping.keep_entries),
        };
        let wrong = |name, problem| Err(ConfigError::wrong(name, problem));
        if keeping.rotate_bytes < 64 << 10 {
            return wrong("audit.rotate_bytes", "choose 64KiB or more");
        }
        if keeping.rotate_after.as_secs() < 60 {
            return wrong("audit.rotate_after", "choose 1m or more");
        }
        if keeping.keep_files < 2 || keeping.keep_files > 10_000 {
            return wrong("audit.keep_files", "choose 2 to 10000");
        }
        if keeping.keep_for.as_secs() < 3_600 {
            return wrong("audit.keep_for", "choose 1h or more");
        }
        if keeping.keep_entries < 1_000 {
            return wrong("audit.keep_entries", "choose 1000 or more");
        }
        Ok(keeping)
    }
}

/// When somebody is told, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// How much of what in which time is too much.
    pub rules: AlertRules,
    /// Where alerts are posted to.
    pub webhook: Option<SecretUrl>,
    /// What they are signed with.
    pub webhook_secret: Option<WebhookSecret>,
}

impl AlertSettings {
    /// What the alerts are made with: without a secret nothing is posted.
    pub fn options(&self) -> AlertOptions {
        let webhook = self.webhook.clone().zip(self.webhook_secret.clone());
        AlertOptions {
            rules: self.rules.clone(),
            webhook: webhook.map(|(url, secret)| WebhookTarget { url, secret }),
        }
    }

    /// # Errors
    /// Where there is a webhook and no secret: nobody could tell its alerts from forged ones.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.webhook.is_some() && self.webhook_secret.is_none() {
            let problem =
                "alerts are signed: give PRESSWORK_ALERT_WEBHOOK_SECRET, or alerts.webhook_secret_file";
            return Err(ConfigError::wrong("alerts.webhook", problem));
        }
        Ok(())
    }
}

/// What one place says of alerts. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsLayer {
    /// [`AlertSettings::webhook`].
    #[serde(deserialize_with = "url")]
    pub webhook: Option<SecretUrl>,
    /// [`AlertSettings::webhook_secret`] itself: in the environment only, never in a file of settings.
    #[serde(skip)]
    pub webhook_secret: Option<WebhookSecret>,
    /// A file that holds it.
    pub webhook_secret_file: Option<PathBuf>,
    /// Thresholds by rule, such as `logins-of-account = "5 in 10m"`; `"off"` for none. In the file only.
    #[serde(deserialize_with = "rules")]
    pub rules: BTreeMap<Rule, Option<Threshold>>,
}

impl AlertsLayer {
    /// What the environment says; nothing where it says nothing.
    pub(super) fn from_environment(variable: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        const SECRET: &str = "PRESSWORK_ALERT_WEBHOOK_SECRET";
        let text = |name: &str| {
            let text = variable(name).filter(|text| !text.is_empty());
            text.map(|text| text.into_string().map_err(|_| ConfigError::wrong(name, "not UTF-8"))).transpose()
        };
        let secret = text(SECRET)?.map(|text| text.parse()).transpose();
        let layer = Self {
            webhook: text("PRESSWORK_ALERT_WEBHOOK")?.map(SecretUrl::from),
            webhook_secret: secret.map_err(|problem| ConfigError::wrong(SECRET, problem))?,
            webhook_secret_file: text("PRESSWORK_ALERT_WEBHOOK_SECRET_FILE")?.map(PathBuf::from),
            rules: BTreeMap::new(),
        };
        Ok((layer != Self::default()).then_some(layer))
    }

    /// What is said here put over what was said there. Blocks for the time of reading a small file.
    pub(super) fn over(self, settings: AlertSettings) -> Result<AlertSettings, ConfigError> {
        let of_file = self.webhook_secret_file.map(|path| {
            let wrong = |problem: &dyn std::fmt::Display| ConfigError::wrong(path.display(), problem);
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
            text.parse::<WebhookSecret>().map_err(|error| wrong(&error))
        });
        let secret = self.webhook_secret.or(of_file.transpose()?).or(settings.webhook_secret);
        let rules = self
            .rules
            .into_iter()
            .fold(settings.rules, |rules, (rule, threshold)| rules.with(rule, threshold));
        Ok(AlertSettings { rules, webhook: self.webhook.or(settings.webhook), webhook_secret: secret })
    }
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretUrl>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|url| url.map(SecretUrl::from))
}

fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Rule, Option<Threshold>>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(name, text): (String, String)| {
        let rule: Rule =
            name.parse().map_err(|problem| de::Error::custom(format_args!("{name}: {problem}")))?;
        let problem = "write so many in such a time, such as 5 in 10m, or off";
        let threshold =
            threshold(&text).ok_or_else(|| de::Error::custom(format_args!("{name}: {problem}")))?;
        Ok((rule, threshold))
    };
    texts.into_iter().map(read).collect()
}

/// `5 in 10m`, or `off`.
fn threshold(text: &str) -> Option<Option<Threshold>> {
    if text == "off" {
        return Some(None);
    }
    let (count, window) = text.split_once(" in ")?;
    let (count, window) = (count.trim().parse().ok()?, window.trim().parse::<TimeSpan>().ok()?.0);
    let sound = (1..=1_000_000).contains(&count) && (1..=7 * 86_400).contains(&window.as_secs());
    sound.then_some(Some(Threshold { count, window }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Layer, Settings};

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, file).unwrap();
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| std::ffi::OsString::from(value))
        };
        Settings::load(Layer::default(), Some(path), &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn how_the_log_is_kept_and_when_somebody_is_told_is_read_from_the_file() {
        let text = "[audit]\nrotate_bytes = \"1MiB\"\nkeep_for = \"30d\"\n[alerts]\nwebhook = \"https://x/y\"\n\
                    [alerts.rules]\nlogins-of-account = \"3 in 1m\"\nconfig-change = \"off\"\naudit-broken = \"off\"";
        let settings = load(text, &[("PRESSWORK_ALERT_WEBHOOK_SECRET", "0123456789abcdef")]).unwrap();
        assert_eq!((settings.audit.rotate_bytes, settings.audit.keep_files), (1 << 20, 400));
        assert_eq!(settings.audit.keep_for, Duration::from_secs(30 * 86_400));
        let rules = &settings.alerts.rules;
        let expected = Threshold { count: 3, window: Duration::from_secs(60) };
        assert_eq!(rules.of(Rule::LoginsOfAccount), Some(expected));
        assert_eq!(rules.of(Rule::ConfigChange), None);
        assert!(rules.of(Rule::AuditBroken).is_some(), "nobody turns that off");
        assert!(settings.alerts.options().webhook.is_some());
        let shown = format!("{settings:#?}");
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("x/y"), "{shown}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (text, named) in [
            ("[alerts]\nwebhook = \"https://x/y\"", "PRESSWORK_ALERT_WEBHOOK_SECRET"),
            ("[alerts]\nwebhook_secret = \"0123456789abcdef\"", "webhook_secret"),
            ("[alerts.rules]\nlogins = \"3 in 1m\"", "logins"),
            ("[alerts.rules]\nlimit-storm = \"many\"", "limit-storm"),
            ("[audit]\nkeep_files = 1", "audit.keep_files"),
            ("[audit]\nrotate_bytes = \"1B\"", "audit.rotate_bytes"),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let short = load("", &[("PRESSWORK_ALERT_WEBHOOK_SECRET", "hunter2")]).unwrap_err();
        assert!(short.starts_with("PRESSWORK_ALERT_WEBHOOK_SECRET") && !short.contains("hunter2"), "{short}");
    }
}
