//! Stopping jobs and putting them back.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{MOST_AT_ONCE, unknown};
use crate::{
    api::{
        Routes,
        caller::Caller,
        documents::StateName,
        extract::{Body, Path},
        page::PageQuery,
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    domain::{JobId, KindName, State as JobState},
    queue::{CancelOutcome, Cursor, Filter, QueueError, RequeueOutcome},
};

/// What stops jobs and puts them back.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(cancel))
        .routes(routes!(cancel_many))
        .routes(routes!(retry))
        .routes(routes!(retry_many))
        .routes(routes!(retry_dead))
}

/// How many dead jobs are put back in one step of the queue.
const STEP: usize = 200;
/// How long one call goes on putting dead jobs back; the next one goes on.
const LONGEST: Duration = Duration::from_secs(10);

/// What became of a job.
#[derive(Serialize, ToSchema)]
struct Outcome {
    /// The job.
    #[schema(value_type = String)]
    id: JobId,
    /// `cancelled`, `asked` (it runs and is being told), `requeued`, `unchanged` (it is in a state that does not allow it), or
    /// `unknown`.
    #[schema(value_type = OutcomeName)]
    outcome: &'static str,
    /// The state that does not allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = StateName, required = false)]
    state: Option<JobState>,
}

/// How it went.
#[derive(ToSchema)]
#[schema(as = OutcomeName, rename_all = "lowercase")]
#[expect(dead_code, reason = "the schema of a name")]
enum OutcomeName {
    Cancelled,
    Asked,
    Requeued,
    Unchanged,
    Unknown,
}

/// What became of jobs.
#[derive(Serialize, ToSchema)]
struct Outcomes {
    /// Each, in the order asked.
    items: Vec<Outcome>,
}

/// Which jobs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Their ids: 1 to 1,000.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000)]
    jobs: Vec<JobId>,
}

impl Named {
    fn all(self) -> Result<Vec<JobId>, Problem> {
        if (1..=MOST_AT_ONCE).contains(&self.jobs.len()) {
            return Ok(self.jobs);
        }
        Err(Problem::at(ProblemType::Unprocessable, "/jobs", format_args!("name 1 to {MOST_AT_ONCE} jobs")))
    }
}

fn cancelled(id: JobId, answer: CancelOutcome) -> Outcome {
    let (outcome, state) = match answer {
        // Nothing is left to cancel where it was: what was wanted is so.
        CancelOutcome::Cancelled | CancelOutcome::Ended(JobState::Cancelled) => ("cancelled", None),
        CancelOutcome::Asked => ("asked", None),
        CancelOutcome::Ended(state) => ("unchanged", Some(state)),
        CancelOutcome::Unknown => ("unknown", None),
    };
    Outcome { id, outcome, state }
}

fn requeued(id: JobId, answer: RequeueOutcome) -> Outcome {
    let (outcome, state) = match answer {
        RequeueOutcome::Requeued => ("requeued", None),
        RequeueOutcome::NotEnded(state) => ("unchanged", Some(state)),
        RequeueOutcome::Unknown => ("unknown", None),
    };
    Outcome { id, outcome, state }
}

/// The answer for a single job.
fn single(outcome: Outcome, wrong: &str) -> Result<Response, Problem> {
    match outcome {
        Outcome { id, outcome: "unknown", .. } => Err(unknown(id)),
        Outcome { id, state: Some(state), .. } => {
            Err(Problem::new(ProblemType::Conflict, format_args!("job {id} is {state}: {wrong}")))
        }
        outcome @ Outcome { outcome: "asked", .. } => {
            Ok((StatusCode::ACCEPTED, Json(outcome)).into_response())
        }
        outcome => Ok(Json(outcome).into_response()),
    }
}

/// What is done with jobs.
#[derive(Clone, Copy)]
enum Act {
    Cancel,
    Retry,
}

impl Act {
    /// Does it; what became of each, in the order asked.
    async fn on(self, state: &ApiState, caller: &Caller, jobs: &[JobId]) -> Result<Vec<Outcome>, QueueError> {
        let (queue, tenant) = (&state.engine().queue, caller.tenant());
        let each = jobs.iter().copied();
        Ok(match self {
            Self::Cancel => {
                let answers = queue.cancel(tenant, jobs).await?;
                each.zip(answers).map(|(id, answer)| cancelled(id, answer)).collect()
            }
            Self::Retry => {
                let answers = queue.requeue(tenant, jobs).await?;
                each.zip(answers).map(|(id, answer)| requeued(id, answer)).collect()
            }
        })
    }

    async fn on_one(self, state: &ApiState, caller: &Caller, job: JobId) -> Result<Response, Problem> {
        let outcome = self.on(state, caller, &[job]).await?.pop();
        let wrong = match self {
            Self::Cancel => "there is nothing to cancel",
            Self::Retry => "only what is dead or cancelled can be put back",
        };
        single(outcome.ok_or_else(|| Problem::internal("the queue gave no answer"))?, wrong)
    }

    async fn on_many(
        self,
        state: &ApiState,
        caller: &Caller,
        named: Named,
    ) -> Result<Json<Outcomes>, Problem> {
        Ok(Json(Outcomes { items: self.on(state, caller, &named.all()?).await? }))
    }
}

/// Cancel a job
///
/// At once where it does not run; else its handler is told and stops within a second.
#[utoipa::path(
    post,
    path = "/v1/jobs/{job}/cancel",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "It is cancelled", body = Outcome),
        (status = ACCEPTED, description = "It runs and is being told", body = Outcome),
    ),
    extensions(("x-permission" = json!("jobs:cancel")))
)]
async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, Problem> {
    Act::Cancel.on_one(&state, &caller, job).await
}

/// Cancel many jobs
#[utoipa::path(
    post,
    path = "/v1/jobs/cancel",
    tag = "jobs",
    request_body = Named,
    responses(
        (status = OK, description = "What became of each", body = Outcomes),
    ),
    extensions(("x-permission" = json!("jobs:cancel")))
)]
async fn cancel_many(
    State(state): State<ApiState>,
    caller: Caller,
    Body(named): Body<Named>,
) -> Result<Json<Outcomes>, Problem> {
    Act::Cancel.on_many(&state, &caller, named).await
}

/// Put a dead or cancelled job back
///
/// With all its attempts anew, and its checkpoint.
#[utoipa::path(
    post,
    path = "/v1/jobs/{job}/retry",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "It waits again", body = Outcome),
    ),
    extensions(("x-permission" = json!("jobs:retry")))
)]
async fn retry(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, Problem> {
    Act::Retry.on_one(&state, &caller, job).await
}

/// Put many dead or cancelled jobs back
#[utoipa::path(
    post,
    path = "/v1/jobs/retry",
    tag = "jobs",
    request_body = Named,
    responses(
        (status = OK, description = "What became of each", body = Outcomes),
    ),
    extensions(("x-permission" = json!("jobs:retry")))
)]
async fn retry_many(
    State(state): State<ApiState>,
    caller: Caller,
    Body(named): Body<Named>,
) -> Result<Json<Outcomes>, Problem> {
    Act::Retry.on_many(&state, &caller, named).await
}

/// Which dead jobs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Dead {
    /// Only of this kind.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    kind: Option<KindName>,
    /// Where to go on: `next` of the answer before.
    #[serde(default)]
    #[schema(max_length = 1000)]
    cursor: Option<String>,
}

/// How many dead jobs were put back.
#[derive(Serialize, ToSchema)]
struct Requeued {
    /// How many wait again.
    requeued: usize,
    /// Not all were reached in this call: give it as `cursor` to go on. Null at the end.
    #[schema(required = true)]
    next: Option<String>,
}

/// Put all dead jobs back
///
/// Goes on for some seconds at most; where there are more, `next` says so. A job that dies again meanwhile is left alone.
#[utoipa::path(
    post,
    path = "/v1/jobs/retry-dead",
    tag = "jobs",
    request_body = Dead,
    responses(
        (status = OK, description = "How many wait again", body = Requeued),
    ),
    extensions(("x-permission" = json!("jobs:retry")))
)]
async fn retry_dead(
    State(state): State<ApiState>,
    caller: Caller,
    Body(Dead { kind, cursor }): Body<Dead>,
) -> Result<Json<Requeued>, Problem> {
    let (queue, tenant) = (&state.engine().queue, caller.tenant());
    let listing = ["dead", tenant.as_str(), kind.as_ref().map_or("", |kind| kind.as_str())];
    let mut after = cursor.map(|cursor| PageQuery::open(&listing, &cursor)).transpose()?.map(Cursor);
    let filter = Filter { state: Some(JobState::Dead), kind: kind.clone() };
    let (begun, mut requeued) = (Instant::now(), 0);
    loop {
        let page = queue.list(tenant, &filter, after.as_ref(), STEP).await.map_err(|error| match error {
            QueueError::Invalid(_) if after.is_some() => PageQuery::bad_cursor(),
            error => error.into(),
        })?;
        let jobs: Vec<JobId> = page.items.iter().map(|job| job.id).collect();
        if !jobs.is_empty() {
            let answers = queue.requeue(tenant, &jobs).await?;
            requeued += answers.iter().filter(|answer| **answer == RequeueOutcome::Requeued).count();
        }
        after = page.next;
        if after.is_none() || begun.elapsed() > LONGEST {
            let next = after.map(|cursor| PageQuery::seal(&listing, &cursor.0));
            return Ok(Json(Requeued { requeued, next }));
        }
    }
}
