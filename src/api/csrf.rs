//! Against requests that another site makes a browser send (CSRF). Concerns only what a browser sends by itself: a session's
//! cookie, and a login. Owns: from which page a request comes, and the session's token.
//!
//! A browser says by `Sec-Fetch-Site` where a request comes from; an older one by `Origin` or `Referer`. A page of another
//! origin is let through only where `cors_origins` names it; `*` names nobody here. Whatever may change something also brings
//! the session's token, which another origin can't read.
//!
//! Such a page asks with credentials, and CORS says for the named origins that it may. The cookie stays `SameSite=Strict`
//! though: a browser sends it from pages of the same site alone, so `https://app.books.io` may use the sessions of
//! `https://api.books.io`, and a page of another site may not, whether it is named or not: that one uses access tokens.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, Method, header},
};

use super::{
    browser::session_text,
    problem::{Problem, ProblemType},
};
use crate::{
    config::CorsOrigin,
    security::{
        access::{Principal, Subject},
        sessions::SessionText,
    },
};

/// Where the session's token stands.
pub(super) const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request of this caller may go on: one that is authenticated by a session's cookie where it comes from a page of the
/// session, and every request that is not.
///
/// # Errors
/// [`Problem`] where it may not.
pub(super) fn guard(principal: &Principal, request: &Request, allowed: &[CorsOrigin]) -> Result<(), Problem> {
    if !matches!(principal.subject, Subject::Session { .. }) {
        return Ok(());
    }
    match session_text(request.headers()) {
        Some(text) => check(request.method(), request.headers(), allowed, &text),
        None => Err(Problem::internal("a session without its cookie")),
    }
}

/// Whether a request that is authenticated by a session's cookie comes from a page of that session.
///
/// # Errors
/// [`Problem`] where it may not.
pub(super) fn check(
    method: &Method,
    headers: &HeaderMap,
    allowed: &[CorsOrigin],
    session: &SessionText,
) -> Result<(), Problem> {
    // A page of any site may open a WebSocket, by GET.
    if method.is_safe() && !headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    check_site(headers, allowed)?;
    let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
    if method.is_safe() || token.is_some_and(|token| session.takes_csrf_token(token)) {
        return Ok(());
    }
    let detail = "send the session's token as `X-CSRF-Token`: `GET /v1/sessions/current` tells it";
    Err(Problem::new(ProblemType::Forbidden, detail))
}

/// Whether a request comes from a page of this server, or one that is allowed; also where there is no session yet.
///
/// # Errors
/// [`Problem`] where it does not.
pub(super) fn check_site(headers: &HeaderMap, allowed: &[CorsOrigin]) -> Result<(), Problem> {
    let text = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        // What is there twice, or is no text, matches nothing.
        Some(if values.next().is_some() { "" } else { value.to_str().unwrap_or_default() })
    };
    let origin = text(&header::ORIGIN);
    let is_named = |known: &CorsOrigin| matches!(known, CorsOrigin::Exact(name) if Some(&**name) == origin);
    let is_allowed = allowed.iter().any(is_named);
    let is_own = match text(&SITE) {
        Some(site) => ["same-origin", "none"].contains(&site),
        None => match origin.or_else(|| text(&header::REFERER)) {
            Some(page) => authority(page).is_some_and(|page| Some(page) == text(&header::HOST)),
            // No browser: they say where an unsafe request comes from.
            None => true,
        },
    };
    if is_own || is_allowed {
        return Ok(());
    }
    let detail = "a session is used from this server's own pages only, and from those of allowed origins";
    Err(Problem::new(ProblemType::Forbidden, detail))
}

/// Host and port of an origin or a URL, as a `Host` header has them.
fn authority(page: &str) -> Option<&str> {
    let rest = page.strip_prefix("https://").or_else(|| page.strip_prefix("http://"))?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty() && !authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "books.example:8443".parse().unwrap());
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_page_of_another_site_is_refused_by_each_header_that_tells_of_it() {
        let allowed = [CorsOrigin::Exact("https://app.example".to_owned()), CorsOrigin::Any];
        let cases: [(&[(&str, &str)], bool); 17] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example.evil.example")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://books.example:8443")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://books.example:8443")], true),
            (&[("origin", "https://books.example")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://books.example:8443"), ("origin", "https://evil.example")], false),
            (&[("referer", "https://books.example:8443/page?x")], true),
            (&[("referer", "https://evil.example/books.example:8443")], false),
            (&[("referer", "https://books.example:8443@evil.example/")], false),
        ];
        for (pairs, is_fine) in cases {
            assert_eq!(check_site(&headers(pairs), &allowed).is_ok(), is_fine, "{pairs:?}");
        }
    }

    #[test]
    fn what_may_change_something_needs_the_sessions_own_token() {
        let random = SeededRandom::new(1);
        let (own, other) = (SessionText::new(&random), SessionText::new(&random));
        let with = |token: &str| headers(&[("sec-fetch-site", "same-origin"), ("x-csrf-token", token)]);
        let is_fine = |method: Method, headers: HeaderMap| check(&method, &headers, &[], &own).is_ok();
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(is_fine(method.clone(), with(&own.csrf_token())));
            assert!(!is_fine(method.clone(), with(&other.csrf_token())));
            assert!(!is_fine(method.clone(), with("")));
            assert!(!is_fine(method, headers(&[("sec-fetch-site", "same-origin")])));
        }
        assert!(is_fine(Method::GET, headers(&[("sec-fetch-site", "cross-site")])));
        let socket = |site| headers(&[("sec-fetch-site", site), ("upgrade", "websocket")]);
        assert!(is_fine(Method::GET, socket("same-origin")) && !is_fine(Method::GET, socket("same-site")));
    }
}
