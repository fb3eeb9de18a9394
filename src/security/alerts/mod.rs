//! Alerts in real time: what is recorded in the audit log is held against rules, and who should know is told at once. Owns:
//! [`Rule`], [`Alert`], how often one is told, and the ways out: the log, a webhook, a channel. Must not know: who records.
//!
//! Counted is in each process for itself. Of one rule and subject one alert is told in a window; those that are held back
//! meanwhile are counted in the next. Nothing of this ever blocks who records.

mod count;
mod rule;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

pub use rule::{AlertRules, Rule, RuleError, Severity, Threshold};
pub use webhook::{SIGNATURE_HEADER, SecretUrl, WebhookSecret, WebhookSecretError, WebhookTarget, sign};

use self::{count::Counts, rule::Hit, webhook::Webhook};
use super::{
    audit::{Entry, is_harmful},
    outgoing::Outgoing,
};
use crate::domain::{Clock, Random, TenantId, Timestamp};

/// How many alerts a channel holds for who does not come to read it.
const CHANNEL: usize = 256;

/// When somebody is told, and by what way beside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertOptions {
    /// How much of what in which time is too much.
    pub rules: AlertRules,
    /// Where alerts are posted to.
    pub webhook: Option<WebhookTarget>,
}

/// Something that somebody should know now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id, the same in every attempt to deliver it.
    pub id: String,
    /// Which rule.
    pub rule: Rule,
    /// How bad.
    pub severity: Severity,
    /// Of whom or what: an account, an address, a tenant, a setting.
    pub subject: String,
    /// What happened, for people.
    pub message: String,
    /// How many times in the window.
    pub count: u64,
    /// How many more there were since the last alert of this rule and subject, which told nobody.
    pub held_back: u64,
    /// The window, in seconds.
    pub window_seconds: u64,
    /// When the latest of them was.
    pub at: Timestamp,
    /// Whose data it was about.
    pub tenant: Option<TenantId>,
    /// From where.
    pub address: Option<std::net::IpAddr>,
    /// On which node.
    pub node: Option<String>,
}

/// Holds what is recorded against the rules. Cheap to clone.
#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    rules: AlertRules,
    counts: Mutex<Counts>,
    channel: broadcast::Sender<Alert>,
    webhook: Option<Webhook>,
    random: Arc<dyn Random>,
    node: OnceLock<String>,
}

impl Alerts {
    /// By these rules. A webhook is called by `outgoing`, which refuses addresses that are not public.
    pub fn new(
        options: AlertOptions,
        outgoing: Outgoing,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let webhook = options.webhook.map(|target| Webhook::new(target, outgoing, clock, random.clone()));
        let (channel, _) = broadcast::channel(CHANNEL);
        let (counts, node) = (Mutex::default(), OnceLock::new());
        Self(Arc::new(Inner { rules: options.rules, counts, channel, webhook, random, node }))
    }

    /// All alerts from now on, for an app; whoever reads too slowly misses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.0.channel.subscribe()
    }

    /// Looks at what is being recorded.
    pub fn see(&self, entry: &Entry, at: Timestamp) {
        if let Some(webhook) = &self.0.webhook {
            webhook.run_in_background();
        }
        for hit in rule::hits(entry) {
            self.hit(&hit, Some(entry), at);
        }
    }

    /// The audit log itself is broken, or can't be written.
    pub(super) fn broken(&self, problem: &str, at: Timestamp) {
        let hit = Hit {
            rule: Rule::AuditBroken,
            subject: "audit log".to_owned(),
            weight: 1,
            what: problem.to_owned(),
        };
        self.hit(&hit, None, at);
    }

    /// On which node this is.
    pub(super) fn set_node(&self, node: &str) {
        if !node.is_empty() && self.0.node.get().is_none() {
            let _ = self.0.node.set(node.to_owned());
        }
    }

    /// Waits until what is to be posted is posted, or given up.
    pub(super) async fn settle(&self) {
        if let Some(webhook) = &self.0.webhook {
            webhook.run_in_background();
            webhook.settle().await;
        }
    }

    fn hit(&self, hit: &Hit, entry: Option<&Entry>, at: Timestamp) {
        let Some(threshold) = self.0.rules.of(hit.rule) else { return };
        let counted = {
            let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.add(hit, threshold, at)
        };
        let Some((count, held_back)) = counted else { return };
        let mut id = [0; 16];
        self.0.random.fill(&mut id);
        let clean = |text: &str| text.chars().filter(|c| !is_harmful(*c)).take(300).collect::<String>();
        let (subject, what) = (clean(&hit.subject), clean(&hit.what));
        let window = threshold.window;
        self.tell(Alert {
            id: super::text::hex(&id),
            rule: hit.rule,
            severity: hit.rule.severity(),
            message: format!("{what}: {count} in {} s", window.as_secs()),
            subject,
            count,
            held_back,
            window_seconds: window.as_secs(),
            at,
            tenant: entry.and_then(|entry| entry.tenant.clone()),
            address: entry.and_then(|entry| entry.address),
            node: self.0.node.get().cloned(),
        });
    }

    fn tell(&self, alert: Alert) {
        let Alert { rule, subject, message, count, held_back, .. } = &alert;
        let rule = rule.name();
        match alert.severity {
            Severity::Notice => tracing::info!(rule, subject, count, held_back, "alert: {message}"),
            Severity::Warning => tracing::warn!(rule, subject, count, held_back, "alert: {message}"),
            Severity::Critical => tracing::error!(rule, subject, count, held_back, "alert: {message}"),
        }
        if let Some(webhook) = &self.0.webhook {
            webhook.give(&alert);
        }
        // Nobody may be listening.
        let _ = self.0.channel.send(alert);
    }
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("rules", &self.0.rules).finish_non_exhaustive()
    }
}
