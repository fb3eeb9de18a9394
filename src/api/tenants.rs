//! `/v1/tenants`: what tenants may use of the queue, and whether their data is sealed; for who runs the installation.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    queue::JobCounts,
    state::ApiState,
};
use crate::{
    domain::{LaneLimits, TenantId, TenantLimits},
    queue::Scope,
    security::{
        TenantFacts,
        audit::{Action, Entry},
    },
};

/// What `/v1/tenants` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(set_limits, reset_limits))
        .routes(routes!(set_sealing))
        .routes(routes!(pause, resume))
}

/// The most kinds that a tenant may have limits of.
const MOST_KINDS: usize = 1_000;

/// What a tenant may use of the queue.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantLimits)]
pub(super) struct LimitsDocument {
    /// Its share beside other tenants': twice the weight, twice the service.
    #[schema(minimum = 1, maximum = 1000)]
    weight: u32,
    /// How many of its jobs may run at once; null for no limit.
    #[schema(required = true)]
    max_running: Option<u32>,
    /// How many of its jobs may be unfinished and not running; null for no limit.
    #[schema(required = true)]
    max_waiting: Option<u64>,
    /// How many bytes of payload those may have; null for no limit.
    #[schema(required = true)]
    max_waiting_bytes: Option<u64>,
    /// Limits of single kinds, by name.
    kinds: BTreeMap<String, LaneDocument>,
}

/// What a tenant may use of one kind.
#[derive(Serialize, ToSchema)]
#[schema(as = LaneLimits)]
pub(super) struct LaneDocument {
    /// How many may start in a time, such as `20/min:5` (at most 5 at once); null for no limit.
    #[schema(required = true)]
    rate: Option<String>,
    /// How many may run at once; null for no limit.
    #[schema(required = true)]
    max_running: Option<u32>,
}

impl From<TenantLimits> for LimitsDocument {
    fn from(limits: TenantLimits) -> Self {
        let TenantLimits { weight, max_running, max_waiting, max_waiting_bytes, kinds } = limits;
        let lane = |LaneLimits { rate, max_running }: LaneLimits| LaneDocument {
            rate: rate.map(|rate| rate.to_string()),
            max_running,
        };
        let kinds = kinds.into_iter().map(|(kind, limits)| (kind.to_string(), lane(limits))).collect();
        Self { weight, max_running, max_waiting, max_waiting_bytes, kinds }
    }
}

/// What a tenant is to be allowed: what is left out gets its default, null lifts a limit.
#[derive(ToSchema)]
#[schema(as = NewTenantLimits)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of `TenantLimits`, which belongs to the domain")]
struct NewLimits {
    /// Its share beside other tenants': 1 to 1,000.
    #[schema(minimum = 1, maximum = 1000, default = 1, required = false)]
    weight: u32,
    /// How many of its jobs may run at once.
    max_running: Option<u32>,
    /// How many of its jobs may be unfinished and not running.
    #[schema(default = 100_000)]
    max_waiting: Option<u64>,
    /// How many bytes of payload those may have.
    #[schema(default = 1_073_741_824)]
    max_waiting_bytes: Option<u64>,
    /// Limits of single kinds, by name; at most 1,000.
    #[schema(required = false)]
    kinds: BTreeMap<String, NewLaneLimits>,
}

/// What a tenant is to be allowed of one kind.
#[derive(ToSchema)]
#[schema(as = NewLaneLimits)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of `LaneLimits`, which belongs to the domain")]
struct NewLaneLimits {
    /// How many may start in a time, such as `20/min:5`: at most 5 at once.
    #[schema(pattern = "^[1-9][0-9]*/(s|min|h|d)(:[1-9][0-9]*)?$")]
    rate: Option<String>,
    /// How many may run at once.
    max_running: Option<u32>,
}

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantDocument {
    /// Its name.
    tenant: String,
    /// What it may use of the queue.
    limits: LimitsDocument,
    /// Whether what is made from now on is sealed with a key of its own.
    seal: bool,
    /// The id of its newest data key; null where it has none.
    #[schema(required = true)]
    newest_key: Option<String>,
    /// Whether it is paused.
    paused: bool,
    /// Its jobs.
    jobs: JobCounts,
}

/// A tenant in a listing.
#[derive(Serialize, ToSchema)]
struct KnownTenant {
    /// Its name.
    tenant: String,
    /// Its jobs.
    jobs: JobCounts,
    /// Whether what is made from now on is sealed with a key of its own.
    seal: bool,
}

/// List tenants
///
/// By name: those that have jobs, or a key of their own. Others are there as soon as they are named.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of tenants", body = PageOf<KnownTenant>),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn list(
    State(state): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<KnownTenant>>, Problem> {
    let (limit, engine) = (page.limit()?, state.engine());
    let after = page.place(&["tenants"])?.map(|name| name.parse::<TenantId>());
    let after = after.transpose().map_err(|_| PageQuery::bad_cursor())?;
    let stats = engine.queue.stats(None).await?;
    let is_behind = |tenant: &TenantId| after.as_ref().is_none_or(|after| tenant > after);
    let with_jobs = stats.lanes.iter().map(|lane| lane.tenant.clone());
    let mut names: BTreeSet<TenantId> = with_jobs.filter(is_behind).collect();
    let (mut sealing, mut place) = (BTreeSet::new(), after.clone());
    // Those with keys come in pages of their own; one more than a page of names is enough.
    let mut with_keys = 0;
    while with_keys <= limit {
        let facts = engine.keyring.list(place.as_ref()).await?;
        let Some(last) = facts.last() else { break };
        place = Some(last.tenant.clone());
        with_keys += facts.len();
        sealing.extend(facts.iter().filter(|facts| facts.seal).map(|facts| facts.tenant.clone()));
        names.extend(facts.into_iter().map(|facts| facts.tenant));
    }
    let has_more = names.len() > limit;
    let items: Vec<KnownTenant> = names
        .into_iter()
        .take(limit)
        .map(|tenant| KnownTenant {
            jobs: JobCounts::of(stats.lanes.iter().filter(|lane| lane.tenant == tenant)),
            seal: sealing.contains(&tenant),
            tenant: tenant.to_string(),
        })
        .collect();
    let last = items.last().filter(|_| has_more);
    let next = last.map(|last| PageQuery::seal(&["tenants"], &last.tenant));
    Ok(Json(PageOf { items, next }))
}

async fn document(state: &ApiState, tenant: TenantId) -> Result<Json<TenantDocument>, Problem> {
    let engine = state.engine();
    let limits = engine.queue.tenant_limits(&tenant).await?;
    let TenantFacts { seal, keys, .. } = engine.keyring.facts(&tenant).await?;
    let stats = engine.queue.stats(Some(&tenant)).await?;
    let paused = engine.queue.paused().await?.contains(&Scope::Tenant(tenant.clone()));
    Ok(Json(TenantDocument {
        tenant: tenant.to_string(),
        limits: limits.into(),
        seal,
        newest_key: keys.first().map(|key| key.id.to_string()),
        paused,
        jobs: JobCounts::of(&stats.lanes),
    }))
}

async fn record(state: &ApiState, caller: &Caller, tenant: &TenantId, change: &str) {
    let entry = Entry::new(Action::TenantChanged).of(tenant).to(format!("tenant:{tenant}"));
    state.record(entry.with("change", change), &caller.origin, Some(&caller.principal)).await;
}

/// Look at a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "The tenant", body = TenantDocument),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn get(
    State(state): State<ApiState>,
    Path(tenant): Path<TenantId>,
) -> Result<Json<TenantDocument>, Problem> {
    document(&state, tenant).await
}

/// Set what a tenant may use of the queue
///
/// All of it: what is left out gets its default. In force from the next claim.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/limits",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    request_body = NewLimits,
    responses(
        (status = OK, description = "They are set", body = TenantDocument),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn set_limits(
    State(state): State<ApiState>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    Body(mut limits): Body<TenantLimits>,
) -> Result<Json<TenantDocument>, Problem> {
    if limits.kinds.len() > MOST_KINDS {
        return Err(Problem::at(
            ProblemType::Unprocessable,
            "/kinds",
            format_args!("name {MOST_KINDS} kinds at most"),
        ));
    }
    limits.kinds.retain(|_, lane| lane.rate.is_some() || lane.max_running.is_some());
    let stored = (limits != TenantLimits::default()).then_some(limits);
    state.engine().queue.set_tenant_limits(&tenant, stored).await?;
    record(&state, &caller, &tenant, "limits set").await;
    document(&state, tenant).await
}

/// Let the default limits hold again
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/limits",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "The defaults hold", body = TenantDocument),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn reset_limits(
    State(state): State<ApiState>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
) -> Result<Json<TenantDocument>, Problem> {
    state.engine().queue.set_tenant_limits(&tenant, None).await?;
    record(&state, &caller, &tenant, "limits reset").await;
    document(&state, tenant).await
}

/// Whether a tenant's data is sealed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sealing {
    /// Whether payloads and artifacts that are made from now on are sealed with a key of its own.
    seal: bool,
}

/// Seal a tenant's data from now on, or no more
///
/// What is sealed stays so, and can be read.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/sealing",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    request_body = Sealing,
    responses(
        (status = OK, description = "It is so", body = TenantDocument),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn set_sealing(
    State(state): State<ApiState>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    Body(Sealing { seal }): Body<Sealing>,
) -> Result<Json<TenantDocument>, Problem> {
    state.engine().keyring.set_seals(&tenant, seal).await?;
    record(&state, &caller, &tenant, if seal { "sealing on" } else { "sealing off" }).await;
    document(&state, tenant).await
}

/// Pause a tenant
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/pause",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    responses(
        (status = NO_CONTENT, description = "It is paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
) -> Result<axum::http::StatusCode, Problem> {
    super::queue::pause_scope(&state, &caller, Scope::Tenant(tenant)).await
}

/// Resume a tenant
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/pause",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its name")),
    responses(
        (status = NO_CONTENT, description = "It is not paused"),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
) -> Result<axum::http::StatusCode, Problem> {
    super::queue::resume_scope(&state, &caller, Scope::Tenant(tenant)).await
}
