//! What the queue's operations take and give.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{BatchId, Checkpoint, Job, JobId, KindName, State, TenantId, Timestamp};

/// What became of a job at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is kept.
    Accepted(JobId),
    /// It was there already, under this id: the same id, or the same idempotency key.
    Duplicate(JobId),
}

impl Enqueued {
    /// The id of the job that is kept.
    pub fn id(self) -> JobId {
        match self {
            Self::Accepted(id) | Self::Duplicate(id) => id,
        }
    }
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Jobs of these kinds; the kinds take turns.
    pub kinds: Vec<KindName>,
    /// At most so many.
    pub most: usize,
    /// How long each lease holds unless it is renewed.
    pub lease: Duration,
}

/// The right to run a job until a time: job and fencing number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose job.
    pub tenant: TenantId,
    /// Which job.
    pub job: JobId,
    /// The fencing number.
    pub epoch: u64,
}

/// A job handed to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to run it.
    pub lease: Lease,
    /// When that ends unless it is renewed.
    pub until: Timestamp,
    /// The job, running.
    pub job: Job,
}

/// A request to prolong a lease.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Which.
    pub lease: Lease,
    /// How long from now.
    pub lease_for: Duration,
    /// Where the next attempt shall go on from; `None` leaves what is stored.
    pub checkpoint: Option<Checkpoint>,
}

/// What has become of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds until then.
    Held {
        /// When it ends unless it is renewed again.
        until: Timestamp,
        /// Whether somebody has asked to cancel the job: stop it.
        cancel_asked: bool,
    },
    /// It is gone: stop, write nothing.
    Lost,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was applied; the job is in this state.
    Now(State),
    /// The lease was gone; nothing changed.
    LeaseLost,
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It is cancelled.
    Cancelled,
    /// It runs and its handler is being told.
    Asked,
    /// It had ended in this state before.
    Ended(State),
    /// The tenant has no such job.
    Unknown,
}

/// What became of a request to requeue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequeueOutcome {
    /// It is waiting again.
    Requeued,
    /// It is in a state from which nothing is requeued.
    NotEnded(State),
    /// The tenant has no such job.
    Unknown,
}

/// What a pause covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All jobs.
    Everything,
    /// One tenant's.
    Tenant(TenantId),
    /// One kind's.
    Kind(KindName),
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this kind.
    pub kind: Option<KindName>,
}

/// Where a listing goes on: opaque to callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// A piece of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// Counts of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneStats {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub kind: KindName,
    /// Jobs by state; states without a job are left out.
    pub jobs: Vec<(State, u64)>,
    /// When the oldest waiting job was to run.
    pub oldest_waiting: Option<Timestamp>,
}

/// Counts of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// One entry a lane that has jobs, by tenant, then kind.
    pub lanes: Vec<LaneStats>,
}

impl Stats {
    /// How many jobs are in a state, all lanes together.
    pub fn count(&self, state: State) -> u64 {
        self.lanes.iter().flat_map(|lane| &lane.jobs).filter(|(s, _)| *s == state).map(|(_, n)| n).sum()
    }
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Leases that had lapsed.
    pub lapsed: usize,
    /// Finished jobs removed, and batches.
    pub removed: usize,
}

/// What of the finished jobs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Those that ended before this go.
    pub finished_before: Timestamp,
    /// Of each tenant no more than this many stay, those that ended last; `None` for any number.
    pub most_finished: Option<u64>,
}

impl Retention {
    /// By age alone.
    pub fn before(finished_before: Timestamp) -> Self {
        Self { finished_before, most_finished: None }
    }
}

/// What became of a request to open a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is open.
    Now,
    /// The tenant had opened it before; nothing changed.
    Before,
}

/// Why a job does not run, and when it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Where it stands.
    pub state: State,
    /// The one thing that holds it up now: lifted, the next one counts.
    pub constraint: Constraint,
    /// How many jobs of its own lane go before it; 0 where it does not wait in its lane.
    pub ahead: u64,
    /// When it is likely to start, where that can be told: from its time, its tokens, or the pace of its lane.
    pub estimate: Option<Timestamp>,
}

/// What holds a job up. Where several do, the first in this order is the one that is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Constraint {
    /// It runs, or it has ended.
    Nothing,
    /// Its time has not come: its delay, its retry, or its snooze.
    Time {
        /// When it comes.
        until: Timestamp,
    },
    /// Other jobs have not completed.
    Jobs {
        /// One of them, where it is known still.
        first: Option<JobId>,
        /// How many.
        left: u64,
    },
    /// Jobs of the batch that it follows have not ended.
    Batch {
        /// Which.
        batch: BatchId,
        /// How many.
        left: u64,
    },
    /// Somebody has paused it: the widest such scope.
    Paused {
        /// What is paused.
        scope: Scope,
    },
    /// As many of the tenant's jobs run as may.
    TenantRunning {
        /// How many that is.
        limit: u32,
    },
    /// As many of the tenant's jobs of this kind run as may.
    LaneRunning {
        /// How many that is.
        limit: u32,
    },
    /// As many of the kind's jobs run as may.
    KindRunning {
        /// How many that is.
        limit: u32,
    },
    /// The lane has no token.
    Rate {
        /// When the next one is there.
        until: Timestamp,
    },
    /// Nothing but its turn: jobs of its lane go first, or no worker has come for it yet.
    Turn,
}
