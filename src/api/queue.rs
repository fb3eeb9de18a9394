//! `/v1/queue`: how the tenant's queue stands, and pauses: of the tenant and of everything.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Routes, caller::Caller, documents::ScopeDocument, problem::Problem, state::ApiState};
use crate::{
    domain::{KindName, State as JobState, Timestamp},
    queue::{LaneStats, Scope},
    security::audit::{Action, Entry},
};

/// What `/v1/queue` and `/v1/fleet` answer to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(pause, resume))
        .routes(routes!(pause_everything, resume_everything))
}

/// How many jobs there are, by state.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(super) struct JobCounts {
    /// Not before a time.
    scheduled: u64,
    /// In their lane.
    waiting: u64,
    /// Not before other jobs have completed.
    blocked: u64,
    /// Under a lease.
    running: u64,
    /// Failed, to be tried again.
    retrying: u64,
    /// Ended well.
    completed: u64,
    /// Ended because somebody asked for it.
    cancelled: u64,
    /// Ended badly.
    dead: u64,
}

impl JobCounts {
    /// The counts of some lanes together.
    pub(super) fn of<'a>(lanes: impl IntoIterator<Item = &'a LaneStats>) -> Self {
        let mut counts = Self::default();
        for (state, jobs) in lanes.into_iter().flat_map(|lane| &lane.jobs) {
            *counts.slot(*state) += jobs;
        }
        counts
    }

    fn slot(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Scheduled => &mut self.scheduled,
            JobState::Waiting => &mut self.waiting,
            JobState::Blocked => &mut self.blocked,
            JobState::Running => &mut self.running,
            JobState::Retrying => &mut self.retrying,
            JobState::Completed => &mut self.completed,
            JobState::Cancelled => &mut self.cancelled,
            JobState::Dead => &mut self.dead,
        }
    }
}

/// The tenant's jobs of one kind.
#[derive(Serialize, ToSchema)]
struct Lane {
    /// The kind.
    #[schema(value_type = String)]
    kind: KindName,
    /// How many there are.
    jobs: JobCounts,
    /// When the oldest waiting one was to run; null where none waits.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    oldest_waiting: Option<Timestamp>,
}

/// How the tenant's queue stands.
#[derive(Serialize, ToSchema)]
struct Queue {
    /// By kind.
    kinds: Vec<Lane>,
    /// What is paused of what concerns the tenant.
    #[schema(value_type = Vec<ScopeDocument>)]
    paused: Vec<Scope>,
}

/// See how the tenant's queue stands
#[utoipa::path(
    get,
    path = "/v1/queue",
    tag = "jobs",
    responses(
        (status = OK, description = "How it stands", body = Queue),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn get(State(state): State<ApiState>, caller: Caller) -> Result<Json<Queue>, Problem> {
    let (queue, tenant) = (&state.engine().queue, caller.tenant());
    let stats = queue.stats(Some(tenant)).await?;
    let lane = |lane: LaneStats| Lane {
        jobs: JobCounts::of([&lane]),
        kind: lane.kind,
        oldest_waiting: lane.oldest_waiting,
    };
    let mut paused = queue.paused().await?;
    paused.retain(|scope| !matches!(scope, Scope::Tenant(other) if other != tenant));
    paused.sort();
    Ok(Json(Queue { kinds: stats.lanes.into_iter().map(lane).collect(), paused }))
}

/// Pauses a scope, and says so in the audit.
pub(super) async fn pause_scope(
    state: &ApiState,
    caller: &Caller,
    scope: Scope,
) -> Result<StatusCode, Problem> {
    state.engine().queue.pause(&scope).await?;
    record(state, caller, &scope, "pause").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Resumes a scope, and says so in the audit.
pub(super) async fn resume_scope(
    state: &ApiState,
    caller: &Caller,
    scope: Scope,
) -> Result<StatusCode, Problem> {
    state.engine().queue.resume(&scope).await?;
    record(state, caller, &scope, "resume").await;
    Ok(StatusCode::NO_CONTENT)
}

async fn record(state: &ApiState, caller: &Caller, scope: &Scope, change: &str) {
    let target = match scope {
        Scope::Everything => "everything".to_owned(),
        Scope::Tenant(tenant) => format!("tenant:{tenant}"),
        Scope::Kind(kind) => format!("kind:{kind}"),
    };
    let entry = Entry::new(Action::QueuePaused).to(target).with("change", change);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}

/// Pause the tenant
///
/// None of its jobs is begun; what runs goes on, and new ones are taken.
#[utoipa::path(
    put,
    path = "/v1/queue/pause",
    tag = "tenants",
    responses(
        (status = NO_CONTENT, description = "It is paused"),
    ),
    extensions(("x-permission" = json!("queue:pause")))
)]
async fn pause(State(state): State<ApiState>, caller: Caller) -> Result<StatusCode, Problem> {
    pause_scope(&state, &caller, Scope::Tenant(caller.tenant().clone())).await
}

/// Resume the tenant
///
/// A pause of a kind or of everything stays in force.
#[utoipa::path(
    delete,
    path = "/v1/queue/pause",
    tag = "tenants",
    responses(
        (status = NO_CONTENT, description = "It is not paused"),
    ),
    extensions(("x-permission" = json!("queue:pause")))
)]
async fn resume(State(state): State<ApiState>, caller: Caller) -> Result<StatusCode, Problem> {
    resume_scope(&state, &caller, Scope::Tenant(caller.tenant().clone())).await
}

/// Pause everything
///
/// No job of any tenant is begun.
#[utoipa::path(
    put,
    path = "/v1/fleet/pause",
    tag = "tenants",
    responses(
        (status = NO_CONTENT, description = "Everything is paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn pause_everything(State(state): State<ApiState>, caller: Caller) -> Result<StatusCode, Problem> {
    pause_scope(&state, &caller, Scope::Everything).await
}

/// Resume everything
///
/// Pauses of tenants and kinds stay in force.
#[utoipa::path(
    delete,
    path = "/v1/fleet/pause",
    tag = "tenants",
    responses(
        (status = NO_CONTENT, description = "Not everything is paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn resume_everything(State(state): State<ApiState>, caller: Caller) -> Result<StatusCode, Problem> {
    resume_scope(&state, &caller, Scope::Everything).await
}
