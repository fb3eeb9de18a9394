//! Alerts in real time: what is recorded in the audit log is held against rules, and who should know is told at once. Owns:
//! [`Rule`], [`Alert`], how often one is told, and the ways out: the log, a webhook, a channel. Must not know: who records.
//!
//! Counted is in the store, for all processes that share it: of one rule and subject one alert is told in a window, by one of
//! them; those that are held back meanwhile are counted in the next. While the store is away each process counts for itself.
//! That the audit log is broken is counted by each process at all times: the log is its node's own. Nothing of this ever blocks
//! who records.

mod count;
mod fleet;
mod rule;
#[cfg(test)]
mod tests;
mod webhook;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::{sync::broadcast, task::JoinHandle};

pub use rule::{AlertRules, Rule, RuleError, Severity, Threshold};
pub use webhook::{SIGNATURE_HEADER, SecretUrl, WebhookSecret, WebhookSecretError, WebhookTarget, sign};

use self::{
    count::Counts,
    fleet::{Fleet, Gathered},
    rule::Hit,
    webhook::Webhook,
};
use super::{
    audit::{Entry, is_harmful},
    outgoing::Outgoing,
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::Records,
};

/// How many alerts a channel holds for who does not come to read it.
const CHANNEL: usize = 256;
/// How long hits are gathered before they are brought to the store, where some were brought just before.
const GATHER: Duration = Duration::from_millis(100);
/// How many subjects are counted in the store at one time.
const AT_ONCE: usize = 16;

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
    /// What this process counts for itself.
    counts: Mutex<Counts>,
    fleet: Option<Fleet>,
    task: Mutex<Option<JoinHandle<()>>>,
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
        let (counts, task, node) = (Mutex::default(), Mutex::default(), OnceLock::new());
        let (rules, fleet) = (options.rules, None);
        Self(Arc::new(Inner { rules, counts, fleet, task, channel, webhook, random, node }))
    }

    /// The same, counted together with all processes on these records. For alerts that nobody has a clone of yet.
    #[must_use]
    pub fn counted_in(mut self, records: &Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.fleet = Some(Fleet::new(records, clock));
        }
        self
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
            let Some(threshold) = self.0.rules.of(hit.rule) else { continue };
            let fleet = self.0.fleet.as_ref().filter(|_| self.brings_in_background());
            if !fleet.is_some_and(|fleet| fleet.gather(&hit, entry, threshold, at)) {
                self.0.hit(&hit, Some(entry), at);
            }
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
        self.0.hit(&hit, None, at);
    }

    /// On which node this is.
    pub(super) fn set_node(&self, node: &str) {
        if !node.is_empty() && self.0.node.get().is_none() {
            let _ = self.0.node.set(node.to_owned());
        }
    }

    /// Waits until what is gathered is counted, and what is to be posted is posted, or given up.
    pub(super) async fn settle(&self) {
        self.0.bring().await;
        if let Some(webhook) = &self.0.webhook {
            webhook.run_in_background();
            webhook.settle().await;
        }
    }

    /// Whether a task brings to the store what is gathered; it is begun where there is none.
    fn brings_in_background(&self) -> bool {
        let Some(fleet) = &self.0.fleet else { return false };
        let mut task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return true;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        let (inner, news) = (Arc::downgrade(&self.0), fleet.news.clone());
        *task = Some(runtime.spawn(async move {
            loop {
                news.notified().await;
                let Some(inner) = inner.upgrade() else { return };
                inner.bring().await;
                drop(inner);
                // What comes meanwhile goes together.
                tokio::time::sleep(GATHER).await;
            }
        }));
        true
    }
}

impl Inner {
    /// Brings all that is gathered to the store; what that does not take is counted here.
    async fn bring(&self) {
        let Some(fleet) = &self.fleet else { return };
        let _turn = fleet.turn().await;
        loop {
            let taken = fleet.take();
            if taken.is_empty() {
                return;
            }
            let all = stream::iter(taken);
            all.for_each_concurrent(AT_ONCE, |(key, hits)| self.bring_one(fleet, key, hits)).await;
        }
    }

    async fn bring_one(&self, fleet: &Fleet, key: fleet::Key, hits: Gathered) {
        let Some(threshold) = self.rules.of(key.0) else { return };
        let counted = match fleet.count(&key, &hits, threshold).await {
            Some(counted) => counted,
            None => self.count(&key, &hits, threshold),
        };
        let (rule, subject) = key;
        let told =
            Told { rule, subject: &subject, what: &hits.what, tenant: hits.tenant, address: hits.address };
        self.told(told, threshold, counted, hits.at);
    }

    /// Counts here what the store did not take.
    fn count(
        &self,
        (rule, subject): &fleet::Key,
        hits: &Gathered,
        threshold: Threshold,
    ) -> Option<(u64, u64)> {
        let mut counts = self.counts();
        let hit = |subject: &str, weight| Hit {
            rule: *rule,
            subject: subject.to_owned(),
            weight,
            what: String::new(),
        };
        if hits.accounts.is_empty() {
            return counts.add(&hit(subject, hits.weight), threshold, hits.at);
        }
        let each = hits.accounts.iter();
        each.filter_map(|(account, at)| counts.add(&hit(account, 1), threshold, *at)).last()
    }

    fn hit(&self, hit: &Hit, entry: Option<&Entry>, at: Timestamp) {
        let Some(threshold) = self.rules.of(hit.rule) else { return };
        let counted = self.counts().add(hit, threshold, at);
        let (tenant, address) = entry.map(|entry| (entry.tenant.clone(), entry.address)).unwrap_or_default();
        let told = Told { rule: hit.rule, subject: &hit.subject, what: &hit.what, tenant, address };
        self.told(told, threshold, counted, at);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells, where it is time to.
    fn told(&self, told: Told<'_>, threshold: Threshold, counted: Option<(u64, u64)>, at: Timestamp) {
        let Some((count, held_back)) = counted else { return };
        let Told { rule, subject, what, tenant, address } = told;
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let clean = |text: &str| text.chars().filter(|c| !is_harmful(*c)).take(300).collect::<String>();
        let (subject, what) = (clean(subject), clean(what));
        let window_seconds = threshold.window.as_secs();
        self.tell(Alert {
            id: super::text::hex(&id),
            rule,
            severity: rule.severity(),
            message: format!("{what}: {count} in {window_seconds} s"),
            subject,
            count,
            held_back,
            window_seconds,
            at,
            tenant,
            address,
            node: self.node.get().cloned(),
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
        if let Some(webhook) = &self.webhook {
            webhook.give(&alert);
        }
        // Nobody may be listening.
        let _ = self.channel.send(alert);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// What an alert is about.
struct Told<'a> {
    rule: Rule,
    subject: &'a str,
    what: &'a str,
    tenant: Option<TenantId>,
    address: Option<std::net::IpAddr>,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("rules", &self.0.rules).finish_non_exhaustive()
    }
}
