//! How the service is: that it lives, whether it can be used, what it counts. Owns: `/healthz`, `/readyz`, `/metrics`.

mod reports;

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    metrics::Text,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::{State as JobState, TenantId},
    limits::Health,
    queue::Stats,
    security::access::Permission,
    spending::{ModelName, Totals},
};

/// What tells how the service is.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .merge(reports::routes())
}

/// Who may see the whole installation.
const ALL_TENANTS: Permission = Permission::literal("tenants:manage");
/// How long the stores may take to be there.
const PATIENCE: Duration = Duration::from_secs(2);
/// For so long an answer about them holds: whoever asks often asks them seldom.
const FRESH: Duration = Duration::from_secs(1);
/// When to ask again.
const AGAIN: Duration = Duration::from_secs(5);
/// Kinds that are told apart in metrics; the rest together.
const MOST_KINDS: usize = 100;

/// It is so.
#[derive(Serialize, ToSchema)]
struct Fine {
    /// `ok`.
    status: &'static str,
}

/// Whether the stores were there when they were asked last.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn look(&self, state: &ApiState) -> bool {
        // One asks, the others wait for his answer.
        let mut known = self.0.lock().await;
        if let Some((at, is_ready)) = *known
            && at.elapsed() < FRESH
        {
            return is_ready;
        }
        let engine = state.engine();
        let both = async { tokio::join!(engine.queue.paused(), engine.records.get("readiness", "asked")) };
        let is_ready = matches!(timeout(PATIENCE, both).await, Ok((Ok(_), Ok(_))));
        *known = Some((Instant::now(), is_ready));
        is_ready
    }
}

/// Ask whether the process lives
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "status",
    responses(
        (status = OK, description = "It lives", body = Fine),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn healthz() -> Json<Fine> {
    Json(Fine { status: "ok" })
}

/// Ask whether the service can be used
///
/// Its stores answer, and it is not about to stop.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "status",
    responses(
        (status = OK, description = "It can", body = Fine),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn readyz(State(state): State<ApiState>) -> Result<Json<Fine>, Problem> {
    if state.stopping().is_cancelled() || !state.readiness().look(&state).await {
        return Err(Problem::new(ProblemType::Unavailable, "not ready").after(AGAIN));
    }
    Ok(Json(Fine { status: "ok" }))
}

/// Whose figures a caller may see: his tenant's, or all (`None`).
fn whose(caller: &Caller) -> Option<&TenantId> {
    (!caller.principal.may(&ALL_TENANTS)).then(|| caller.tenant())
}

/// Metrics in Prometheus' text format
///
/// Jobs are those of the caller's tenant, or of all tenants together for who may manage them. Models are the whole fleet's, for
/// who may manage all tenants. The rest is this process's.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "status",
    responses(
        (status = OK, description = "The metrics, in the text format 0.0.4", body = String, content_type = "text/plain"),
    ),
    extensions(("x-permission" = json!("status:read")))
)]
async fn metrics(State(state): State<ApiState>, caller: Caller) -> Result<Response, Problem> {
    let (whose, engine) = (whose(&caller), state.engine());
    let mut text = Text::default();
    write_jobs(&mut text, &engine.queue.stats(whose).await?, &state);
    write_limits(&mut text, &state, whose.is_none());
    write_cache(&mut text, &state);
    if whose.is_none() {
        write_models(&mut text, &engine.spending.fleet().await?);
    }
    let (open, help) = (state.live().open_streams(whose), "Streams of events that are open in this process.");
    text.single("presswork_streams_open", "gauge", help, &open);
    let help = "1 where the latest entry of the audit log could be kept.";
    text.single("presswork_audit_healthy", "gauge", help, &u8::from(engine.audit.is_healthy()));
    let help = "Seconds since this process's API began.";
    text.single("presswork_uptime_seconds", "gauge", help, &state.begun().elapsed().as_secs());
    state.requests().write(&mut text);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text.finish()).into_response())
}

fn write_jobs(text: &mut Text, stats: &Stats, state: &ApiState) {
    let known = state.registry().kinds();
    let name = |kind: &str| {
        let is_known = known.iter().take(MOST_KINDS).any(|known| known.as_str() == kind);
        if is_known { kind.to_owned() } else { "_other".to_owned() }
    };
    let mut names: Vec<String> = stats.lanes.iter().map(|lane| name(lane.kind.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    text.family("presswork_jobs", "gauge", "Jobs by kind and state.");
    for kind in &names {
        let of_kind = || stats.lanes.iter().filter(|lane| name(lane.kind.as_str()) == *kind);
        for wanted in JobState::ALL {
            let counts = of_kind().flat_map(|lane| &lane.jobs).filter(|(found, _)| *found == wanted);
            text.sample(
                "",
                &[("kind", kind), ("state", &wanted)],
                &counts.map(|(_, count)| count).sum::<u64>(),
            );
        }
    }
    let help = "How long the oldest waiting job of a kind has been due.";
    text.family("presswork_oldest_waiting_seconds", "gauge", help);
    for kind in &names {
        let of_kind = stats.lanes.iter().filter(|lane| name(lane.kind.as_str()) == *kind);
        let oldest = of_kind.filter_map(|lane| lane.oldest_waiting).min();
        let waited = oldest.map_or(0, |at| state.engine().clock.now().since(at).as_secs());
        text.sample("", &[("kind", kind)], &waited);
    }
}

fn write_limits(text: &mut Text, state: &ApiState, is_all: bool) {
    let engine = state.engine();
    let is_well = u8::from(engine.limiter.health() == Health::Well);
    let help = "1 where limits hold for all who share the engine, 0 where for this process alone.";
    text.single("presswork_limits_shared", "gauge", help, &is_well);
    let help = "Answers of this process's limits, by resource.";
    text.family("presswork_limit_decisions_total", "counter", help);
    for one in engine.limiter.statistics() {
        // Other names may be a tenant's own.
        if is_all || engine.rules.defaults().0.contains_key(&one.resource) {
            let all = [("allowed", one.allowed), ("denied", one.denied), ("parked", one.parked)];
            for (outcome, count) in all {
                text.sample("", &[("resource", &one.resource), ("outcome", &outcome)], &count);
            }
        }
    }
}

fn write_models(text: &mut Text, models: &[(ModelName, Totals)]) {
    let help =
        "Tokens that the fleet's jobs have used, by model; provider_cached are among those of the input.";
    text.family("presswork_model_tokens_total", "counter", help);
    for (ModelName { provider, model }, totals) in models {
        let all = [
            ("input", totals.input_tokens),
            ("provider_cached", totals.provider_cached_tokens),
            ("output", totals.output_tokens),
        ];
        for (kind, count) in all {
            text.sample("", &[("provider", provider), ("model", model), ("kind", &kind)], &count);
        }
    }
    let help = "Questions of the fleet's jobs, by model: asked, or answered from the cache.";
    text.family("presswork_model_calls_total", "counter", help);
    for (ModelName { provider, model }, totals) in models {
        for (answered, count) in [("asked", totals.calls), ("cached", totals.cached_calls)] {
            text.sample("", &[("provider", provider), ("model", model), ("answered", &answered)], &count);
        }
    }
    let help = "What calls with a known price have cost, in the currency of the prices.";
    text.family("presswork_model_cost_total", "counter", help);
    for (ModelName { provider, model }, totals) in models {
        text.sample("", &[("provider", provider), ("model", model)], &totals.cost);
    }
    let help = "Calls whose cost nobody knows: their model has no price.";
    text.family("presswork_model_unpriced_calls_total", "counter", help);
    for (ModelName { provider, model }, totals) in models {
        text.sample("", &[("provider", provider), ("model", model)], &totals.unpriced_calls);
    }
}

fn write_cache(text: &mut Text, state: &ApiState) {
    let cache = state.engine().cache.statistics();
    let is_well = u8::from(state.engine().cache.health() == Health::Well);
    let help = "1 where the cache's shared level answers, or there is none.";
    text.single("presswork_cache_shared", "gauge", help, &is_well);
    text.family(
        "presswork_cache_requests_total",
        "counter",
        "What this process's cache was asked, by where it was found.",
    );
    let all = [
        ("memory", cache.memory_hits),
        ("shared", cache.shared_hits),
        ("joined", cache.joined),
        ("missed", cache.misses),
    ];
    for (found, count) in all {
        text.sample("", &[("found", &found)], &count);
    }
    let help = "Entries that made room for others.";
    text.single("presswork_cache_evictions_total", "counter", help, &cache.evictions);
    text.single("presswork_cache_entries", "gauge", "Entries in memory.", &cache.entries);
    text.single("presswork_cache_bytes", "gauge", "Bytes of memory that they take.", &cache.bytes);
}
