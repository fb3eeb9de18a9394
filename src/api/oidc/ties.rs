//! Accounts at providers that are tied to a user: seen and untied, by himself or by who manages users. Must not know: how one is
//! tied.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::proof::ProofBody;
use crate::{
    api::{
        caller::Caller,
        extract::{Body, Path},
        identity,
        page::PageOf,
        problem::{Problem, ProblemType},
        state::ApiState,
        users,
    },
    domain::{Timestamp, UserId},
    security::{
        audit::{Action, Entry, Outcome},
        oidc::Tie,
        users::User,
    },
};

/// An account at a provider that logs in as the user.
#[derive(Serialize, ToSchema)]
pub(super) struct TieDocument {
    /// Names it here.
    id: String,
    /// The provider, by its name in the settings.
    provider: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<Tie> for TieDocument {
    fn from(Tie { id, provider, since }: Tie) -> Self {
        Self { id, provider, since }
    }
}

async fn of(state: &ApiState, user: &User) -> Result<Json<PageOf<TieDocument>>, Problem> {
    let ties = state.engine().oidc.ties(user).await?;
    Ok(Json(PageOf { items: ties.into_iter().map(TieDocument::from).collect(), next: None }))
}

async fn untie(state: &ApiState, caller: &Caller, user: &User, id: &str) -> Result<StatusCode, Problem> {
    let tie = state.engine().oidc.untie(user, id).await?;
    let tie = tie.ok_or_else(|| Problem::not_found("such account"))?;
    let entry = Entry::new(Action::UserChanged).to(user.id.clone()).with("change", "account untied");
    state.audit(caller, entry.with("name", &user.name).with("provider", tie.provider)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// List the accounts at providers that log in as oneself
#[utoipa::path(
    get,
    path = "/v1/auth/accounts",
    tag = "identity",
    responses(
        (status = OK, description = "All of them", body = PageOf<TieDocument>),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
pub(super) async fn own(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<PageOf<TieDocument>>, Problem> {
    let user = identity::user(&state, &caller).await?;
    of(&state, &user).await
}

/// Untie an account at a provider from oneself
///
/// It logs in as this user no more. What it was given before lives on: log out everywhere to end that, too.
#[utoipa::path(
    post,
    path = "/v1/auth/accounts/{account}/remove",
    tag = "identity",
    params(("account" = String, Path, description = "Its id")),
    request_body = ProofBody,
    responses(
        (status = NO_CONTENT, description = "It is nobody's"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
pub(super) async fn untie_own(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Path(account): Path<String>,
    Body(proof): Body<ProofBody>,
) -> Result<StatusCode, Problem> {
    let user = identity::user(&state, &caller).await?;
    if let Err(problem) = proof.check(&state, &caller, &headers, &user).await {
        let entry = Entry::new(Action::UserChanged).ended(Outcome::Refused).to(user.id.clone());
        let entry = entry.with("change", "account untied").with("name", &user.name);
        state.record(entry, &caller.origin, Some(&caller.principal)).await;
        return Err(problem);
    }
    let ties = state.engine().oidc.ties(&user).await?;
    let is_last = ties.len() == 1 && ties[0].id == account;
    if is_last && !user.has_password {
        let detail =
            "it is the only way to log in as you: ask an administrator for a link to set a password first";
        return Err(Problem::new(ProblemType::Conflict, detail));
    }
    untie(&state, &caller, &user, &account).await
}

/// List the accounts at providers that log in as a user
#[utoipa::path(
    get,
    path = "/v1/users/{user}/accounts",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = OK, description = "All of them", body = PageOf<TieDocument>),
    ),
    extensions(("x-permission" = json!("users:read")))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Json<PageOf<TieDocument>>, Problem> {
    let user = state.engine().identity.users.get(caller.tenant(), &user.to_string()).await?;
    of(&state, &user.ok_or_else(users::unknown)?).await
}

/// Untie an account at a provider from a user
///
/// It logs in as him no more. What it was given before lives on: log him out everywhere to end that, too.
#[utoipa::path(
    delete,
    path = "/v1/users/{user}/accounts/{account}",
    tag = "users",
    params(("user" = String, Path, description = "The user's id"), ("account" = String, Path, description = "The account's id")),
    responses(
        (status = NO_CONTENT, description = "It is nobody's"),
    ),
    extensions(("x-permission" = json!("users:manage")))
)]
pub(super) async fn untie_one(
    State(state): State<ApiState>,
    caller: Caller,
    Path((user, account)): Path<(UserId, String)>,
) -> Result<StatusCode, Problem> {
    let user = users::changeable(&state, &caller, &user).await?;
    untie(&state, &caller, &user, &account).await
}
