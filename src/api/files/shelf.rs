//! Where a tenant's files are kept: one object each, below `<tenant>/files/`. Who changes one takes its [`Turn`] first, so that
//! what a condition was held against is what is replaced, whichever process of a fleet does it.

use std::{
    collections::{BTreeMap, BinaryHeap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::coming::{Arrival, Arrivals};
use crate::{
    api::{
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    artifact::{LooseUpload, PlainBytes, Storage, key, read_loose},
    domain::{Clock, FileName, Random, TenantId, Timestamp},
    security::text::hex,
    store::{Collection, Expect, StoreError},
};

/// The folder, in a tenant's, of its files.
pub(super) const FOLDER: &str = "files";
/// How long a turn lasts where its holder has died.
const TURN: Duration = Duration::from_secs(60);
/// How often it is prolonged where its holder has not.
const BEAT: Duration = Duration::from_secs(15);
/// How often it is looked whether another one's turn has ended.
const LOOKED_AT: Duration = Duration::from_millis(100);

/// A file as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredFile {
    pub(super) name: FileName,
    pub(super) bytes: u64,
    pub(super) modified_at: Timestamp,
    /// A strong validator, with its quotes.
    pub(super) etag: String,
    /// The storage's own, which may tell of its insides.
    tag: Option<String>,
}

/// How much a tenant's files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Used {
    fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The files of a tenant.
pub(super) struct Shelf {
    storage: Storage,
    pub(super) tenant: TenantId,
    turns: Collection<()>,
    arrivals: Collection<Vec<Arrival>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    endings: TaskTracker,
}

/// The right to change a file. Ends by itself a minute after it was prolonged for the last time.
pub(super) struct Turn {
    turns: Collection<()>,
    clock: Arc<dyn Clock>,
    key: String,
    version: u64,
    beat: Duration,
}

impl Turn {
    /// Does what changes the file, and keeps the turn meanwhile; gives it up, and answers nothing, where the turn is another
    /// one's by now, as one's is who could not reach the store for too long.
    pub(super) async fn kept_while<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut beats = interval(self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        let keeping = async {
            loop {
                beats.tick().await;
                match self.prolong().await {
                    Ok(()) => {}
                    Err(StoreError::Conflict { .. }) => return,
                    Err(error) => tracing::debug!(%error, "a file's turn was not prolonged"),
                }
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = keeping => None,
        }
    }

    async fn prolong(&mut self) -> Result<(), StoreError> {
        let now = self.turns.now_by(&*self.clock).await?;
        let expected = Expect::Version(self.version);
        self.version = self.turns.put(&self.key, &(), expected, Some(now.after(TURN))).await?;
        Ok(())
    }

    /// Lets others change it.
    pub(super) async fn end(self) {
        if let Err(error) = self.turns.delete(&self.key, Expect::Version(self.version)).await {
            tracing::debug!(%error, "a file's turn ends by itself");
        }
    }
}

impl Shelf {
    /// The files of a tenant.
    pub(super) fn of(state: &ApiState, tenant: &TenantId) -> Self {
        let engine = state.engine();
        Self {
            storage: engine.artifacts.storage().clone(),
            tenant: tenant.clone(),
            turns: Collection::new(engine.records.clone(), "file-turns"),
            arrivals: Collection::new(engine.records.clone(), "file-arrivals"),
            clock: engine.clock.clone(),
            random: engine.random.clone(),
            endings: engine.endings.clone(),
        }
    }

    /// Uploads that have come and are not in their place yet.
    pub(super) fn arrivals(&self) -> Arrivals {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        Arrivals::of(self.arrivals.clone(), self.tenant.as_str(), clock, random)
    }

    /// Held by what has nearly come to its end: a process that is told to stop waits for it.
    pub(super) fn ending(&self) -> TaskTrackerToken {
        self.endings.token()
    }

    fn key(&self, name: &FileName) -> Path {
        key([self.tenant.as_str(), FOLDER, name.as_str()])
    }

    fn stored(&self, name: FileName, meta: ObjectMeta) -> StoredFile {
        let modified = meta.last_modified.timestamp_micros();
        let tag = meta.e_tag.unwrap_or_default();
        let digest = hex(&Sha256::digest(format!("{tag}\n{}\n{modified}", meta.size)));
        StoredFile {
            name,
            bytes: meta.size,
            modified_at: Timestamp::from_micros(modified),
            etag: format!("\"{}\"", &digest[..32]),
            tag: Some(tag).filter(|tag| !tag.is_empty()),
        }
    }

    /// The file of this name.
    pub(super) async fn find(&self, name: &FileName) -> Result<Option<StoredFile>, Problem> {
        match self.storage.objects().head(&self.key(name)).await {
            Ok(meta) => Ok(Some(self.stored(name.clone(), meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Problem::unavailable(error)),
        }
    }

    /// How much there is on it beside one file, with what is about to come by its name: all files are gone through, of which
    /// `most_files` bounds the number.
    pub(super) async fn beside(
        &self,
        name: &FileName,
        coming: &BTreeMap<FileName, u64>,
    ) -> Result<Used, Problem> {
        let mut coming: BTreeMap<Path, u64> =
            coming.iter().map(|(name, bytes)| (self.key(name), *bytes)).collect();
        let (folder, own) = (key([self.tenant.as_str(), FOLDER]), self.key(name));
        coming.remove(&own);
        let mut used = Used::default();
        let mut listed = self.storage.objects().list(Some(&folder));
        while let Some(object) = listed.next().await {
            let object = object.map_err(Problem::unavailable)?;
            if object.location != own {
                // What replaces it may be in its place already, or not yet.
                used.count(object.size.max(coming.remove(&object.location).unwrap_or(0)));
            }
        }
        coming.into_values().for_each(|bytes| used.count(bytes));
        Ok(used)
    }

    /// Files by name, from behind one, and the last of them where there are more. Not every storage lists in order: all behind
    /// that one are gone through, of which `most_files` bounds the number, and no more held than are asked for.
    pub(super) async fn list(
        &self,
        after: Option<&FileName>,
        most: usize,
    ) -> Result<(Vec<StoredFile>, Option<FileName>), Problem> {
        let folder = key([self.tenant.as_str(), FOLDER]);
        let offset = after.map_or_else(|| folder.clone(), |after| self.key(after));
        let mut listed = self.storage.objects().list_with_offset(Some(&folder), &offset);
        let mut least: BinaryHeap<Listed> = BinaryHeap::new();
        while let Some(object) = listed.next().await {
            let meta = object.map_err(Problem::unavailable)?;
            let name = meta.location.as_ref().strip_prefix(folder.as_ref());
            let name = name.and_then(|name| name.strip_prefix('/')?.parse::<FileName>().ok());
            let Some(name) = name.filter(|name| after.is_none_or(|after| name > after)) else { continue };
            // One more than is asked for tells whether there are more.
            if least.len() <= most {
                least.push(Listed { name, meta });
            } else if let Some(mut greatest) = least.peek_mut()
                && name < greatest.name
            {
                *greatest = Listed { name, meta };
            }
        }
        let mut files = least.into_sorted_vec();
        let has_more = files.len() > most;
        files.truncate(most);
        let files: Vec<StoredFile> =
            files.into_iter().map(|Listed { name, meta }| self.stored(name, meta)).collect();
        let next = files.last().filter(|_| has_more).map(|file| file.name.clone());
        Ok((files, next))
    }

    /// Some of a file's bytes.
    pub(super) async fn read(&self, file: &StoredFile, range: Range<u64>) -> Result<PlainBytes, Problem> {
        let read = read_loose(&self.storage, &self.key(&file.name), range, file.tag.clone()).await;
        // It was there a moment ago: it was removed, or replaced.
        read.map_err(Problem::unavailable)
    }

    /// A file that is to come.
    pub(super) fn upload(&self, name: &FileName) -> LooseUpload {
        LooseUpload::new(self.storage.clone(), self.key(name))
    }

    /// Takes the turn to change a file. Another one's mostly lasts for a moment: it is waited for, as long as `patience`, for
    /// whoever has sent a large file would have to send it again.
    pub(super) async fn turn(&self, name: &FileName, patience: Duration) -> Result<Turn, Problem> {
        let (key, given_up) = (format!("{}/{name}", self.tenant), Instant::now() + patience);
        loop {
            // By the store's clock, which ends it.
            let now = self.turns.now_by(&*self.clock).await?;
            match self.turns.put(&key, &(), Expect::Nothing, Some(now.after(TURN))).await {
                Ok(version) => {
                    let (turns, clock) = (self.turns.clone(), self.clock.clone());
                    return Ok(Turn { turns, clock, key, version, beat: BEAT });
                }
                // Who has it may be another process: nobody tells when it ends.
                Err(StoreError::Conflict { .. }) if Instant::now() < given_up => sleep(LOOKED_AT).await,
                Err(StoreError::Conflict { .. }) => return Err(Self::busy()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Another one has the turn.
    pub(super) fn busy() -> Problem {
        let text = "another request is changing this file just now: try again";
        Problem::new(ProblemType::Conflict, text).after(Duration::from_secs(1))
    }

    /// Removes a file; whoever calls holds its turn.
    pub(super) async fn remove(&self, name: &FileName) -> Result<(), Problem> {
        match self.storage.objects().delete(&self.key(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Problem::unavailable(error)),
        }
    }
}

/// An object in a listing; what counts is its name.
struct Listed {
    name: FileName,
    meta: ObjectMeta,
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Listed {}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::ManualClock,
        store::sqlite::{Database, SqliteRecords},
    };

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_the_change_and_a_change_no_longer_than_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH.after(TURN)));
        let records = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
        let turns: Collection<()> = Collection::new(records, "file-turns");
        let take = async || turns.put("t/a", &(), Expect::Nothing, Some(clock.now().after(TURN))).await;
        let version = take().await.unwrap();
        let (beat, key) = (Duration::from_millis(1), "t/a".to_owned());
        let mut turn = Turn { turns: turns.clone(), clock: clock.clone(), key, version, beat };
        let work = async {
            for _ in 0..3 {
                let (begun, before) = (clock.now(), turns.get("t/a").await.unwrap().unwrap().version);
                clock.advance(TURN * 2 / 3);
                while turns.get("t/a").await.unwrap().unwrap().version < before + 2 {
                    tokio::task::yield_now().await;
                }
                assert!(clock.now() > begun && take().await.is_err(), "another one takes it meanwhile");
            }
        };
        assert!(turn.kept_while(work).await.is_some());
        let stolen = async {
            clock.advance(TURN * 2);
            turns.delete("t/a", Expect::Version(u64::MAX)).await.ok();
            take().await.ok();
            std::future::pending::<()>().await;
        };
        assert!(turn.kept_while(stolen).await.is_none(), "it goes on although another one has the turn");
        turn.end().await;
        assert!(turns.get("t/a").await.unwrap().is_some(), "the other one's turn stays");
    }
}
