//! `/v1/batches`, and the queue's and the kinds' own resources.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_opened_once_and_says_how_far_it_is() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create", "jobs:read"]).await;
    let other = world.key("globex", &["jobs:create", "jobs:read"]).await;
    let body = json!({
        "size": 2,
        "id": "batch_01kanp6f5rwe9b4p0e4y0m8sjg",
        "callback": { "kind": "echo", "payload": { "text": "after" } },
    });
    let (status, opened) = world.post("/v1/batches", &key, &body).await;
    assert_eq!((status, &opened["duplicate"]), (StatusCode::CREATED, &json!(false)), "{opened}");
    let (status, again) = world.post("/v1/batches", &key, &body).await;
    assert_eq!((status, &again["callback"]), (StatusCode::OK, &opened["callback"]));
    let job = json!({ "kind": "echo", "payload": { "text": "in it" }, "batch": body["id"] });
    assert_eq!(world.post("/v1/jobs", &key, &job).await.0, StatusCode::CREATED);
    let lease = world.claim().await;
    world.complete(&lease).await;
    let path = "/v1/batches/batch_01kanp6f5rwe9b4p0e4y0m8sjg";
    let (status, batch) = world.get(path, &key).await;
    assert_eq!((status, &batch["ended"], &batch["percent"]), (StatusCode::OK, &json!(1), &json!(50.0)));
    assert_eq!(world.get(path, &other).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/batches/x", &other).await.0, StatusCode::NOT_FOUND);
    for wrong in [json!({ "size": 0 }), json!({ "size": 2, "callback": { "kind": "no", "payload": {} } })] {
        assert_eq!(world.post("/v1/batches", &key, &wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let narrow = world.key("acme", &["jobs:create:export"]).await;
    assert_eq!(world.post("/v1/batches", &narrow, &body).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_pauses_itself_and_only_who_runs_all_pauses_more() {
    let world = World::start().await;
    let key = world.key("acme", &["queue:pause", "jobs:read", "jobs:create"]).await;
    let other = world.key("globex", &["queue:pause", "jobs:read", "jobs:create"]).await;
    let root = world.key("operator", &["tenants:manage", "jobs:read"]).await;
    let job = world.job(&key).await;
    let ask = async |method: Method, path: &str, key: &str| world.send(method, path, key, None).await.0;
    assert_eq!(ask(Method::PUT, "/v1/queue/pause", &key).await, StatusCode::NO_CONTENT);
    let (_, why) = world.get(&format!("/v1/jobs/{job}/why"), &key).await;
    assert_eq!(why["constraint"], json!({ "type": "paused", "scope": { "tenant": "acme" } }));
    let paused = async |key: &str| world.get("/v1/queue", key).await.1["paused"].clone();
    assert_eq!(paused(&key).await, json!([{ "tenant": "acme" }]));
    assert_eq!(paused(&other).await, json!([]));
    assert_eq!(ask(Method::DELETE, "/v1/queue/pause", &key).await, StatusCode::NO_CONTENT);

    for path in ["/v1/kinds/echo/pause", "/v1/fleet/pause", "/v1/tenants/globex/pause"] {
        assert_eq!(ask(Method::PUT, path, &key).await, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(ask(Method::PUT, path, &root).await, StatusCode::NO_CONTENT, "{path}");
    }
    assert_eq!(paused(&other).await.as_array().unwrap().len(), 3);
    assert_eq!(paused(&key).await, json!(["everything", { "kind": "echo" }]));
    for path in ["/v1/kinds/echo/pause", "/v1/fleet/pause", "/v1/tenants/globex/pause"] {
        assert_eq!(ask(Method::DELETE, path, &root).await, StatusCode::NO_CONTENT, "{path}");
    }
    let (_, queue) = world.get("/v1/queue", &key).await;
    assert_eq!((&queue["paused"], &queue["kinds"][0]["jobs"]["waiting"]), (&json!([]), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_are_listed_and_who_runs_all_limits_them() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create"]).await;
    let root = world.key("operator", &["tenants:manage"]).await;
    let (status, kinds) = world.get("/v1/kinds", &key).await;
    assert_eq!(
        (status, &kinds),
        (StatusCode::OK, &json!({ "items": [{ "kind": "echo", "payload_version": 1 }] }))
    );
    let path = "/v1/kinds/echo/limits";
    assert_eq!(world.get(path, &key).await.0, StatusCode::FORBIDDEN);
    let limits = json!({ "max_running": 3 });
    assert_eq!(
        world.send(Method::PUT, path, &root, Some(limits.clone())).await,
        (StatusCode::OK, limits.clone())
    );
    assert_eq!(world.get(path, &root).await.1, limits);
    let lifted = world.send(Method::PUT, path, &root, Some(json!({ "max_running": null }))).await;
    assert_eq!(lifted.1["max_running"], Value::Null);
}
