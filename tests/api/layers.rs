//! What every request passes, and what every answer has.

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use presswork::{api::ApiState, config::ProxyHeader};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::Notify;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::world::World;

#[utoipa::path(get, path = "/v1/test/panic", responses((status = OK)), extensions(("x-permission" = json!("public"))))]
async fn panics() {
    panic!("a secret of the handler");
}

#[utoipa::path(get, path = "/v1/test/never", responses((status = OK)), extensions(("x-permission" = json!("public"))))]
async fn never() {
    std::future::pending::<()>().await;
}

#[utoipa::path(post, path = "/v1/test/body", responses((status = OK)), extensions(("x-permission" = json!("public"))))]
async fn whole(body: axum::body::Bytes) -> String {
    body.len().to_string()
}

#[utoipa::path(
    get,
    path = "/v1/test/long",
    responses((status = OK)),
    extensions(("x-permission" = json!("public")), ("x-timeout" = json!("none")))
)]
async fn long(axum::Extension(gate): axum::Extension<Arc<Gate>>) -> &'static str {
    gate.begun.notify_one();
    gate.go.notified().await;
    "done"
}

/// Where a request waits until it may go on.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) begun: Notify,
    pub(crate) go: Notify,
}

/// Routes that misbehave.
pub(crate) fn test_routes(gate: Arc<Gate>) -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(panics))
        .routes(routes!(never))
        .routes(routes!(whole))
        .routes(routes!(long))
        .layer(axum::Extension(gate))
}

/// An answer to a request with these headers.
async fn ask(
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Value) {
    let mut request = world.client.request(method, format!("http://{}{path}", world.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    (status, headers, serde_json::from_slice(&body).unwrap_or_default())
}

fn is_problem(headers: &HeaderMap, body: &Value, name: &str) {
    assert_eq!(headers["content-type"], "application/problem+json", "{body}");
    assert_eq!(body["type"], format!("urn:presswork:problem:{name}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_a_trace_and_what_browsers_heed() {
    let world = World::start().await;
    for (method, path, status) in [
        (Method::GET, "/openapi.json", 200),
        (Method::HEAD, "/openapi.json", 200),
        (Method::GET, "/nowhere", 404),
        (Method::PATCH, "/v1/jobs", 405),
        (Method::GET, "/v1/jobs", 401),
    ] {
        let (found, headers, _) = ask(&world, method, path, &[]).await;
        assert_eq!(found, status, "{path}");
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("x-xss-protection", "0"),
            ("x-permitted-cross-domain-policies", "none"),
            ("referrer-policy", "no-referrer"),
            ("permissions-policy", "camera=()"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cache-control", "no-store"),
            ("x-request-id", "req_"),
            ("traceparent", "00-"),
        ] {
            assert!(headers[name].to_str().unwrap().starts_with(value), "{path}: {name}");
        }
        assert!(!headers.contains_key("server") && !headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_id_and_trace_are_taken_where_they_are_sound() {
    let world = World::start().await;
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let parent = format!("00-{trace}-{span}-01");
    let sent = [("x-request-id", "mine-1"), ("traceparent", &parent), ("tracestate", "a=1")];
    let (_, headers, _) = ask(&world, Method::GET, "/nowhere", &sent).await;
    assert_eq!(
        (&headers["x-request-id"], &headers["tracestate"]),
        (&"mine-1".parse().unwrap(), &"a=1".parse().unwrap())
    );
    let told = headers["traceparent"].to_str().unwrap();
    assert!(
        told.starts_with(&format!("00-{trace}-")) && told.ends_with("-01") && !told.contains(span),
        "{told}"
    );
    let sent = [("x-request-id", "a b"), ("traceparent", "00-zz-1-1"), ("tracestate", "a=1")];
    let (_, headers, _) = ask(&world, Method::GET, "/nowhere", &sent).await;
    assert!(headers["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert!(!headers["traceparent"].to_str().unwrap().contains("zz") && !headers.contains_key("tracestate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_its_own_is_refused_except_to_probes() {
    let world = World::start_with_routes(
        |settings| settings.api.hosts = vec!["api.books.io".parse().unwrap()],
        Some(test_routes(Arc::default())),
    )
    .await;
    for (host, path, status) in [
        ("api.books.io", "/openapi.json", 200),
        ("api.books.io:8443", "/openapi.json", 200),
        ("evil.net", "/openapi.json", 421),
        ("localhost", "/openapi.json", 421),
        ("evil.net", "/healthz", 200),
    ] {
        let (found, headers, body) = ask(&world, Method::GET, path, &[("host", host)]).await;
        assert_eq!(found, status, "{host} {path}");
        if found == 421 {
            is_problem(&headers, &body, "misdirected");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_named_origins_and_no_others_are_let_in() {
    let world = World::start_with(|settings| {
        settings.api.cors_origins = vec!["https://app.books.io".parse().unwrap()];
    })
    .await;
    let ask_first = |origin: &'static str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let world = &world;
        async move { ask(world, Method::OPTIONS, "/v1/jobs", &headers).await }
    };
    let (status, headers, _) = ask_first("https://app.books.io").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], "https://app.books.io");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    for needed in ["authorization", "idempotency-key", "if-range", "presswork-tenant", "x-csrf-token"] {
        assert!(allowed.contains(needed), "{needed}: {allowed}");
    }
    assert!(headers["vary"].to_str().unwrap().contains("origin"));
    for origin in ["https://evil.net", "null", "https://app.books.io.evil.net", "http://app.books.io"] {
        let (_, headers, _) = ask_first(origin).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{origin}");
        assert!(!headers.contains_key("access-control-allow-credentials"), "{origin}");
    }
    let (_, headers, _) =
        ask(&world, Method::GET, "/openapi.json", &[("origin", "https://app.books.io")]).await;
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("ratelimit") && exposed.contains("x-request-id"), "{exposed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_page_may_call_without_cookies_where_that_is_set() {
    let world = World::start_with(|settings| settings.api.cors_origins = vec!["*".parse().unwrap()]).await;
    let (_, headers, _) = ask(&world, Method::GET, "/openapi.json", &[("origin", "https://a.net")]).await;
    assert_eq!(headers["access-control-allow-origin"], "https://a.net");
    assert!(!headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_says_that_the_caller_speaks_tls() {
    let sent = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")];
    for (proxies, is_told) in [(vec![], false), (vec!["127.0.0.0/8".parse().unwrap()], true)] {
        let world = World::start_with(|settings| {
            settings.api.trusted_proxies = proxies;
            settings.api.proxy_header = ProxyHeader::XForwardedFor;
        })
        .await;
        let (_, headers, _) = ask(&world, Method::GET, "/openapi.json", &sent).await;
        assert_eq!(headers.contains_key("strict-transport-security"), is_told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_problem_without_its_message() {
    let world = World::start_with_routes(|_| (), Some(test_routes(Arc::default()))).await;
    let (status, headers, body) = ask(&world, Method::GET, "/v1/test/panic", &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    is_problem(&headers, &body, "internal");
    assert!(headers.contains_key("x-request-id") && !body.to_string().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_given_up_unless_it_may() {
    let gate = Arc::new(Gate::default());
    let world = World::start_with_routes(
        |settings| settings.api.request_timeout = Duration::from_millis(100),
        Some(test_routes(gate.clone())),
    )
    .await;
    let long = ask(&world, Method::GET, "/v1/test/long", &[]);
    let short = async {
        let (status, headers, body) = ask(&world, Method::GET, "/v1/test/never", &[]).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        is_problem(&headers, &body, "unavailable");
        assert!(headers.contains_key("retry-after"));
        gate.go.notify_one();
    };
    let ((status, ..), ()) = tokio::join!(long, short);
    assert_eq!(status, StatusCode::OK);
    // Who runs the service sees it, too.
    let key = world.key("acme", &["status:read"]).await;
    let metrics = world.request(Method::GET, "/metrics", &key).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("{method=\"GET\",route=\"/v1/test/never\",status=\"503\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_and_bodies_too_large_are_problems() {
    let world = World::start_with(|settings| settings.api.most_body_bytes = 100).await;
    let key = world.key("acme", &["jobs:create"]).await;
    let post = |coding: &'static str, body: String| {
        let request =
            world.request(Method::POST, "/v1/jobs", &key).header("content-type", "application/json");
        async move {
            let response = request.header("content-encoding", coding).body(body).send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).unwrap())
        }
    };
    let (status, headers, body) = post("gzip", "x".to_owned()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    is_problem(&headers, &body, "unsupported-media-type");
    assert_eq!(headers["accept-encoding"], "identity");
    let (status, headers, body) = post("identity", format!("{{\"kind\":\"{}\"}}", "x".repeat(200))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    is_problem(&headers, &body, "too-large");
}
