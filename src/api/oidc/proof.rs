//! Whether it is the user himself who changes which accounts are tied to him. Must not know: what is changed.

use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    api::{
        browser,
        caller::Caller,
        credential,
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    security::{login::Origin as Source, oidc::Oidc, passwords::Password, users::User},
};

/// Proof that it is the user himself, and not somebody with his session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofBody {
    /// The caller's password. Who has none has logged in by a provider within the last ten minutes.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

impl ProofBody {
    /// What is tied to a user outlives his sessions and his password: a session alone, which may be stolen, is not enough to
    /// change it.
    ///
    /// # Errors
    /// [`Problem`] where it is not proved; [`ProblemType::Forbidden`] where another password, or a new login, would prove it.
    pub(super) async fn check(
        self,
        state: &ApiState,
        caller: &Caller,
        headers: &HeaderMap,
        user: &User,
    ) -> Result<(), Problem> {
        let engine = state.engine();
        let (is_proved, detail) = if user.has_password {
            let from = Source { address: caller.origin.address, request: caller.origin.request.clone() };
            let is_right = match self.password {
                Some(password) => engine.identity.logins.confirm(user, &password, &from).await?,
                None => false,
            };
            (is_right, "give your password: what is tied to you logs in as you")
        } else {
            let text = browser::session_text(headers).ok_or_else(credential::refused)?;
            let session = engine.sessions.verify(&text).await?.ok_or_else(credential::refused)?.0;
            if session.user != user.id {
                return Err(credential::refused());
            }
            let age = engine.clock.now().since(session.created_at);
            (age < Oidc::LOGIN_LIFE, "log in anew first: this session is older than ten minutes")
        };
        if is_proved { Ok(()) } else { Err(Problem::new(ProblemType::Forbidden, detail)) }
    }
}
