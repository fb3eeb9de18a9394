//! How the service is, and whether the document tells all of it.

use std::{collections::BTreeSet, fs, sync::Arc};

use axum::{body::Body, http::Request, routing::get};
use presswork::{
    api::{Api, Routes},
    config::ApiSettings,
    limits::LimitRules,
    security::access::PERMISSIONS,
    worker::Registry,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::World;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Each operation of a document: its method, its path and itself.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if item[method].is_object() {
                all.push((method.to_uppercase().parse().unwrap(), path.clone(), item[method].clone()));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_lives_and_its_stores_are_there_until_it_stops() {
    let world = World::start().await;
    for path in ["/healthz", "/readyz"] {
        let response = world.client.get(format!("http://{}{path}", world.address)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.text().await.unwrap(), "{\"status\":\"ok\"}");
    }
    let url = format!("http://{}/healthz", world.address);
    let head = world.client.head(url).send().await.unwrap();
    assert_eq!((head.status(), head.text().await.unwrap().len()), (StatusCode::OK, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_the_tenants_own_jobs_and_of_all_to_who_runs_all() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create", "status:read"]).await;
    let other = world.key("globex", &["jobs:create"]).await;
    let root = world.key("operator", &["status:read", "tenants:manage"]).await;
    world.job(&key).await;
    world.job(&other).await;
    world.get("/v1/nowhere", &key).await;
    let metrics = async |key: &str| {
        let response = world.request(Method::GET, "/metrics", key).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        response.text().await.unwrap()
    };
    let own = metrics(&key).await;
    for line in [
        "presswork_jobs{kind=\"echo\",state=\"waiting\"} 1",
        "presswork_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"201\"} 2",
        "presswork_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "presswork_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/jobs\"} 2",
        "presswork_limits_shared 1",
        "presswork_streams_open 0",
    ] {
        assert!(own.lines().any(|found| found == line), "{line} is not in\n{own}");
    }
    let all = metrics(&root).await;
    assert!(all.contains("presswork_jobs{kind=\"echo\",state=\"waiting\"} 2"), "{all}");
    // Each family has its help and its type before its samples, and each sample a number behind it.
    for line in all.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let family = name.split('{').next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
        assert!(
            all.contains(&format!("# TYPE {family} ")) && all.contains(&format!("# HELP {family} ")),
            "{line}"
        );
    }
    assert_eq!(world.get("/metrics", &other).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reports_tell_what_their_document_says() {
    let world = World::start_with(|settings| settings.limits = LimitRules::default()).await;
    let key = world.key("acme", &["status:read", "jobs:create"]).await;
    let root = world.key("operator", &["status:read", "tenants:manage"]).await;
    world.job(&key).await;
    let (_, security) = world.get("/v1/status/security", &key).await;
    assert_eq!((&security["audit_healthy"], &security["keyring"]), (&json!(true), &Value::Null));
    assert!(world.get("/v1/status/security", &root).await.1["keyring"]["masters"].is_array());
    let (_, performance) = world.get("/v1/status/performance", &key).await;
    assert_eq!((&performance["jobs"]["waiting"], &performance["requests"]["failed"]), (&json!(1), &json!(0)));
    let (_, cache) = world.get("/v1/status/cache", &key).await;
    assert_eq!((&cache["shared"]["well"], &cache["hit_rate"]), (&json!(true), &json!(0.0)));
    let (_, limits) = world.get("/v1/status/limits", &key).await;
    assert_eq!(limits["shared"], json!({ "well": true, "away_since": null }));
    assert!(limits["resources"].as_array().unwrap().iter().any(|one| one["resource"] == "api"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_who_may_call_it_and_is_closed_to_all_others() {
    let world = World::start().await;
    let (_, document) = world.get("/openapi.json", "pw_live_x").await;
    let known: BTreeSet<&str> = PERMISSIONS.iter().map(|(name, _)| *name).collect();
    let mut open = Vec::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        for word in ["summary", "operationId"] {
            assert!(operation[word].as_str().is_some_and(|text| !text.is_empty()), "{what} has no {word}");
        }
        let security =
            operation["security"].as_array().unwrap_or_else(|| panic!("{what} names no permission"));
        let is_public = security.iter().all(|one| one.as_object().unwrap().is_empty());
        for scope in security
            .iter()
            .flat_map(|one| one.as_object().unwrap().values())
            .flat_map(|all| all.as_array().unwrap())
        {
            assert!(known.contains(scope.as_str().unwrap()), "{what}: {scope}");
        }
        let path = path.replace(['{', '}'], "");
        let url = format!("http://{}{path}", world.address);
        let status = world.client.request(method, url).send().await.unwrap().status();
        if is_public {
            open.push(path);
        } else {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        assert!(open.iter().any(|found| found == path), "{path} is not public: {open:?}");
    }
}

/// A route without a word in the document is closed, and there is none in the source.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_the_document_does_not_name_is_closed() {
    let world = World::start().await;
    let routes = Routes::new().route("/v1/secret", get(async || "open"));
    let api = Api::new(world.engine.clone(), Arc::new(Registry::new()), ApiSettings::default(), "0");
    let router = api.routes(routes).router(world.stopping.clone());
    let request =
        Request::builder().uri("/v1/secret").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status().as_u16(), 404);

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for hidden in [".route(", ".route_service(", ".nest_service(", ".fallback_service("] {
                assert!(
                    !text.contains(hidden),
                    "{} has {hidden}: the document would not know it",
                    path.display()
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_path_has_not_is_answered_by_a_problem_that_lists_those_it_has() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:read"]).await;
    for method in ["DELETE", "PATCH", "OPTIONS", "BREW"] {
        let response = world.request(method.parse().unwrap(), "/v1/jobs", &key).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let allowed: BTreeSet<&str> = response.headers()["allow"].to_str().unwrap().split(',').collect();
        assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]), "{method}");
    }
    let head = world.request(Method::HEAD, "/v1/jobs", &key).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let anonymous = world.client.head(format!("http://{}/v1/jobs", world.address)).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_can_be_read_as_a_page_that_loads_nothing_from_elsewhere() {
    let world = World::start().await;
    let page = world.client.get(format!("http://{}/docs", world.address)).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let html = page.text().await.unwrap();
    let (_, document) = world.get("/openapi.json", "pw_live_x").await;
    for (_, path, _) in operations(&document) {
        assert!(html.contains(&format!("<code>{path}</code>")), "{path} is not on the page");
    }
    for outside in ["<script", "style=", "src=", "http://", "https://"] {
        let found = html.find(outside).map(|place| &html[place..html.len().min(place + 60)]);
        assert!(found.is_none(), "{found:?}");
    }
    let style = world.client.get(format!("http://{}/docs/style.css", world.address)).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
