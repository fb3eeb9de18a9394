//! Pages of other origins: which may call the API from a browser, and with what. Must not know: who they are logged in as.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use crate::config::CorsOrigin;

/// How long a browser may remember what it was told.
const REMEMBERED: Duration = Duration::from_secs(600);

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

const SENT: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("presswork-tenant"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

const READ: [HeaderName; 11] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// Lets the pages of these origins in; nothing where there are none: then the browser itself keeps them out.
pub(super) fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let any = origins.contains(&CorsOrigin::Any);
    let names: Vec<HeaderValue> = origins
        .iter()
        .filter(|origin| **origin != CorsOrigin::Any)
        .filter_map(|origin| HeaderValue::from_str(&origin.to_string()).ok())
        .collect();
    let named = {
        let names = names.clone();
        move |origin: &HeaderValue, _: &Parts| names.contains(origin)
    };
    let credentials = AllowCredentials::predicate(move |origin, _| names.contains(origin));
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, parts| any || named(origin, parts)))
            .allow_credentials(credentials)
            .allow_methods(METHODS)
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(REMEMBERED),
    )
}
