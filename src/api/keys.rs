//! `/v1/keys`: API keys of the caller's tenant. A key's text is in the answer that makes it, and nowhere else.

use std::{net::IpAddr, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::{TenantId, Timestamp},
    security::{
        access::{Grant, Grants, Role, Subject},
        api_keys::{AddressRange, ApiKey, ApiKeyText, KeyUse, NewApiKey, Standing},
        audit::{Action, Entry, Outcome},
    },
    store::StoreError,
};

/// How long a key that is rotated goes on where nobody says: a day.
const USUAL_OVERLAP: u64 = 86_400;
/// How long it may: 30 days.
const MOST_OVERLAP: u64 = 30 * 86_400;

/// What `/v1/keys` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, revoke)).routes(routes!(rotate))
}

/// What is known of an API key; nothing of it is secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyDocument {
    /// Its id.
    #[schema(pattern = "^key_[0-9a-f]{20}$")]
    id: String,
    /// For whom it acts.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// What people call it.
    name: String,
    /// What it allows.
    #[schema(value_type = Vec<String>)]
    permissions: Grants,
    /// From where it may be used; from everywhere where none is named.
    #[schema(value_type = Vec<String>)]
    from: Vec<AddressRange>,
    /// Whether it holds: holds, expired or revoked.
    #[schema(value_type = String)]
    standing: Standing,
    /// Who made it.
    created_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When somebody ended it.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// The key that was made in its place.
    replaced_by: Option<String>,
    /// When it was used last, within a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// From where.
    #[schema(value_type = Option<String>)]
    last_used_from: Option<IpAddr>,
    /// How often it was used.
    uses: u64,
}

impl ApiKeyDocument {
    pub(crate) fn new(key: ApiKey, used: Option<KeyUse>, now: Timestamp) -> Self {
        let standing = key.standing(now);
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            permissions: key.grants,
            from: key.from,
            standing,
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            replaced_by: key.replaced_by,
            last_used_at: used.as_ref().map(|used| used.last_at),
            last_used_from: used.as_ref().and_then(|used| used.last_address),
            uses: used.map_or(0, |used| used.uses),
        }
    }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it allows: nothing that its maker may not. Needed where no role is named; beside one, what is to be added.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["jobs:create:export", "jobs:read"]))]
    permissions: Grants,
    /// Allows what this role does: viewer, producer, operator, admin or root.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// From where it may be used, such as 203.0.113.0/24; from everywhere where none is named.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 32)]
    from: Vec<AddressRange>,
    /// When it is to end by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// How a key is to be rotated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// For how many seconds the old key goes on beside the new one; a day where nothing is said.
    #[serde(default = "usual_overlap")]
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_seconds: u64,
}

fn usual_overlap() -> u64 {
    USUAL_OVERLAP
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    /// Its text: shown here and never again.
    text: String,
    /// What is known of it.
    key: ApiKeyDocument,
}

/// Make an API key
///
/// The answer has its text, which can't be had again. A key allows nothing that its maker may not.
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body = NewKeyBody,
    responses(
        (status = CREATED, description = "The key was made", body = MadeKey),
    ),
    extensions(("x-permission" = json!("keys:manage")))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<NewKeyBody>,
) -> Result<Response, Problem> {
    let NewKeyBody { name, permissions, role, from, expires_at } = body;
    let role = role.map(Role::grants).unwrap_or_default();
    let grants: Grants = permissions.0.into_iter().chain(role.0).collect();
    hands_out(&state, &caller, &grants).await?;
    stays_within(&caller, &from, expires_at)?;
    let new = NewApiKey { tenant: caller.tenant().clone(), name, grants, from, expires_at };
    let (key, text) = state.engine().api_keys.create(new, &caller.acting()).await?;
    Ok(made(&state, key, &text))
}

/// List API keys
///
/// By id. Keys that have ended are listed for 90 days more.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "keys",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of keys", body = PageOf<ApiKeyDocument>),
    ),
    extensions(("x-permission" = json!("keys:manage")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let found = state.engine().api_keys.list(caller.tenant(), page.cursor(), page.limit()?).await;
    let found = found.map_err(|error| match error {
        StoreError::Invalid(_) => PageQuery::bad_cursor(),
        error => error.into(),
    })?;
    let now = state.engine().clock.now();
    let items = found.items.into_iter().map(|(key, used)| ApiKeyDocument::new(key, used, now)).collect();
    Ok(Json(PageOf { items, next: found.next }).into_response())
}

/// Look at an API key
#[utoipa::path(
    get,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "The key", body = ApiKeyDocument),
    ),
    extensions(("x-permission" = json!("keys:manage")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let found = state.engine().api_keys.get(caller.tenant(), &key).await?;
    let (key, used) = found.ok_or_else(no_key)?;
    Ok(Json(ApiKeyDocument::new(key, used, state.engine().clock.now())).into_response())
}

/// Revoke an API key
///
/// For good: at once in the process that is asked, in all others within a quarter of a second (for what manages keys, users, tenants and the
/// like: at once). Revoking one that has ended changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "The key as it is now", body = ApiKeyDocument),
    ),
    extensions(("x-permission" = json!("keys:manage")))
)]
async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let keys = &state.engine().api_keys;
    keys.revoke(caller.tenant(), &key, &caller.acting()).await?.ok_or_else(no_key)?;
    let (key, used) = keys.get(caller.tenant(), &key).await?.ok_or_else(no_key)?;
    Ok(Json(ApiKeyDocument::new(key, used, state.engine().clock.now())).into_response())
}

/// Rotate an API key
///
/// Makes a key like it. The old one goes on for a while, so that it can be replaced everywhere, and ends then.
#[utoipa::path(
    post,
    path = "/v1/keys/{key}/rotate",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    request_body = RotateBody,
    responses(
        (status = CREATED, description = "The new key", body = MadeKey),
    ),
    extensions(("x-permission" = json!("keys:manage")))
)]
async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<String>,
    Body(RotateBody { overlap_seconds }): Body<RotateBody>,
) -> Result<Response, Problem> {
    if overlap_seconds > MOST_OVERLAP {
        let problem = format_args!("choose 0 to {MOST_OVERLAP}, which are 30 days");
        return Err(Problem::at(ProblemType::Unprocessable, "/overlap_seconds", problem));
    }
    let keys = &state.engine().api_keys;
    let (found, _) = keys.get(caller.tenant(), &key).await?.ok_or_else(no_key)?;
    // Its text would be in the caller's hands.
    hands_out(&state, &caller, &found.grants).await?;
    stays_within(&caller, &found.from, found.expires_at)?;
    let overlap = Duration::from_secs(overlap_seconds);
    let rotated = keys.rotate(caller.tenant(), &key, overlap, &caller.acting()).await?;
    let (key, text) = rotated.ok_or_else(no_key)?;
    Ok(made(&state, key, &text))
}

/// Nobody hands out what he has not.
async fn hands_out(state: &ApiState, caller: &Caller, grants: &Grants) -> Result<(), Problem> {
    let mine = &caller.principal.grants;
    if mine.cover(grants) {
        return Ok(());
    }
    let has = |grant: &&Grant| mine.cover(&Grants([(*grant).clone()].into()));
    let missing: Vec<&str> = grants.0.iter().filter(|grant| !has(grant)).map(Grant::as_str).collect();
    let missing = missing.join(" ");
    let entry = Entry::new(Action::AccessDenied).ended(Outcome::Refused).to("keys:manage");
    state.record(entry.with("hands_out", &missing), &caller.origin, Some(&caller.principal)).await;
    let problem = format_args!("a key allows nothing that its maker may not: leave out {missing}");
    Err(Problem::new(ProblemType::Forbidden, problem))
}

/// A key that ends, or is bound to addresses, makes none that goes on after it, or holds elsewhere: whoever has got hold of it
/// would be rid of its bounds.
fn stays_within(
    caller: &Caller,
    from: &[AddressRange],
    expires_at: Option<Timestamp>,
) -> Result<(), Problem> {
    let Subject::ApiKey { from: mine, .. } = &caller.principal.subject else { return Ok(()) };
    if let Some(end) = caller.principal.until
        && expires_at.is_none_or(|expires_at| expires_at > end)
    {
        let problem = format_args!("the key that asks for it ends at {end}: let the new one end no later");
        return Err(Problem::new(ProblemType::Forbidden, problem));
    }
    let is_within = |range: &AddressRange| mine.iter().any(|mine| mine.covers(range));
    if !mine.is_empty() && (from.is_empty() || !from.iter().all(is_within)) {
        let problem =
            "the key that asks for it is bound to addresses: bind the new one to those, or to some of them";
        return Err(Problem::new(ProblemType::Forbidden, problem));
    }
    Ok(())
}

fn made(state: &ApiState, key: ApiKey, text: &ApiKeyText) -> Response {
    let location = format!("/v1/keys/{}", key.id);
    let key = ApiKeyDocument::new(key, None, state.engine().clock.now());
    let body = Json(MadeKey { text: text.reveal().to_owned(), key });
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    (StatusCode::CREATED, headers, body).into_response()
}

fn no_key() -> Problem {
    Problem::not_found("such key")
}
