//! Tying an account at a provider to a user who is logged in. Must not know: how a provider is asked.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{StartQuery, cookie, told};
use crate::{
    api::{
        browser,
        caller::Caller,
        credential,
        extract::{Body, Path, Query},
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    security::{
        access::Subject,
        audit::{Action, Entry, Outcome},
        login::Origin as Source,
        oidc::{LinkTo, Oidc},
        passwords::Password,
        users::User,
    },
};

/// Proof that it is the user himself, and not somebody with his session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkBody {
    /// The caller's password. Who has none has logged in by a provider within the last ten minutes.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

/// Where the browser goes.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkStart {
    /// The provider's page.
    url: String,
}

/// Tie an account at a provider to oneself
///
/// From then on it logs in as this user. The browser goes to the page that the answer names.
#[utoipa::path(
    post,
    path = "/v1/auth/oidc/{provider}/link",
    tag = "identity",
    params(("provider" = String, Path, description = "Its name in the settings"), StartQuery),
    request_body = LinkBody,
    responses(
        (status = OK, description = "Where to go", body = LinkStart),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
pub(super) async fn link(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(query): Query<StartQuery>,
    Body(LinkBody { password }): Body<LinkBody>,
) -> Result<Response, Problem> {
    let engine = state.engine();
    let unknown = || Problem::not_found("such provider");
    if engine.oidc.tenant(&provider).ok_or_else(unknown)? != caller.tenant() {
        return Err(unknown());
    }
    let Subject::Session { user, .. } = &caller.principal.subject else {
        let detail = "log in with a browser: the provider sends it back";
        return Err(Problem::new(ProblemType::Forbidden, detail));
    };
    let known = engine.identity.users.get(caller.tenant(), user).await?.ok_or_else(credential::refused)?;
    is_himself(&state, &caller, &headers, &known, password).await?;
    let to = LinkTo { user: known.id, generation: known.generation };
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let begun = engine.oidc.begin(&provider, return_to, Some(to)).await.map_err(told)?;
    let headers = [
        (header::SET_COOKIE, cookie(&begun)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Json(LinkStart { url: begun.url.to_string() })).into_response())
}

/// What is tied to a user outlives his sessions and his password: a session alone, which may be stolen, is not enough for it.
async fn is_himself(
    state: &ApiState,
    caller: &Caller,
    headers: &HeaderMap,
    user: &User,
    password: Option<Password>,
) -> Result<(), Problem> {
    let engine = state.engine();
    let (is_proved, detail) = if user.has_password {
        let from = Source { address: caller.origin.address, request: caller.origin.request.clone() };
        let logins = &engine.identity.logins;
        let is_right = match password {
            Some(password) => logins.confirm(user, &password, &from).await?,
            None => false,
        };
        (is_right, "give your password: what is tied to you logs in as you from then on")
    } else {
        let text = browser::session_text(headers).ok_or_else(credential::refused)?;
        let session = engine.sessions.verify(&text).await?.ok_or_else(credential::refused)?.0;
        let age = engine.clock.now().since(session.created_at);
        (age < Oidc::LOGIN_LIFE, "log in anew first: this session is older than ten minutes")
    };
    if is_proved {
        return Ok(());
    }
    let entry = Entry::new(Action::OidcLogin).ended(Outcome::Refused).to(user.id.clone());
    state.record(entry.with("link", true), &caller.origin, Some(&caller.principal)).await;
    Err(Problem::new(ProblemType::Forbidden, detail))
}
