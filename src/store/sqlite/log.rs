//! Keeps the write-ahead log short. SQLite begins it anew only at a moment when nobody reads from it, and where
//! reads overlap all day that moment never comes. Must not know: what is written.

use std::{fs, path::PathBuf, time::Duration};

use rusqlite::Connection;

/// What the log may grow to before it is put an end to.
const MOST_BYTES: u64 = 32 << 20;
/// How long writes wait for that: reads are short, and those that begin meanwhile no longer need the log.
const PATIENCE: Duration = Duration::from_millis(100);

/// The write-ahead log of one file.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// The size at which to act.
    due: u64,
}

impl Log {
    /// The log of the file at `path`.
    pub(super) fn of(path: &std::path::Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        Self { path: name.into(), due: MOST_BYTES }
    }

    /// To be called between two transactions: brings the log into the file and empties it, once it is too long.
    pub(super) fn keep_short(&mut self, connection: &Connection, busy_timeout: Duration) {
        let bytes = fs::metadata(&self.path).map_or(0, |log| log.len());
        if bytes < self.due {
            return;
        }
        let emptied = connection.busy_timeout(PATIENCE).and_then(|()| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        });
        // Where a read took longer, writes are not held up at each commit from now on, but after as much again.
        self.due = if matches!(emptied, Ok(false)) { MOST_BYTES } else { bytes + MOST_BYTES };
        if let Err(error) = connection.busy_timeout(busy_timeout) {
            tracing::debug!(%error, "the store waits less long for other processes");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use crate::store::sqlite::{Database, Migrations};

    use super::*;

    const TABLES: Migrations =
        Migrations { module: "test", steps: &["CREATE TABLE t (bytes BLOB NOT NULL) STRICT"] };

    /// What readers and the writer know of each other.
    #[derive(Default)]
    struct State {
        begun: u64,
        written: u64,
        ended: bool,
    }

    #[derive(Default)]
    struct Chain(Mutex<State>, Condvar);

    impl Chain {
        /// Reads again and again; a read ends once another one has begun and something was written, so that no moment
        /// passes without a read and no commit without one that does not see it. Yet it never takes long.
        async fn read_on(self: Arc<Self>, database: Arc<Database>) {
            while !self.0.lock().unwrap().ended {
                let chain = self.clone();
                let read = database.read(move |connection| {
                    connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?;
                    let mut state = chain.0.lock().unwrap();
                    state.begun += 1;
                    let (begun, written) = (state.begun, state.written);
                    chain.1.notify_all();
                    let alone = |state: &mut State| {
                        (state.begun == begun || state.written == written) && !state.ended
                    };
                    drop(chain.1.wait_timeout_while(state, Duration::from_millis(20), alone).unwrap());
                    Ok(())
                });
                read.await.unwrap();
            }
        }

        fn tell(&self, what: impl FnOnce(&mut State)) {
            what(&mut self.0.lock().unwrap());
            self.1.notify_all();
        }
    }

    #[tokio::test]
    async fn reads_that_overlap_without_end_do_not_let_the_log_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let database = Arc::new(Database::open(&path, &[TABLES]).unwrap());
        let chain = Arc::<Chain>::default();
        let reads: Vec<_> = (0..2).map(|_| tokio::spawn(chain.clone().read_on(database.clone()))).collect();
        for _ in 0..40 {
            let sql = "INSERT INTO t VALUES (zeroblob(2097152))";
            database.write(|connection| connection.execute(sql, [])).await.unwrap();
            chain.tell(|state| state.written += 1);
        }
        chain.tell(|state| state.ended = true);
        for read in reads {
            read.await.unwrap();
        }
        let length = fs::metadata(folder.path().join("x.db-wal")).unwrap().len();
        assert!(length < 2 * MOST_BYTES, "{length}");
    }
}
