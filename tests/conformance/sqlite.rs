//! The embedded engine: each world a file of its own.

use std::{path::Path, sync::Arc};

use presswork::{
    domain::ManualClock,
    progress::sqlite::SqliteProgress,
    queue::sqlite::{MIGRATIONS, SqliteQueue},
    store::sqlite::{Database, SqliteRecords},
};

use super::{jobs::ProgressWorld, queue::World};

/// A handle to the file of all seams in a folder.
pub(crate) fn database(folder: &Path) -> Arc<Database> {
    let migrations = [MIGRATIONS, SqliteProgress::MIGRATIONS, SqliteRecords::MIGRATIONS];
    Arc::new(Database::open(&folder.join("presswork.db"), &migrations).unwrap())
}

/// A world on a new file.
pub(crate) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let queue = SqliteQueue::new(database(folder.path()), clock.clone());
    World::new(Arc::new(queue), clock, folder)
}

/// Records on a new file.
pub(crate) struct RecordsWorld {
    pub(crate) records: SqliteRecords,
    pub(crate) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

/// Records on a new file.
pub(crate) async fn records_world() -> RecordsWorld {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let records = SqliteRecords::new(database(folder.path()), clock.clone());
    RecordsWorld { records, clock, _folder: folder }
}

/// Records and a queue on a new file.
pub(crate) async fn schedules_world() -> super::schedules::World {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let database = database(folder.path());
    super::schedules::World {
        records: Arc::new(SqliteRecords::new(database.clone(), clock.clone())),
        queue: Arc::new(SqliteQueue::new(database, clock.clone())),
        clock,
        _folder: folder,
    }
}

/// Progress on a new file; elsewhere is the same file, opened as another process does.
pub(crate) async fn progress_world() -> ProgressWorld {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let (here, there) = (database(folder.path()), database(folder.path()));
    let queue = SqliteQueue::new(here.clone(), clock.clone());
    let (bus, elsewhere) =
        (SqliteProgress::new(here, clock.clone()), SqliteProgress::new(there, clock.clone()));
    ProgressWorld::new(Arc::new(bus), Arc::new(elsewhere), Arc::new(queue), clock, folder)
}
