//! Tying an account at a provider to a user who is logged in. Must not know: how a provider is asked.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StartQuery, cookie, proof::ProofBody, told};
use crate::{
    api::{
        caller::Caller,
        credential,
        extract::{Body, Path, Query},
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    security::{
        access::Subject,
        audit::{Action, Entry, Outcome},
        oidc::LinkTo,
    },
};

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
    request_body = ProofBody,
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
    Body(proof): Body<ProofBody>,
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
    if let Err(problem) = proof.check(&state, &caller, &headers, &known).await {
        let entry = Entry::new(Action::OidcLogin).ended(Outcome::Refused).to(known.id.clone());
        state.record(entry.with("link", true), &caller.origin, Some(&caller.principal)).await;
        return Err(problem);
    }
    let to = LinkTo { user: known.id, generation: known.generation };
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let begun = engine.oidc.begin(&provider, return_to, Some(to)).await.map_err(told)?;
    let headers = [
        (header::SET_COOKIE, cookie(&begun)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Json(LinkStart { url: begun.url.to_string() })).into_response())
}
