//! `/v1/auth/oidc`: logging in by somebody else's word.

mod link;
mod proof;
mod ties;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes, browser,
    caller::Origin,
    credential, csrf,
    extract::{Path, Query},
    problem::{Problem, ProblemType},
    sessions::login_problem,
    state::ApiState,
};
use crate::security::{
    audit::{Action, Actor, Entry, Outcome},
    login::{Challenge, Origin as Source, Verdict},
    oidc::{Begun, Binding, Finished, Oidc, OidcError, Returned, own_path},
    outgoing::OutgoingError,
    users::User,
};

/// Keeps what binds a login to its browser. It comes along from the provider's page, which a strict cookie would not.
const COOKIE: &str = "__Host-presswork-oidc";

/// Keeps the challenge between the provider's word and the code of the user's own second factor.
const CODE_COOKIE: &str = "__Host-presswork-code";
/// The most bytes of a form.
const MOST_FORM_BYTES: usize = 4 << 10;

/// What `/v1/auth/oidc` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(callback))
        .routes(routes!(code))
        .routes(routes!(link::link))
        .routes(routes!(ties::own))
        .routes(routes!(ties::untie_own))
        .routes(routes!(ties::list))
        .routes(routes!(ties::untie_one))
}

/// Where somebody wants to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StartQuery {
    /// The page of this server to go to once logged in: a path
    #[param(max_length = 500)]
    return_to: Option<String>,
}

/// What the provider sends a browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CallbackQuery {
    /// Which login it is
    #[serde(default)]
    #[param(required = true)]
    state: String,
    /// What the provider's answer is had for
    code: Option<String>,
    /// Who sends it (RFC 9207)
    iss: Option<String>,
    /// What went wrong there
    error: Option<String>,
}

/// What the page asks for that stands between a provider and a session.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct CodeForm {
    /// The code of the second factor, or a recovery code
    #[schema(required = true, max_length = 100)]
    code: String,
    /// The page of this server to go to then: a path
    #[schema(max_length = 500)]
    return_to: String,
}

/// Log in by a provider
///
/// Sends the browser to the provider's page.
#[utoipa::path(
    get,
    path = "/v1/auth/oidc/{provider}/start",
    tag = "identity",
    params(("provider" = String, Path, description = "Its name in the settings"), StartQuery),
    responses(
        (status = SEE_OTHER, description = "To the provider"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn start(
    State(state): State<ApiState>,
    Path(provider): Path<String>,
    Query(query): Query<StartQuery>,
) -> Result<Response, Problem> {
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let begun = state.engine().oidc.begin(&provider, return_to, None).await.map_err(told)?;
    let to = HeaderValue::try_from(begun.url.as_str()).map_err(Problem::internal)?;
    let headers = [
        (header::LOCATION, to),
        (header::SET_COOKIE, cookie(&begun)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Come back from a provider
///
/// Sets the session's cookie, and sends the browser to the page that it wanted. Where the user has a second factor here, and the
/// provider does not say that it has asked for several, the page asks for a code first.
#[utoipa::path(
    get,
    path = "/v1/auth/oidc/{provider}/callback",
    tag = "identity",
    params(("provider" = String, Path, description = "Its name in the settings"), CallbackQuery),
    responses(
        (status = OK, description = "Logged in: a page that leads on", body = String, content_type = "text/html"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn callback(
    State(state): State<ApiState>,
    origin: Origin,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, Problem> {
    let CallbackQuery { state: login, code, iss, error } = query;
    let returned = Returned { state: login, code, issuer: iss, error };
    let binding = credential::cookie(&headers, COOKIE).map(Binding::of);
    let oidc = &state.engine().oidc;
    let Finished { user, is_new, is_link, is_enough, return_to } =
        match oidc.finish(&provider, returned, binding).await {
            Ok(finished) => finished,
            Err(error) => {
                if let (OidcError::Refused(why), Some(tenant)) = (&error, oidc.tenant(&provider)) {
                    let entry = Entry::new(Action::OidcLogin).ended(Outcome::Refused).of(tenant);
                    let entry = entry.with("provider", &provider).with("reason", why);
                    state.record(entry, &origin, None).await;
                }
                return Err(told(error).header(header::SET_COOKIE, gone()));
            }
        };
    let entry =
        Entry::new(Action::OidcLogin).by(Actor::Subject(format!("user:{}", user.id))).of(&user.tenant);
    let entry = entry.to(user.id.clone()).with("provider", &provider);
    let entry = entry.with("new", is_new).with("link", is_link);
    let (address, request) = (origin.address, origin.request.clone());
    state.engine().audit.record(Entry { address, request, ..entry }).await;

    let mut response = if is_link {
        page(&return_to)
    } else {
        match state.engine().identity.logins.vouched(user, is_enough).await.map_err(login_problem)? {
            Verdict::In(user) => inside(&state, &headers, &origin, &user, &provider, &return_to).await?,
            Verdict::CodeNeeded(challenge) => {
                let mut response = form(StatusCode::OK, &provider, &return_to);
                let cookie = code_cookie(challenge.reveal(), Challenge::LIFE.as_secs())?;
                response.headers_mut().append(header::SET_COOKIE, cookie);
                response
            }
            Verdict::Refused => return Err(told(OidcError::Refused("the user may not log in".to_owned()))),
        }
    };
    response.headers_mut().append(header::SET_COOKIE, gone());
    Ok(response)
}

/// Go on with the code of a second factor
///
/// What the page sends that a login by a provider leads to where the user has a second factor here. Sets the session's cookie.
#[utoipa::path(
    post,
    path = "/v1/auth/oidc/{provider}/code",
    tag = "identity",
    params(("provider" = String, Path, description = "Its name in the settings")),
    request_body(content = CodeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = OK, description = "Logged in: a page that leads on", body = String, content_type = "text/html"),
        (status = UNAUTHORIZED, description = "The code did not fit: the form once more", body = String, content_type = "text/html"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn code(
    State(state): State<ApiState>,
    origin: Origin,
    headers: HeaderMap,
    Path(provider): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    csrf::check_site(&headers, &[])?;
    let engine = state.engine();
    let tenant = engine.oidc.tenant(&provider).ok_or_else(|| Problem::not_found("such provider"))?;
    let wrong = || Problem::new(ProblemType::Invalid, "send the form that the login's page shows");
    let body = Some(body).filter(|body| body.len() <= MOST_FORM_BYTES).ok_or_else(wrong)?;
    let mut sent = CodeForm::default();
    for (name, value) in url::form_urlencoded::parse(&body) {
        match &*name {
            "code" => sent.code = value.into_owned(),
            "return_to" => sent.return_to = value.into_owned(),
            _ => return Err(wrong()),
        }
    }
    let return_to = own_path(&sent.return_to);
    let challenge = credential::cookie(&headers, CODE_COOKIE).unwrap_or_default();
    let from = Source { address: origin.address, request: origin.request.clone() };
    let verdict = engine.identity.logins.answer(challenge, sent.code.trim(), &from).await;
    let user = match verdict.map_err(login_problem)? {
        Verdict::In(user) if user.tenant == *tenant => user,
        _ => return Ok(form(StatusCode::UNAUTHORIZED, &provider, return_to)),
    };
    let mut response = inside(&state, &headers, &origin, &user, &provider, return_to).await?;
    response.headers_mut().append(header::SET_COOKIE, code_cookie("", 0)?);
    Ok(response)
}

/// Begins the session of who has proved all that he had to.
async fn inside(
    state: &ApiState,
    headers: &HeaderMap,
    origin: &Origin,
    user: &User,
    provider: &str,
    return_to: &str,
) -> Result<Response, Problem> {
    let method = format!("oidc:{provider}");
    let (session, text) = browser::log_in(state, headers, origin, user, &method).await?;
    let mut response = page(return_to);
    response.headers_mut().append(header::SET_COOKIE, browser::cookie(&session, &text, state));
    Ok(response)
}

/// A page that asks for a code. The provider's name is one of the settings', the path was cleaned as [`page`]'s.
fn form(status: StatusCode, provider: &str, return_to: &str) -> Response {
    let path = return_to.replace('&', "&amp;");
    let again = if status == StatusCode::OK {
        String::new()
    } else {
        format!(
            "<p>That did not fit, or it took too long: try once more, or <a href=\"/v1/auth/oidc/{provider}/start\">begin anew</a>."
        )
    };
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Second factor</title>{again}\
         <form method=\"post\" action=\"/v1/auth/oidc/{provider}/code\">\
         <input type=\"hidden\" name=\"return_to\" value=\"{path}\">\
         <label>Code <input name=\"code\" autocomplete=\"one-time-code\" maxlength=\"100\" required autofocus></label>\
         <button>Go on</button></form></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; form-action 'self'"),
        // Else the browser would send the form from nowhere (`Origin: null`).
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, body).into_response()
}

/// The cookie of a challenge. The form is a page of this server, so a strict one comes along.
fn code_cookie(challenge: &str, age: u64) -> Result<HeaderValue, Problem> {
    let cookie =
        format!("{CODE_COOKIE}={challenge}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}");
    let mut value = HeaderValue::try_from(cookie).map_err(Problem::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A page that leads on by itself. A redirect would still count as the provider's, and the strict cookie would stay behind.
/// The path was cleaned of what means something in HTML when the login began, but for `&`.
fn page(return_to: &str) -> Response {
    let path = return_to.replace('&', "&amp;");
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Logged in</title>\
         <meta http-equiv=\"refresh\" content=\"0;url={path}\"><p><a href=\"{path}\">Go on</a></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}

fn cookie(begun: &Begun) -> Result<HeaderValue, Problem> {
    let (text, age) = (begun.binding.reveal(), Oidc::LOGIN_LIFE.as_secs());
    let cookie = format!("{COOKIE}={text}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={age}");
    let mut value = HeaderValue::try_from(cookie).map_err(Problem::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn gone() -> HeaderValue {
    HeaderValue::from_static("__Host-presswork-oidc=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The same words for whatever is wrong with a login.
fn told(error: OidcError) -> Problem {
    match error {
        OidcError::Unknown => Problem::not_found("such provider"),
        OidcError::Refused(_) => {
            Problem::new(ProblemType::Unauthenticated, "the login did not hold: begin it anew")
        }
        OidcError::Store(error) => error.into(),
        OidcError::Outgoing(error @ OutgoingError::Broken(_)) => Problem::internal(error),
        error @ (OidcError::Provider(_) | OidcError::Outgoing(_)) => {
            tracing::warn!(%error, "a provider of identities can't be asked");
            let detail = "the provider of identities can't be asked now: try again, or log in otherwise";
            Problem::new(ProblemType::Unavailable, detail).after(std::time::Duration::from_secs(5))
        }
    }
}
