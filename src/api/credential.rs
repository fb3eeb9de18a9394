//! From a request's credential to a [`Principal`]. Owns: where a credential stands in a request, and which kind it is. Must not
//! know: how any kind is checked.

use std::{fmt::Display, sync::Arc};

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{
    caller::Origin,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    engine::Engine,
    security::{
        access::Principal, api_keys::ApiKeyText, sessions::SessionText, text::hex, tokens::TokenError,
    },
    store::{StoreError, breaker::Outcome},
};

/// What a request shows.
enum Shown<'a> {
    /// `Authorization: Bearer pw_live_…`
    ApiKey(&'a str),
    /// `Authorization: Bearer …`, anything else
    AccessToken(&'a str),
    /// The session's cookie
    Session(&'a str),
}

/// The cookie that carries a session's secret.
pub(super) const SESSION_COOKIE: &str = "__Host-presswork";

/// Who calls, where he shows an API key that was looked up a moment ago: at once.
pub(super) fn recall(state: &ApiState, headers: &HeaderMap, origin: &Origin) -> Option<Arc<Principal>> {
    let Ok(Some(Shown::ApiKey(text))) = shown(headers) else { return None };
    let known = state.engine().api_keys.recall(text, &origin.acting())?;
    Some(known.principal.clone())
}

/// Who calls; where an API key is not `is_trusted`, by what the store says of it now.
///
/// # Errors
/// [`Problem`], the same words for whatever is wrong with a credential: what is wrong is in the audit.
pub(super) async fn principal(
    state: &ApiState,
    headers: &HeaderMap,
    origin: &Origin,
    is_trusted: bool,
) -> Result<Arc<Principal>, Problem> {
    // Refusals are audited as often as the policy of keys says: by anybody's wish there are a thousand a second.
    let keys = &state.engine().api_keys;
    let found = match shown(headers)? {
        Some(Shown::ApiKey(text)) => {
            let by = origin.acting();
            let known = asked(state, keys.verify(text, &by, is_trusted), is_refusal).await?;
            return known.map(|known| known.principal.clone()).ok_or_else(refused);
        }
        Some(Shown::Session(text)) => {
            let found = match text.parse() {
                Ok(text) => state.engine().sessions.verify(&text).await?,
                Err(_) => None,
            };
            if found.is_none() {
                keys.refused_session(&origin.acting()).await;
            }
            found.map(|(_, principal)| principal)
        }
        Some(Shown::AccessToken(token)) => {
            let tokens = &state.engine().identity.tokens;
            let is_refusal =
                |error: &TokenError| !matches!(error, TokenError::Store(error) if !is_refusal(error));
            let found = asked(state, tokens.principal(token), is_refusal).await?;
            if found.is_none() {
                keys.refused_token(&origin.acting()).await;
            }
            found
        }
        None => {
            return Err(Problem::new(
                ProblemType::Unauthenticated,
                "send `Authorization: Bearer` with an API key or an access token, or the cookie of a session",
            ));
        }
    };
    found.map(Arc::new).ok_or_else(refused)
}

/// A credential that is kept while something goes on for which it was shown.
pub(super) enum Held {
    ApiKey(ApiKeyText),
    AccessToken(SecretString),
    Session(SessionText),
}

/// The credential that a request shows, to be kept.
///
/// # Errors
/// [`Problem`] where it is none.
pub(super) fn held(headers: &HeaderMap) -> Result<Option<Held>, Problem> {
    Ok(match shown(headers)? {
        Some(Shown::ApiKey(text)) => text.parse().ok().map(Held::ApiKey),
        Some(Shown::Session(text)) => text.parse().ok().map(Held::Session),
        Some(Shown::AccessToken(text)) => Some(Held::AccessToken(text.to_owned().into())),
        None => None,
    })
}

impl Held {
    /// Tells it from others, and nothing else of it.
    pub(super) fn fingerprint(&self) -> String {
        let text = match self {
            Self::ApiKey(text) => text.reveal(),
            Self::Session(text) => text.reveal(),
            Self::AccessToken(text) => text.expose_secret(),
        };
        hex(&Sha256::digest(text))
    }

    /// Who calls with it now; `None` where it holds no more. No use of it: nothing is counted, noted or audited.
    ///
    /// # Errors
    /// [`Problem`] where that can't be told.
    pub(super) async fn still(&self, engine: &Engine) -> Result<Option<Principal>, Problem> {
        Ok(match self {
            Self::ApiKey(text) => engine.api_keys.look(text).await?.map(|key| key.principal()),
            Self::Session(text) => engine.sessions.look(text).await?,
            Self::AccessToken(text) => engine.identity.tokens.principal(text.expose_secret()).await?,
        })
    }
}

/// What the store says of a credential. While it is away one caller a second waits for it, the others are told at once.
async fn asked<T, E: Display + Into<Problem>>(
    state: &ApiState,
    asking: impl Future<Output = Result<T, E>>,
    is_refusal: impl Fn(&E) -> bool,
) -> Result<T, Problem> {
    match state.credentials().call(asking, is_refusal).await {
        Outcome::Answered(answer) => Ok(answer),
        Outcome::Refused(error) => Err(error.into()),
        Outcome::Away => Err(Problem::away()),
    }
}

fn is_refusal(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unavailable { .. })
}

/// The answer to every credential that does not hold.
pub(super) fn refused() -> Problem {
    Problem::new(
        ProblemType::Unauthenticated,
        "the credential is unknown, expired or revoked: log in again, or use another",
    )
}

fn shown(headers: &HeaderMap) -> Result<Option<Shown<'_>>, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        let (Ok(text), None) = (value.to_str(), given.next()) else { return Err(refused()) };
        let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token =
            token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).ok_or_else(refused)?;
        return Ok(Some(if token.starts_with("pw_") {
            Shown::ApiKey(token)
        } else {
            Shown::AccessToken(token)
        }));
    }
    Ok(cookie(headers, SESSION_COOKIE).map(Shown::Session))
}

/// A cookie's value; nothing where it is there twice, for nobody can say which one is meant.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
