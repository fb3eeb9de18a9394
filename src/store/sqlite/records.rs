//! [`Records`] on SQLite: one table, a row a document. Owns: the table `records`. Must not know: what documents mean.
//!
//! A row whose end has come counts as not there in every statement, whether [`Records::sweep`] has removed it yet or
//! not; a document written in its place begins at version 1 again.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Database, DatabaseError, Migrations};
use crate::{
    domain::{Clock, Timestamp},
    store::{
        Expect, Record, RecordPage, Records, StoreError,
        bounds::{MOST_LISTED, MOST_LISTED_BYTES, check_collection, check_key, check_value},
    },
};

/// How many expired documents a sweep removes at most: bounds how long other writes wait.
const MOST_SWEPT: usize = 500;

/// The records of one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
}

impl SqliteRecords {
    /// Its table; give it to [`Database::open`].
    pub const MIGRATIONS: Migrations = Migrations {
        module: "records",
        steps: &["CREATE TABLE records (
                collection TEXT NOT NULL,
                key        TEXT NOT NULL,
                version    INTEGER NOT NULL,
                expires_at INTEGER,
                value      BLOB NOT NULL,
                PRIMARY KEY (collection, key)
            ) STRICT;
            CREATE INDEX records_by_end ON records (expires_at) WHERE expires_at IS NOT NULL;"],
    };

    /// The records in a file that was opened with [`Self::MIGRATIONS`].
    pub fn new(database: Arc<Database>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

/// What a conditional write found instead of what it expected: the version that is there.
struct Unexpected(Option<u64>);

#[async_trait]
impl Records for SqliteRecords {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        check_key(collection, key)?;
        let (collection, key, now) = (collection.to_owned(), key.to_owned(), self.clock.now());
        let found = self.database.read(move |connection| {
            let sql = "SELECT key, version, expires_at, value FROM records
                WHERE collection = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params![collection, key, now.as_micros()], record).optional()
        });
        found.await.map_err(|error| failed("read a record", error))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        check_key(collection, key)?;
        check_value(&value)?;
        let (place, now) = ((collection.to_owned(), key.to_owned()), self.clock.now());
        let written = self.database.write(move |connection| {
            let (collection, key) = &place;
            let found = version(connection, collection, key, now)?;
            if !holds(expect, found) {
                return Ok(Err(Unexpected(found)));
            }
            let next = found.unwrap_or(0) + 1;
            let sql = "INSERT INTO records (collection, key, version, expires_at, value) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at,
                    value = excluded.value";
            let end = expires_at.map(Timestamp::as_micros);
            connection.prepare_cached(sql)?.execute(params![collection, key, next, end, &value[..]])?;
            Ok(Ok(next))
        });
        let written = written.await.map_err(|error| failed("write a record", error))?;
        written.map_err(|found| conflict(collection, key, found))
    }

    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        check_key(collection, key)?;
        let (place, now) = ((collection.to_owned(), key.to_owned()), self.clock.now());
        let deleted = self.database.write(move |connection| {
            let (collection, key) = &place;
            let found = version(connection, collection, key, now)?;
            if !holds(expect, found) {
                return Ok(Err(Unexpected(found)));
            }
            let sql = "DELETE FROM records WHERE collection = ?1 AND key = ?2";
            connection.prepare_cached(sql)?.execute([collection, key])?;
            Ok(Ok(found.is_some()))
        });
        let deleted = deleted.await.map_err(|error| failed("delete a record", error))?;
        deleted.map_err(|found| conflict(collection, key, found))
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        check_collection(collection)?;
        let (collection, prefix, now) = (collection.to_owned(), prefix.to_owned(), self.clock.now());
        let after = after.map(str::to_owned);
        let most = most.clamp(1, MOST_LISTED);
        let page = self
            .database
            .read(move |connection| page(connection, &collection, &prefix, after.as_deref(), most, now));
        page.await.map_err(|error| failed("list records", error))
    }

    async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let swept = self.database.write(move |connection| {
            let sql = "DELETE FROM records WHERE rowid IN
                (SELECT rowid FROM records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
            connection.prepare_cached(sql)?.execute(params![now.as_micros(), MOST_SWEPT])
        });
        swept.await.map_err(|error| failed("remove expired records", error))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        version: row.get(1)?,
        expires_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros),
        value: row.get::<_, Vec<u8>>(3)?.into(),
    })
}

/// The version that is there; `None` where nothing is, or no longer.
fn version(
    connection: &Connection,
    collection: &str,
    key: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT version FROM records
        WHERE collection = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row(params![collection, key, now.as_micros()], |row| row.get(0)).optional()
}

fn holds(expect: Expect, found: Option<u64>) -> bool {
    match expect {
        Expect::Anything => true,
        Expect::Nothing => found.is_none(),
        Expect::Version(version) => found == Some(version),
    }
}

fn page(
    connection: &Connection,
    collection: &str,
    prefix: &str,
    after: Option<&str>,
    most: usize,
    now: Timestamp,
) -> rusqlite::Result<RecordPage> {
    // One bound a statement, so that the index is entered at the right place however far the listing has got.
    let (sql, from) = match after {
        Some(after) if after >= prefix => (
            "SELECT key, version, expires_at, value FROM records
             WHERE collection = ?1 AND key > ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key",
            after,
        ),
        _ => (
            "SELECT key, version, expires_at, value FROM records
             WHERE collection = ?1 AND key >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key",
            prefix,
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![collection, from, now.as_micros()])?;
    let (mut items, mut bytes) = (Vec::<Record>::new(), 0);
    while let Some(row) = rows.next()? {
        // By key, all with the prefix stand together: the first without it ends the listing.
        if !row.get_ref(0)?.as_str()?.starts_with(prefix) {
            break;
        }
        if items.len() == most || bytes >= MOST_LISTED_BYTES {
            let next = items.last().map(|last| last.key.clone());
            return Ok(RecordPage { items, next });
        }
        let item = record(row)?;
        bytes += item.value.len();
        items.push(item);
    }
    Ok(RecordPage { items, next: None })
}

fn conflict(collection: &str, key: &str, found: Unexpected) -> StoreError {
    StoreError::Conflict { collection: collection.to_owned(), key: key.to_owned(), found: found.0 }
}

fn failed(doing: &'static str, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::Unwritable(_) => StoreError::Unwritable { cause: error.into() },
        DatabaseError::Unusable(why) => StoreError::Corrupt(why),
        DatabaseError::Unavailable(_) | DatabaseError::Stopped => {
            StoreError::Unavailable { doing, cause: error.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{domain::ManualClock, store::MOST_VALUE_BYTES};

    struct World {
        _folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
        records: SqliteRecords,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
            let records = SqliteRecords::new(Arc::new(database), clock.clone());
            Self { _folder: folder, clock, records }
        }

        async fn put(&self, key: &str, expect: Expect) -> Result<u64, StoreError> {
            self.records.put("c", key, Bytes::from_static(b"{}"), expect, None).await
        }

        async fn put_for(&self, key: &str, time: Duration) {
            let end = Some(self.clock.now().after(time));
            self.records.put("c", key, Bytes::new(), Expect::Anything, end).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_write_happens_only_where_its_expectation_holds() {
        let world = World::new();
        assert_eq!(world.put("k", Expect::Nothing).await.unwrap(), 1);
        assert_eq!(world.put("k", Expect::Version(1)).await.unwrap(), 2);
        assert_eq!(world.put("k", Expect::Anything).await.unwrap(), 3);
        for expect in [Expect::Nothing, Expect::Version(2)] {
            let refused = world.put("k", expect).await;
            assert!(matches!(refused, Err(StoreError::Conflict { found: Some(3), .. })), "{refused:?}");
            let refused = world.records.delete("c", "k", expect).await;
            assert!(matches!(refused, Err(StoreError::Conflict { found: Some(3), .. })), "{refused:?}");
        }
        assert!(world.records.delete("c", "k", Expect::Version(3)).await.unwrap());
        assert!(!world.records.delete("c", "k", Expect::Anything).await.unwrap());
        let refused = world.put("k", Expect::Version(3)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { found: None, .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn what_has_expired_is_gone_before_and_after_the_sweep() {
        let world = World::new();
        world.put_for("short", Duration::from_secs(1)).await;
        world.put_for("long", Duration::from_secs(2)).await;
        world.put("ever", Expect::Nothing).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.records.get("c", "short").await.unwrap(), None);
        let keys = |page: RecordPage| page.items.into_iter().map(|record| record.key).collect::<Vec<_>>();
        assert_eq!(keys(world.records.list("c", "", None, 10).await.unwrap()), ["ever", "long"]);
        assert!(!world.records.delete("c", "nothing", Expect::Nothing).await.unwrap());
        assert_eq!(world.records.sweep().await.unwrap(), 1);
        assert_eq!(world.records.sweep().await.unwrap(), 0);
        assert_eq!(world.put("short", Expect::Nothing).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_listing_goes_through_all_keys_of_a_prefix_page_by_page() {
        let world = World::new();
        for key in ["a", "a%", "a/1", "a/2", "a/é", "a/\u{10ffff}", "a0", "b"] {
            world.put(key, Expect::Nothing).await.unwrap();
        }
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = world.records.list("c", "a/", after.as_deref(), 1).await.unwrap();
            keys.extend(page.items.into_iter().map(|record| record.key));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["a/1", "a/2", "a/é", "a/\u{10ffff}"]);
        assert!(world.records.list("other", "", None, 10).await.unwrap().items.is_empty());
        assert_eq!(world.records.list("c", "a/", Some("A"), 9).await.unwrap().items.len(), 4);
    }

    #[tokio::test]
    async fn a_page_of_large_documents_ends_early() {
        let world = World::new();
        let large = Bytes::from(vec![7; MOST_VALUE_BYTES]);
        for key in ["1", "2", "3", "4", "5", "6"] {
            world.records.put("c", key, large.clone(), Expect::Nothing, None).await.unwrap();
        }
        let page = world.records.list("c", "", None, 10).await.unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (4, Some("4")));
        let rest = world.records.list("c", "", Some("4"), 10).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (2, None));
    }

    #[tokio::test]
    async fn what_can_not_be_kept_is_refused_by_name() {
        let world = World::new();
        for key in ["", "a\nb", "\u{85}", &"x".repeat(513)] {
            assert!(matches!(world.put(key, Expect::Anything).await, Err(StoreError::Invalid(_))), "{key:?}");
            assert!(matches!(world.records.get("c", key).await, Err(StoreError::Invalid(_))), "{key:?}");
            assert!(matches!(world.records.list(key, "", None, 1).await, Err(StoreError::Invalid(_))));
        }
        assert_eq!(world.put(&"x".repeat(512), Expect::Nothing).await.unwrap(), 1);
        let huge = Bytes::from(vec![0; MOST_VALUE_BYTES + 1]);
        let refused = world.records.put("c", "k", huge, Expect::Anything, None).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
}
