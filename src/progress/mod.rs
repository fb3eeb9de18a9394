//! The progress seam: events of jobs, published while they run, followed from anywhere, replayed from a sequence
//! number. Owns: [`ProgressBus`] and its engines. Must not know: handlers, HTTP.

pub mod redis;
#[cfg(feature = "server")]
pub mod sqlite;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::domain::{Event, EventBody, JobId, TenantId};

/// Something to publish of a running job.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Whose job.
    pub tenant: TenantId,
    /// Which job.
    pub job: JobId,
    /// The lease's fencing number: what an old one publishes is dropped.
    pub epoch: u64,
    /// What happened.
    pub body: EventBody,
}

/// What can go wrong with progress, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// Try again later, from the last sequence number seen.
    #[error("progress unavailable while trying to {doing}: {cause}")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tenant has no such job.
    #[error("there is no job {job}")]
    UnknownJob {
        /// The id asked for.
        job: JobId,
    },
}

/// The events of jobs. State changes are written by the queue itself, in the step that makes them; everything else
/// is published by the worker. Sequence numbers are given here: they start at 1 and have no gap. At most
/// [`MOST_EVENTS`] are kept a job: the oldest that are not state changes go first.
#[async_trait]
pub trait ProgressBus: Send + Sync {
    /// Publishes, in order. What belongs to a lease that has lapsed is dropped without a word. A percentage is
    /// raised to the highest that the job has published before.
    ///
    /// # Errors
    /// [`ProgressError::Unavailable`]; of a batch, some or none were published then.
    async fn publish(&self, publications: Vec<Publication>) -> Result<(), ProgressError>;

    /// The kept events with a sequence number above `after`, at most `most`, in order.
    ///
    /// # Errors
    /// [`ProgressError`].
    async fn replay(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Event>, ProgressError>;

    /// All kept events above `after`, then new ones as they come, each once and in order, and an end after the
    /// one that is [last](EventBody::is_last) and after which nothing has come: where somebody has requeued the job it
    /// goes on. Ends at once where the job has ended and nothing above `after` is kept. Works whichever process on the
    /// store publishes. After an error the stream ends: follow again from the last sequence number seen.
    ///
    /// # Errors
    /// [`ProgressError`].
    async fn follow(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError>;
}

/// The message of a job's last progress, where it has told one: what a job that was put off waits for.
///
/// # Errors
/// [`ProgressError`].
pub async fn last_word(
    bus: &dyn ProgressBus,
    tenant: &TenantId,
    job: JobId,
) -> Result<Option<String>, ProgressError> {
    let (mut last, mut after) = (None, 0);
    loop {
        let events = bus.replay(tenant, job, after, PAGE).await?;
        let Some(end) = events.last() else { return Ok(last) };
        after = end.sequence;
        for event in events {
            if let EventBody::Progress(progress) = event.body {
                last = Some(progress.message).filter(|message| !message.is_empty());
            }
        }
    }
}

/// How many events are kept a job.
pub const MOST_EVENTS: usize = 1_000;

/// How many events a follower reads at most at once: bounds what a slow one holds in memory.
const PAGE: usize = 100;

/// What there is behind a page of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Perhaps more, to be read at once.
    Unread,
    /// Nothing yet: the job goes on.
    ToCome,
    /// Nothing: the job has ended.
    Nothing,
}
