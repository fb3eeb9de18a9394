//! A queue, a storage, a progress bus and workers over them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{ObjectStore, memory::InMemory};
use presswork::{
    artifact::ArtifactStore,
    cache::{Cache, CacheOptions},
    domain::{
        Clock, Event, EventBody, Job, JobId, KindName, ManualClock, NewJob, Payload, SeededRandom, State,
        TenantId, Timestamp, WorkerId,
    },
    limits::{LimitRules, RecordsLimiter, Rules},
    progress::{ProgressBus, ProgressError, Publication},
    security::{
        Keyring, MasterSource, Recorder as AuditRecorder,
        audit::Entry,
        outgoing::{Outgoing, OutgoingRules},
        vault::Vault,
    },
    spending::{Budget, Spending},
    store::{Records, sqlite::SqliteRecords},
    worker::{Kind, Options, Parts, Registry, Summary, Worker, WorkerError, new_job},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    kinds::{Act, Noop, Remembers, Slow, Uses},
    observed::Observed,
    secrets::Asks,
};

/// Remembers what was published.
pub(crate) struct Recorder(watch::Sender<Vec<Publication>>);

impl Recorder {
    pub(crate) fn published(&self) -> Vec<Publication> {
        self.0.borrow().clone()
    }

    /// Ends once the handler of the job has said so.
    pub(crate) async fn heard(&self, job: JobId, said: &str) {
        let says = |one: &Publication| {
            one.job == job && matches!(&one.body, EventBody::Text { text } if text == said)
        };
        self.0.subscribe().wait_for(|all| all.iter().any(says)).await.unwrap();
    }
}

#[async_trait]
impl ProgressBus for Recorder {
    async fn publish(&self, publications: Vec<Publication>) -> Result<(), ProgressError> {
        self.0.send_modify(|all| all.extend(publications));
        Ok(())
    }

    async fn replay(&self, _: &TenantId, _: JobId, _: u64, _: usize) -> Result<Vec<Event>, ProgressError> {
        unreachable!("workers don't listen")
    }

    async fn follow(
        &self,
        _: &TenantId,
        _: JobId,
        _: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        unreachable!("workers don't listen")
    }
}

/// Remembers what the audit log would be told.
#[derive(Default)]
pub(crate) struct Entries(std::sync::Mutex<Vec<Entry>>);

impl Entries {
    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl AuditRecorder for Entries {
    async fn record(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }
}

pub(crate) struct World {
    pub(crate) entries: Arc<Entries>,
    pub(crate) queue: Arc<Observed>,
    pub(crate) bus: Arc<Recorder>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) storage: Arc<InMemory>,
    pub(crate) tenant: TenantId,
    pub(crate) rules: Arc<Rules>,
    records: Arc<dyn Records>,
    random: Arc<SeededRandom>,
    folder: tempfile::TempDir,
}

pub(crate) struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<Summary, WorkerError>>,
}

impl Running {
    /// Stops the worker; what it did.
    pub(crate) async fn stop(self) -> Summary {
        self.stop.cancel();
        self.ended().await.unwrap()
    }

    /// How the worker ended.
    pub(crate) async fn ended(self) -> Result<Summary, WorkerError> {
        self.ended.await.unwrap()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_312_058_000)));
        let folder = tempfile::tempdir().unwrap();
        let database = super::database(folder.path());
        let queue = Arc::new(Observed::new(super::engine(database.clone(), clock.clone())));
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(database, clock.clone()));
        Self {
            entries: Arc::default(),
            rules: Arc::new(Rules::new(LimitRules::default(), records.clone(), clock.clone())),
            records,
            queue,
            bus: Arc::new(Recorder(watch::channel(Vec::new()).0)),
            clock,
            storage: Arc::new(InMemory::new()),
            tenant: "acme".parse().unwrap(),
            random: Arc::new(SeededRandom::new(1)),
            folder,
        }
    }

    /// The keyring of one more process, without a master key.
    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::new(&self.records, MasterSource::Absent, self.clock.clone(), self.random.clone())
    }

    /// The secrets as one more process sees them, under a master key.
    pub(crate) fn vault(&self) -> Vault {
        let masters = MasterSource::Given("11".repeat(32).parse().unwrap());
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let keyring = Keyring::new(&self.records, masters, clock.clone(), random.clone());
        Vault::new(&self.records, &keyring, self.entries.clone(), clock, random)
    }

    pub(crate) fn options() -> Options {
        let mut options = Options::new(WorkerId::new("tested"));
        options.concurrency = 4;
        options.beat = Duration::from_millis(1);
        options
    }

    pub(crate) fn start(&self, options: Options) -> Running {
        let registry = Registry::new()
            .register::<Noop>()
            .register::<Act>()
            .register::<Slow>()
            .register::<Uses>()
            .register::<Remembers>()
            .register::<Asks>();
        let (clock, random) = (self.clock.clone(), self.random.clone());
        // Each worker as a process of its own: with its own limiter over the same store.
        let limiter = RecordsLimiter::new(self.records.clone(), clock.clone(), random.clone());
        let parts = Parts {
            queue: self.queue.clone(),
            progress: self.bus.clone(),
            artifacts: ArtifactStore::new(self.storage.clone()),
            limiter: Arc::new(limiter),
            rules: self.rules.clone(),
            spending: Spending::new(Budget::default(), &self.records, clock.clone(), random.clone()),
            cache: Cache::in_memory(CacheOptions::default(), clock, random),
            keyring: self.keyring(),
            vault: self.vault(),
            outgoing: Outgoing::new(OutgoingRules::default()),
            models: None,
            registry: Arc::new(registry),
            scratch: self.folder.path().join("tmp"),
            clock: self.clock.clone(),
            random: self.random.clone(),
        };
        let (stop, worker) = (CancellationToken::new(), Worker::new(parts, options).unwrap());
        let stopped = stop.clone();
        let ended = tokio::spawn(async move { worker.run(stopped.cancelled()).await });
        Running { stop, ended }
    }

    pub(crate) fn job<K: Kind>(&self, payload: &K) -> NewJob {
        new_job(JobId::new(self.clock.now(), &*self.random), self.tenant.clone(), payload).unwrap()
    }

    pub(crate) fn raw(&self, kind: KindName, version: u16, bytes: &'static [u8]) -> NewJob {
        let payload = Payload { version, bytes: Bytes::from_static(bytes) };
        NewJob::new(JobId::new(self.clock.now(), &*self.random), self.tenant.clone(), kind, payload)
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> JobId {
        use presswork::queue::Queue as _;
        self.queue.enqueue(vec![job]).await.unwrap().remove(0).unwrap().id()
    }

    pub(crate) async fn until(&self, job: JobId, state: State) -> Job {
        self.queue.until(&self.tenant, job, |job| job.state == state).await
    }

    /// Runs one job by a worker of its own; the job in that state, and what the worker did.
    pub(crate) async fn run_one<K: Kind>(&self, payload: &K, state: State) -> (Job, Summary) {
        let running = self.start(Self::options());
        let id = self.enqueue(self.job(payload)).await;
        let job = self.until(id, state).await;
        (job, running.stop().await)
    }

    pub(crate) async fn stored_keys(&self) -> Vec<String> {
        use futures_util::TryStreamExt as _;
        self.storage.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap()
    }
}
