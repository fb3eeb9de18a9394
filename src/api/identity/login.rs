//! Logging in and out with tokens, and the keys to verify them.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{origin, problems::refused};
use crate::{
    api::{
        Routes,
        caller::{Caller, Origin},
        extract::Body,
        problem::Problem,
        state::ApiState,
        users::UserDocument,
    },
    security::{
        audit::{Action, Entry, Outcome},
        login::{Attempt, Challenge, Verdict},
        passwords::Password,
        tokens::{ACCESS_LIFE, Issued, PublicKey, Refreshed},
        users::User,
    },
};

pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(answer))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(log_out_everywhere))
        .routes(routes!(keys))
}

/// Who wants to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    /// Whose user.
    #[schema(max_length = 64)]
    tenant: String,
    /// As whom.
    #[schema(max_length = 100)]
    name: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// The code of a second factor, or a recovery code, where it is at hand.
    #[serde(default)]
    code: Option<String>,
}

/// The code of a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// What the login answered.
    challenge: String,
    /// Six digits, or a recovery code.
    code: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    /// As it was given last.
    refresh_token: String,
}

/// What a login is given.
#[derive(Serialize, ToSchema)]
struct TokensBody {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// For how many seconds the access token holds.
    expires_in: u64,
    /// For the next access token. Each holds once; the newest one counts.
    refresh_token: String,
    /// Who has logged in.
    user: UserDocument,
}

/// A second factor is needed.
#[derive(Serialize, ToSchema)]
struct ChallengeBody {
    /// To be sent with the code to `/v1/auth/login/code`.
    challenge: String,
    /// For how many seconds it holds.
    expires_in: u64,
}

/// The public keys.
#[derive(Serialize, ToSchema)]
struct KeySet {
    /// As RFC 7517 has them.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<PublicKey>,
}

/// Nobody keeps an answer with a token in it.
fn private(status: StatusCode, body: impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

fn tokens(issued: &Issued) -> Response {
    let body = TokensBody {
        access_token: issued.access().to_owned(),
        token_type: "Bearer",
        expires_in: ACCESS_LIFE.as_secs(),
        refresh_token: issued.refresh().to_owned(),
        user: UserDocument::new(&issued.user),
    };
    private(StatusCode::OK, body)
}

async fn told(state: &ApiState, verdict: Verdict) -> Result<Response, Problem> {
    match verdict {
        Verdict::In(user) => Ok(tokens(&state.engine().identity.tokens.issue(&user).await?)),
        Verdict::CodeNeeded(challenge) => Ok(private(
            StatusCode::ACCEPTED,
            ChallengeBody { challenge: challenge.reveal().to_owned(), expires_in: Challenge::LIFE.as_secs() },
        )),
        Verdict::Refused => Err(refused()),
    }
}

/// Log in
///
/// Whatever is wrong, the answer is the same, after the same time.
#[utoipa::path(
    post,
    path = "/v1/auth/login",
    tag = "identity",
    request_body = LoginBody,
    responses(
        (status = OK, description = "Logged in", body = TokensBody),
        (status = ACCEPTED, description = "The password is right; a code is needed", body = ChallengeBody),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn log_in(
    State(state): State<ApiState>,
    from: Origin,
    Body(body): Body<LoginBody>,
) -> Result<Response, Problem> {
    let LoginBody { tenant, name, password, code } = body;
    let attempt = Attempt { tenant, name, password, code, from: origin(&from) };
    let verdict = state.engine().identity.logins.attempt(attempt).await?;
    told(&state, verdict).await
}

/// Log in: the second factor
#[utoipa::path(
    post,
    path = "/v1/auth/login/code",
    tag = "identity",
    request_body = AnswerBody,
    responses(
        (status = OK, description = "Logged in", body = TokensBody),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn answer(
    State(state): State<ApiState>,
    from: Origin,
    Body(body): Body<AnswerBody>,
) -> Result<Response, Problem> {
    let logins = &state.engine().identity.logins;
    let verdict = logins.answer(&body.challenge, &body.code, &origin(&from)).await?;
    told(&state, verdict).await
}

/// Get new tokens
///
/// A refresh token holds once. Used a second time it ends the login, for somebody has a copy; within ten seconds and from the
/// same address it is answered with the same successor.
#[utoipa::path(
    post,
    path = "/v1/auth/refresh",
    tag = "identity",
    request_body = RefreshBody,
    responses(
        (status = OK, description = "New tokens", body = TokensBody),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn refresh(
    State(state): State<ApiState>,
    from: Origin,
    Body(body): Body<RefreshBody>,
) -> Result<Response, Problem> {
    let refreshed = state.engine().identity.tokens.refresh(&body.refresh_token, from.address).await?;
    match refreshed {
        Refreshed::Issued(issued) => {
            let User { tenant, id, .. } = &issued.user;
            state.record(Entry::new(Action::Refresh).of(tenant).to(id.clone()), &from, None).await;
            Ok(tokens(&issued))
        }
        Refreshed::Refused => {
            state.record(Entry::new(Action::Refresh).ended(Outcome::Refused), &from, None).await;
            Err(crate::api::credential::refused())
        }
        Refreshed::Reused { tenant, user } => {
            let entry = Entry::new(Action::RefreshReuse).ended(Outcome::Refused).of(&tenant).to(user);
            state.record(entry, &from, None).await;
            Err(crate::api::credential::refused())
        }
    }
}

/// Log out
///
/// Ends the login that the refresh token belongs to, its access tokens included. The answer is the same where there is none.
#[utoipa::path(
    post,
    path = "/v1/auth/logout",
    tag = "identity",
    request_body = RefreshBody,
    responses(
        (status = NO_CONTENT, description = "Nothing of that login holds"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn log_out(
    State(state): State<ApiState>,
    from: Origin,
    Body(body): Body<RefreshBody>,
) -> Result<Response, Problem> {
    if let Some(ended) = state.engine().identity.tokens.log_out(&body.refresh_token).await? {
        state.record(Entry::new(Action::Logout).of(&ended.tenant).to(ended.user), &from, None).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Log out everywhere
///
/// Ends all logins of the caller: tokens, sessions, links.
#[utoipa::path(
    post,
    path = "/v1/auth/logout-everywhere",
    tag = "identity",
    responses(
        (status = NO_CONTENT, description = "Nothing that was given out before holds"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn log_out_everywhere(State(state): State<ApiState>, caller: Caller) -> Result<Response, Problem> {
    let user = super::user(&state, &caller).await?;
    state.engine().identity.users.end_all(&user.tenant, &user.id).await?;
    let entry = Entry::new(Action::Logout).to(user.id).with("everywhere", true);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The keys that access tokens are verified with
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "identity",
    responses(
        (status = OK, description = "A set of JSON web keys (RFC 7517)", body = KeySet),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn keys(State(state): State<ApiState>) -> Result<Response, Problem> {
    let keys = state.engine().identity.tokens.public_keys().await?;
    // Shorter than a new key is published before it signs.
    let cached = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=30"))];
    Ok((cached, Json(KeySet { keys })).into_response())
}
