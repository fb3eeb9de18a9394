//! `/v1/sessions`: browsers that are logged in, by a cookie that no script can read.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    browser::{CurrentSession, SessionDocument, gone, log_in, session_text, with_cookie},
    caller::{Caller, Origin},
    credential, csrf,
    extract::{Body, Path},
    problem::{Problem, ProblemBody, ProblemType},
    state::ApiState,
};
use crate::security::{
    access::Subject,
    audit::{Action, Entry},
    login::{Attempt, LoginError, Origin as Source, Verdict},
    passwords::Password,
    sessions::{Session, SessionText},
};

/// What `/v1/sessions` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(begin, list))
        .routes(routes!(current, end_current))
        .routes(routes!(rotate))
        .routes(routes!(end))
        .routes(routes!(list_of))
        .routes(routes!(end_of))
}

/// Who wants to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    /// Whose user; `default` where nothing is said.
    #[serde(default = "default_tenant")]
    #[schema(default = "default", max_length = 100)]
    tenant: String,
    /// The user's name.
    #[schema(max_length = 100)]
    name: String,
    /// His password.
    #[schema(value_type = String, format = Password, max_length = 1024)]
    password: Password,
    /// The code of his second factor, or a recovery code, where he has one.
    #[serde(default)]
    #[schema(max_length = 100)]
    code: Option<String>,
}

fn default_tenant() -> String {
    "default".to_owned()
}

/// Sessions, the newest first.
#[derive(Serialize, ToSchema)]
struct SessionList {
    /// All of them.
    items: Vec<SessionDocument>,
}

/// Log in with a browser
///
/// The answer sets the session's cookie. A session that the browser had before ends.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "sessions",
    request_body = LoginBody,
    responses(
        (status = CREATED, description = "Logged in", body = CurrentSession),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn begin(
    State(state): State<ApiState>,
    origin: Origin,
    headers: HeaderMap,
    Body(body): Body<LoginBody>,
) -> Result<Response, Problem> {
    // Or another site would log its visitors in as somebody else.
    csrf::check_site(&headers, &state.settings().cors_origins)?;
    let LoginBody { tenant, name, password, code } = body;
    let from = Source { address: origin.address, request: origin.request.clone() };
    let asked_for_code = code.is_none();
    let attempt = Attempt { tenant, name, password, code, from };
    let user = match state.engine().identity.logins.attempt(attempt).await.map_err(login_problem)? {
        Verdict::In(user) => user,
        Verdict::CodeNeeded(_) if asked_for_code => {
            let detail = "the user has a second factor: send its code as well";
            return Err(Problem::at(ProblemType::Unauthenticated, "/code", detail));
        }
        Verdict::CodeNeeded(_) | Verdict::Refused => {
            let detail = "no user with this name, password and code may log in";
            return Err(Problem::new(ProblemType::Unauthenticated, detail));
        }
    };
    let (session, text) = log_in(&state, &headers, &origin, &user, "password").await?;
    Ok(with_cookie(StatusCode::CREATED, session, &text, &state))
}

pub(super) fn login_problem(error: LoginError) -> Problem {
    match error {
        LoginError::Throttled { retry_after } => {
            Problem::new(ProblemType::LimitReached, &error).after(retry_after)
        }
        LoginError::Store(error) => error.into(),
        LoginError::Limit(error) => error.into(),
        other => Problem::unavailable(other),
    }
}

/// The user behind a call, and his session where it is one.
fn user(caller: &Caller) -> Result<(&str, Option<&str>), Problem> {
    match &caller.principal.subject {
        Subject::Session { user, session } => Ok((user, Some(session))),
        Subject::User { user } => Ok((user, None)),
        Subject::ApiKey { .. } => {
            Err(Problem::new(ProblemType::Forbidden, "an API key has no sessions: users have"))
        }
    }
}

/// The secret of the session that a call belongs to.
fn own_text(caller: &Caller, headers: &HeaderMap) -> Result<SessionText, Problem> {
    let is_session = matches!(caller.principal.subject, Subject::Session { .. });
    let text = session_text(headers).filter(|_| is_session);
    text.ok_or_else(|| Problem::not_found("session behind this call: it came with another credential"))
}

/// Look at the session of this call
///
/// Tells the token that every call with the cookie has to bring which may change something.
#[utoipa::path(
    get,
    path = "/v1/sessions/current",
    tag = "sessions",
    responses(
        (status = OK, description = "The session", body = CurrentSession),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn current(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = own_text(&caller, &headers)?;
    let (session, _) = state.engine().sessions.verify(&text).await?.ok_or_else(credential::refused)?;
    let id = session.id.clone();
    let session = SessionDocument::new(session, Some(&id));
    let answer = Json(CurrentSession { session, csrf_token: text.csrf_token() });
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

/// Give the session of this call another secret
///
/// For after something that changes what the session is worth. The old secret and its token hold no more.
#[utoipa::path(
    post,
    path = "/v1/sessions/current/rotation",
    tag = "sessions",
    responses(
        (status = OK, description = "The session goes on under another id", body = CurrentSession),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = own_text(&caller, &headers)?;
    let (session, text) = state.engine().sessions.rotate(&text).await?.ok_or_else(credential::refused)?;
    Ok(with_cookie(StatusCode::OK, session, &text, &state))
}

/// Log out
///
/// The session of this call ends, and its cookie is taken away.
#[utoipa::path(
    delete,
    path = "/v1/sessions/current",
    tag = "sessions",
    responses(
        (status = NO_CONTENT, description = "Logged out"),
        (status = "5XX", description = "Not everywhere yet: try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn end_current(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = own_text(&caller, &headers)?;
    if let Some(session) = state.engine().sessions.end_this(&text).await? {
        note_end(&state, &caller, &session).await;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone())]).into_response())
}

/// List one's own sessions
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    responses(
        (status = OK, description = "The sessions", body = SessionList),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn list(State(state): State<ApiState>, caller: Caller) -> Result<Response, Problem> {
    let (user, current) = user(&caller)?;
    let found = state.engine().sessions.list(caller.tenant(), user).await?;
    let items = found.into_iter().map(|session| SessionDocument::new(session, current)).collect();
    Ok(Json(SessionList { items }).into_response())
}

/// End one of one's own sessions
#[utoipa::path(
    delete,
    path = "/v1/sessions/{session}",
    tag = "sessions",
    params(("session" = String, Path, description = "Its id")),
    responses(
        (status = NO_CONTENT, description = "It has ended"),
        (status = "5XX", description = "Not everywhere yet: try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn end(
    State(state): State<ApiState>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<StatusCode, Problem> {
    let (user, _) = user(&caller)?;
    end_one(&state, &caller, user, &session).await
}

/// List a user's sessions
#[utoipa::path(
    get,
    path = "/v1/users/{user}/sessions",
    tag = "sessions",
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = OK, description = "The sessions", body = SessionList),
    ),
    extensions(("x-permission" = json!("sessions:manage")))
)]
async fn list_of(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Response, Problem> {
    let engine = state.engine();
    let known = engine.identity.users.get(caller.tenant(), &user).await?;
    let known = known.ok_or_else(|| Problem::not_found("such user"))?;
    let found = engine.sessions.list(caller.tenant(), &known.id).await?;
    let items = found.into_iter().map(|session| SessionDocument::new(session, None)).collect();
    Ok(Json(SessionList { items }).into_response())
}

/// End a user's session
#[utoipa::path(
    delete,
    path = "/v1/users/{user}/sessions/{session}",
    tag = "sessions",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("session" = String, Path, description = "The session's id"),
    ),
    responses(
        (status = NO_CONTENT, description = "It has ended"),
        (status = "5XX", description = "Not everywhere yet: try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("sessions:manage")))
)]
async fn end_of(
    State(state): State<ApiState>,
    caller: Caller,
    Path((user, session)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let known = state.engine().identity.users.get(caller.tenant(), &user).await?;
    let known = known.ok_or_else(|| Problem::not_found("such session"))?;
    super::users::may_give(&caller, known.role)?;
    end_one(&state, &caller, &known.id, &session).await
}

async fn end_one(state: &ApiState, caller: &Caller, user: &str, id: &str) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found("such session");
    // What can be no id is looked for nowhere.
    let fits = |text: &str| {
        text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !fits(user) || !fits(id) {
        return Err(unknown());
    }
    let ended = state.engine().sessions.end(caller.tenant(), user, id).await?.ok_or_else(unknown)?;
    note_end(state, caller, &ended).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn note_end(state: &ApiState, caller: &Caller, session: &Session) {
    let entry = Entry::new(Action::Logout).to(session.user.clone()).with("session", &session.id);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}
