//! What an app tests its kinds with: [`Inline`] runs one handler, alone; [`TestEngine`] is a whole engine in a temporary
//! folder, on a clock that the test moves, with faults to be injected. Owns: both. Must not know: the command line.
//!
//! ```
//! use presswork::{
//!     domain::{Failure, KindName, State},
//!     testing::{Fault, Inline, Moment, TestEngine},
//!     worker::{Context, Kind, Registry},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Count {
//!     to: u32,
//! }
//!
//! impl Kind for Count {
//!     const NAME: KindName = KindName::literal("count");
//!     type Output = u32;
//!
//!     async fn run(self, context: Context) -> Result<u32, Failure> {
//!         for n in context.checkpoint::<u32>().unwrap_or(0)..self.to {
//!             context.progress(u64::from(n) + 1, u64::from(self.to), "counting");
//!             context.save(&(n + 1)).await?;
//!         }
//!         Ok(self.to)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // One handler, alone.
//! let ran = Inline::new(Count { to: 3 }).from_checkpoint(&1).run().await.unwrap();
//! assert_eq!(ran.result.unwrap(), 3);
//!
//! // A whole engine; the worker is killed when the first checkpoint has been stored.
//! let world = TestEngine::new(Registry::new().register::<Count>());
//! world.inject(Fault::Crash(Moment::Saved(1)));
//! let job = world.enqueue(&Count { to: 3 }).await;
//! let attempts = world.drain().await;
//! assert_eq!(attempts.len(), 2);
//! assert_eq!(world.job(job).await.state, State::Completed);
//! # }
//! ```

mod drain;
mod faults;
mod inline;
mod stand_ins;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::StreamExt as _;
use secrecy::SecretString;

pub use drain::Attempted;
pub use faults::{Fault, FaultyQueue, Moment};
pub use inline::{Inline, Ran};

use crate::{
    artifact::ArtifactStore,
    config::Settings,
    domain::{
        ArtifactPointer, Clock, Job, JobId, ManualClock, NewJob, SeededRandom, State, TenantId, Timestamp,
        clock::SystemClock,
    },
    engine::Engine,
    security::{Acting, vault::SecretName},
    worker::{Kind, Parts, Registry, new_job},
};

/// Where a manual clock stands at first: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// An engine in a temporary folder, which goes with it. Jobs are run one after the other, in this task, when
/// [`drain`](Self::drain) or [`pass`](Self::pass) is called.
///
/// Its methods panic where a test can't go on: the folder can't be written, the store is away for good.
pub struct TestEngine {
    engine: Engine,
    faulty: Arc<FaultyQueue>,
    registry: Arc<Registry>,
    clock: Option<Arc<ManualClock>>,
    tenant: TenantId,
    /// Held for a few instructions at a time, never across an await.
    faults: Mutex<VecDeque<Fault>>,
    _folder: tempfile::TempDir,
}

impl TestEngine {
    /// An engine whose clock stands at [`START`] until it is moved on.
    pub fn new(registry: Registry) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        Self::open(registry, clock.clone(), Some(clock))
    }

    /// An engine on the machine's clock.
    pub fn on_system_clock(registry: Registry) -> Self {
        Self::open(registry, Arc::new(SystemClock), None)
    }

    fn open(registry: Registry, clock: Arc<dyn Clock>, manual: Option<Arc<ManualClock>>) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let engine = Engine::open_with(&settings, clock, Arc::new(SeededRandom::new(1)));
        let mut engine = engine.unwrap_or_else(|error| panic!("no engine: {error}"));
        let faulty = Arc::new(FaultyQueue::new(engine.queue.clone()));
        engine.queue = faulty.clone();
        let (registry, tenant) = (Arc::new(registry), tenant("test"));
        Self { engine, faulty, registry, clock: manual, tenant, faults: Mutex::default(), _folder: folder }
    }

    /// The engine: its queue is the [faulty](Self::faulty) one.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The queue that fails when told to.
    pub fn faulty(&self) -> &FaultyQueue {
        &self.faulty
    }

    /// The kinds that are run.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The clock, where it is a manual one.
    pub fn manual_clock(&self) -> Option<&ManualClock> {
        self.clock.as_deref()
    }

    /// Whose jobs the methods here speak of: `test`.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What is to go wrong with the next attempt; called again, with the one after it.
    pub fn inject(&self, fault: Fault) {
        self.lock().push_back(fault);
    }

    /// A job with this payload, to be adjusted and then [enqueued](Self::enqueue_job).
    ///
    /// # Panics
    /// Where the kind refuses the payload.
    pub fn new_job<K: Kind>(&self, payload: &K) -> NewJob {
        let id = JobId::new(self.engine.clock.now(), &*self.engine.random);
        new_job(id, self.tenant.clone(), payload).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Enqueues a job with this payload.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn enqueue<K: Kind>(&self, payload: &K) -> JobId {
        self.enqueue_job(self.new_job(payload)).await
    }

    /// Enqueues a job; the id of the one that is kept.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn enqueue_job(&self, job: NewJob) -> JobId {
        match self.engine.queue.enqueue(vec![job]).await.as_deref() {
            Ok([Ok(enqueued)]) => enqueued.id(),
            refused => panic!("the job was not accepted: {refused:?}"),
        }
    }

    /// What is known of a job.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn job(&self, job: JobId) -> Job {
        let found = self.engine.queue.inspect(&self.tenant, &[job]).await;
        let found = found.unwrap_or_else(|error| panic!("the queue: {error}")).into_iter().next().flatten();
        found.unwrap_or_else(|| panic!("there is no job {job}"))
    }

    /// The jobs of a kind that were enqueued, by handlers too, oldest first, whatever became of them; with their payloads.
    ///
    /// # Panics
    /// Where a payload is not one of the kind.
    pub async fn enqueued<K: Kind>(&self) -> Vec<(K, Job)> {
        let mut jobs = Vec::new();
        for state in State::ALL {
            jobs.extend(
                self.jobs_in(&self.tenant, state).await.into_iter().filter(|job| job.kind == K::NAME),
            );
        }
        jobs.sort_by_key(|job| (job.created_at, job.id));
        let read = |job: Job| match serde_json::from_slice(&job.payload.bytes) {
            Ok(payload) => (payload, job),
            Err(error) => panic!("the payload of {} is not one of {}: {error}", job.id, K::NAME),
        };
        jobs.into_iter().map(read).collect()
    }

    /// Makes sure that exactly one job with this payload was enqueued, and gives it.
    ///
    /// # Panics
    /// Where there are more or none; the message tells what there is.
    pub async fn assert_enqueued<K: Kind>(&self, payload: &K) -> Job {
        let json =
            |payload: &K| serde_json::to_value(payload).unwrap_or_else(|error| panic!("no JSON: {error}"));
        let wanted = json(payload);
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for (found, job) in self.enqueued::<K>().await {
            let found = json(&found);
            if found == wanted { same.push(job) } else { others.push(found) }
        }
        match <[Job; 1]>::try_from(same) {
            Ok([job]) => job,
            Err(same) => {
                let (count, kind) = (same.len(), K::NAME);
                panic!("{count} jobs of kind {kind} have the payload {wanted}; others: {others:?}")
            }
        }
    }

    /// The bytes of an artifact that a completed job has made, whole and uncompressed.
    ///
    /// # Panics
    /// Where the job has not made it, or it can't be read.
    pub async fn artifact(&self, job: JobId, name: &str) -> Vec<u8> {
        let made = self.job(job).await.output.map(|output| output.artifacts).unwrap_or_default();
        match made.iter().find(|pointer| pointer.name.as_str() == name) {
            Some(pointer) => read(&self.engine.artifacts, pointer).await,
            None => panic!("{job} has no artifact {name}; it has: {:?}", made.iter().map(|one| &one.name)),
        }
    }

    /// Gives the tenant a secret, or a new value of it.
    ///
    /// # Panics
    /// Where that is no secret's name, or it can't be stored.
    pub async fn set_secret(&self, name: &str, value: &str) {
        let (name, value) = (secret_name(name), SecretString::from(value));
        let stored = self.engine.vault.set(&self.tenant, &name, &value, &Acting::system()).await;
        stored.unwrap_or_else(|error| panic!("the secret {name} can't be stored: {error}"));
    }

    async fn parts(&self) -> Parts {
        let parts = self.engine.parts(self.registry.clone()).await;
        parts.unwrap_or_else(|error| panic!("no scratch folder: {error}"))
    }

    fn next_fault(&self) -> Option<Fault> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn secret_name(name: &str) -> SecretName {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

async fn read(store: &ArtifactStore, pointer: &ArtifactPointer) -> Vec<u8> {
    let damaged = |error| -> ! { panic!("the artifact {} can't be read back: {error}", pointer.name) };
    let mut pieces = match store.read(pointer).await {
        Ok(pieces) => pieces,
        Err(error) => damaged(error),
    };
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => damaged(error),
        }
    }
    bytes
}
