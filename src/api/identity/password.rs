//! Another password: by the present one, or by a link.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::origin;
use crate::{
    api::{
        Routes,
        caller::{Caller, Origin},
        extract::Body,
        problem::Problem,
        state::ApiState,
    },
    security::passwords::Password,
};

pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(change)).routes(routes!(use_link))
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// The one that is in force.
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// The new one.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 1024)]
    new_password: Password,
}

/// A password by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkBody {
    /// The link's secret part: `pw_link_…`
    link: String,
    /// The new password.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 1024)]
    new_password: Password,
}

/// Change one's password
///
/// Ends all logins, this one included.
#[utoipa::path(
    post,
    path = "/v1/auth/password",
    tag = "identity",
    request_body = ChangeBody,
    responses(
        (status = NO_CONTENT, description = "Log in with the new one"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<ChangeBody>,
) -> Result<Response, Problem> {
    let user = super::user(&state, &caller).await?;
    let (logins, from) = (&state.engine().identity.logins, origin(&caller.origin));
    logins.change_password(&user, &body.password, &body.new_password, &from).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Set a password by a one-time link
///
/// For who is new, or has forgotten his. Ends all logins of the user.
#[utoipa::path(
    post,
    path = "/v1/auth/link",
    tag = "identity",
    request_body = LinkBody,
    responses(
        (status = NO_CONTENT, description = "Log in with it"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn use_link(
    State(state): State<ApiState>,
    from: Origin,
    Body(body): Body<LinkBody>,
) -> Result<Response, Problem> {
    state.engine().identity.logins.use_link(&body.link, &body.new_password, &origin(&from)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
