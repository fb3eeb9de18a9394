//! A schedule as it is kept. Must not know: how it is stored, when it is looked at.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cron::{Timing, TimingError, digest};
use crate::domain::{
    JobId, KindName, NewJob, Payload, Priority, Reason, ScheduleName, TenantId, Timestamp, clock::micros,
};

/// What becomes of firings whose time has passed without them: no process ran, or the tenant had no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are dropped; the latest one is still made where it is less than [`WINDOW`] late.
    #[default]
    Skip,
    /// The latest one is made, for all of them.
    One,
    /// Each is made, oldest first: the latest [`MOST_CAUGHT_UP`] of them.
    All,
}

/// How late a firing may be made where missed ones are skipped.
pub const WINDOW: Duration = Duration::from_secs(3_600);
/// How many missed firings are made at most.
pub const MOST_CAUGHT_UP: usize = 100;
/// The most jitter that a schedule may have.
pub const MOST_JITTER: Duration = Duration::from_secs(86_400);

impl CatchUp {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Skip, Self::One, Self::All];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::One => "one",
            Self::All => "all",
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a catch-up policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a catch-up policy: one of skip, one, all")]
pub struct CatchUpError;

impl std::str::FromStr for CatchUp {
    type Err = CatchUpError;

    fn from_str(text: &str) -> Result<Self, CatchUpError> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or(CatchUpError)
    }
}

/// The payload of each job: JSON text, kept as it was written.
#[derive(Clone, Serialize, Deserialize)]
pub struct SchedulePayload {
    /// The version of the kind's payload.
    pub version: u16,
    /// The JSON.
    pub json: Box<RawValue>,
}

impl PartialEq for SchedulePayload {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.json.get() == other.json.get()
    }
}

impl fmt::Debug for SchedulePayload {
    /// Never the content: payloads do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchedulePayload(v{}, {} bytes)", self.version, self.json.get().len())
    }
}

/// What a schedule makes, and when: what its owner has written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the jobs are.
    pub kind: KindName,
    /// What they are to do.
    pub payload: SchedulePayload,
    /// When: see [`Timing`].
    pub cron: String,
    /// In which zone of the IANA database.
    pub zone: String,
    /// Each firing happens up to so much later, so that not all schedules fire at once; at most [`MOST_JITTER`], and
    /// always before the next one's time.
    #[serde(default, with = "whole_millis")]
    pub jitter: Duration,
    /// What becomes of missed firings.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// The jobs' priority.
    #[serde(default)]
    pub priority: Priority,
    /// The jobs' cost, in cost units; at least 1.
    pub cost: u32,
    /// Attempts that each job has; at least 1.
    pub max_attempts: u32,
}

impl Plan {
    /// When it fires.
    ///
    /// # Errors
    /// [`TimingError`].
    pub fn timing(&self) -> Result<Timing, TimingError> {
        Timing::new(&self.cron, &self.zone)
    }
}

/// A firing that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The time that the expression says.
    pub firing: Timestamp,
    /// When the job is made: after the jitter, or, where the queue had no room, when it is tried again.
    pub at: Timestamp,
}

/// A firing that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The time that the expression says.
    pub firing: Timestamp,
    /// When the job was made.
    pub at: Timestamp,
    /// The job.
    pub job: JobId,
}

/// Why a firing could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which.
    pub firing: Timestamp,
    /// When it was tried last.
    pub at: Timestamp,
    /// What the queue said.
    pub reason: Reason,
}

/// Firings that were not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The first of them.
    pub from: Timestamp,
    /// The first one after them that was made, or when they were dropped.
    pub until: Timestamp,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name among the tenant's.
    pub name: ScheduleName,
    /// What it makes, and when.
    pub plan: Plan,
    /// Whether somebody has paused it. What would fire meanwhile is neither made nor missed.
    #[serde(default)]
    pub paused: bool,
    /// Rises with each change of the plan, so that a changed plan's jobs are others.
    pub generation: u64,
    /// What comes next; `None` while it is paused, and where nothing comes any more.
    pub next: Option<Next>,
    /// The firing made last.
    pub last: Option<Fired>,
    /// Why the latest firing that failed could not be made; `None` once one was made since.
    pub trouble: Option<Trouble>,
    /// The firings dropped last.
    pub dropped: Option<Dropped>,
    /// When the plan was made or changed.
    pub changed_at: Timestamp,
}

impl Schedule {
    /// The firing that comes first after an instant, with its jitter.
    pub fn next_after(&self, timing: &Timing, after: Timestamp) -> Option<Next> {
        timing.next(after).map(|firing| self.next_at(timing, firing))
    }

    /// A firing with its jitter.
    pub(super) fn next_at(&self, timing: &Timing, firing: Timestamp) -> Next {
        let seed = [self.tenant.as_str().as_bytes(), self.name.as_str().as_bytes()];
        Next { firing, at: firing.after(timing.delay(&seed, firing, self.plan.jitter)) }
    }

    /// The job of a firing: the same whoever makes it, so that the queue keeps it once.
    pub(super) fn job(&self, firing: Timestamp) -> NewJob {
        let Plan { kind, payload, priority, cost, max_attempts, .. } = &self.plan;
        let payload = Payload {
            version: payload.version,
            bytes: Bytes::copy_from_slice(payload.json.get().as_bytes()),
        };
        let mut job = NewJob::new(self.job_id(firing), self.tenant.clone(), kind.clone(), payload);
        (job.priority, job.cost, job.max_attempts) = (*priority, (*cost).max(1), (*max_attempts).max(1));
        job
    }

    /// The id of a firing's job.
    pub fn job_id(&self, firing: Timestamp) -> JobId {
        let (tenant, name) = (self.tenant.as_str().as_bytes(), self.name.as_str().as_bytes());
        let (generation, time) = (self.generation.to_be_bytes(), firing.as_micros().to_be_bytes());
        let hash = digest([b"schedule", tenant, name, &generation[..], &time[..]].into_iter());
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash[..10]);
        JobId::of(firing, bytes)
    }
}

/// A duration as whole milliseconds.
mod whole_millis {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Duration, micros};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(micros(*duration) / 1_000)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
