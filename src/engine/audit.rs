//! The audit log and the alerts of a process, from its settings. Must not know: what is recorded.

use std::sync::Arc;

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
        alerts: Alerts::new(settings.alerts.options(), outgoing, clock.clone(), random.clone()),
        settings: format!("{settings:#?}"),
        clock: clock.clone(),
        random: random.clone(),
    })
}
