//! The audit log and the alerts of a process, from its settings, and what is left to write at its end. Must not know: what is recorded.

use std::{sync::Arc, time::Duration};

use super::Engine;
use crate::{
    config::Settings,
    domain::{Clock, Random},
    security::{
        MasterSource,
        alerts::Alerts,
        audit::{Audit, Folder, Parts},
        outgoing::Outgoing,
    },
    store::Records,
};

/// The audit log of these settings. Makes nothing until there is something to record.
pub(super) fn open(
    settings: &Settings,
    masters: &MasterSource,
    records: &Arc<dyn Records>,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
) -> Audit {
    let outgoing = Outgoing::new(settings.outgoing.clone());
    Audit::new(Parts {
        folder: Folder::new(settings.data_dir.join("audit")),
        keeping: settings.audit.clone(),
        masters: masters.clone(),
        records: records.clone(),
        alerts: Alerts::new(settings.alerts.options(), outgoing, clock.clone(), random.clone())
            .counted_in(records, clock.clone()),
        settings: format!("{settings:#?}"),
        clock: clock.clone(),
        random: random.clone(),
    })
}

impl Engine {
    /// Writes down what is only counted or on its way yet: uses of API keys, the end of the audit log, alerts; and waits for what
    /// has nearly come to its end ([`endings`](Self::endings)). Not longer than twice `most`. For a process that is about to end.
    pub async fn settle(&self, most: Duration) {
        self.endings.close();
        if !self.endings.is_empty() {
            tracing::info!("waiting for files that have come to be put in their place");
        }
        let ended = tokio::time::timeout(most, self.endings.wait());
        let settled = tokio::time::timeout(most, self.api_keys.settle());
        let (ended, settled) = tokio::join!(ended, settled);
        if ended.is_err() {
            tracing::warn!("files that had come could not be put in their place in time");
        }
        if settled.is_err() {
            tracing::warn!(
                "the latest uses of API keys are not written down: the store did not take them in time"
            );
        }
        self.audit.settle(most).await;
    }
}
