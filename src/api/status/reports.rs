//! `/v1/status/…`: how the service is, in JSON, for people and dashboards.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::whose;
use crate::{
    api::{
        Routes,
        caller::Caller,
        limits::{ResourceLimit, resources},
        problem::Problem,
        queue::JobCounts,
        state::ApiState,
    },
    domain::Timestamp,
    limits::{Health, Resource},
    security::{TenantFacts, audit::Health as AuditHealth},
};

/// The four reports.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(security))
        .routes(routes!(performance))
        .routes(routes!(cache))
        .routes(routes!(limits))
}

/// Whether something that the fleet shares is there.
#[derive(Serialize, ToSchema)]
struct Shared {
    /// Whether it answers; where it does not, this process goes on alone.
    well: bool,
    /// Since when it does not; null where it does.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    away_since: Option<Timestamp>,
}

impl From<Health> for Shared {
    fn from(health: Health) -> Self {
        match health {
            Health::Well => Self { well: true, away_since: None },
            Health::Away { since, .. } => Self { well: false, away_since: Some(since) },
        }
    }
}

/// How it stands with security.
#[derive(Serialize, ToSchema)]
struct SecurityReport {
    /// Whether the audit log of this process could keep its latest entry, and nothing of it was found broken. While it can't,
    /// administrative changes are refused.
    audit_healthy: bool,
    /// How it stands with that log; null but for who may manage tenants.
    #[schema(required = true)]
    audit: Option<AuditReport>,
    /// Whether what the tenant makes from now on is sealed with a key of its own.
    seals: bool,
    /// How many data keys the tenant has.
    data_keys: usize,
    /// How many of those can't be used, for their master key is not at hand.
    data_keys_missing: usize,
    /// How it stands with all keys; null but for who may manage tenants.
    #[schema(required = true)]
    keyring: Option<KeyringReport>,
}

/// How it stands with the audit log of the process that answers.
#[derive(Serialize, ToSchema)]
struct AuditReport {
    /// Why entries can't be written now; null where they can.
    #[schema(required = true)]
    problem: Option<String>,
    /// What was found broken since the process began; null where nothing was.
    #[schema(required = true)]
    broken: Option<String>,
    /// How many entries were lost since the process began.
    lost: u64,
    /// Why entries can't be brought to the store now; null where they can.
    #[schema(required = true)]
    store: Option<String>,
    /// When the process last read all of it (`/v1/audit/verify`); null where it has not.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    checked_at: Option<Timestamp>,
    /// Whether all of it was as it was written then.
    #[schema(required = true)]
    checked_whole: Option<bool>,
}

impl From<AuditHealth> for AuditReport {
    fn from(AuditHealth { problem, broken, lost, store, checked }: AuditHealth) -> Self {
        let (checked_at, checked_whole) = checked.map(|checked| (checked.at, checked.whole)).unzip();
        Self { problem, broken, lost, store, checked_at, checked_whole }
    }
}

/// How it stands with all keys.
#[derive(Serialize, ToSchema)]
struct KeyringReport {
    /// The ids of the master keys at hand, the newest first.
    masters: Vec<String>,
    /// Whether the master key was made here, so that nobody else may have a copy.
    made_here: bool,
    /// How many tenants seal.
    sealing_tenants: u64,
    /// How many data keys there are.
    data_keys: u64,
    /// The ids of master keys that wrap data keys and are not at hand.
    missing_masters: Vec<String>,
}

/// How it stands with security
#[utoipa::path(
    get,
    path = "/v1/status/security",
    tag = "status",
    responses(
        (status = OK, description = "How it stands", body = SecurityReport),
    ),
    extensions(("x-permission" = json!("status:read")))
)]
async fn security(State(state): State<ApiState>, caller: Caller) -> Result<Json<SecurityReport>, Problem> {
    let engine = state.engine();
    let TenantFacts { seal, keys, .. } = engine.keyring.facts(caller.tenant()).await?;
    let keyring = match whose(&caller) {
        Some(_) => None,
        None => {
            let health = engine.keyring.health().await?;
            Some(KeyringReport {
                masters: health.masters.iter().map(ToString::to_string).collect(),
                made_here: health.made,
                sealing_tenants: health.sealing,
                data_keys: health.keys,
                missing_masters: health.missing.iter().map(ToString::to_string).collect(),
            })
        }
    };
    let audit = engine.audit.health();
    Ok(Json(SecurityReport {
        audit_healthy: audit.problem.is_none() && audit.broken.is_none(),
        audit: whose(&caller).is_none().then(|| audit.into()),
        seals: seal,
        data_keys: keys.len(),
        data_keys_missing: keys.iter().filter(|key| !key.at_hand).count(),
        keyring,
    }))
}

/// How fast it goes.
#[derive(Serialize, ToSchema)]
struct PerformanceReport {
    /// Seconds since this process's API began.
    uptime_seconds: u64,
    /// What this process was asked by HTTP.
    requests: RequestsReport,
    /// Streams of events that are open in this process: the tenant's, or all for who may manage tenants.
    streams_open: usize,
    /// Jobs: the tenant's, or all for who may manage tenants.
    jobs: JobCounts,
    /// When the oldest waiting job was to run; null where none waits.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    oldest_waiting: Option<Timestamp>,
}

/// What this process was asked by HTTP.
#[derive(Serialize, ToSchema)]
struct RequestsReport {
    /// How many requests were answered.
    answered: u64,
    /// How many of them were refused: statuses from 400 to 499.
    refused: u64,
    /// How many of them failed: statuses from 500 on.
    failed: u64,
    /// Half of them took at most so many milliseconds (the upper bound of a bucket); null where that can't be told.
    #[schema(required = true)]
    p50_ms: Option<f64>,
    /// 95 of 100 took at most so many milliseconds.
    #[schema(required = true)]
    p95_ms: Option<f64>,
    /// 99 of 100 took at most so many milliseconds.
    #[schema(required = true)]
    p99_ms: Option<f64>,
}

/// How fast it goes
#[utoipa::path(
    get,
    path = "/v1/status/performance",
    tag = "status",
    responses(
        (status = OK, description = "How fast it goes", body = PerformanceReport),
    ),
    extensions(("x-permission" = json!("status:read")))
)]
async fn performance(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<PerformanceReport>, Problem> {
    let whose = whose(&caller);
    let stats = state.engine().queue.stats(whose).await?;
    let totals = state.requests().totals();
    Ok(Json(PerformanceReport {
        uptime_seconds: state.begun().elapsed().as_secs(),
        requests: RequestsReport {
            answered: totals.count(),
            refused: totals.by_class[4],
            failed: totals.by_class[5],
            p50_ms: totals.quantile(500),
            p95_ms: totals.quantile(950),
            p99_ms: totals.quantile(990),
        },
        streams_open: state.live().open_streams(whose),
        jobs: JobCounts::of(&stats.lanes),
        oldest_waiting: stats.lanes.iter().filter_map(|lane| lane.oldest_waiting).min(),
    }))
}

/// How this process's cache fares.
#[derive(Serialize, ToSchema)]
struct CacheReport {
    /// Whether the level that the fleet shares is there; well where there is none.
    shared: Shared,
    /// The share of askings that needed no load, 0 to 1; 0 where nobody has asked.
    hit_rate: f64,
    /// Found in this process's memory.
    memory_hits: u64,
    /// Found in the fleet's level.
    shared_hits: u64,
    /// Given what another caller was loading.
    joined: u64,
    /// Found nowhere.
    misses: u64,
    /// Loads that gave a value.
    loads: u64,
    /// Loads that failed.
    failed_loads: u64,
    /// Entries that made room for others.
    evictions: u64,
    /// Invalidations asked for here.
    invalidations: u64,
    /// What made no sense in the fleet's level.
    errors: u64,
    /// Entries in memory.
    entries: u64,
    /// Bytes of memory that they take.
    bytes: u64,
}

/// How this process's cache fares
#[utoipa::path(
    get,
    path = "/v1/status/cache",
    tag = "status",
    responses(
        (status = OK, description = "How it fares", body = CacheReport),
    ),
    extensions(("x-permission" = json!("status:read")))
)]
async fn cache(State(state): State<ApiState>) -> Json<CacheReport> {
    let cache = &state.engine().cache;
    let statistics = cache.statistics();
    Json(CacheReport {
        shared: cache.health().into(),
        hit_rate: statistics.hit_rate(),
        memory_hits: statistics.memory_hits,
        shared_hits: statistics.shared_hits,
        joined: statistics.joined,
        misses: statistics.misses,
        loads: statistics.loads,
        failed_loads: statistics.failed_loads,
        evictions: statistics.evictions,
        invalidations: statistics.invalidations,
        errors: statistics.errors,
        entries: statistics.entries,
        bytes: statistics.bytes,
    })
}

/// How limits fare.
#[derive(Serialize, ToSchema)]
struct LimitsReport {
    /// Whether they hold for all who share the engine.
    shared: Shared,
    /// What this process was answered, by resource; of those that have a default, or all for who may manage tenants.
    answered: Vec<Answered>,
    /// What the tenant may use, and how much of it is left.
    resources: Vec<ResourceLimit>,
}

/// What this process was answered of one resource.
#[derive(Serialize, ToSchema)]
struct Answered {
    /// Which; `_rest` for all beyond the first 256.
    #[schema(value_type = String)]
    resource: Resource,
    /// Calls that were allowed.
    allowed: u64,
    /// Calls that were refused for want of tokens.
    denied: u64,
    /// Calls that were refused for being parked.
    parked: u64,
}

/// How limits fare
#[utoipa::path(
    get,
    path = "/v1/status/limits",
    tag = "status",
    responses(
        (status = OK, description = "How they fare", body = LimitsReport),
    ),
    extensions(("x-permission" = json!("status:read")))
)]
async fn limits(State(state): State<ApiState>, caller: Caller) -> Result<Json<LimitsReport>, Problem> {
    let (engine, is_all) = (state.engine(), whose(&caller).is_none());
    let mut answered = engine.limiter.statistics();
    // Other names may be a tenant's own.
    answered.retain(|one| is_all || engine.rules.defaults().0.contains_key(&one.resource));
    let answered = answered
        .into_iter()
        .map(|one| Answered {
            resource: one.resource,
            allowed: one.allowed,
            denied: one.denied,
            parked: one.parked,
        })
        .collect();
    let shared = engine.limiter.health().into();
    Ok(Json(LimitsReport { shared, answered, resources: resources(&state, caller.tenant()).await? }))
}
