//! Uploads that have come whole and are about to be put in their place. Owns: the collection `file-arrivals`, by tenant.
//!
//! Each is written down there, behind those before it, and then counts the tenant's files and what was before it, and nothing
//! that came later: of uploads that end at the same time, in whatever processes, those that came first have the room, and
//! together they never pass the tenant's bound. One is counted as long as its process prolongs it, by the store's clock: one whose
//! process has died is not counted any more after [`LIFE`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    api::problem::Problem,
    domain::{Clock, FileName, Random, Timestamp},
    store::{Collection, StoreError},
};

/// How long one is counted that nobody prolongs.
const LIFE: Duration = Duration::from_secs(60);
/// How often it is prolonged.
const BEAT: Duration = Duration::from_secs(20);
/// How long it is tried to write one down where others do the same all the time: its bytes would have to be sent again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long others are let go first then, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// An upload that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arrival {
    id: String,
    name: FileName,
    bytes: u64,
    until: Timestamp,
}

/// A tenant's uploads that have come.
#[derive(Clone)]
pub(super) struct Arrivals {
    all: Collection<Vec<Arrival>>,
    tenant: String,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    beat: Duration,
}

impl Arrivals {
    pub(super) fn of(
        all: Collection<Vec<Arrival>>,
        tenant: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { all, tenant: tenant.to_owned(), clock, random, beat: BEAT }
    }

    /// Changes the list, however many do so at once; as it is then.
    async fn change(
        &self,
        mut change: impl FnMut(&mut Vec<Arrival>) + Send,
    ) -> Result<Vec<Arrival>, StoreError> {
        let given_up = Instant::now() + PATIENCE;
        loop {
            let changed = self.all.update(&self.tenant, |all| {
                let mut arrivals = all.take().unwrap_or_default();
                change(&mut arrivals);
                *all = Some(arrivals).filter(|arrivals| !arrivals.is_empty());
            });
            match changed.await {
                Err(StoreError::Conflict { .. }) if Instant::now() < given_up => {
                    let most = u64::try_from(PAUSE.as_micros()).unwrap_or(1);
                    sleep(Duration::from_micros(self.random.below(most))).await;
                }
                changed => return changed.map(Option::unwrap_or_default),
            }
        }
    }

    /// Writes down that an upload has come.
    ///
    /// # Errors
    /// [`Problem`] where the store is away.
    pub(super) async fn arrive(self, name: &FileName, bytes: u64) -> Result<Arrived, Problem> {
        let mut id = [0_u8; 16];
        self.random.fill(&mut id);
        let (id, now) = (crate::security::text::hex(&id), self.all.now_by(&*self.clock).await?);
        let mine = Arrival { id: id.clone(), name: name.clone(), bytes, until: now.after(LIFE) };
        let all = self.change(|all| {
            all.retain(|arrival| arrival.until > now && arrival.id != mine.id);
            all.push(mine.clone());
        });
        let mut before = BTreeMap::new();
        for arrival in all.await?.into_iter().take_while(|arrival| arrival.id != id) {
            let bytes: &mut u64 = before.entry(arrival.name).or_default();
            *bytes = arrival.bytes.max(*bytes);
        }
        Ok(Arrived { arrivals: self, mine, before })
    }
}

/// One of a tenant's that is written down.
pub(super) struct Arrived {
    arrivals: Arrivals,
    mine: Arrival,
    /// What came before it and may not be in its place yet, by name.
    pub(super) before: BTreeMap<FileName, u64>,
}

impl Arrived {
    /// Does what puts it in its place; it is counted meanwhile, however long that takes.
    pub(super) async fn counted_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut beats = interval(self.arrivals.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        let counting = async {
            loop {
                beats.tick().await;
                if let Err(error) = self.prolong().await {
                    tracing::debug!(%error, "an upload that has come may not be counted any more");
                }
            }
        };
        tokio::select! {
            done = work => done,
            () = counting => unreachable!("counts it for ever"),
        }
    }

    async fn prolong(&self) -> Result<(), StoreError> {
        let arrivals = &self.arrivals;
        let until = arrivals.all.now_by(&*arrivals.clock).await?.after(LIFE);
        let mut was_gone = false;
        let prolong = |all: &mut Vec<Arrival>| {
            let mine = all.iter_mut().find(|arrival| arrival.id == self.mine.id);
            was_gone = mine.is_none();
            match mine {
                Some(mine) => mine.until = until,
                // In front: it did not know of those that are there now.
                None => all.insert(0, Arrival { until, ..self.mine.clone() }),
            }
        };
        arrivals.change(prolong).await?;
        if was_gone {
            tracing::warn!(
                "an upload that has come was not counted for a while: the store was away for too long"
            );
        }
        Ok(())
    }

    /// Forgets it: it is in its place, or given up.
    pub(super) async fn end(self) {
        let forget = |all: &mut Vec<Arrival>| all.retain(|arrival| arrival.id != self.mine.id);
        if let Err(error) = self.arrivals.change(forget).await {
            tracing::debug!(%error, "an upload is counted as coming for a while longer");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{
        domain::{ManualClock, SeededRandom},
        store::{
            Expect, Record, RecordPage, Records,
            sqlite::{Database, SqliteRecords},
        },
    };

    /// Records with a clock of their own, which refuse some changes as if others had been faster.
    struct Busy {
        records: SqliteRecords,
        clock: Arc<ManualClock>,
        conflicts: AtomicU32,
    }

    #[async_trait]
    impl Records for Busy {
        async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
            self.records.get(collection, key).await
        }
        async fn put(
            &self,
            collection: &str,
            key: &str,
            value: Bytes,
            expect: Expect,
            expires_at: Option<Timestamp>,
        ) -> Result<u64, StoreError> {
            let one_less = |left: u32| left.checked_sub(1);
            if self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                let (collection, key) = (collection.to_owned(), key.to_owned());
                return Err(StoreError::Conflict { collection, key, found: None });
            }
            self.records.put(collection, key, value, expect, expires_at).await
        }
        async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
            self.records.delete(collection, key, expect).await
        }
        async fn list(
            &self,
            collection: &str,
            prefix: &str,
            after: Option<&str>,
            most: usize,
        ) -> Result<RecordPage, StoreError> {
            self.records.list(collection, prefix, after, most).await
        }
        async fn sweep(&self) -> Result<usize, StoreError> {
            self.records.sweep().await
        }
        async fn now(&self, _: &str) -> Result<Option<Timestamp>, StoreError> {
            Ok(Some(self.clock.now()))
        }
    }

    struct World {
        records: Arc<Busy>,
        /// The store's clock.
        clock: Arc<ManualClock>,
        _folder: tempfile::TempDir,
    }

    impl World {
        fn new(conflicts: u32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
            let clock = Arc::new(ManualClock::at(Timestamp::EPOCH.after(LIFE * 100)));
            let records = SqliteRecords::new(Arc::new(database), clock.clone());
            let records = Busy { records, clock: clock.clone(), conflicts: AtomicU32::new(conflicts) };
            Self { records: Arc::new(records), clock, _folder: folder }
        }

        fn all(&self) -> Collection<Vec<Arrival>> {
            Collection::new(self.records.clone(), "file-arrivals")
        }

        /// What a process sees, whose clock is some days ahead: more than that of the process before.
        fn arrivals(&self) -> Arrivals {
            static DAYS: AtomicU32 = AtomicU32::new(1);
            let ahead = LIFE * 1_440 * DAYS.fetch_add(1, Ordering::Relaxed);
            let clock = Arc::new(ManualClock::at(self.clock.now().after(ahead)));
            Arrivals { beat: Duration::from_millis(1), ..Arrivals::of(self.all(), "acme", clock, random()) }
        }
    }

    fn random() -> Arc<dyn Random> {
        static SEED: AtomicU32 = AtomicU32::new(0);
        Arc::new(SeededRandom::new(SEED.fetch_add(1, Ordering::Relaxed).into()))
    }

    fn file(name: &str) -> FileName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn an_upload_whose_process_has_died_is_counted_for_a_minute_by_the_stores_clock() {
        let world = World::new(0);
        drop(world.arrivals().arrive(&file("dead.md"), 7).await.unwrap());
        world.clock.advance(LIFE - Duration::from_secs(1));
        let next = world.arrivals().arrive(&file("a.md"), 1).await.unwrap();
        assert_eq!(next.before, BTreeMap::from([(file("dead.md"), 7)]));
        next.end().await;
        world.clock.advance(Duration::from_secs(1));
        let next = world.arrivals().arrive(&file("a.md"), 1).await.unwrap();
        assert_eq!(next.before, BTreeMap::new());
        next.end().await;
        assert!(world.all().get("acme").await.unwrap().is_none(), "nothing is left");
    }

    #[tokio::test]
    async fn one_that_takes_its_time_is_counted_until_it_is_in_its_place() {
        let world = World::new(0);
        let slow = world.arrivals().arrive(&file("slow.md"), 7).await.unwrap();
        let until = async || world.all().get("acme").await.unwrap().unwrap().value[0].until;
        let before = slow
            .counted_while(async {
                for _ in 0..3 {
                    world.clock.advance(LIFE - Duration::from_secs(1));
                    while until().await < world.clock.now().after(LIFE) {
                        tokio::task::yield_now().await;
                    }
                }
                let next = world.arrivals().arrive(&file("a.md"), 1).await.unwrap();
                let before = next.before.clone();
                next.end().await;
                before
            })
            .await;
        assert_eq!(before, BTreeMap::from([(file("slow.md"), 7)]));
        slow.end().await;
        assert!(world.all().get("acme").await.unwrap().is_none(), "nothing is left");
    }

    #[tokio::test]
    async fn however_many_end_at_once_each_is_written_down() {
        let world = World::new(100);
        let arrived = world.arrivals().arrive(&file("a.md"), 1).await.unwrap();
        assert_eq!(world.all().get("acme").await.unwrap().unwrap().value.len(), 1);
        arrived.end().await;
    }
}
