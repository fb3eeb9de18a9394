//! A job: what a producer asks for ([`NewJob`]) and what the queue knows of it ([`Job`]).

use std::{collections::BTreeSet, fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    clock::Timestamp,
    id::{BatchId, IdempotencyKey, JobId, WorkerId},
    names::{KindName, TenantId},
    output::Output,
    state::State,
    verdict::Reason,
};

/// What a job is to do, as its kind wrote it: JSON text, opaque to the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The version of the kind's payload.
    pub version: u16,
    /// The bytes.
    pub bytes: Bytes,
}

impl fmt::Debug for Payload {
    /// Never the content: payloads do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload(v{}, {} bytes)", self.version, self.bytes.len())
    }
}

/// Where the next attempt goes on from: the handler's own bytes, at most 64 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint(pub Bytes);

impl Checkpoint {
    /// The most bytes that a checkpoint may have.
    pub const MOST_BYTES: usize = 64 << 10;
}

/// Which of one tenant's jobs of a kind goes first. Never moves a job before another tenant's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Somebody looks at the screen and waits.
    Urgent,
    /// Before the ordinary.
    High,
    /// The ordinary.
    #[default]
    Normal,
    /// When there is nothing else.
    Low,
}

impl Priority {
    /// All four, first to last.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// 0 for the first to go, 3 for the last.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a priority: one of urgent, high, normal, low")]
pub struct PriorityError;

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Self, PriorityError> {
        Self::ALL.into_iter().find(|priority| priority.name() == text).ok_or(PriorityError)
    }
}

/// While which job of the same key no second one is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// While it waits to run: scheduled, waiting, blocked or retrying. Once it runs, one more may wait.
    Waiting,
    /// Until it has ended.
    Unfinished,
}

impl Window {
    /// Whether a job in this state is in the window.
    pub fn covers(self, state: State) -> bool {
        !state.is_final() && (self == Self::Unfinished || state != State::Running)
    }

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a window: one of waiting, unfinished")]
pub struct WindowError;

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let window = [Self::Waiting, Self::Unfinished].into_iter().find(|window| window.name() == text);
        window.ok_or(WindowError)
    }
}

/// At most one job of a key at a time: a second one of the same tenant, kind and key is answered with the first as
/// long as that one is in the second one's window. Of several accepted, only the last counts, and it counts until
/// retention removes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unique {
    /// What the jobs have in common.
    pub key: IdempotencyKey,
    /// How long the first one counts.
    pub window: Window,
}

/// What a producer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Chosen by the producer, so that a repeated call makes no second job.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub kind: KindName,
    /// What it is to do.
    pub payload: Payload,
    /// Before or after its siblings.
    pub priority: Priority,
    /// What it weighs in the fair share, in cost units; at least 1.
    pub cost: u32,
    /// Attempts it has; at least 1.
    pub max_attempts: u32,
    /// Not before this.
    pub run_at: Option<Timestamp>,
    /// A second job with the same key in the tenant and kind is answered with the first.
    pub idempotency_key: Option<IdempotencyKey>,
    /// No second job of this key while the first is in the window.
    pub unique: Option<Unique>,
    /// Jobs of the same tenant that have to complete first, at most [`NewJob::MOST_DEPENDENCIES`], each accepted before
    /// (or earlier in the same call). Until then this one is blocked. One of them that ends otherwise leaves it
    /// blocked: requeued it may yet complete. Once such a one is removed by retention, this job is cancelled.
    pub after: Vec<JobId>,
    /// The open batch it belongs to.
    pub batch: Option<BatchId>,
}

impl NewJob {
    /// The most jobs that one may wait for.
    pub const MOST_DEPENDENCIES: usize = 100;
    /// The most jobs that may wait for one: more wait for a batch.
    pub const MOST_DEPENDENTS: usize = 1_000;

    /// The most bytes that a payload may have: what is large belongs in storage.
    pub const MOST_PAYLOAD_BYTES: usize = 256 << 10;

    /// An ordinary job: normal priority, cost 1, five attempts, at once.
    pub fn new(id: JobId, tenant: TenantId, kind: KindName, payload: Payload) -> Self {
        Self {
            id,
            tenant,
            kind,
            payload,
            priority: Priority::Normal,
            cost: 1,
            max_attempts: 5,
            run_at: None,
            idempotency_key: None,
            unique: None,
            after: Vec::new(),
            batch: None,
        }
    }

    /// The jobs that have to complete first, each once, in the order in which they are named.
    pub fn dependencies(&self) -> Vec<JobId> {
        let mut seen = BTreeSet::new();
        self.after.iter().copied().filter(|id| seen.insert(*id)).collect()
    }
}

/// What the queue knows of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub kind: KindName,
    /// What it is to do.
    pub payload: Payload,
    /// Before or after its siblings.
    pub priority: Priority,
    /// Cost units.
    pub cost: u32,
    /// Where it stands.
    pub state: State,
    /// Attempts begun that count: snoozes and hand-backs are taken off again. 1 while the first runs.
    pub attempt: u32,
    /// Attempts it has.
    pub max_attempts: u32,
    /// The fencing number of its latest lease; 0 before the first. Rises at each claim, never falls.
    pub epoch: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it is or was to run: its delay, its retry or its acceptance.
    pub run_at: Timestamp,
    /// When the latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether somebody has asked to cancel it while it ran.
    pub cancel_asked: bool,
    /// Who runs it, while it runs.
    pub worker: Option<WorkerId>,
    /// Until when its lease holds, while it runs.
    pub lease_until: Option<Timestamp>,
    /// Where the next attempt goes on from.
    pub checkpoint: Option<Checkpoint>,
    /// What it made, once completed.
    pub output: Option<Output>,
    /// What the latest failure was.
    pub reason: Option<Reason>,
    /// The producer's key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// At most one of this key in the window.
    pub unique: Option<Unique>,
    /// The jobs that had to complete first, each once, in the order in which the producer named them.
    pub after: Vec<JobId>,
    /// The batch it belongs to.
    pub batch: Option<BatchId>,
}
