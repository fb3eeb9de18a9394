//! A browser's session in requests and answers: its cookie, and how it looks. Must not know: routes.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller::Origin,
    credential::{self, SESSION_COOKIE},
    problem::{Problem, seconds},
    state::ApiState,
};
use crate::{
    domain::Timestamp,
    security::{
        sessions::{Beginning, Session, SessionText},
        users::User,
    },
};

/// A session.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionDocument {
    /// Its id; nothing secret.
    id: String,
    /// Whose it is.
    user: String,
    /// Whose user.
    #[schema(value_type = String)]
    tenant: crate::domain::TenantId,
    /// How he proved who he is: `password`, or `oidc:` and a provider.
    method: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was used last, to the minute.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// When it ends, however much it is used.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// From where it began.
    #[schema(value_type = Option<String>)]
    address: Option<std::net::IpAddr>,
    /// What the browser called itself then.
    agent: Option<String>,
    /// Whether this call belongs to it.
    current: bool,
}

/// The session of this call.
#[derive(Serialize, ToSchema)]
pub(super) struct CurrentSession {
    #[serde(flatten)]
    pub(super) session: SessionDocument,
    /// Send it as `X-CSRF-Token` with every call that may change something.
    pub(super) csrf_token: String,
}

impl SessionDocument {
    pub(super) fn new(session: Session, current: Option<&str>) -> Self {
        let current = current == Some(session.id.as_str());
        let Session { id, user, tenant, method, created_at, seen_at, ends_at, address, agent, .. } = session;
        Self { id, user, tenant, method, created_at, seen_at, ends_at, address, agent, current }
    }
}

/// Begins a session for somebody who has just proved who he is, in place of the one that the browser had.
pub(super) async fn log_in(
    state: &ApiState,
    headers: &HeaderMap,
    origin: &Origin,
    user: &User,
    method: &str,
) -> Result<(Session, SessionText), Problem> {
    let sessions = &state.engine().sessions;
    if let Some(old) = session_text(headers) {
        sessions.end_this(&old).await?;
    }
    let agent =
        headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let by = Beginning { method: method.to_owned(), address: origin.address, agent };
    Ok(sessions.begin(user, by).await?)
}

/// The secret in a request's cookie.
pub(super) fn session_text(headers: &HeaderMap) -> Option<SessionText> {
    credential::cookie(headers, SESSION_COOKIE)?.parse().ok()
}

/// The header that gives a browser a session's secret.
pub(super) fn cookie(session: &Session, text: &SessionText, state: &ApiState) -> HeaderValue {
    let age = seconds(session.ends_at.since(state.engine().clock.now()));
    let text = text.reveal();
    let cookie = format!("{SESSION_COOKIE}={text}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}");
    let mut value = HeaderValue::from_str(&cookie).unwrap_or_else(|_| gone());
    value.set_sensitive(true);
    value
}

/// The header that takes it away.
pub(super) fn gone() -> HeaderValue {
    HeaderValue::from_static("__Host-presswork=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

pub(super) fn with_cookie(
    status: StatusCode,
    session: Session,
    text: &SessionText,
    state: &ApiState,
) -> Response {
    let headers = [
        (header::SET_COOKIE, cookie(&session, text, state)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let id = session.id.clone();
    let session = SessionDocument::new(session, Some(&id));
    (status, headers, Json(CurrentSession { session, csrf_token: text.csrf_token() })).into_response()
}
