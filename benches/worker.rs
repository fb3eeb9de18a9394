//! What the worker costs a job: no-op jobs of 200 bytes from a queue that has them ready made and only counts what is
//! settled, beside bare apalis with a backend that does nothing either. `cargo bench --bench worker [-- JOBS]`.
//! Compare the ratios, not the figures: machines differ.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking; figures for people"
)]

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as Poller, Poll},
    time::{Duration, Instant},
};

use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::{Backend, Monitor, Task, TaskBuilder, WorkerBuilder, WorkerContext};
use apalis_core::backend::{BackendConfig, finalize::Ephemeral};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use presswork::{
    artifact::{ArtifactStore, Storage},
    cache::{Cache, CacheOptions},
    domain::{
        Batch, BatchId, Event, Failure, Job, JobId, KindLimits, KindName, NewBatch, NewJob, Payload,
        Priority, State, SystemRandom, TenantId, TenantLimits, Timestamp, Verdict, WorkerId,
        clock::SystemClock,
    },
    limits::{LimitRules, MemoryLimiter, Rules},
    progress::{ProgressBus, ProgressError, Publication},
    queue::{
        Ask, CancelOutcome, Claim, Cursor, Enqueued, Filter, Lease, Opened, Page, Queue, QueueError, Refusal,
        Renewal, RequeueOutcome, Retention, Scope, Settled, Standing, Stats, Swept, Why,
    },
    security::{
        Keyring, MasterSource, Recorder,
        audit::Entry,
        outgoing::{Outgoing, OutgoingRules},
        vault::Vault,
    },
    spending::{Budget, Spending},
    store::{
        Records,
        sqlite::{Database, SqliteRecords},
    },
    worker::{Context, Kind, Options, Parts, Registry, Worker},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const SLOTS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Noop {
    padding: String,
}

impl Kind for Noop {
    const NAME: KindName = KindName::literal("noop");
    type Output = ();

    async fn run(self, _: Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// Jobs that are there already; settling counts.
struct Ready {
    jobs: Mutex<VecDeque<Job>>,
    settled: AtomicUsize,
    target: usize,
    done: Notify,
    claims: AtomicUsize,
    settles: AtomicUsize,
}

fn refused<T>() -> Result<T, QueueError> {
    Err(QueueError::Invalid("not part of this benchmark".into()))
}

#[async_trait]
impl Queue for Ready {
    async fn claim(&self, _: &WorkerId, ask: &Ask) -> Result<Vec<Claim>, QueueError> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        let mut jobs = self.jobs.lock().unwrap();
        let most = ask.most.min(jobs.len());
        let claim = |job: Job| Claim {
            lease: Lease { tenant: job.tenant.clone(), job: job.id, epoch: job.epoch },
            until: Timestamp::EPOCH,
            job,
        };
        Ok(jobs.drain(..most).map(claim).collect())
    }
    async fn wait(&self, _: &[KindName]) -> Result<(), QueueError> {
        std::future::pending().await
    }
    async fn renew(&self, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
        Ok(vec![Standing::Held { until: Timestamp::EPOCH, cancel_asked: false }; renewals.len()])
    }
    async fn settle(&self, settlements: Vec<(Lease, Verdict)>) -> Result<Vec<Settled>, QueueError> {
        self.settles.fetch_add(1, Ordering::Relaxed);
        let count = settlements.len();
        if self.settled.fetch_add(count, Ordering::SeqCst) + count >= self.target {
            self.done.notify_one();
        }
        Ok(vec![Settled::Now(State::Completed); count])
    }
    async fn enqueue(&self, _: Vec<NewJob>) -> Result<Vec<Result<Enqueued, Refusal>>, QueueError> {
        refused()
    }
    async fn cancel(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<CancelOutcome>, QueueError> {
        refused()
    }
    async fn requeue(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<RequeueOutcome>, QueueError> {
        refused()
    }
    async fn pause(&self, _: &Scope) -> Result<(), QueueError> {
        refused()
    }
    async fn resume(&self, _: &Scope) -> Result<(), QueueError> {
        refused()
    }
    async fn paused(&self) -> Result<Vec<Scope>, QueueError> {
        refused()
    }
    async fn set_tenant_limits(&self, _: &TenantId, _: Option<TenantLimits>) -> Result<(), QueueError> {
        refused()
    }
    async fn tenant_limits(&self, _: &TenantId) -> Result<TenantLimits, QueueError> {
        refused()
    }
    async fn set_kind_limits(&self, _: &KindName, _: KindLimits) -> Result<(), QueueError> {
        refused()
    }
    async fn open_batch(&self, _: NewBatch) -> Result<Result<Opened, Refusal>, QueueError> {
        refused()
    }
    async fn batch(&self, _: &TenantId, _: BatchId) -> Result<Option<Batch>, QueueError> {
        refused()
    }
    async fn kind_limits(&self, _: &KindName) -> Result<KindLimits, QueueError> {
        refused()
    }
    async fn why(&self, _: &TenantId, _: JobId) -> Result<Option<Why>, QueueError> {
        refused()
    }
    async fn inspect(&self, _: &TenantId, _: &[JobId]) -> Result<Vec<Option<Job>>, QueueError> {
        refused()
    }
    async fn list(
        &self,
        _: &TenantId,
        _: &Filter,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Page<Job>, QueueError> {
        refused()
    }
    async fn stats(&self, _: Option<&TenantId>) -> Result<Stats, QueueError> {
        refused()
    }
    async fn sweep(&self, _: &Retention) -> Result<Swept, QueueError> {
        refused()
    }
}

/// Nobody listens.
struct Silence;

#[async_trait]
impl ProgressBus for Silence {
    async fn publish(&self, _: Vec<Publication>) -> Result<(), ProgressError> {
        Ok(())
    }
    async fn replay(&self, _: &TenantId, _: JobId, _: u64, _: usize) -> Result<Vec<Event>, ProgressError> {
        Ok(Vec::new())
    }
    async fn follow(
        &self,
        _: &TenantId,
        _: JobId,
        _: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        Ok(Box::pin(futures_util::stream::empty()))
    }
}

fn jobs(count: usize) -> VecDeque<Job> {
    let bytes = serde_json::to_vec(&Noop { padding: "x".repeat(186) }).unwrap();
    let tenant: TenantId = "acme".parse().unwrap();
    let job = |number| Job {
        id: JobId::from_u128(number as u128),
        tenant: tenant.clone(),
        kind: Noop::NAME,
        payload: Payload { version: 1, bytes: Bytes::from(bytes.clone()) },
        priority: Priority::Normal,
        cost: 1,
        state: State::Running,
        attempt: 1,
        max_attempts: 5,
        epoch: 1,
        created_at: Timestamp::EPOCH,
        run_at: Timestamp::EPOCH,
        started_at: Some(Timestamp::EPOCH),
        finished_at: None,
        cancel_asked: false,
        worker: None,
        lease_until: None,
        checkpoint: None,
        output: None,
        reason: None,
        idempotency_key: None,
        unique: None,
        after: Vec::new(),
        batch: None,
    };
    (0..count).map(job).collect()
}

#[async_trait]
impl Recorder for Silence {
    async fn record(&self, _: Entry) {}
}

async fn worker(count: usize) -> Cost {
    let (folder, jobs) = (tempfile::tempdir().unwrap(), jobs(count));
    let queue = Arc::new(Ready {
        jobs: Mutex::new(jobs),
        settled: AtomicUsize::new(0),
        target: count,
        done: Notify::new(),
        claims: AtomicUsize::new(0),
        settles: AtomicUsize::new(0),
    });
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let database = Database::open(&folder.path().join("presswork.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
    let keyring = Keyring::new(&records, MasterSource::Absent, clock.clone(), random.clone());
    let parts = Parts {
        queue: queue.clone(),
        progress: Arc::new(Silence),
        artifacts: ArtifactStore::new(Storage::memory()),
        limiter: Arc::new(MemoryLimiter::new(clock.clone(), random.clone())),
        rules: Arc::new(Rules::new(LimitRules::default(), records.clone(), clock.clone())),
        spending: Spending::new(Budget::default(), &records, clock.clone(), random.clone()),
        cache: Cache::in_memory(CacheOptions::default(), clock.clone(), random.clone()),
        vault: Vault::new(&records, &keyring, Arc::new(Silence), clock.clone(), random.clone()),
        keyring,
        outgoing: Outgoing::new(OutgoingRules::default()),
        models: None,
        registry: Arc::new(Registry::new().register::<Noop>()),
        scratch: folder.path().to_owned(),
        clock,
        random,
    };
    let mut options = Options::new(WorkerId::new("bench"));
    options.concurrency = SLOTS;
    let running = Worker::new(parts, options).unwrap();
    let begun = Begun::now();
    let done = queue.clone();
    let summary = running.run(async move { done.done.notified().await }).await.unwrap();
    let cost = begun.cost(count);
    assert_eq!(summary.completed, count as u64, "{summary:?}");
    let (claims, settles) = (queue.claims.load(Ordering::Relaxed), queue.settles.load(Ordering::Relaxed));
    println!("  {claims} claims, {settles} settles");
    cost
}

/// apalis with nothing around it.
struct Bare {
    left: usize,
}

impl Backend for Bare {
    type Task = Task<usize>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Poller<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn poll_next(
        &mut self,
        _: &mut Poller<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(TaskBuilder::new(left).build())))
            }
            None => Poll::Pending,
        }
    }
    fn poll_close(&mut self, _: &mut Poller<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Bare {
    type Args = usize;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = tower::layer::util::Identity;

    fn config(&self) -> &() {
        &()
    }
    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        tower::layer::util::Identity::new()
    }
}

async fn bare(count: usize) -> Cost {
    let (ended, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counter, tell) = (ended.clone(), done.clone());
    let monitor = Monitor::new().register(move |_| {
        let (counter, tell) = (counter.clone(), tell.clone());
        WorkerBuilder::new("bare").backend(Bare { left: count }).concurrency(SLOTS).build(move |_: usize| {
            let (counter, tell) = (counter.clone(), tell.clone());
            async move {
                if counter.fetch_add(1, Ordering::SeqCst) + 1 == count {
                    tell.notify_one();
                }
                Ok::<(), Infallible>(())
            }
        })
    });
    let begun = Begun::now();
    let signal = async move {
        done.notified().await;
        Ok(())
    };
    monitor.run_with_signal(signal).await.unwrap();
    begun.cost(count)
}

struct Begun(Instant, Duration);

#[derive(Clone, Copy)]
struct Cost {
    wall_us: f64,
    cpu_us: f64,
}

impl Begun {
    fn now() -> Self {
        Self(Instant::now(), cpu())
    }
    fn cost(&self, count: usize) -> Cost {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / count as f64;
        Cost { wall_us: each(self.0.elapsed()), cpu_us: each(cpu() - self.1) }
    }
}

/// What the process has used, to the hundredth of a second: on a busy machine more telling than the clock on the wall.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = text.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count = asked.unwrap_or(300_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for round in 1..=3 {
        let bare = runtime.block_on(bare(count));
        let ours = runtime.block_on(async move { tokio::spawn(worker(count)).await.unwrap() });
        println!(
            "round {round}: bare apalis {:.2} us a job ({:.2} cpu); the worker {:.2} us ({:.2} cpu); ratio {:.2} ({:.2} cpu)",
            bare.wall_us,
            bare.cpu_us,
            ours.wall_us,
            ours.cpu_us,
            ours.wall_us / bare.wall_us,
            ours.cpu_us / bare.cpu_us
        );
    }
}
