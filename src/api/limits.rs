//! `/v1/limits`: how much the tenant may use of models, exports, the API and so on, and how much of it is left.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path},
    problem::{Problem, seconds},
    state::ApiState,
    tenants::LimitsDocument,
};
use crate::{
    domain::{Rate, TenantId},
    limits::{Bucket, Resource},
    security::audit::{Action, Entry},
};

/// What `/v1/limits` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(set, reset))
}

/// How much may be used of one resource, and how much is left.
#[derive(Serialize, ToSchema)]
pub(super) struct ResourceLimit {
    /// What is used.
    #[schema(value_type = String)]
    resource: Resource,
    /// How much of it in a time, such as `20/min:5`; null where it is not limited.
    #[schema(required = true, value_type = Option<String>)]
    rate: Option<Rate>,
    /// Whether that is the default.
    default: bool,
    /// How much may be used at once; null where it is not limited.
    #[schema(required = true)]
    limit: Option<u32>,
    /// How much is left now; null where it is not limited.
    #[schema(required = true)]
    remaining: Option<u32>,
    /// Seconds until all of it is there again; null where it is not limited.
    #[schema(required = true)]
    reset_seconds: Option<u64>,
    /// Seconds for which nothing is let through, for a provider has said so; null where it is let through.
    #[schema(required = true)]
    parked_seconds: Option<u64>,
}

/// What a tenant may use.
#[derive(Serialize, ToSchema)]
struct TenantUse {
    /// Whose limits these are.
    tenant: String,
    /// What it may use of the queue.
    queue: LimitsDocument,
    /// What else it may use, by resource.
    resources: Vec<ResourceLimit>,
}

/// How much may be used.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewResourceLimit)]
#[serde(deny_unknown_fields)]
struct RateBody {
    /// How much in a time: `20/min:5` is twenty a minute, at most five at once; null for no limit.
    #[schema(required = true, value_type = Option<String>, pattern = "^[1-9][0-9]*/(s|min|h|d)(:[1-9][0-9]*)?$")]
    #[serde(deserialize_with = "Option::deserialize")]
    rate: Option<Rate>,
}

/// All that holds for a tenant, and how it stands.
pub(super) async fn resources(state: &ApiState, tenant: &TenantId) -> Result<Vec<ResourceLimit>, Problem> {
    let engine = state.engine();
    let mut all = Vec::new();
    for (resource, rate) in engine.rules.all(tenant).await? {
        let bucket = Bucket::new(tenant, &resource);
        let level = match rate {
            Some(rate) => Some(engine.limiter.level(&bucket, rate).await?),
            None => None,
        };
        let parked = match level {
            Some(level) => level.parked,
            None => engine.limiter.parked(&bucket).await?,
        };
        all.push(ResourceLimit {
            default: engine.rules.defaults().0.get(&resource) == rate.as_ref(),
            resource,
            rate,
            limit: level.map(|level| level.limit),
            remaining: level.map(|level| level.remaining),
            reset_seconds: level.map(|level| seconds(level.reset)),
            parked_seconds: parked.filter(|wait| *wait > Duration::ZERO).map(seconds),
        });
    }
    Ok(all)
}

async fn document(state: &ApiState, tenant: &TenantId) -> Result<Json<TenantUse>, Problem> {
    let queue = state.engine().queue.tenant_limits(tenant).await?.into();
    Ok(Json(TenantUse { tenant: tenant.to_string(), queue, resources: resources(state, tenant).await? }))
}

/// See what the tenant may use, and how much of it is left
#[utoipa::path(
    get,
    path = "/v1/limits",
    tag = "tenants",
    responses(
        (status = OK, description = "The limits", body = TenantUse),
    ),
    extensions(("x-permission" = json!("limits:read")))
)]
async fn get(State(state): State<ApiState>, caller: Caller) -> Result<Json<TenantUse>, Problem> {
    document(&state, caller.tenant()).await
}

/// Set how much the tenant may use of a resource
///
/// In force everywhere within a second.
#[utoipa::path(
    put,
    path = "/v1/limits/{resource}",
    tag = "tenants",
    params(("resource" = String, Path, description = "What is used, such as generation or model:openai%2Fkey-1")),
    request_body = RateBody,
    responses(
        (status = OK, description = "It is set", body = TenantUse),
    ),
    extensions(("x-permission" = json!("limits:write")))
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    Path(resource): Path<Resource>,
    Body(RateBody { rate }): Body<RateBody>,
) -> Result<Json<TenantUse>, Problem> {
    state.engine().rules.set(caller.tenant(), &resource, rate).await?;
    let text = rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
    record(&state, &caller, &resource, &text).await;
    document(&state, caller.tenant()).await
}

/// Let the default hold again
#[utoipa::path(
    delete,
    path = "/v1/limits/{resource}",
    tag = "tenants",
    params(("resource" = String, Path, description = "What is used")),
    responses(
        (status = OK, description = "The default holds", body = TenantUse),
    ),
    extensions(("x-permission" = json!("limits:write")))
)]
async fn reset(
    State(state): State<ApiState>,
    caller: Caller,
    Path(resource): Path<Resource>,
) -> Result<Json<TenantUse>, Problem> {
    state.engine().rules.reset(caller.tenant(), &resource).await?;
    record(&state, &caller, &resource, "default").await;
    document(&state, caller.tenant()).await
}

async fn record(state: &ApiState, caller: &Caller, resource: &Resource, rate: &str) {
    let entry = Entry::new(Action::TenantChanged).to(format!("limit:{resource}")).with("rate", rate);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}
