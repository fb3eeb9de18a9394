//! What can go wrong at the door, as callers see it.

use crate::{
    api::problem::{Problem, ProblemType},
    security::{
        login::{ChangeError, LoginError},
        passwords::PasswordError,
        tokens::TokenError,
        totp::FactorError,
        users::UserError,
    },
};

/// The one answer to a login that is refused, whatever was wrong.
pub(super) fn refused() -> Problem {
    Problem::new(
        ProblemType::Unauthenticated,
        "this login is refused: check the tenant, the name, the password and the code; or the account may not log in",
    )
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => {
                Self::new(ProblemType::Unavailable, "too many logins at once: try again").after(retry_after)
            }
            PasswordError::Damaged | PasswordError::Broken(_) => Self::internal(error),
        }
    }
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Keyring(error) => error.into(),
            FactorError::Store(error) => error.into(),
            FactorError::Damaged(_) => Self::internal(error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Keyring(error) => error.into(),
            TokenError::Store(error) => error.into(),
            TokenError::Broken(_) => Self::internal(error),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Throttled { retry_after } => {
                Self::new(ProblemType::LimitReached, "this was tried too often: wait, then try again")
                    .after(retry_after)
            }
            LoginError::Password(error) => error.into(),
            LoginError::Factor(error) => error.into(),
            LoginError::Limit(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Weak(weakness) => Self::at(ProblemType::Unprocessable, "/new_password", weakness),
            ChangeError::Refused => Self::new(ProblemType::Forbidden, error),
            ChangeError::Login(error) => error.into(),
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NameTaken { .. } | UserError::LastAdmin => Self::new(ProblemType::Conflict, error),
            UserError::Store(error) => error.into(),
        }
    }
}
