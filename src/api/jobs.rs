//! `/v1/jobs`: work, given and looked at.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    documents::{JobDocument, UniqueDocument},
    extract::{Body, Path, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemBody},
    state::ApiState,
};
use crate::{
    domain::{
        BatchId, IdempotencyKey, JobId, KindName, NewJob, Priority, State as JobState, Timestamp, Unique,
    },
    queue::{Cursor, Enqueued, Filter},
    security::access::Permission,
};

/// What `/v1/jobs` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get))
}

/// Work to be done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJobBody {
    /// What it is.
    #[schema(value_type = String, example = "export")]
    kind: KindName,
    /// What it is to do, as its kind says.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Before or after its siblings: urgent, high, normal or low.
    #[serde(default)]
    #[schema(value_type = String, default = "normal")]
    priority: Priority,
    /// Not before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// A second job with the same key, of the same kind, is answered with the first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    idempotency_key: Option<IdempotencyKey>,
    /// No second job of this key while the first is in the window.
    #[serde(default)]
    #[schema(value_type = Option<UniqueDocument>)]
    unique: Option<Unique>,
    /// Jobs that have to complete first.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    after: Vec<JobId>,
    /// The open batch that it belongs to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    batch: Option<BatchId>,
}

/// What became of a job at the door.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its id.
    #[schema(value_type = String)]
    id: JobId,
    /// Whether it was there before.
    duplicate: bool,
}

impl NewJobBody {
    /// The job that it means.
    ///
    /// # Errors
    /// [`Problem`] where the caller may not, or the payload is not one of the kind.
    pub(super) fn job(self, state: &ApiState, caller: &Caller) -> Result<NewJob, Problem> {
        caller.needs(&Permission::create(&self.kind))?;
        let engine = state.engine();
        let id = JobId::new(engine.clock.now(), &*engine.random);
        let payload = Bytes::from(self.payload.get().to_owned());
        let job = state.registry().new_job(id, caller.tenant().clone(), &self.kind, payload)?;
        Ok(NewJob {
            priority: self.priority,
            run_at: self.run_at,
            idempotency_key: self.idempotency_key,
            unique: self.unique,
            after: self.after,
            batch: self.batch,
            ..job
        })
    }
}

/// Give work
///
/// Once this has answered, the job is kept.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    request_body = NewJobBody,
    responses(
        (status = CREATED, description = "The job is kept", body = Accepted),
        (status = OK, description = "It was there before", body = Accepted),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("jobs:create:*")))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<NewJobBody>,
) -> Result<Response, Problem> {
    let job = body.job(&state, &caller)?;
    let answers = state.engine().queue.enqueue(vec![job]).await?;
    let answer =
        answers.into_iter().next().ok_or_else(|| Problem::internal("the queue gave no answer"))??;
    let duplicate = matches!(answer, Enqueued::Duplicate(_));
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("/v1/jobs/{}", answer.id());
    let accepted = Json(Accepted { id: answer.id(), duplicate });
    Ok((status, [(axum::http::header::LOCATION, location)], accepted).into_response())
}

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state
    #[param(value_type = Option<String>)]
    state: Option<JobState>,
    /// Only of this kind
    #[param(value_type = Option<String>)]
    kind: Option<KindName>,
}

/// List jobs
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(ListQuery, PageQuery),
    responses(
        (status = OK, description = "A page of jobs", body = PageOf<JobDocument<'static>>),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let filter = Filter { state: query.state, kind: query.kind };
    let after = page.cursor().map(|cursor| Cursor(cursor.to_owned()));
    let found = state.engine().queue.list(caller.tenant(), &filter, after.as_ref(), page.limit()?).await?;
    let items = found.items.iter().map(JobDocument::new).collect();
    Ok(Json(PageOf { items, next: found.next.map(|cursor| cursor.0) }).into_response())
}

/// Look at a job
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "The job", body = JobDocument<'static>),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, Problem> {
    let found = state.engine().queue.inspect(caller.tenant(), &[job]).await?;
    let found =
        found.into_iter().next().flatten().ok_or_else(|| Problem::not_found(format_args!("job {job}")))?;
    Ok(Json(JobDocument::whole(&found)).into_response())
}
