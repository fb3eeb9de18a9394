//! `/v1/auth`: logging in and out, passwords, second factors, and the keys that access tokens are verified with.

mod factors;
mod login;
mod password;
mod problems;

use utoipa_axum::router::OpenApiRouter;

use super::{
    Routes,
    caller::Caller,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::security::{access::Subject, login::Origin, users::User};

/// What these answer to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().merge(login::routes()).merge(password::routes()).merge(factors::routes())
}

/// From where a request comes, for the throttle and the audit.
fn origin(origin: &super::caller::Origin) -> Origin {
    Origin { address: origin.address, request: origin.request.clone() }
}

/// The user who calls.
///
/// # Errors
/// [`Problem`] where an app does, or he was removed meanwhile.
pub(super) async fn user(state: &ApiState, caller: &Caller) -> Result<User, Problem> {
    let id = match &caller.principal.subject {
        Subject::User { user } | Subject::Session { user, .. } => user,
        Subject::ApiKey { .. } => {
            return Err(Problem::new(
                ProblemType::Forbidden,
                "an API key is no user: log in, and use the access token",
            ));
        }
    };
    let user = state.engine().identity.users.get(caller.tenant(), id).await?;
    user.ok_or_else(super::credential::refused)
}
