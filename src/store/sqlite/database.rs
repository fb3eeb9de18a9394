//! The file and its threads: one that writes, with group commit, and two that read.
//!
//! Owns: opening, migrations, transactions, the order of writes. Must not know: any table.
//!
//! A write is a closure that runs inside a savepoint on the writer's thread. Writes that arrive while one transaction
//! is being committed share the next one, so that a thousand small writes cost a few disk flushes. A write has
//! answered only once its transaction is on disk (WAL, `synchronous = FULL`).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc as blocking},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use tokio::sync::oneshot;

use super::{bell::Bell, files, log::Log};

/// One module's tables: `steps[n]` brings its schema from version n to n + 1. Steps never change once released.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The module's name.
    pub module: &'static str,
    /// SQL, in order.
    pub steps: &'static [&'static str],
}

/// What can go wrong with the file, one variant per next action. Shared by all writes of a failed transaction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Make room or mend permissions.
    #[error("{0}")]
    Unwritable(#[source] Arc<rusqlite::Error>),
    /// Try again later: locked by another process for too long, or an I/O error.
    #[error("{0}")]
    Unavailable(#[source] Arc<rusqlite::Error>),
    /// The file makes no sense, or a newer Presswork wrote it.
    #[error("{0}")]
    Unusable(String),
    /// The program is ending, or a write panicked (and was rolled back).
    #[error("the store's thread gave no answer")]
    Stopped,
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let cause = Arc::new(error);
        match cause.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied,
            ) => Self::Unwritable(cause),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Unusable(cause.to_string()),
            _ => Self::Unavailable(cause),
        }
    }
}

type Outcome = Result<(), DatabaseError>;
/// Runs on the connection, or is told that its transaction was lost before it could; gives back what to do once the
/// transaction's fate is known.
type Write = Box<dyn FnOnce(Result<&Connection, DatabaseError>) -> Delivery + Send>;
struct Delivery {
    /// What the write itself ended with: an error rolls its savepoint back.
    ended: Outcome,
    deliver: Box<dyn FnOnce(Outcome) + Send>,
}
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A SQLite file that async code may use.
#[derive(Debug)]
pub struct Database {
    writes: blocking::Sender<Write>,
    reads: blocking::Sender<Read>,
    bell: Arc<Bell>,
}

/// How many writes share a transaction at most: bounds how long the first of them waits.
const MOST_WRITES: usize = 512;
const READERS: usize = 2;
/// How long a statement waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Database {
    /// Opens or makes the file at `path` (0600) with its folder (0700), brings its tables up to date and starts its
    /// threads. They end when the last handle is dropped and what was sent has been written.
    ///
    /// # Errors
    /// Where the folder or file can't be made, read or written, is no SQLite file, or is from a newer version.
    pub fn open(path: &Path, migrations: &[Migrations]) -> Result<Self, DatabaseError> {
        files::prepare(path)?;
        let _turn = files::take_turn(path)?;
        let connection = connect(path, false)?;
        migrate(&connection, migrations)?;
        let bell = Bell::open(&files::bell(path)).map_err(|error| files::unwritable(path, &error))?;
        let bell = Arc::new(bell);

        let (writes, queue) = blocking::channel();
        let ringer = bell.clone();
        let log = Log::of(path);
        start("store-writer", move || write_all(&connection, &queue, &ringer, log))?;
        let (reads, queue) = blocking::channel::<Read>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..READERS {
            let (connection, queue) = (connect(path, true)?, queue.clone());
            start("store-reader", move || read_all(&connection, &queue))?;
        }
        Ok(Self { writes, reads, bell })
    }

    /// Runs `work` in the next transaction and answers once that is durable. An error of `work` undoes what it did
    /// and nothing else.
    ///
    /// # Errors
    /// What `work` ended with, or why the transaction could not be committed.
    pub async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, DatabaseError> {
        let (answer, answered) = oneshot::channel();
        let run = |connection: &Connection| work(connection).map_err(DatabaseError::from);
        let write: Write =
            Box::new(move |connection: Result<&Connection, _>| match connection.and_then(run) {
                Ok(value) => Delivery {
                    ended: Ok(()),
                    deliver: Box::new(move |outcome| drop(answer.send(outcome.map(|()| value)))),
                },
                Err(error) => Delivery {
                    ended: Err(error.clone()),
                    deliver: Box::new(move |_| drop(answer.send(Err(error)))),
                },
            });
        self.writes.send(write).map_err(|_| DatabaseError::Stopped)?;
        answered.await.map_err(|_| DatabaseError::Stopped)?
    }

    /// Runs `work` on a snapshot of what has been committed.
    ///
    /// # Errors
    /// What `work` ended with.
    pub async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, DatabaseError> {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            // One transaction, so that several statements see one state.
            let result = connection.unchecked_transaction().and_then(|_snapshot| work(connection));
            drop(answer.send(result.map_err(DatabaseError::from)));
        });
        self.reads.send(read).map_err(|_| DatabaseError::Stopped)?;
        answered.await.map_err(|_| DatabaseError::Stopped)?
    }

    /// Rings after each commit, by this process or another.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

fn write_all(connection: &Connection, queue: &blocking::Receiver<Write>, bell: &Bell, mut log: Log) {
    while let Ok(first) = queue.recv() {
        let mut deliveries = Vec::new();
        let outcome =
            write_group(connection, std::iter::once(first).chain(queue.try_iter()), &mut deliveries);
        if outcome.is_err() && !connection.is_autocommit() {
            // Nothing to add where even this fails: the next BEGIN will say so.
            drop(connection.execute_batch("ROLLBACK"));
        }
        // Listeners must find what they are woken for, and a process that ends with its answer must have rung, or those
        // in others would sleep through what it did. So: commit, ring, answer.
        if outcome.is_ok() {
            bell.ring();
        }
        for delivery in deliveries {
            (delivery.deliver)(outcome.clone());
        }
        log.keep_short(connection, BUSY_TIMEOUT);
    }
}

fn write_group(
    connection: &Connection,
    writes: impl Iterator<Item = Write>,
    deliveries: &mut Vec<Delivery>,
) -> Outcome {
    let mut begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(DatabaseError::from);
    for write in writes.take(MOST_WRITES) {
        if let Err(error) = &begun {
            deliveries.push(write(Err(error.clone())));
            continue;
        }
        begun = run_write(connection, write, deliveries);
    }
    begun?;
    connection.execute_batch("COMMIT").map_err(DatabaseError::from)
}

fn run_write(connection: &Connection, write: Write, deliveries: &mut Vec<Delivery>) -> Outcome {
    connection.execute_batch("SAVEPOINT one").map_err(DatabaseError::from)?;
    let ended = match catch_unwind(AssertUnwindSafe(|| write(Ok(connection)))) {
        Ok(delivery) => {
            let ended = delivery.ended.clone();
            deliveries.push(delivery);
            ended
        }
        Err(_) => Err(DatabaseError::Stopped),
    };
    match ended {
        Ok(()) => connection.execute_batch("RELEASE one").map_err(DatabaseError::from),
        // A full disk or an I/O error rolls back the whole transaction, not only the savepoint.
        Err(error) if connection.is_autocommit() => Err(error),
        Err(_) => connection.execute_batch("ROLLBACK TO one; RELEASE one").map_err(DatabaseError::from),
    }
}

fn read_all(connection: &Connection, queue: &Mutex<blocking::Receiver<Read>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        // A read that panics drops its answer; the thread lives on for the others.
        if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), DatabaseError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| DatabaseError::Unusable(format!("no thread for the store: {error}")))
}

fn connect(path: &Path, reads_only: bool) -> Result<Connection, DatabaseError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags.difference(OpenFlags::SQLITE_OPEN_URI))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Else SQLite compiles a cached statement anew whenever its parameters change, to look for a better plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864;",
    )?;
    if reads_only {
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}

fn migrate(connection: &Connection, migrations: &[Migrations]) -> Result<(), DatabaseError> {
    // In one transaction, so that two processes that start at once take turns and a crash leaves all or nothing.
    connection.execute_batch(
        "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS schema_versions (module TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    )?;
    for Migrations { module, steps } in migrations {
        let found =
            connection.query_row("SELECT version FROM schema_versions WHERE module = ?1", [module], |row| {
                row.get::<_, usize>(0)
            });
        let version = match found {
            Ok(version) => version,
            Err(rusqlite::Error::QueryReturnedNoRows) => 0,
            Err(error) => return Err(error.into()),
        };
        let Some(missing) = steps.get(version..) else {
            return Err(DatabaseError::Unusable(format!(
                "the data directory was written by a newer Presswork ({module} {version}): use that version"
            )));
        };
        for step in missing {
            connection.execute_batch(step)?;
        }
        connection.execute(
            "INSERT INTO schema_versions VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = excluded.version",
            rusqlite::params![module, steps.len()],
        )?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TABLES: Migrations =
        Migrations { module: "test", steps: &["CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT"] };

    fn insert(n: i64) -> impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send {
        move |connection| connection.execute("INSERT INTO t VALUES (?1)", [n])
    }

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
    }

    #[tokio::test]
    async fn a_failed_write_undoes_itself_and_spares_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("deep/x.db"), &[TABLES]).unwrap();
        let (one, twice, panics, two) = tokio::join!(
            database.write(insert(1)),
            database.write(|connection| {
                connection.execute("INSERT INTO t VALUES (7)", [])?;
                connection.execute("INSERT INTO t VALUES (7)", [])
            }),
            database.write(|_| -> rusqlite::Result<()> { panic!("a bug") }),
            database.write(insert(2)),
        );
        assert!(one.is_ok() && two.is_ok());
        assert!(matches!(twice, Err(DatabaseError::Unavailable(_))));
        assert!(matches!(panics, Err(DatabaseError::Stopped)));
        assert_eq!(database.read(count).await.unwrap(), 2);
    }

    #[test]
    fn many_may_open_a_new_file_at_once() {
        // SQLite alone fails in one round of a few.
        for _ in 0..30 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            let together = std::sync::Barrier::new(4);
            thread::scope(|scope| {
                let open = || {
                    together.wait();
                    Database::open(&path, &[TABLES])
                };
                let openings: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                for opening in openings {
                    opening.join().unwrap().unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn two_handles_share_a_file_and_hear_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (one, two) =
            (Database::open(&path, &[TABLES]).unwrap(), Database::open(&path, &[TABLES]).unwrap());
        let mut heard = two.bell().listen();
        one.write(insert(1)).await.unwrap();
        heard.changed().await.unwrap();
        assert_eq!(two.read(count).await.unwrap(), 1);
    }

    /// A command that enqueues a job and exits with the answer.
    #[tokio::test]
    async fn a_write_that_has_answered_has_rung() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[TABLES]).unwrap();
        let bell = fs::canonicalize(folder.path().join("x.bell")).unwrap();
        for n in 0..100 {
            fs::write(&bell, "").unwrap();
            database.write(insert(n)).await.unwrap();
            assert_eq!(fs::read(&bell).unwrap(), b"\n", "write {n}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/x.db");
        let _database = Database::open(&path, &[TABLES]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        assert_eq!(mode(&path.with_extension("bell")), 0o600);
    }

    #[test]
    fn a_file_of_a_newer_version_or_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(
            Database::open(&path, &[Migrations { module: "test", steps: &["SELECT 1", "SELECT 1"] }])
                .unwrap(),
        );
        assert!(matches!(Database::open(&path, &[TABLES]), Err(DatabaseError::Unusable(_))));
        let text = folder.path().join("y.db");
        fs::write(&text, "not a database, but long enough to be one, so says its length".repeat(20)).unwrap();
        assert!(matches!(Database::open(&text, &[TABLES]), Err(DatabaseError::Unusable(_))));
    }
}
