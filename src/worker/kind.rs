//! What a job kind is: its payload, its constants and its handler. Must not know: the queue's engines, apalis.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::context::Context;
use crate::{
    domain::{Failure, JobId, KindName, NewJob, Payload, Reason, RetryPolicy, TenantId},
    queue::{Enqueued, Refusal},
};

/// A job kind: the type that implements it is the payload, its constants say how it is run.
///
/// A handler may be stopped at any of its await points (cancelled, out of time, its lease lost), so whatever it
/// makes outside of its [`Context`] must be safe to make again. Work that keeps a thread busy belongs in
/// `tokio::task::spawn_blocking` and looks at [`Context::is_cancelled`] from time to time.
pub trait Kind: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name; it is the name of its queue, too.
    const NAME: KindName;
    /// The version of the payload that this build writes. It reads this one and all before it; a job with a later
    /// one is left for a newer worker.
    const VERSION: u16 = 1;
    /// How many attempts a job has, and the waits between them.
    const RETRY: RetryPolicy = RetryPolicy::attempts(5);
    /// How long one attempt may take; after that it has failed and may be tried again.
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    /// What a completed job gives back, as JSON; small.
    type Output: Serialize + Send;

    /// Validation at the door, and again before running.
    ///
    /// # Errors
    /// What is wrong with the payload and what to do about it, for the one who made it.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What the job weighs in the fair share, in cost units; at least 1.
    fn cost(&self) -> u32 {
        1
    }

    /// The handler: one attempt.
    ///
    /// # Errors
    /// A [`Failure`]: its variant says what is to happen next.
    fn run(self, context: Context) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Why a payload is not one that can be run, one variant per next action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Ask for a kind that there is, or use a build that has this one.
    #[error("there is no job kind {kind}; this program knows: {known}")]
    UnknownKind {
        /// The kind asked for.
        kind: KindName,
        /// The kinds that are registered, separated by commas.
        known: String,
    },
    /// Use a newer build: this payload was written by one.
    #[error("the payload has version {found} of kind {kind}, this program knows versions up to {known}")]
    Newer {
        /// The kind.
        kind: KindName,
        /// The payload's version.
        found: u16,
        /// The latest version known here.
        known: u16,
    },
    /// Mend the payload: it does not have the kind's shape.
    #[error("the payload is not one of kind {kind}, version {version}: {problem}")]
    Unreadable {
        /// The kind.
        kind: KindName,
        /// The payload's version.
        version: u16,
        /// What the parser met, and where. May quote the payload: not for logs.
        problem: String,
    },
    /// Mend the payload: it has the right shape, and what it asks for can't be done.
    #[error("the payload of kind {kind} is wrong: {problem}")]
    Wrong {
        /// The kind.
        kind: KindName,
        /// What the kind says about it. May quote the payload: not for logs.
        problem: String,
    },
    /// Make the payload smaller: what is large belongs in storage.
    #[error(
        "the payload of kind {kind} has {bytes} bytes, at most {} are accepted",
        NewJob::MOST_PAYLOAD_BYTES
    )]
    TooLarge {
        /// The kind.
        kind: KindName,
        /// Its size.
        bytes: usize,
    },
}

impl PayloadError {
    /// What is wrong, in a word, without a piece of the payload: for logs.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "unknown kind",
            Self::Newer { .. } => "newer version",
            Self::Unreadable { .. } => "unreadable",
            Self::Wrong { .. } => "refused by its kind",
            Self::TooLarge { .. } => "too large",
        }
    }
}

/// A job of kind `K`, checked, with the kind's cost and attempts; priority, delay and idempotency key are the
/// caller's to set.
///
/// # Errors
/// [`PayloadError`], where the kind refuses the payload or it is too large.
pub fn new_job<K: Kind>(id: JobId, tenant: TenantId, payload: &K) -> Result<NewJob, PayloadError> {
    payload.check().map_err(|problem| PayloadError::Wrong { kind: K::NAME, problem })?;
    let bytes = serde_json::to_vec(payload).map_err(|error| PayloadError::Unreadable {
        kind: K::NAME,
        version: K::VERSION,
        problem: error.to_string(),
    })?;
    if bytes.len() > NewJob::MOST_PAYLOAD_BYTES {
        return Err(PayloadError::TooLarge { kind: K::NAME, bytes: bytes.len() });
    }
    let serialised = Payload { version: K::VERSION, bytes: Bytes::from(bytes) };
    let mut job = NewJob::new(id, tenant, K::NAME, serialised);
    job.cost = payload.cost().max(1);
    job.max_attempts = K::RETRY.most_attempts();
    Ok(job)
}

/// What a job that enqueues another makes of the queue's answer.
pub(super) fn accepted(answer: Option<Result<Enqueued, Refusal>>) -> Result<JobId, Failure> {
    match answer {
        Some(Ok(enqueued)) => Ok(enqueued.id()),
        Some(Err(Refusal::Invalid(problem))) => Err(Failure::fatal(problem)),
        Some(Err(
            ref full @ (Refusal::TooMany { retry_after, .. } | Refusal::TooLarge { retry_after, .. }),
        )) => Err(Failure::Retry { reason: Reason::new(full.to_string()), after: Some(retry_after) }),
        None => Err(Failure::retry("the queue gave no answer to a child job")),
    }
}
