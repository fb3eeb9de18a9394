//! A job, and what it made, in JSON.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::names::{EncodingName, PriorityName, StateName, WindowName};
use crate::{
    domain::{
        ArtifactPointer, BatchId, Job, JobId, KindName, Priority, Reason, State, TenantId, Timestamp, Unique,
    },
    security::sealed_with,
};

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobDocument<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^job_[0-9a-hjkmnp-tv-z]{26}$")]
    id: JobId,
    /// Whose it is.
    #[schema(value_type = String)]
    tenant: &'a TenantId,
    /// What it is.
    #[schema(value_type = String)]
    kind: &'a KindName,
    /// Where it stands: scheduled, waiting, blocked, running, retrying, completed, cancelled or dead.
    #[schema(value_type = StateName)]
    state: State,
    /// Before or after its siblings: urgent, high, normal or low.
    #[schema(value_type = PriorityName)]
    priority: Priority,
    /// What it weighs in the fair share.
    cost: u32,
    /// Attempts begun that count.
    attempt: u32,
    /// Attempts it has.
    max_attempts: u32,
    /// The fencing number of its latest lease; 0 before the first.
    epoch: u64,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is or was to run.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    /// When the latest attempt began.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Whether somebody has asked to cancel it while it ran.
    cancel_asked: bool,
    /// Who runs it, while it runs.
    #[schema(required = true)]
    worker: Option<&'a str>,
    /// Until when its lease holds, while it runs.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    lease_until: Option<Timestamp>,
    /// How many bytes its checkpoint has.
    #[schema(required = true)]
    checkpoint_bytes: Option<usize>,
    /// The producer's key.
    #[schema(required = true)]
    idempotency_key: Option<&'a str>,
    /// At most one of this key in the window.
    #[schema(required = true, value_type = Option<UniqueDocument>)]
    unique: Option<&'a Unique>,
    /// The jobs that had to complete first.
    #[schema(value_type = Vec<String>)]
    after: &'a [JobId],
    /// The batch it belongs to.
    #[schema(required = true, value_type = Option<String>)]
    batch: Option<BatchId>,
    /// What the latest failure was.
    #[schema(required = true, value_type = Option<String>)]
    reason: Option<&'a Reason>,
    /// What its kind gives back: any JSON; null before there is a result.
    #[schema(required = true, value_type = Value)]
    result: Option<&'a serde_json::Value>,
    /// What it made.
    #[schema(value_type = Vec<ArtifactDocument>)]
    artifacts: &'a [ArtifactPointer],
    /// The version of its payload.
    payload_version: u16,
    /// What it is to do; only where one job is shown, and not where it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// With which key the payload is sealed; not there where it is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    payload_sealed_with: Option<String>,
}

/// At most one job of a key at a time.
#[derive(ToSchema)]
#[schema(as = Unique)]
#[expect(dead_code, reason = "the schema of `Unique`, which belongs to the domain")]
pub(crate) struct UniqueDocument {
    /// What the jobs have in common.
    key: String,
    /// How long the first one counts.
    window: WindowName,
}

/// What a job made.
#[derive(ToSchema)]
#[schema(as = Artifact)]
#[expect(dead_code, reason = "the schema of `ArtifactPointer`, which belongs to the domain")]
pub(crate) struct ArtifactDocument {
    /// Its name within the job.
    name: String,
    /// The storage key of its manifest.
    manifest: String,
    /// Its media type when decoded.
    content_type: String,
    /// How the stored bytes are compressed.
    encoding: EncodingName,
    /// Bytes when decoded.
    plain_bytes: u64,
    /// Bytes as stored.
    stored_bytes: u64,
    /// SHA-256 of the decoded bytes, in hexadecimal digits.
    sha256: String,
    /// How it is sealed; not there where it is not.
    #[schema(value_type = Object, required = false)]
    seal: (),
}

impl<'a> JobDocument<'a> {
    /// All but the payload.
    pub(crate) fn new(job: &'a Job) -> Self {
        Self {
            id: job.id,
            tenant: &job.tenant,
            kind: &job.kind,
            state: job.state,
            priority: job.priority,
            cost: job.cost,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            epoch: job.epoch,
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            cancel_asked: job.cancel_asked,
            worker: job.worker.as_ref().map(|worker| worker.as_str()),
            lease_until: job.lease_until,
            checkpoint_bytes: job.checkpoint.as_ref().map(|checkpoint| checkpoint.0.len()),
            idempotency_key: job.idempotency_key.as_ref().map(|key| key.as_str()),
            unique: job.unique.as_ref(),
            after: &job.after,
            batch: job.batch,
            reason: job.reason.as_ref(),
            result: job.output.as_ref().map(|output| &output.result),
            artifacts: job.output.as_ref().map_or(&[], |output| &output.artifacts),
            payload_version: job.payload.version,
            payload: None,
            payload_sealed_with: sealed(job),
        }
    }

    /// The payload as well.
    pub(crate) fn whole(job: &'a Job) -> Self {
        Self { payload: serde_json::from_slice(&job.payload.bytes).ok(), ..Self::new(job) }
    }
}

/// With which key the payload is sealed; nothing where it is plain.
pub(crate) fn sealed(job: &Job) -> Option<String> {
    match sealed_with(&job.payload) {
        Ok(key) => key.map(|id| id.to_string()),
        Err(_) => Some("an unreadable seal".to_owned()),
    }
}
