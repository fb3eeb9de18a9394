//! The job that benchmarks run: does nothing but tell that it was begun. Must not know: who measures what.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use presswork::{
    cli::CliError,
    domain::{Failure, JobId, KindName, NewJob, TenantId},
    engine::Engine,
    worker::{Context, Kind, new_job},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

/// A job that does nothing; as JSON it has 200 bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Noop {
    padding: String,
}

/// Handlers know nothing of who measures: what they tell stands here.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static TARGET: AtomicUsize = AtomicUsize::new(0);
static REACHED_AT: Mutex<Option<Instant>> = Mutex::new(None);
static REACHED: Notify = Notify::const_new();
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
static WATCHED: Mutex<Option<(JobId, Told)>> = Mutex::new(None);

/// How many jobs had begun before the one that is watched, and when it did.
type Told = oneshot::Sender<(usize, Instant)>;

impl Kind for Noop {
    const NAME: KindName = KindName::literal("bench-noop");
    type Output = ();

    async fn run(self, context: Context) -> Result<(), Failure> {
        let earlier = BEGUN.fetch_add(1, Ordering::SeqCst);
        if earlier + 1 == TARGET.load(Ordering::SeqCst) {
            *REACHED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            REACHED.notify_one();
        }
        if IS_WATCHED.load(Ordering::SeqCst) {
            tell(context.job().id, earlier);
        }
        Ok(())
    }
}

impl Noop {
    pub(super) fn padded() -> Self {
        Self { padding: "x".repeat(186) }
    }
}

fn tell(job: JobId, earlier: usize) {
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, sender)) = watched.take_if(|(watched, _)| *watched == job) {
        IS_WATCHED.store(false, Ordering::SeqCst);
        // Nobody waits any more where the benchmark has failed.
        sender.send((earlier, Instant::now())).ok();
    }
}

/// Sees one job begin among many.
pub(super) struct Watch(oneshot::Receiver<(usize, Instant)>);

impl Watch {
    pub(super) fn on(job: &NewJob) -> Self {
        let (sender, receiver) = oneshot::channel();
        *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) = Some((job.id, sender));
        IS_WATCHED.store(true, Ordering::SeqCst);
        Self(receiver)
    }

    /// How many jobs had begun before it, and when it did.
    pub(super) async fn begun(self) -> Result<(usize, Instant), CliError> {
        self.0.await.map_err(|_| CliError::unavailable("another job is watched already"))
    }
}

/// The beginning of so many jobs from now on. One at a time: benchmarks run one after the other.
pub(super) struct Beginnings;

impl Beginnings {
    pub(super) fn expect(count: usize) -> Self {
        TARGET.store(BEGUN.load(Ordering::SeqCst) + count, Ordering::SeqCst);
        Self
    }

    /// Ends when the last of them has begun; says when that was.
    pub(super) async fn last(self) -> Instant {
        while BEGUN.load(Ordering::SeqCst) < TARGET.load(Ordering::SeqCst) {
            REACHED.notified().await;
        }
        REACHED_AT.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Instant::now)
    }
}

/// How many jobs have begun so far.
pub(super) fn begun() -> usize {
    BEGUN.load(Ordering::SeqCst)
}

/// A no-op job.
pub(super) fn noop(engine: &Engine, tenant: &TenantId) -> Result<NewJob, CliError> {
    let id = JobId::new(engine.clock.now(), &*engine.random);
    Ok(new_job(id, tenant.clone(), &Noop::padded())?)
}

/// So many of them, of the tenants in turn; `before` have been made earlier.
pub(super) fn noops(
    engine: &Engine,
    tenants: &[TenantId],
    before: usize,
    count: usize,
) -> Result<Vec<NewJob>, CliError> {
    let turns = tenants.iter().cycle().skip(before % tenants.len().max(1));
    turns.take(count).map(|tenant| noop(engine, tenant)).collect()
}

/// Tenants for a benchmark, named by number.
pub(super) fn tenants(count: usize) -> Result<Vec<TenantId>, CliError> {
    Ok((0..count).map(|number| format!("bench-{number}").parse()).collect::<Result<_, _>>()?)
}
