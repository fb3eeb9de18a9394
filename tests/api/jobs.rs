//! `/v1/jobs`.

use reqwest::StatusCode;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_given_and_found_and_is_nobody_elses() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create:echo", "jobs:read"]).await;
    let other = world.key("globex", &["jobs:create", "jobs:read"]).await;
    let body = json!({ "kind": "echo", "payload": { "text": "hello" } });
    let (status, made) = world.post("/v1/jobs", &key, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/v1/jobs/{}", made["id"].as_str().unwrap());
    let (status, job) = world.get(&path, &key).await;
    assert_eq!(
        (status, &job["state"], &job["payload"]["text"]),
        (StatusCode::OK, &json!("waiting"), &json!("hello"))
    );
    let (status, listed) = world.get("/v1/jobs?limit=1&kind=echo", &key).await;
    assert_eq!((status, listed["items"].as_array().unwrap().len()), (StatusCode::OK, 1));

    let (status, hidden) = world.get(&path, &other).await;
    let (_, unknown) = world.get("/v1/jobs/job_00000000000000000000000000", &other).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!((&hidden["type"], &hidden["title"]), (&unknown["type"], &unknown["title"]));
    assert_eq!(world.get("/v1/jobs", &other).await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_permission_or_no_key_is_refused() {
    let world = World::start().await;
    let reader = world.key("acme", &["jobs:read"]).await;
    let importer = world.key("acme", &["jobs:create:import"]).await;
    let body = json!({ "kind": "echo", "payload": { "text": "hello" } });
    for (key, status, name) in [
        (reader.as_str(), StatusCode::FORBIDDEN, "forbidden"),
        (importer.as_str(), StatusCode::FORBIDDEN, "forbidden"),
        ("pw_live_x", StatusCode::UNAUTHORIZED, "unauthenticated"),
        ("not.a.token", StatusCode::UNAUTHORIZED, "unauthenticated"),
    ] {
        let (found, problem) = world.post("/v1/jobs", key, &body).await;
        assert_eq!(
            (found, &problem["type"]),
            (status, &json!(format!("urn:presswork:problem:{name}"))),
            "{key}"
        );
    }
}
