//! Errors as callers of the API see them: RFC 9457 problems. Owns: [`Problem`] and its closed list of types. Must not know: any
//! resource.

use std::time::Duration;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    artifact::ArtifactError,
    limits::LimitError,
    progress::ProgressError,
    queue::{QueueError, Refusal},
    schedule::ScheduleError,
    security::KeyringError,
    store::StoreError,
    worker::PayloadError,
};

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal;)*) => {
        /// What somebody should do next, one variant each. The name is part of the API: it never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemType {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemType {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The end of its `type`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status that it comes with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// What it is, whatever the case.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_types! {
    /// Mend the request.
    Invalid = "invalid", BAD_REQUEST, "The request can't be understood";
    /// Prove who you are.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid credential is needed";
    /// Ask somebody who may.
    Forbidden = "forbidden", FORBIDDEN, "The credential does not allow this";
    /// Name something that is there (another tenant's is not).
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// Use a method that the resource has.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The resource has no such method";
    /// Accept a form that there is.
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "There is no such form of it";
    /// Send it faster.
    TimedOut = "timed-out", REQUEST_TIMEOUT, "The request came too slowly";
    /// Read it again, decide anew.
    Conflict = "conflict", CONFLICT, "Something else is there";
    /// It is gone for good.
    Gone = "gone", GONE, "It was there and has been removed";
    /// Read it again: your `If-Match` no longer holds.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It has changed meanwhile";
    /// Send less.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The request is too large";
    /// Send JSON, or what the operation names.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body's type is not one that is taken";
    /// Ask for a range that it has.
    RangeNotSatisfiable = "range-not-satisfiable", RANGE_NOT_SATISFIABLE, "It has no such range";
    /// Send it to the right host.
    Misdirected = "misdirected", MISDIRECTED_REQUEST, "This server is not that host";
    /// Mend what the request says: its form is right, its content is not.
    Unprocessable = "unprocessable", UNPROCESSABLE_ENTITY, "The request says something that can't be done";
    /// Wait as long as `Retry-After` says.
    LimitReached = "limit-reached", TOO_MANY_REQUESTS, "A limit is reached";
    /// Wait as long as `Retry-After` says: too much of the tenant's work waits.
    QueueFull = "queue-full", TOO_MANY_REQUESTS, "The tenant's queue is full";
    /// Send fewer or shorter headers.
    HeadersTooLarge = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too large";
    /// Report it, with the request's id.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here";
    /// Try again later.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service can't do this now";
}

/// How long to wait where somebody has to mend something first.
const UNTIL_MENDED: Duration = Duration::from_secs(60);
/// How long to wait where nothing better is known.
const SOON: Duration = Duration::from_secs(2);

/// An answer that is an error: `application/problem+json` by RFC 9457.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: ProblemType,
    detail: String,
    retry_after: Option<Duration>,
    errors: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one place of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where: a JSON pointer (RFC 6901) into the body, or a parameter's name.
    pub pointer: String,
    /// What is wrong there, and what to do.
    pub detail: String,
}

/// The body of an answer that is an error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Stable; what a program should look at: `urn:presswork:problem:` and a name.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of this type.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong this time, and what to do.
    detail: String,
    /// What is wrong in each place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

impl Problem {
    /// A problem of a type, in words for this case. The words go to the caller: nothing secret, nothing of others.
    pub fn new(kind: ProblemType, detail: impl ToString) -> Self {
        let detail = detail.to_string();
        Self { kind, detail, retry_after: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// What was named is not there, or is not the caller's: both are told in the same words.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(ProblemType::NotFound, format_args!("there is no {what}"))
    }

    /// One place of the request is wrong.
    pub fn at(kind: ProblemType, pointer: impl Into<String>, detail: impl ToString) -> Self {
        let (pointer, detail) = (pointer.into(), detail.to_string());
        let problem = Self::new(kind, format_args!("{pointer}: {detail}"));
        Self { errors: vec![FieldProblem { pointer, detail }], ..problem }
    }

    /// Something here is broken: the caller learns only that, the log why.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(ProblemType::Internal, "the error is logged under this request's id; report it")
    }

    /// Something that is needed is away: the log says what.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request can't be answered now");
        Self::away()
    }

    /// The same where the log was told once already.
    pub(super) fn away() -> Self {
        Self::new(ProblemType::Unavailable, "a store that this needs is away; try again").after(SOON)
    }

    /// When to try again; sent as `Retry-After`.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// One more header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its type.
    pub fn kind(&self) -> ProblemType {
        self.kind
    }

    /// What was wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:presswork:problem:{}", self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }

    /// The body, for where problems stand within another answer.
    pub(super) fn to_body(&self) -> ProblemBody {
        self.body()
    }
}

/// Seconds, rounded up: who waits so long does not come too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings and numbers can't fail to be JSON.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(wait).max(1).into());
        }
        if self.kind == ProblemType::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"presswork\""));
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Invalid(problem) => Self::new(ProblemType::Unprocessable, problem),
            QueueError::Unavailable { .. } | QueueError::Unwritable { .. } => Self::unavailable(error),
            QueueError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Invalid(problem) => Self::new(ProblemType::Unprocessable, problem),
            Refusal::TooMany { retry_after, .. } | Refusal::TooLarge { retry_after, .. } => {
                Self::new(ProblemType::QueueFull, &refusal).after(*retry_after)
            }
        }
    }
}

impl From<PayloadError> for Problem {
    fn from(error: PayloadError) -> Self {
        Self::at(ProblemType::Unprocessable, "/payload", error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::new(
                ProblemType::Conflict,
                "it was changed meanwhile: read it again and repeat the change",
            ),
            StoreError::Invalid(problem) => Self::new(ProblemType::Unprocessable, problem),
            StoreError::Unavailable { .. } | StoreError::Unwritable { .. } => Self::unavailable(error),
            StoreError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<ProgressError> for Problem {
    fn from(error: ProgressError) -> Self {
        match error {
            ProgressError::UnknownJob { .. } => Self::new(ProblemType::NotFound, error),
            ProgressError::Unavailable { .. } => Self::unavailable(error),
        }
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Unavailable { .. } => Self::unavailable(error),
            LimitError::Broken(_) => Self::internal(error),
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Timing(_) | ScheduleError::Invalid(_) => {
                Self::new(ProblemType::Unprocessable, error)
            }
            ScheduleError::Unknown { .. } => Self::new(ProblemType::NotFound, error),
            ScheduleError::Store(error) => error.into(),
            ScheduleError::Queue(error) => error.into(),
        }
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Invalid(problem) => Self::new(ProblemType::Unprocessable, problem),
            ArtifactError::Removed { .. } => Self::new(ProblemType::Gone, error),
            ArtifactError::Missing { .. } | ArtifactError::Damaged { .. } => Self::internal(error),
            other => Self::unavailable(other),
        }
    }
}

impl From<KeyringError> for Problem {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => error.into(),
            // Nothing mends itself here: whoever runs the service has to act, and his log says how.
            KeyringError::NoMasterKey => {
                tracing::warn!(%error, "a request can't be answered");
                let detail =
                    "the service has no master key, which this needs: its operator sets PRESSWORK_MASTER_KEY";
                Self::new(ProblemType::Unavailable, detail).after(UNTIL_MENDED)
            }
            KeyringError::MasterKeyLost { .. }
            | KeyringError::MasterKeyAway { .. }
            | KeyringError::NoKey { .. }
            | KeyringError::Master(_) => Self::unavailable(error),
            other => Self::internal(other),
        }
    }
}
