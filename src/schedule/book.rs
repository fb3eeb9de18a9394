//! The schedules as documents, and the index that says which comes next. Owns: the collections `schedules` and
//! `schedules-due`. Must not know: jobs.
//!
//! A schedule's document is `<tenant>/<name>`; its entry in the index is `<time>/<tenant>/<name>`, the time in twenty
//! digits, so that the index lists by time and a look at what is due costs the same with ten thousand schedules as with
//! one. The two are not written in one step, so: the new entry is written before the document and the old one removed
//! after it; an entry whose document says another time is stale and removed where nobody has written it since. A time so near that
//! somebody may have taken the new entry for stale before the document was written is written once more after it.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::document::{Next, Schedule};
use crate::{
    domain::{ScheduleName, TenantId, Timestamp},
    store::{Collection, Document, DocumentPage, Expect, Records, StoreError},
};

/// Entries nearer than this are written once more; longer than any clock goes wrong.
const NEAR: Duration = Duration::from_secs(300);

/// An entry of the index: all of it is in its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {}

/// An entry of the index, read.
#[derive(Clone, Debug)]
pub(super) struct Due {
    /// The key of the entry, and its version.
    entry: (String, u64),
    /// When the schedule wants to be looked at.
    pub(super) at: Timestamp,
    /// The key of its document.
    pub(super) schedule: String,
}

/// The stored schedules.
#[derive(Clone, Debug)]
pub(super) struct Book {
    schedules: Collection<Schedule>,
    index: Collection<Entry>,
}

impl Book {
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            schedules: Collection::new(records.clone(), "schedules"),
            index: Collection::new(records.clone(), "schedules-due"),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Document<Schedule>>, StoreError> {
        self.schedules.get(key).await
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<DocumentPage<Schedule>, StoreError> {
        self.schedules.list(prefix, after, most).await
    }

    /// Writes a schedule where the document is still the one that was read (`None`: where there is none). `now` only
    /// says what is near.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has changed meanwhile.
    pub(super) async fn write(
        &self,
        before: Option<&Document<Schedule>>,
        after: &Schedule,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(&after.tenant, &after.name);
        let old_entry = self.entry(before, &key).await?;
        let new_entry = after.next.map(|next| index_key(next, &key));
        if let Some(entry) = &new_entry {
            self.index.put(entry, &Entry {}, Expect::Anything, None).await?;
        }
        let expect = before.map_or(Expect::Nothing, |before| Expect::Version(before.version));
        self.schedules.put(&key, after, expect, None).await?;
        if let (Some(entry), Some(next)) = (&new_entry, after.next)
            && next.at <= now.after(NEAR)
        {
            self.index.put(entry, &Entry {}, Expect::Anything, None).await?;
        }
        match old_entry {
            Some((old, version)) if Some(&old) != new_entry.as_ref() => self.forget(&old, version).await,
            _ => Ok(()),
        }
    }

    /// Removes a schedule where the document is still the one that was read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has changed meanwhile.
    pub(super) async fn remove(&self, document: &Document<Schedule>) -> Result<(), StoreError> {
        let entry = self.entry(Some(document), &document.key).await?;
        self.schedules.delete(&document.key, Expect::Version(document.version)).await?;
        match entry {
            Some((entry, version)) => self.forget(&entry, version).await,
            None => Ok(()),
        }
    }

    /// The first entries by time from behind a key, and where to go on.
    pub(super) async fn due(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<Due>, Option<String>), StoreError> {
        let page = self.index.list("", after, most).await?;
        let read = |document: Document<Entry>| {
            let (time, schedule) = document.key.split_once('/')?;
            let (at, schedule) = (Timestamp::from_micros(time.parse().ok()?), schedule.to_owned());
            Some(Due { entry: (document.key, document.version), at, schedule })
        };
        Ok((page.items.into_iter().filter_map(read).collect(), page.next))
    }

    /// Removes an entry that was listed, unless somebody has written it since.
    pub(super) async fn forget_due(&self, due: &Due) -> Result<(), StoreError> {
        self.forget(&due.entry.0, due.entry.1).await
    }

    /// Writes the entry of a schedule where it has none: what a crash at the wrong moment may have lost.
    pub(super) async fn mend(&self, document: &Document<Schedule>) -> Result<bool, StoreError> {
        let Some(next) = document.value.next else { return Ok(false) };
        let entry = index_key(next, &document.key);
        match self.index.get(&entry).await {
            Ok(None) | Err(StoreError::Corrupt(_)) => {}
            Ok(Some(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.index.put(&entry, &Entry {}, Expect::Anything, None).await.map(|_| true)
    }

    /// The entry that belongs to a document, where it is there.
    async fn entry(
        &self,
        document: Option<&Document<Schedule>>,
        key: &str,
    ) -> Result<Option<(String, u64)>, StoreError> {
        let Some(next) = document.and_then(|document| document.value.next) else { return Ok(None) };
        let entry = index_key(next, key);
        Ok(self.index.get(&entry).await?.map(|found| (entry, found.version)))
    }

    async fn forget(&self, entry: &str, version: u64) -> Result<(), StoreError> {
        match self.index.delete(entry, Expect::Version(version)).await {
            // Written again, or gone already: either way it is right now.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The key of a schedule's document. Neither name holds a `/`.
pub(super) fn key(tenant: &TenantId, name: &ScheduleName) -> String {
    format!("{tenant}/{name}")
}

fn index_key(next: Next, schedule: &str) -> String {
    format!("{:020}/{schedule}", next.at.as_micros().max(0))
}
