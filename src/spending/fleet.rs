//! What all tenants together have used, for metrics. Owns: [`Fleet`], the collection `spending-fleet`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{ModelName, Totals, account::DayBook};
use crate::{
    domain::{Day, Timestamp},
    store::{Collection, Records, StoreError},
};

const KEY: &str = "all";

/// Counts in this process and writes together what has come meanwhile: one write at a time.
pub(super) struct Fleet {
    all: Collection<DayBook>,
    /// Held for a few instructions at a time, never across an await.
    unwritten: Mutex<BTreeMap<ModelName, Totals>>,
    writing: tokio::sync::Mutex<()>,
}

impl Fleet {
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            all: Collection::new(records.clone(), "spending-fleet"),
            unwritten: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Counts, and writes. A store that can't be written now is told with the next count: these are metrics, no account.
    pub(super) async fn count(&self, name: &ModelName, count: impl FnOnce(&mut Totals) + Send) {
        count(self.unwritten().entry(name.clone()).or_default());
        let _turn = self.writing.lock().await;
        let news = std::mem::take(&mut *self.unwritten());
        if news.is_empty() {
            return;
        }
        let add = |all: &mut Option<DayBook>| {
            let all = all.get_or_insert_with(|| DayBook::new(Day::of(Timestamp::EPOCH)));
            for (name, totals) in &news {
                all.entry(name).sum(totals);
            }
        };
        if let Err(error) = self.all.update(KEY, add).await {
            tracing::warn!(%error, "what models have used can't be counted for the metrics now");
            let mut unwritten = self.unwritten();
            for (name, totals) in &news {
                unwritten.entry(name.clone()).or_default().sum(totals);
            }
        }
    }

    pub(super) async fn read(&self) -> Result<Vec<(ModelName, Totals)>, StoreError> {
        let all = self.all.get(KEY).await?.map(|document| document.value.models).unwrap_or_default();
        Ok(all.into_iter().map(|entry| (entry.name, entry.totals)).collect())
    }

    fn unwritten(&self) -> std::sync::MutexGuard<'_, BTreeMap<ModelName, Totals>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
