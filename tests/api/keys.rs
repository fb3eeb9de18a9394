//! `/v1/keys`: made once, shown once, refused at once.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer};

const ALL: &[&str] = &["jobs:read", "jobs:create", "keys:manage"];

async fn delete(world: &World, path: &str, key: &str) -> (StatusCode, Value) {
    answer(world.request(Method::DELETE, path, key).send().await.unwrap()).await
}

/// Makes a key by the API: its text and its id.
async fn make(world: &World, admin: &str, body: &Value) -> (String, String) {
    let (status, made) = world.post("/v1/keys", admin, body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (made["text"].as_str().unwrap().to_owned(), made["key"]["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_used_seen_and_revoked_and_its_text_is_shown_once() {
    let world = World::start().await;
    let admin = world.key("acme", ALL).await;
    let body = json!({ "name": "printer", "permissions": ["jobs:create:echo", "jobs:read"] });
    let (text, id) = make(&world, &admin, &body).await;
    assert_eq!(world.get("/v1/jobs", &text).await.0, StatusCode::OK);
    world.engine.api_keys.settle().await;

    let path = format!("/v1/keys/{id}");
    let (status, key) = world.get(&path, &admin).await;
    assert_eq!(
        (status, &key["name"], &key["standing"], &key["uses"], &key["last_used_from"]),
        (StatusCode::OK, &json!("printer"), &json!("holds"), &json!(1), &json!("127.0.0.1"))
    );
    assert_eq!(key["permissions"], body["permissions"]);
    let (_, listed) = world.get("/v1/keys?limit=200", &admin).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    for shown in [&key, &listed] {
        let shown = shown.to_string();
        assert!(!shown.contains(&text[8..51]) && !shown.contains(&admin[8..51]), "{shown}");
    }

    let (status, key) = delete(&world, &path, &admin).await;
    assert_eq!((status, &key["standing"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(world.get("/v1/jobs", &text).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(delete(&world, &path, &admin).await.0, StatusCode::OK, "a second time changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_out_what_he_has_not() {
    let world = World::start().await;
    let admin = world.key("acme", ALL).await;
    for (body, missing) in [
        (json!({ "name": "x", "permissions": ["jobs:read", "secrets:read"] }), "secrets:read"),
        (json!({ "name": "x", "role": "viewer" }), "artifacts:read"),
        (json!({ "name": "x", "role": "root" }), "tenants:manage"),
    ] {
        let (status, problem) = world.post("/v1/keys", &admin, &body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(missing), "{problem}");
    }
    // Nor by rotating somebody else's key, whose new text he would see.
    let strong = world.key("acme", &["secrets:write"]).await;
    assert_eq!(world.get("/v1/jobs", &strong).await.0, StatusCode::FORBIDDEN);
    let (_, listed) = world.get("/v1/keys", &admin).await;
    let strong =
        listed["items"].as_array().unwrap().iter().find(|key| key["permissions"] == json!(["secrets:write"]));
    let path = format!("/v1/keys/{}/rotate", strong.unwrap()["id"].as_str().unwrap());
    assert_eq!(world.post(&path, &admin, &json!({})).await.0, StatusCode::FORBIDDEN);
    // Keys are an administrator's.
    let app = world.key("acme", &["jobs:read", "jobs:create"]).await;
    assert_eq!(world.get("/v1/keys", &app).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        world.post("/v1/keys", &app, &json!({ "name": "x", "permissions": ["jobs:read"] })).await.0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_key_is_one_that_is_not_there() {
    let world = World::start().await;
    let (admin, other) = (world.key("acme", ALL).await, world.key("globex", ALL).await);
    let (text, id) = make(&world, &admin, &json!({ "name": "x", "permissions": ["jobs:read"] })).await;
    for name in [id.as_str(), "key_00000000000000000000", "key_x", "..%2F..", "%00"] {
        let path = format!("/v1/keys/{name}");
        let mut answers = vec![world.get(&path, &other).await, delete(&world, &path, &other).await];
        answers.push(world.post(&format!("{path}/rotate"), &other, &json!({})).await);
        for (status, problem) in answers {
            assert_eq!(
                (status, &problem["detail"]),
                (StatusCode::NOT_FOUND, &json!("there is no such key")),
                "{name}"
            );
        }
    }
    assert_eq!(world.get("/v1/jobs", &text).await.0, StatusCode::OK, "nothing has happened to it");
    assert_eq!(world.get("/v1/keys", &other).await.1["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/v1/keys?cursor=x", &other).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_key_the_answer_is_the_same() {
    let world = World::start().await;
    let admin = world.key("acme", ALL).await;
    let here = json!({ "name": "here", "permissions": ["jobs:read"], "from": ["127.0.0.0/8", "::1"] });
    let (here, _) = make(&world, &admin, &here).await;
    assert_eq!(world.get("/v1/jobs", &here).await.0, StatusCode::OK);
    let away = json!({ "name": "away", "permissions": ["jobs:read"], "from": ["203.0.113.0/24"] });
    let (away, _) = make(&world, &admin, &away).await;
    let (gone, id) = make(&world, &admin, &json!({ "name": "x", "permissions": ["jobs:read"] })).await;
    delete(&world, &format!("/v1/keys/{id}"), &admin).await;
    let unknown = World::start().await.key("acme", &["jobs:read"]).await;
    let mut bodies = Vec::new();
    for key in [&away, &gone, &unknown, &gone[..57].to_owned(), &"pw_test_x".to_owned()] {
        let response = world.request(Method::GET, "/v1/jobs", key).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"presswork\"");
        let (status, problem) = answer(response).await;
        bodies.push((status, problem["type"].clone(), problem["detail"].clone()));
    }
    assert!(bodies.iter().all(|body| *body == bodies[0] && body.0 == StatusCode::UNAUTHORIZED), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_with_an_overlap_and_expires() {
    let world = World::start().await;
    let admin = world.key("acme", ALL).await;
    let (old, id) = make(&world, &admin, &json!({ "name": "x", "permissions": ["jobs:read"] })).await;
    let path = format!("/v1/keys/{id}/rotate");
    assert_eq!(
        world.post(&path, &admin, &json!({ "overlap_seconds": 2_592_001 })).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let (status, made) = world.post(&path, &admin, &json!({ "overlap_seconds": 0 })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let new = made["text"].as_str().unwrap();
    assert_eq!(
        (world.get("/v1/jobs", new).await.0, world.get("/v1/jobs", &old).await.0),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    let (_, key) = world.get(&format!("/v1/keys/{id}"), &admin).await;
    assert_eq!((&key["standing"], &key["replaced_by"]), (&json!("expired"), &made["key"]["id"]));
    assert_eq!(world.post(&path, &admin, &json!({})).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    for wrong in [
        json!({ "name": "", "permissions": ["jobs:read"] }),
        json!({ "name": "x" }),
        json!({ "name": "x", "permissions": ["jobs:*"] }),
        json!({ "name": "x", "permissions": ["jobs:read"], "from": ["10.0.0.1/8"] }),
        json!({ "name": "x", "permissions": ["jobs:read"], "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "permissions": ["jobs:read"], "tenant": "globex" }),
    ] {
        let (status, problem) = world.post("/v1/keys", &admin, &wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_or_is_bound_to_addresses_makes_none_that_is_not() {
    let world = World::start().await;
    let admin = world.key("acme", ALL).await;
    let free = json!({ "name": "free", "permissions": ["jobs:read"] });
    let (_, free_id) = make(&world, &admin, &free).await;
    let bound = json!({
        "name": "bound", "permissions": ALL, "from": ["127.0.0.0/8", "::1"], "expires_at": "2999-01-01T00:00:00Z",
    });
    let (bound, bound_id) = make(&world, &admin, &bound).await;
    let new = |from: Value, end: Value| {
        let permissions = ["jobs:read"];
        json!({ "name": "x", "permissions": permissions, "from": from, "expires_at": end })
    };
    let (end, later) = (json!("2999-01-01T00:00:00Z"), json!("2999-01-01T00:00:01Z"));
    for wide in [
        free.clone(),
        new(json!(["127.0.0.1"]), Value::Null),
        new(json!(["127.0.0.1"]), later),
        new(json!([]), end.clone()),
        new(json!(["127.0.0.1", "10.0.0.0/8"]), end.clone()),
        new(json!(["126.0.0.0/7"]), end.clone()),
        new(json!(["::/64"]), end.clone()),
    ] {
        let (status, problem) = world.post("/v1/keys", &bound, &wide).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{wide}: {problem}");
    }
    // Nor by rotating one that is not bound.
    let rotate = async |id: &str| world.post(&format!("/v1/keys/{id}/rotate"), &bound, &json!({})).await.0;
    assert_eq!(rotate(&free_id).await, StatusCode::FORBIDDEN);
    make(&world, &bound, &new(json!(["127.1.0.0/16", "::ffff:127.0.0.1"]), end)).await;
    assert_eq!(rotate(&bound_id).await, StatusCode::CREATED);
}
