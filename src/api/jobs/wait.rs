//! Waiting for a job to end, and what came of it.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{find, unknown};
use crate::{
    api::{
        Routes,
        caller::Caller,
        documents::{ArtifactDocument, JobDocument},
        extract::{Path, Query},
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    domain::{ArtifactPointer, Job, JobId, State as JobState},
    queue::WaitError,
};

/// What waits, and what tells the end.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(wait)).routes(routes!(result))
}

/// Where nobody says how long.
const USUAL: u64 = 20;
/// The longest wait; asking again costs little.
const LONGEST: u64 = 60;
/// What is left of an operation's time to write the answer.
const SLACK: Duration = Duration::from_secs(2);

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WaitQuery {
    /// Seconds: 0 to 60, 20 where nothing is said. The answer may come earlier
    #[param(minimum = 0, maximum = 60, default = 20)]
    timeout: Option<u64>,
}

/// Wait for a job to end
///
/// Answers as soon as it has ended, and with 202 where it has not in time: ask again then. Counts as a stream while it waits.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/wait",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id"), WaitQuery),
    responses(
        (status = OK, description = "It has ended", body = JobDocument<'static>),
        (status = ACCEPTED, description = "It goes on", body = JobDocument<'static>),
    ),
    extensions(("x-permission" = json!("jobs:read")), ("x-timeout" = json!("none")))
)]
async fn wait(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<JobId>,
    Query(query): Query<WaitQuery>,
) -> Result<Response, Problem> {
    let seconds = query.timeout.unwrap_or(USUAL);
    if seconds > LONGEST {
        return Err(Problem::at(
            ProblemType::Invalid,
            "timeout",
            format_args!("choose 0 to {LONGEST} seconds"),
        ));
    }
    let job = find(&state, caller.tenant(), id).await?;
    if job.state.is_final() || seconds == 0 {
        return Ok(answer(&job));
    }
    let _slot = state.live().open(caller.tenant())?;
    let most = state.settings().request_timeout;
    let within = Duration::from_secs(seconds).min(most.saturating_sub(SLACK).max(most / 2));
    let waited = tokio::select! {
        waited = state.engine().wait_for(caller.tenant(), id, within) => waited,
        () = state.stopping().cancelled() => Ok(None),
    };
    let ended = waited.map_err(|error| match error {
        WaitError::UnknownJob { .. } => unknown(id),
        WaitError::Progress(error) => error.into(),
        WaitError::Queue(error) => error.into(),
    })?;
    match ended {
        Some(job) => Ok(answer(&job)),
        None => Ok(answer(&find(&state, caller.tenant(), id).await?)),
    }
}

fn answer(job: &Job) -> Response {
    let status = if job.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(JobDocument::whole(job))).into_response()
}

/// What a job gave back.
#[derive(Serialize, ToSchema)]
#[schema(as = JobResult)]
struct ResultDocument<'a> {
    /// The job.
    #[schema(value_type = String)]
    id: JobId,
    /// What its kind gives back: any JSON.
    #[schema(value_type = Value)]
    result: &'a serde_json::Value,
    /// What it made.
    #[schema(value_type = Vec<ArtifactDocument>)]
    artifacts: &'a [ArtifactPointer],
}

/// Fetch a job's result
///
/// Of a completed job; of any other it is a conflict that says how the job stands.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/result",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "What it gave back", body = ResultDocument<'static>),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn result(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<JobId>,
) -> Result<Response, Problem> {
    let job = find(&state, caller.tenant(), id).await?;
    if let (JobState::Completed, Some(output)) = (job.state, &job.output) {
        let (result, artifacts) = (&output.result, output.artifacts.as_slice());
        return Ok(Json(ResultDocument { id, result, artifacts }).into_response());
    }
    let reason = job.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let next = if job.state.is_final() { "it has no result" } else { "wait for it" };
    Err(Problem::new(ProblemType::Conflict, format_args!("job {id} is {}{reason}: {next}", job.state)))
}
