//! The words of the product and their rules, pure: no I/O, no tokio, no clock and no randomness of its own.
//!
//! Everything here is a value or a function of values, so that engines, workers, the reference model and the
//! tests share one truth.

pub mod batch;
pub mod bucket;
pub mod clock;
pub mod cost;
pub mod day;
pub mod id;
pub mod job;
pub mod limits;
pub mod model;
pub mod names;
pub mod output;
pub mod progress;
pub mod random;
pub mod retry;
pub mod state;
pub mod verdict;

pub use batch::{Batch, NewBatch};
pub use bucket::{Rate, TokenBucket};
pub use clock::{Clock, ManualClock, Timestamp};
pub use cost::Cost;
pub use day::Day;
pub use id::{BatchId, IdempotencyKey, JobId, UserId, WorkerId};
pub use job::{Checkpoint, Job, NewJob, Payload, Priority, Unique, Window};
pub use limits::{KindLimits, LaneLimits, TenantLimits};
pub use names::{FileName, KindName, NameError, ProjectId, ScheduleName, TenantId};
pub use output::{ArtifactPointer, Encoding, Hex, Output, SealedAs};
pub use progress::{Event, EventBody, Progress};
pub use random::{Random, SeededRandom, SystemRandom};
pub use retry::RetryPolicy;
pub use state::{State, Trigger};
pub use verdict::{Failure, Reason, Verdict};
