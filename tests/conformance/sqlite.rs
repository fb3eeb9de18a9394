//! The embedded engine: each world a file of its own.

use std::{path::Path, sync::Arc};

use presswork::{
    queue::sqlite::{MIGRATIONS, SqliteQueue},
    store::sqlite::Database,
};

use super::queue::World;

/// The file of all seams in a folder.
fn database(folder: &Path) -> Arc<Database> {
    Arc::new(Database::open(&folder.join("presswork.db"), &[MIGRATIONS]).unwrap())
}

/// A world on a new file.
pub(crate) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = World::clock();
    let queue = SqliteQueue::new(database(folder.path()), clock.clone());
    World::new(Arc::new(queue), clock, folder)
}
