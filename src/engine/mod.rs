//! What a process holds: the queue, the records, the progress, the artifacts, the time and the randomness, opened from
//! [`Settings`]. Owns: which engine is behind the seams, the data directory's layout and its maintenance. Must not know:
//! kinds, the command line.
//!
//! ```text
//! <data_dir>/            0700
//!   master.key           the master key, 0600, where none is given and one was needed; not with a Redis
//!   presswork.db         the queue, the records, the progress (and SQLite's own files beside it); not with a Redis
//!   objects/             storage: a folder a tenant; not with a storage of another address
//!   tmp/                 scratch, a folder a process, locked as long as the process lives
//! ```

mod audit;
mod error;
mod fleet;
mod maintenance;
mod ownership;
mod scratch;
#[cfg(test)]
mod tests;
mod uploads;
pub mod verify;
mod wait;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use object_store::ObjectStore;
use tokio_util::task::TaskTracker;

use crate::{
    artifact::{ArtifactStore, Storage},
    cache::{Cache, CacheOptions},
    config::{MasterKeySetting, Settings},
    domain::{Clock, Random, SystemRandom, clock::SystemClock},
    limits::{Limiter, RecordsLimiter, Rules},
    progress::{ProgressBus, sqlite::SqliteProgress},
    queue::{Queue, sqlite as sqlite_queue, sqlite::SqliteQueue},
    schedule::{Scheduler, Schedules},
    security::{
        Keyring, MasterKeys, MasterSource, SealingQueue, api_keys::ApiKeys, audit::Audit, identity::Identity,
        oidc::Oidc, outgoing::Outgoing, sessions::Sessions, users::Users, vault::Vault,
    },
    spending::Spending,
    store::{
        Records,
        redis::Redis,
        sqlite::{Database, DatabaseError, SqliteRecords},
    },
    worker::{Parts, Registry},
};
use scratch::Scratch;

use fleet::Missing;

pub use error::{Cause, EngineError};
pub use fleet::SharedHealth;

/// What a process holds. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engine {
    /// The jobs.
    pub queue: Arc<dyn Queue>,
    /// The keys that secrets of tenants are sealed with.
    pub keyring: Keyring,
    /// Who did what.
    pub audit: Audit,
    /// What apps prove with who they are.
    pub api_keys: ApiKeys,
    /// Calls to addresses that others have chosen.
    pub outgoing: Outgoing,
    /// Who may vouch for users.
    pub oidc: Oidc,
    /// Browsers that are logged in.
    pub sessions: Sessions,
    /// Users, and how they log in.
    pub identity: Identity,
    /// Keys of providers, sealed.
    pub vault: Vault,
    /// Small documents.
    pub records: Arc<dyn Records>,
    /// Jobs that are made again and again.
    pub schedules: Schedules,
    /// The events of jobs.
    pub progress: Arc<dyn ProgressBus>,
    /// What may be used, and how much of it was.
    pub limiter: Arc<dyn Limiter>,
    /// Which rate holds for whom.
    pub rules: Arc<Rules>,
    /// What was spent on models, and what may be.
    pub spending: Spending,
    /// What was hard to get.
    pub cache: Cache,
    /// The root of the storage, of all tenants.
    pub storage: Arc<dyn ObjectStore>,
    /// What jobs have made.
    pub artifacts: ArtifactStore,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
    /// What is to come to its end before the process does, where that takes no longer than [`settle`](Self::settle) waits.
    pub endings: TaskTracker,
    backing: Backing,
    folder: PathBuf,
    retention: Duration,
    keep_finished: Option<u64>,
    models: Option<Arc<serde_json::Value>>,
    scratch: Arc<Mutex<Option<Scratch>>>,
}

/// What keeps the jobs, the records and the progress.
#[derive(Clone)]
enum Backing {
    /// A file in the data directory.
    Embedded(Arc<Database>),
    /// A server, or several.
    Fleet(Redis),
}

impl Engine {
    /// Opens what the settings name: Redis with the data directory for artifacts, or the data directory for all.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn connect(settings: &Settings) -> Result<Self, EngineError> {
        Self::connect_to(settings, Missing::Fails).await
    }

    /// The same, also while the Redis is away: what needs it fails until it is there, and then works.
    ///
    /// # Errors
    /// [`EngineError`]; a Redis that answers and can't be used is one.
    pub async fn connect_early(settings: &Settings) -> Result<Self, EngineError> {
        Self::connect_to(settings, Missing::Comes).await
    }

    async fn connect_to(settings: &Settings, missing: Missing) -> Result<Self, EngineError> {
        match &settings.redis_url {
            Some(url) => Self::connect_redis(settings, url.url(), missing).await,
            None => {
                let (settings, folder) = (settings.clone(), settings.data_dir.clone());
                let opened = tokio::task::spawn_blocking(move || Self::open(&settings)).await;
                opened.map_err(|error| EngineError::Unavailable { folder, cause: error.into() })?
            }
        }
    }

    /// Opens the data directory, or makes it where there is none, with the machine's clock and random source; a Redis
    /// in the settings is not looked at. Blocks: call it from a thread that may.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn open(settings: &Settings) -> Result<Self, EngineError> {
        Self::open_with(settings, Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    /// The same with another clock and random source.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn open_with(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, EngineError> {
        let folder = settings.data_dir.clone();
        let tables = [sqlite_queue::MIGRATIONS, SqliteRecords::MIGRATIONS, SqliteProgress::MIGRATIONS];
        let database = Database::open(&folder.join("presswork.db"), &tables);
        let database = Arc::new(database.map_err(|error| database_error(&folder, error))?);
        let storage = open_storage(settings)?;
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(database.clone(), clock.clone()));
        let masters = master_source(settings)?;
        let audit = audit::open(settings, &masters, &records, (&clock, &random));
        let keyring = Keyring::new(&records, masters, clock.clone(), random.clone());
        let queue = Arc::new(SqliteQueue::new(database.clone(), clock.clone()));
        let limiter: Arc<dyn Limiter> =
            Arc::new(RecordsLimiter::new(records.clone(), clock.clone(), random.clone()));
        let users = Users::new(&records, clock.clone(), random.clone());
        let outgoing = Outgoing::new(settings.outgoing.clone());
        Ok(Self {
            identity: Identity::new(&records, &keyring, limiter.clone(), &audit, &clock, &random),
            limiter,
            rules: Arc::new(Rules::new(settings.limits.clone(), records.clone(), clock.clone())),
            spending: Spending::new(settings.budgets.clone(), &records, clock.clone(), random.clone()),
            cache: Cache::in_memory(CacheOptions::default(), clock.clone(), random.clone()),
            queue: Arc::new(SealingQueue::new(queue, keyring.clone(), random.clone())),
            storage: storage.objects().clone(),
            artifacts: ArtifactStore::new(storage).with_keys(Arc::new(keyring.clone()), random.clone()),
            vault: Vault::new(&records, &keyring, Arc::new(audit.clone()), clock.clone(), random.clone()),
            keyring,
            oidc: Oidc::new(
                &settings.oidc,
                &records,
                users.clone(),
                &outgoing,
                clock.clone(),
                random.clone(),
            ),
            outgoing,
            sessions: Sessions::new(&records, users, settings.sessions, clock.clone(), random.clone()),
            api_keys: ApiKeys::new(&records, Arc::new(audit.clone()), clock.clone(), random.clone()),
            audit,
            schedules: Schedules::new(&records, clock.clone()),
            records,
            progress: Arc::new(SqliteProgress::new(database.clone(), clock.clone())),
            clock,
            random,
            endings: TaskTracker::new(),
            backing: Backing::Embedded(database),
            folder,
            retention: settings.retention,
            keep_finished: settings.keep_finished,
            models: settings.models.clone().map(Arc::new),
            scratch: Arc::default(),
        })
    }

    /// What a worker works with. Takes a scratch folder for this process, which goes with the last clone of the engine.
    ///
    /// # Errors
    /// [`EngineError`] where there can't be a scratch folder.
    pub async fn parts(&self, registry: Arc<Registry>) -> Result<Parts, EngineError> {
        let engine = self.clone();
        let scratch = tokio::task::spawn_blocking(move || engine.scratch()).await;
        let scratch = scratch.map_err(|error| EngineError::Unavailable {
            folder: self.folder.clone(),
            cause: error.into(),
        })??;
        Ok(Parts {
            queue: self.queue.clone(),
            progress: self.progress.clone(),
            artifacts: self.artifacts.clone(),
            limiter: self.limiter.clone(),
            rules: self.rules.clone(),
            spending: self.spending.clone(),
            cache: self.cache.clone(),
            keyring: self.keyring.clone(),
            vault: self.vault.clone(),
            outgoing: self.outgoing.clone(),
            models: self.models.clone(),
            registry,
            scratch,
            clock: self.clock.clone(),
            random: self.random.clone(),
        })
    }

    /// What makes the jobs of the schedules; [`maintain`](Self::maintain) runs one.
    pub fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.schedules.clone(), self.records.clone(), self.queue.clone())
    }

    /// The data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the bytes of a storage key are on this machine, where they are on it.
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        Some(self.artifacts.storage().local_folder()?.join(key))
    }

    /// What SQLite finds wrong with the database file; nothing where it is whole, or where there is none. Reads all of it.
    ///
    /// # Errors
    /// [`EngineError`] where it can't be read at all.
    pub async fn check(&self) -> Result<Vec<String>, EngineError> {
        let Backing::Embedded(database) = &self.backing else { return Ok(Vec::new()) };
        let found = database.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut found = found.await.map_err(|error| database_error(&self.folder, error))?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    /// The version of the SQLite that is compiled in.
    pub fn sqlite_version() -> &'static str {
        rusqlite::version()
    }

    fn scratch(&self) -> Result<PathBuf, EngineError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scratch) = &*scratch {
            return Ok(scratch.folder().to_owned());
        }
        let root = self.folder.join("tmp");
        let taken =
            Scratch::take(&root, &*self.random).map_err(|error| file_error(&self.folder, &root, error))?;
        Ok(scratch.insert(taken).folder().to_owned())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Where the master keys come from. One that is there is read at once, so that what is wrong with it shows when the process
/// starts. Blocks.
fn master_source(settings: &Settings) -> Result<MasterSource, EngineError> {
    let made = settings.data_dir.join("master.key");
    match &settings.master_key {
        Some(MasterKeySetting::Given(keys)) => Ok(MasterSource::Given(keys.clone())),
        Some(MasterKeySetting::File(path)) => Ok(MasterSource::Given(MasterKeys::read(path)?)),
        // Each machine of a fleet would make its own, and none could open what another has sealed.
        None if settings.redis_url.is_some() => Ok(MasterSource::Absent),
        None => {
            if made.exists() {
                MasterKeys::read(&made)?;
            }
            Ok(MasterSource::Made(made))
        }
    }
}

/// The folders of a data directory, made where they are missing, and the storage, in it or elsewhere.
fn open_storage(settings: &Settings) -> Result<Storage, EngineError> {
    let (folder, objects) = (&settings.data_dir, settings.data_dir.join("objects"));
    let tmp = folder.join("tmp");
    let here = settings.storage_url.is_none().then_some(&objects);
    for needed in here.into_iter().chain([&tmp]) {
        make_folder(needed).map_err(|error| file_error(folder, needed, error))?;
    }
    Ok(match &settings.storage_url {
        Some(url) => Storage::open(url)?,
        None => Storage::folder(objects)?,
    })
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(path)
}

fn file_error(folder: &Path, path: &Path, error: io::Error) -> EngineError {
    EngineError::Unwritable {
        folder: folder.to_owned(),
        cause: format!("{}: {error}", path.display()).into(),
    }
}

fn database_error(folder: &Path, error: DatabaseError) -> EngineError {
    let folder = folder.to_owned();
    match error {
        DatabaseError::Unwritable(cause) => EngineError::Unwritable { folder, cause: cause.into() },
        DatabaseError::Unusable(problem) => EngineError::Unusable { folder, problem },
        other @ (DatabaseError::Unavailable(_) | DatabaseError::Stopped) => {
            EngineError::Unavailable { folder, cause: other.into() }
        }
    }
}
