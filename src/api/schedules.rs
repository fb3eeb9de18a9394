//! `/v1/schedules`: jobs that are made again and again.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    documents::{CatchUpName, PriorityName, ScheduleDocument},
    extract::{Body, Path, Query},
    jobs::read_job,
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::{KindName, Priority, ScheduleName, Timestamp},
    schedule::{CatchUp, Next, Plan, Schedule, ScheduleError, SchedulePayload},
    security::audit::{Action, Entry},
};

/// What `/v1/schedules` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, set, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(next))
}

/// What a schedule makes, and when.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSchedule)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    /// What its jobs are.
    #[schema(value_type = String)]
    kind: KindName,
    /// What they are to do, as their kind says.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// When: minute, hour, day of month, month, day of week; seconds may stand in front.
    #[schema(example = "0 6 * * mon-fri", max_length = 200)]
    cron: String,
    /// In which time zone.
    #[serde(default = "utc")]
    #[schema(default = "UTC", example = "Europe/Berlin", max_length = 100)]
    zone: String,
    /// Each firing happens up to so many seconds later, but before the next one.
    #[serde(default)]
    #[schema(maximum = 86_400, default = 0)]
    jitter_seconds: u32,
    /// What becomes of firings that were missed.
    #[serde(default)]
    #[schema(value_type = CatchUpName, default = "skip")]
    catch_up: CatchUp,
    /// The jobs' priority.
    #[serde(default)]
    #[schema(value_type = PriorityName, default = "normal")]
    priority: Priority,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// List the tenant's schedules
///
/// By name.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    tag = "schedules",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of schedules", body = PageOf<ScheduleDocument>),
    ),
    extensions(("x-permission" = json!("schedules:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<Schedule>>, Problem> {
    let tenant = caller.tenant();
    let listing = ["schedules", tenant.as_str()];
    let after = page.place(&listing)?.map(|name| name.parse::<ScheduleName>());
    let after = after.transpose().map_err(|_| PageQuery::bad_cursor())?;
    let found = state.engine().schedules.list(tenant, after.as_ref(), page.limit()?).await?;
    let next = found.next.map(|name| PageQuery::seal(&listing, name.as_str()));
    Ok(Json(PageOf { items: found.items, next }))
}

async fn find(state: &ApiState, caller: &Caller, name: &ScheduleName) -> Result<Schedule, Problem> {
    let found = state.engine().schedules.get(caller.tenant(), name).await?;
    found.ok_or_else(|| unknown(name))
}

fn unknown(name: &ScheduleName) -> Problem {
    Problem::not_found(format_args!("schedule {name}"))
}

/// The same words for a schedule that is not there as everywhere.
fn problem(error: ScheduleError) -> Problem {
    match error {
        ScheduleError::Unknown { name, .. } => unknown(&name),
        error => error.into(),
    }
}

/// Look at a schedule
#[utoipa::path(
    get,
    path = "/v1/schedules/{schedule}",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "The schedule", body = ScheduleDocument),
    ),
    extensions(("x-permission" = json!("schedules:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
) -> Result<Json<Schedule>, Problem> {
    Ok(Json(find(&state, &caller, &name).await?))
}

async fn told(state: &ApiState, caller: &Caller, name: &ScheduleName, act: &str) {
    let entry = Entry::new(Action::ScheduleChanged).to(name.to_string()).with("act", act);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}

/// Make or change a schedule
///
/// From now on it fires by what is given here; a paused one stays paused. Needs, beside `schedules:write`, the permission to
/// make jobs of the kind.
#[utoipa::path(
    put,
    path = "/v1/schedules/{schedule}",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name: 1 to 64 of a-z, 0-9 and -")),
    request_body = PlanBody,
    responses(
        (status = CREATED, description = "It is made", body = ScheduleDocument),
        (status = OK, description = "It is changed", body = ScheduleDocument),
    ),
    extensions(("x-permission" = json!("schedules:write")))
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
    Body(body): Body<PlanBody>,
) -> Result<Response, Problem> {
    let job = read_job(&state, &caller, &body.kind, &body.payload).await?;
    let plan = Plan {
        kind: body.kind,
        payload: SchedulePayload { version: job.payload.version, json: body.payload },
        cron: body.cron,
        zone: body.zone,
        jitter: Duration::from_secs(u64::from(body.jitter_seconds)),
        catch_up: body.catch_up,
        priority: body.priority,
        cost: job.cost,
        max_attempts: job.max_attempts,
    };
    let schedules = &state.engine().schedules;
    let is_new = schedules.get(caller.tenant(), &name).await?.is_none();
    let schedule = schedules.set(caller.tenant(), &name, plan).await.map_err(problem)?;
    told(&state, &caller, &name, "set").await;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(schedule)).into_response())
}

/// Remove a schedule
///
/// Its jobs stay.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{schedule}",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name")),
    responses(
        (status = NO_CONTENT, description = "It is removed"),
    ),
    extensions(("x-permission" = json!("schedules:write")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
) -> Result<StatusCode, Problem> {
    if state.engine().schedules.remove(caller.tenant(), &name).await? {
        told(&state, &caller, &name, "remove").await;
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(&name))
    }
}

/// Pause a schedule
///
/// What would fire meanwhile is neither made nor missed.
#[utoipa::path(
    post,
    path = "/v1/schedules/{schedule}/pause",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "It is paused", body = ScheduleDocument),
    ),
    extensions(("x-permission" = json!("schedules:write")))
)]
async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
) -> Result<Json<Schedule>, Problem> {
    let schedule = state.engine().schedules.pause(caller.tenant(), &name).await.map_err(problem)?;
    told(&state, &caller, &name, "pause").await;
    Ok(Json(schedule))
}

/// Resume a schedule
///
/// It fires again, from now on.
#[utoipa::path(
    post,
    path = "/v1/schedules/{schedule}/resume",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "It fires again", body = ScheduleDocument),
    ),
    extensions(("x-permission" = json!("schedules:write")))
)]
async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
) -> Result<Json<Schedule>, Problem> {
    let schedule = state.engine().schedules.resume(caller.tenant(), &name).await.map_err(problem)?;
    told(&state, &caller, &name, "resume").await;
    Ok(Json(schedule))
}

/// How many firings.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NextQuery {
    /// How many: 1 to 1,000, 5 where nothing is said
    #[param(minimum = 1, maximum = 1000, default = 5)]
    count: Option<usize>,
}

/// A firing that is to come.
#[derive(Serialize, ToSchema)]
struct Coming {
    /// The time that the expression says.
    #[schema(value_type = String, format = DateTime)]
    firing: Timestamp,
    /// The same in the schedule's zone, for people.
    local: String,
    /// When the job is made.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// When a schedule fires next.
#[derive(Serialize, ToSchema)]
struct ComingFirings {
    /// Whether it is paused: it would fire at these times.
    paused: bool,
    /// The firings, the next one first.
    items: Vec<Coming>,
}

/// Ask when a schedule fires next
#[utoipa::path(
    get,
    path = "/v1/schedules/{schedule}/next",
    tag = "schedules",
    params(("schedule" = String, Path, description = "Its name"), NextQuery),
    responses(
        (status = OK, description = "The next firings", body = ComingFirings),
    ),
    extensions(("x-permission" = json!("schedules:read")))
)]
async fn next(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<ScheduleName>,
    Query(query): Query<NextQuery>,
) -> Result<Json<ComingFirings>, Problem> {
    let count = query.count.unwrap_or(5);
    if !(1..=1_000).contains(&count) {
        return Err(Problem::at(ProblemType::Invalid, "count", "choose 1 to 1000"));
    }
    let schedule = find(&state, &caller, &name).await?;
    let now = state.engine().clock.now();
    // Reckoning by the calendar takes its time.
    let reckoned = tokio::task::spawn_blocking(move || firings(&schedule, now, count)).await;
    Ok(Json(reckoned.map_err(Problem::internal)??))
}

fn firings(schedule: &Schedule, now: Timestamp, count: usize) -> Result<ComingFirings, ScheduleError> {
    let timing = schedule.plan.timing()?;
    let first = schedule.next.or_else(|| schedule.next_after(&timing, now));
    let all = std::iter::successors(first, |last| schedule.next_after(&timing, last.firing));
    let coming = |Next { firing, at }: Next| Coming { firing, local: timing.local(firing), at };
    Ok(ComingFirings { paused: schedule.paused, items: all.take(count).map(coming).collect() })
}
