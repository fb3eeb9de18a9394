//! The worker: claims jobs, runs their handlers, settles how they ended. Owns: [`Kind`] and [`Registry`] (what can be
//! run), [`Context`] (what a handler may touch), [`Worker`] (the process' part in the fleet). Must not know: HTTP, the
//! command line, any engine.
//!
//! The way of a job: `fetch` claims it into a small buffer; `apalis` gives it a slot and runs `attempt` behind its
//! layers; `keeper` renews its lease from the claim to the settlement and passes on what it hears; `reports` publishes
//! what the handler tells; `settle` tells the queue how it ended.

mod apalis;
mod attempt;
pub(crate) mod checkpoint;
mod context;
mod fetch;
pub(crate) mod inline;
mod keeper;
mod kind;
mod pause;
mod registry;
mod remember;
mod reports;
mod reserve;
mod scratch;
mod secrets;
mod settle;
pub mod shutdown;
mod spend;
mod writing;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    attempt::Workshop,
    context::Surroundings,
    fetch::{Buffer, Fetcher},
    keeper::Keeper,
    reports::Publisher,
    settle::Settlements,
};
use crate::{
    artifact::ArtifactStore,
    cache::Cache,
    domain::{Clock, KindName, Random, State, WorkerId},
    limits::{Limiter, Rules},
    progress::ProgressBus,
    queue::{BoxError, Queue},
    security::{Keyring, outgoing::Outgoing, vault::Vault},
    spending::Spending,
};

pub use context::{Context, JobFacts};
pub use kind::{Kind, PayloadError, new_job};
pub use registry::Registry;
pub use reserve::Reserve;
pub use spend::Spend;
pub use writing::ContextArtifact;

/// What a worker works with.
#[derive(Clone)]
pub struct Parts {
    /// Where jobs come from.
    pub queue: Arc<dyn Queue>,
    /// Where progress goes.
    pub progress: Arc<dyn ProgressBus>,
    /// What jobs make, and the storage that it is on, of all tenants.
    pub artifacts: ArtifactStore,
    /// What handlers may use, and how much of it was used.
    pub limiter: Arc<dyn Limiter>,
    /// Which rate holds for whom.
    pub rules: Arc<Rules>,
    /// What was spent on models, and what may be.
    pub spending: Spending,
    /// What was hard to get, of all tenants.
    pub cache: Cache,
    /// What opens payloads that are sealed.
    pub keyring: Keyring,
    /// Secrets of all tenants.
    pub vault: Vault,
    /// Calls to addresses that others have chosen.
    pub outgoing: Outgoing,
    /// The settings of the models that write, as the kinds read them that ask them.
    pub models: Option<Arc<serde_json::Value>>,
    /// The kinds that can be run.
    pub registry: Arc<Registry>,
    /// A folder on this machine for handlers' temporary files; made when needed.
    pub scratch: PathBuf,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
}

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who it is, for operators.
    pub id: WorkerId,
    /// How many handlers run at once; at least 1. Default: two a core, at least four.
    pub concurrency: usize,
    /// How long a lease holds unless it is renewed: how soon the jobs of a killed worker go on elsewhere. Default 15 s.
    pub lease: Duration,
    /// How often leases are renewed, which is how soon a cancel is heard; a third of the lease at most. Default 750 ms.
    pub beat: Duration,
    /// How long running handlers may go on when the worker is to stop. Default 30 s.
    pub drain: Duration,
    /// How long a handler that was told to stop may take before it is dropped. Default 250 ms: with the
    /// beat, a cancelled job has stopped within a second.
    pub grace: Duration,
    /// Only jobs of these kinds; `None` for all that are registered.
    pub kinds: Option<Vec<KindName>>,
}

impl Options {
    /// The defaults.
    pub fn new(id: WorkerId) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            id,
            concurrency: (2 * cores).max(4),
            lease: Duration::from_secs(15),
            beat: Duration::from_millis(750),
            drain: Duration::from_secs(30),
            grace: Duration::from_millis(250),
            kinds: None,
        }
    }
}

/// How many attempts ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Jobs completed.
    pub completed: u64,
    /// Attempts that failed and will be tried again.
    pub retrying: u64,
    /// Jobs put off at no cost: by their handlers, or handed back when the worker stopped.
    pub put_off: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Jobs that are dead.
    pub dead: u64,
    /// Attempts that ended when their lease was gone.
    pub lost: u64,
}

impl Summary {
    fn add(&mut self, other: Self) {
        let Self { completed, retrying, put_off, cancelled, dead, lost } = other;
        self.completed += completed;
        self.retrying += retrying;
        self.put_off += put_off;
        self.cancelled += cancelled;
        self.dead += dead;
        self.lost += lost;
    }

    fn count(&mut self, state: State) {
        match state {
            State::Completed => self.completed += 1,
            State::Retrying => self.retrying += 1,
            State::Cancelled => self.cancelled += 1,
            State::Dead => self.dead += 1,
            State::Scheduled | State::Waiting | State::Blocked | State::Running => self.put_off += 1,
        }
    }
}

/// Why a worker can't start or go on, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Register a kind.
    #[error("there is nothing to work on: no job kind is registered")]
    NoKinds,
    /// Ask for kinds that there are.
    #[error("there is no job kind {0} in this program")]
    UnknownKind(KindName),
    /// Restart the process and report it: our bug.
    #[error("the worker broke down: {0}")]
    Broken(#[source] BoxError),
}

/// A worker: runs jobs until it is told to stop.
pub struct Worker {
    parts: Parts,
    options: Options,
    kinds: Vec<KindName>,
}

impl Worker {
    /// A worker that does not run yet.
    ///
    /// # Errors
    /// [`WorkerError::NoKinds`], [`WorkerError::UnknownKind`].
    pub fn new(parts: Parts, options: Options) -> Result<Self, WorkerError> {
        let kinds = options.kinds.clone().unwrap_or_else(|| parts.registry.kinds());
        if kinds.is_empty() {
            return Err(WorkerError::NoKinds);
        }
        if let Some(unknown) = kinds.iter().find(|kind| !parts.registry.knows(kind)) {
            return Err(WorkerError::UnknownKind(unknown.clone()));
        }
        Ok(Self { parts, options, kinds })
    }

    /// Runs jobs until `shutdown`. Then no more are claimed, those that have not started go back, those that run may
    /// go on for [`Options::drain`], are told to stop then, and go back at no cost. Everything is settled before it
    /// answers. Dropped before that, it stops at once and its jobs go on elsewhere when their leases have lapsed.
    ///
    /// # Errors
    /// [`WorkerError::Broken`] where it stopped of itself; what could be settled was.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary, WorkerError> {
        let Self { parts, options, kinds } = self;
        let (stopping, fetched, gone) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let slots = options.concurrency.max(1);
        let keeper = Keeper::new(parts.queue.clone(), parts.clock.clone(), options.lease, options.beat);
        let (publisher, publishing) = Publisher::new(parts.progress.clone());
        let (settlements, settler) = Settlements::new(parts.queue.clone());
        let workshop = Arc::new(Workshop {
            registry: parts.registry.clone(),
            surroundings: Arc::new(surroundings(&parts, publisher)),
            grace: options.grace,
        });
        let buffer = Buffer::new(slots, stopping.clone());
        let fetcher = Fetcher {
            queue: parts.queue,
            who: options.id.clone(),
            kinds,
            keeper: keeper.clone(),
            buffer: buffer.clone(),
            settlements: settlements.clone(),
            workshop: workshop.clone(),
            stale: fetch::STALE,
        };

        // Aborted when this future ends or is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.clone().run());
        tasks.spawn(publishing);
        tasks.spawn(settler.run());
        tasks.spawn(stop_late_handlers(keeper, stopping.clone(), options.drain));
        let guard = fetched.clone().drop_guard();
        tasks.spawn(async move {
            let _guard = guard;
            fetcher.run().await;
        });

        let mut broken = None;
        let signal = async {
            tokio::select! {
                () = shutdown => {}
                () = gone.cancelled() => {}
                // None of them ends before it is told to, but by a panic.
                Some(ended) = tasks.join_next() => broken = Some(ended),
            }
            stopping.cancel();
        };
        let line = apalis::Line {
            buffer,
            settlements: settlements.clone(),
            workshop,
            fetched,
            patience: options.lease,
        };
        let ended = apalis::run(options.id.as_str(), slots, line, &gone, signal).await;
        ended.map_err(WorkerError::Broken)?;
        match broken {
            Some(Err(panic)) => Err(WorkerError::Broken(panic.into())),
            Some(Ok(())) => Err(WorkerError::Broken("one of its tasks ended early".into())),
            None => Ok(settlements.summary()),
        }
    }
}

fn surroundings(parts: &Parts, publisher: Publisher) -> Surroundings {
    Surroundings {
        queue: parts.queue.clone(),
        storage: parts.artifacts.storage().objects().clone(),
        artifacts: parts.artifacts.clone(),
        publisher,
        limiter: parts.limiter.clone(),
        rules: parts.rules.clone(),
        spending: parts.spending.clone(),
        cache: parts.cache.clone(),
        keyring: parts.keyring.clone(),
        vault: parts.vault.clone(),
        outgoing: parts.outgoing.clone(),
        models: parts.models.clone(),
        scratch: parts.scratch.clone(),
        clock: parts.clock.clone(),
        random: parts.random.clone(),
    }
}

/// Once the worker is stopping, handlers have so long to end by themselves.
async fn stop_late_handlers(keeper: Arc<Keeper>, stopping: CancellationToken, drain: Duration) {
    stopping.cancelled().await;
    tokio::time::sleep(drain).await;
    keeper.hand_back_all();
    // The keeper tells those that are still being claimed nothing: the fetcher hands them back.
    std::future::pending::<()>().await;
}
