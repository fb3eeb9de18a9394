//! Trusted hosts: a request that calls the service by a name that is not its own is not answered, so that nobody's page can
//! reach it by a name that it has made up (DNS rebinding), and no link of ours is made of a caller's text.

use axum::{extract::Request, http::header};

use crate::{
    api::problem::{Problem, ProblemType},
    config::{HostName, HostPattern},
};

/// Whether a request calls the service by a name that is its own. Where none is set, `localhost` and addresses are: no page
/// can make up an address.
pub(super) fn check(hosts: &[HostPattern], request: &Request) -> Result<(), Problem> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (Some(header), None) = (named.next(), named.next()) else {
        return Err(Problem::new(ProblemType::Invalid, "send one `Host` header"));
    };
    let host = header.to_str().ok().and_then(|text| text.parse::<HostName>().ok());
    let host = host.ok_or_else(|| Problem::new(ProblemType::Invalid, "the `Host` header names no host"))?;
    // A request whose line names a host must name the same one.
    let line = request.uri().authority().map(|authority| authority.as_str().parse::<HostName>());
    if line.is_some_and(|line| line.as_ref() != Ok(&host)) {
        return Err(Problem::new(
            ProblemType::Invalid,
            "the request's line and its `Host` header name two hosts",
        ));
    }
    let is_own = if hosts.is_empty() {
        host.is_loopback() || host.address().is_some()
    } else {
        hosts.iter().any(|pattern| pattern.allows(&host))
    };
    if is_own {
        return Ok(());
    }
    let detail = "the service is not called by this name here; its operator names it in `hosts` ([api] of presswork.toml, \
        or PRESSWORK_HOSTS)";
    Err(Problem::new(ProblemType::Misdirected, detail))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, response::IntoResponse as _};

    use super::*;

    fn status(hosts: &[&str], uri: &str, named: &[&str]) -> StatusCode {
        let hosts: Vec<HostPattern> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let mut request = Request::builder().uri(uri);
        for host in named {
            request = request.header("host", *host);
        }
        match check(&hosts, &request.body(Body::empty()).unwrap()) {
            Ok(()) => StatusCode::OK,
            Err(problem) => problem.into_response().status(),
        }
    }

    #[test]
    fn a_name_that_is_not_its_own_is_refused() {
        let (ok, other, bad) = (StatusCode::OK, StatusCode::MISDIRECTED_REQUEST, StatusCode::BAD_REQUEST);
        assert_eq!(status(&["api.books.io"], "/", &["api.books.io"]), ok);
        assert_eq!(status(&["api.books.io"], "/", &["evil.net"]), other);
        assert_eq!(status(&["api.books.io"], "/", &["localhost"]), other);
        assert_eq!(status(&["api.books.io"], "/", &["127.0.0.1"]), other);
        assert_eq!(status(&[], "/", &["localhost:8080"]), ok);
        assert_eq!(status(&[], "/", &["192.168.0.7"]), ok);
        assert_eq!(status(&[], "/", &["rebound.evil.net"]), other);
        assert_eq!(status(&[], "/", &[]), bad);
        assert_eq!(status(&[], "/", &["localhost", "evil.net"]), bad);
        assert_eq!(status(&[], "/", &["a b"]), bad);
        assert_eq!(status(&[], "http://evil.net/", &["localhost"]), bad);
        assert_eq!(status(&[], "http://localhost/", &["localhost"]), ok);
    }
}
