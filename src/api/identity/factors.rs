//! One's second factor: set up, confirmed, taken away.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::origin;
use crate::{
    api::{
        Routes,
        caller::Caller,
        extract::Body,
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    security::{
        audit::{Action, Entry, Outcome},
        passwords::Password,
    },
};

pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(confirm)).routes(routes!(remove))
}

/// Proof that it is the user himself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    /// The caller's password.
    #[schema(value_type = String, format = Password)]
    password: Password,
}

/// A code of the factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    /// Six digits.
    code: String,
}

/// For an authenticator; shown once.
#[derive(Serialize, ToSchema)]
struct SetupBody {
    /// To be typed: base 32.
    secret: String,
    /// To be drawn as a QR code: `otpauth://…`
    url: String,
}

/// Codes for when the authenticator is lost; shown once.
#[derive(Serialize, ToSchema)]
struct RecoveryBody {
    /// Each holds once.
    recovery_codes: Vec<String>,
}

fn private(body: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

fn wrong() -> Problem {
    Problem::new(ProblemType::Forbidden, "the password or the code is wrong")
}

async fn changed(state: &ApiState, caller: &Caller, outcome: Outcome, what: &str) {
    let entry = Entry::new(Action::FactorChanged).ended(outcome).with("change", what);
    let entry = entry.to(caller.principal.user().unwrap_or_default());
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}

/// Begin to set up a second factor
///
/// It is asked for once a code of it was confirmed.
#[utoipa::path(
    post,
    path = "/v1/auth/totp",
    tag = "identity",
    request_body = PasswordBody,
    responses(
        (status = OK, description = "For the authenticator", body = SetupBody),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn begin(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<PasswordBody>,
) -> Result<Response, Problem> {
    let user = super::user(&state, &caller).await?;
    let identity = &state.engine().identity;
    if !identity.logins.confirm(&user, &body.password, &origin(&caller.origin)).await? {
        changed(&state, &caller, Outcome::Refused, "begun").await;
        return Err(wrong());
    }
    let setup = identity.factors.begin(&user).await?.ok_or_else(|| {
        Problem::new(ProblemType::Conflict, "there is a second factor already: take it away first")
    })?;
    changed(&state, &caller, Outcome::Done, "begun").await;
    Ok(private(SetupBody { secret: setup.secret.to_string(), url: setup.url.to_string() }))
}

/// Confirm a second factor
///
/// From now on it is asked for. The recovery codes are never to be had again.
#[utoipa::path(
    post,
    path = "/v1/auth/totp/confirm",
    tag = "identity",
    request_body = CodeBody,
    responses(
        (status = OK, description = "It is asked for from now on", body = RecoveryBody),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn confirm(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<CodeBody>,
) -> Result<Response, Problem> {
    let user = super::user(&state, &caller).await?;
    let logins = &state.engine().identity.logins;
    let codes = logins.confirm_factor(&user, &body.code, &origin(&caller.origin)).await?;
    let Some(codes) = codes else {
        changed(&state, &caller, Outcome::Refused, "confirmed").await;
        return Err(wrong());
    };
    changed(&state, &caller, Outcome::Done, "confirmed").await;
    Ok(private(RecoveryBody { recovery_codes: codes.iter().map(|code| code.to_string()).collect() }))
}

/// Take one's second factor away
#[utoipa::path(
    post,
    path = "/v1/auth/totp/remove",
    tag = "identity",
    request_body = PasswordBody,
    responses(
        (status = NO_CONTENT, description = "The password is enough from now on"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<PasswordBody>,
) -> Result<Response, Problem> {
    let user = super::user(&state, &caller).await?;
    let identity = &state.engine().identity;
    if !identity.logins.confirm(&user, &body.password, &origin(&caller.origin)).await? {
        changed(&state, &caller, Outcome::Refused, "removed").await;
        return Err(wrong());
    }
    identity.factors.remove(&user.tenant, &user.id).await?;
    changed(&state, &caller, Outcome::Done, "removed").await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
