//! Uploads that have come whole and are about to be put in their place. Owns: the collection `file-arrivals`, by tenant.
//!
//! Each is written down there, behind those before it, and then counts the tenant's files and what was before it, and nothing
//! that came later: of uploads that end at the same time, in whatever processes, those that came first have the room, and
//! together they never pass the tenant's bound. Only one that takes longer than [`LIFE`] to be put in its place is not counted
//! by others any more.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::shelf::Shelf;
use crate::{
    api::problem::Problem,
    domain::{FileName, Timestamp},
    store::Collection,
};

/// How long one is counted whose process has died.
const LIFE: Duration = Duration::from_secs(3_600);

/// An upload that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arrival {
    id: String,
    name: FileName,
    bytes: u64,
    until: Timestamp,
}

/// One of a tenant's that is written down.
pub(super) struct Arrived {
    all: Collection<Vec<Arrival>>,
    tenant: String,
    id: String,
    /// What came before it and may not be in its place yet, by name.
    pub(super) before: BTreeMap<FileName, u64>,
}

impl Arrived {
    /// Forgets it: it is in its place, or given up.
    pub(super) async fn end(self) {
        let forget = |all: &mut Option<Vec<Arrival>>| {
            if let Some(arrivals) = all {
                arrivals.retain(|arrival| arrival.id != self.id);
                if arrivals.is_empty() {
                    *all = None;
                }
            }
        };
        if let Err(error) = self.all.update(&self.tenant, forget).await {
            tracing::debug!(%error, "an upload is counted as coming for a while longer");
        }
    }
}

impl Shelf {
    /// Writes down that an upload has come.
    ///
    /// # Errors
    /// [`Problem`] where the store is away.
    pub(super) async fn arrive(&self, name: &FileName, bytes: u64) -> Result<Arrived, Problem> {
        let mut id = [0_u8; 16];
        self.random.fill(&mut id);
        let (id, now) = (crate::security::text::hex(&id), self.clock.now());
        let mine = Arrival { id: id.clone(), name: name.clone(), bytes, until: now.after(LIFE) };
        let add = |all: &mut Option<Vec<Arrival>>| {
            let arrivals = all.get_or_insert_default();
            arrivals.retain(|arrival| arrival.until > now);
            arrivals.push(mine.clone());
        };
        let all = self.arrivals.update(self.tenant.as_str(), add).await?.unwrap_or_default();
        let mut before = BTreeMap::new();
        for arrival in all.into_iter().take_while(|arrival| arrival.id != id) {
            let bytes: &mut u64 = before.entry(arrival.name).or_default();
            *bytes = arrival.bytes.max(*bytes);
        }
        Ok(Arrived { all: self.arrivals.clone(), tenant: self.tenant.to_string(), id, before })
    }
}
