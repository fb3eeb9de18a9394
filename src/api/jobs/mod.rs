//! `/v1/jobs`: work, given, looked at, awaited, stopped, repeated. Owns: the listing and the look at one.

mod act;
mod create;
mod wait;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::create::read_job;

use super::{
    Routes,
    caller::Caller,
    documents::{JobDocument, StateName, WhyDocument},
    extract::{Path, Query},
    page::{PageOf, PageQuery},
    problem::Problem,
    state::ApiState,
};
use crate::{
    domain::{Job, JobId, KindName, State as JobState, TenantId},
    progress::last_word,
    queue::{Constraint, Cursor, Filter, QueueError},
};

/// What `/v1/jobs` answers to.
pub(super) fn routes() -> Routes {
    let listing =
        OpenApiRouter::new().routes(routes!(create::create, list)).routes(routes!(get)).routes(routes!(why));
    listing.merge(create::routes()).merge(act::routes()).merge(wait::routes())
}

/// The most jobs that one call names or brings.
const MOST_AT_ONCE: usize = 1_000;

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state
    #[param(inline, value_type = Option<StateName>)]
    state: Option<JobState>,
    /// Only of this kind
    #[param(value_type = Option<String>)]
    kind: Option<KindName>,
}

/// List jobs
///
/// Newest first, without their payloads.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(ListQuery, PageQuery),
    responses(
        (status = OK, description = "A page of jobs", body = PageOf<JobDocument<'static>>),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant();
    let (only, kind) =
        (query.state.map_or("", JobState::name), query.kind.as_ref().map_or("", |kind| kind.as_str()));
    let listing = ["jobs", tenant.as_str(), only, kind];
    let after = page.place(&listing)?.map(Cursor);
    let filter = Filter { state: query.state, kind: query.kind.clone() };
    let found = state.engine().queue.list(tenant, &filter, after.as_ref(), page.limit()?).await;
    let found = found.map_err(|error| match error {
        QueueError::Invalid(_) if after.is_some() => PageQuery::bad_cursor(),
        error => error.into(),
    })?;
    let items = found.items.iter().map(JobDocument::new).collect();
    let next = found.next.map(|cursor| PageQuery::seal(&listing, &cursor.0));
    Ok(Json(PageOf { items, next }).into_response())
}

/// Look at a job
///
/// With its payload, where that is not sealed.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "The job", body = JobDocument<'static>),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, Problem> {
    let found = find(&state, caller.tenant(), job).await?;
    Ok(Json(JobDocument::whole(&found)).into_response())
}

/// Ask why a job does not run
///
/// The one thing that holds it up now, how many jobs of its lane go before it, and when it is likely to start.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/why",
    tag = "jobs",
    params(("job" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "What holds it up", body = WhyDocument),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn why(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Json<WhyDocument>, Problem> {
    let why = state.engine().queue.why(caller.tenant(), job).await?;
    let why = why.ok_or_else(|| unknown(job))?;
    let said = match why.constraint {
        Constraint::Time { .. } => last_word(&*state.engine().progress, caller.tenant(), job).await?,
        _ => None,
    };
    Ok(Json(WhyDocument { id: job, why, said }))
}

/// One of the tenant's jobs.
///
/// # Errors
/// [`Problem`] where the tenant has no such job.
pub(super) async fn find(state: &ApiState, tenant: &TenantId, job: JobId) -> Result<Job, Problem> {
    let found = state.engine().queue.inspect(tenant, &[job]).await?;
    found.into_iter().next().flatten().ok_or_else(|| unknown(job))
}

/// The answer to whoever names a job that is not there, or not his.
pub(super) fn unknown(job: JobId) -> Problem {
    Problem::not_found(format_args!("job {job}"))
}
