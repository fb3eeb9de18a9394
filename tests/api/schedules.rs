//! `/v1/schedules`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

fn plan(cron: &str) -> Value {
    json!({ "kind": "echo", "payload": { "text": "again" }, "cron": cron, "zone": "Europe/Berlin", "jitter_seconds": 60 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_changed_paused_and_removed() {
    let world = World::start().await;
    let key = world.key("acme", &["schedules:read", "schedules:write", "jobs:create:echo"]).await;
    let other = world.key("globex", &["schedules:read", "schedules:write"]).await;
    let path = "/v1/schedules/nightly";
    let put = async |key: &str, body: Value| world.send(Method::PUT, path, key, Some(body)).await;
    let (status, made) = put(&key, plan("0 6 * * *")).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!((&made["plan"]["jitter"], &made["plan"]["catch_up"]), (&json!(60_000), &json!("skip")));
    let (status, changed) = put(&key, plan("0 7 * * *")).await;
    assert_eq!((status, &changed["plan"]["cron"]), (StatusCode::OK, &json!("0 7 * * *")));
    let (_, next) = world.get(&format!("{path}/next?count=3"), &key).await;
    assert_eq!(next["items"].as_array().unwrap().len(), 3);
    let (_, paused) = world.send(Method::POST, &format!("{path}/pause"), &key, None).await;
    assert_eq!((&paused["paused"], &paused["next"]), (&json!(true), &Value::Null));
    let (_, resumed) = world.send(Method::POST, &format!("{path}/resume"), &key, None).await;
    assert_eq!(resumed["paused"], false);

    assert_eq!(world.get(path, &other).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.send(Method::DELETE, path, &other, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/schedules", &other).await.1["items"], json!([]));
    assert_eq!(world.send(Method::DELETE, path, &key, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.get(path, &key).await.0, StatusCode::NOT_FOUND);

    let auditor = world.key("acme", &["audit:read"]).await;
    let (_, log) = world.get("/v1/audit?action=schedule.changed", &auditor).await;
    let acts: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| &entry["detail"]["act"]).collect();
    assert_eq!(acts, ["remove", "resume", "pause", "set", "set"], "{log}");
    assert_eq!((&log["items"][0]["target"], &log["items"][0]["tenant"]), (&json!("nightly"), &json!("acme")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_makes_no_sense_or_that_the_caller_may_not_make_is_refused() {
    let world = World::start().await;
    let key = world.key("acme", &["schedules:write", "jobs:create"]).await;
    let narrow = world.key("acme", &["schedules:write", "jobs:create:export"]).await;
    let put =
        async |key: &str, body: Value| world.send(Method::PUT, "/v1/schedules/x", key, Some(body)).await.0;
    assert_eq!(put(&narrow, plan("0 6 * * *")).await, StatusCode::FORBIDDEN);
    let mut late = plan("0 6 * * *");
    late["jitter_seconds"] = json!(86_401);
    let mut elsewhere = plan("0 6 * * *");
    elsewhere["zone"] = json!("Europe/Nowhere");
    for wrong in [plan("never"), plan("0 0 31 2 *"), late, elsewhere, json!({})] {
        assert_eq!(put(&key, wrong.clone()).await, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_listed_by_name_in_pages() {
    let world = World::start().await;
    let key = world.key("acme", &["schedules:read", "schedules:write", "jobs:create"]).await;
    for name in ["c", "a", "b"] {
        let made =
            world.send(Method::PUT, &format!("/v1/schedules/{name}"), &key, Some(plan("0 6 * * *"))).await;
        assert_eq!(made.0, StatusCode::CREATED);
    }
    let (_, first) = world.get("/v1/schedules?limit=2", &key).await;
    let names = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|schedule| schedule["name"].clone()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let next = first["next"].as_str().unwrap();
    let (_, second) = world.get(&format!("/v1/schedules?limit=2&cursor={next}"), &key).await;
    assert_eq!(names(&second), ["c"]);
    assert_eq!(world.get("/v1/schedules?cursor=b", &key).await.0, StatusCode::BAD_REQUEST);
}
