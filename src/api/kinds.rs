//! `/v1/kinds`: what can be run here, and what a kind may use, all tenants together.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path},
    problem::Problem,
    state::ApiState,
};
use crate::{
    domain::{KindLimits, KindName},
    queue::Scope,
    security::audit::{Action, Entry},
};

/// What `/v1/kinds` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get_limits, set_limits))
        .routes(routes!(pause, resume))
}

/// A kind of job.
#[derive(Serialize, ToSchema)]
struct Kind {
    /// Its name.
    #[schema(value_type = String)]
    kind: KindName,
    /// The version of its payload that is written here.
    payload_version: u16,
}

/// The kinds of this program.
#[derive(Serialize, ToSchema)]
struct Kinds {
    /// By name.
    items: Vec<Kind>,
}

/// What a kind may use, all tenants together.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = KindLimits)]
#[serde(deny_unknown_fields)]
struct KindLimitsBody {
    /// How many of its jobs may run at once; null for no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    max_running: Option<u32>,
}

/// List the kinds of jobs
#[utoipa::path(
    get,
    path = "/v1/kinds",
    tag = "jobs",
    responses(
        (status = OK, description = "The kinds", body = Kinds),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn list(State(state): State<ApiState>) -> Json<Kinds> {
    let registry = state.registry();
    let kind = |kind: KindName| Some(Kind { payload_version: registry.version(&kind)?, kind });
    Json(Kinds { items: registry.kinds().into_iter().filter_map(kind).collect() })
}

/// See what a kind may use
#[utoipa::path(
    get,
    path = "/v1/kinds/{kind}/limits",
    tag = "tenants",
    params(("kind" = String, Path, description = "The kind")),
    responses(
        (status = OK, description = "Its limits", body = KindLimitsBody),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn get_limits(
    State(state): State<ApiState>,
    Path(kind): Path<KindName>,
) -> Result<Json<KindLimitsBody>, Problem> {
    let KindLimits { max_running } = state.engine().queue.kind_limits(&kind).await?;
    Ok(Json(KindLimitsBody { max_running }))
}

/// Set what a kind may use
///
/// In force from the next claim.
#[utoipa::path(
    put,
    path = "/v1/kinds/{kind}/limits",
    tag = "tenants",
    params(("kind" = String, Path, description = "The kind")),
    request_body = KindLimitsBody,
    responses(
        (status = OK, description = "They are set", body = KindLimitsBody),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn set_limits(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<KindName>,
    Body(limits): Body<KindLimitsBody>,
) -> Result<Json<KindLimitsBody>, Problem> {
    state.engine().queue.set_kind_limits(&kind, KindLimits { max_running: limits.max_running }).await?;
    let entry = Entry::new(Action::TenantChanged).to(format!("kind:{kind}"));
    state
        .record(entry.with("max_running", text(limits.max_running)), &caller.origin, Some(&caller.principal))
        .await;
    Ok(Json(limits))
}

fn text(limit: Option<u32>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

/// Pause a kind
///
/// Of all tenants. What runs goes on.
#[utoipa::path(
    put,
    path = "/v1/kinds/{kind}/pause",
    tag = "tenants",
    params(("kind" = String, Path, description = "The kind")),
    responses(
        (status = NO_CONTENT, description = "It is paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<KindName>,
) -> Result<StatusCode, Problem> {
    super::queue::pause_scope(&state, &caller, Scope::Kind(kind)).await
}

/// Resume a kind
#[utoipa::path(
    delete,
    path = "/v1/kinds/{kind}/pause",
    tag = "tenants",
    params(("kind" = String, Path, description = "The kind")),
    responses(
        (status = NO_CONTENT, description = "It is not paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<KindName>,
) -> Result<StatusCode, Problem> {
    super::queue::resume_scope(&state, &caller, Scope::Kind(kind)).await
}
