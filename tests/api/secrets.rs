//! `/v1/secrets`: values go in and never come out.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer};

const CANARY: &str = "sk-canary-nobody-may-see-0451";

async fn put(world: &World, name: &str, key: &str, body: &str) -> (StatusCode, Value) {
    let request = world.request(Method::PUT, &format!("/v1/secrets/{name}"), key);
    let request = request.header("content-type", "application/json").body(body.to_owned());
    answer(request.send().await.unwrap()).await
}

fn value(text: &str) -> String {
    json!({ "value": text }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_stored_listed_and_removed_and_its_value_never_comes_back() {
    let world = World::start().await;
    let key = world.key("acme", &["secrets:read", "secrets:write"]).await;
    let (status, made) = put(&world, "openai", &key, &value(CANARY)).await;
    assert_eq!((status, &made["version"]), (StatusCode::CREATED, &json!(1)), "{made}");
    let (status, changed) = put(&world, "openai", &key, &value(&format!("{CANARY}-2"))).await;
    assert_eq!((status, &changed["version"]), (StatusCode::OK, &json!(2)));
    put(&world, "anthropic", &key, &value("x")).await;
    let (status, one) = world.get("/v1/secrets/openai", &key).await;
    assert_eq!((status, &one["version"]), (StatusCode::OK, &json!(2)));
    let (_, first) = world.get("/v1/secrets?limit=1", &key).await;
    let (_, second) =
        world.get(&format!("/v1/secrets?limit=1&cursor={}", first["next"].as_str().unwrap()), &key).await;
    assert_eq!(
        (&first["items"][0]["name"], &second["items"][0]["name"]),
        (&json!("anthropic"), &json!("openai"))
    );
    for shown in [made, changed, one, first, second] {
        assert!(!shown.to_string().contains("canary"), "{shown}");
    }
    let remove = || world.request(Method::DELETE, "/v1/secrets/openai", &key).send();
    assert_eq!(remove().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(remove().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/secrets/openai", &key).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_quotes_what_was_sent() {
    let world = World::start().await;
    let key = world.key("acme", &["secrets:read", "secrets:write"]).await;
    let long = value(&format!("{CANARY}{}", "x".repeat(65_536)));
    for (body, status) in [
        (json!(CANARY).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "value": [CANARY] }).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "value": { "x": CANARY } }).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ CANARY: "x" }).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "value": "x", CANARY: "x" }).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (value(""), StatusCode::UNPROCESSABLE_ENTITY),
        (long, StatusCode::UNPROCESSABLE_ENTITY),
        (CANARY.to_owned(), StatusCode::BAD_REQUEST),
        (format!("{{\"value\":\"{CANARY}"), StatusCode::BAD_REQUEST),
    ] {
        let (found, problem) = put(&world, "openai", &key, &body).await;
        assert_eq!(found, status, "{problem}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
    let (status, problem) = put(&world, "Not-A-Name", &key, &value(CANARY)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        !problem.to_string().contains("canary") && problem["detail"].as_str().unwrap().contains("a-z"),
        "{problem}"
    );
    let request = world.request(Method::PUT, "/v1/secrets/openai", &key).body(value(CANARY));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.get("/v1/secrets", &key).await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_need_one_permission_values_another_and_tenants_see_their_own() {
    let world = World::start().await;
    let (reader, writer) =
        (world.key("acme", &["secrets:read"]).await, world.key("acme", &["secrets:write"]).await);
    let other = world.key("globex", &["secrets:read", "secrets:write"]).await;
    assert_eq!(put(&world, "openai", &reader, &value(CANARY)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(put(&world, "openai", &writer, &value(CANARY)).await.0, StatusCode::CREATED);
    assert_eq!(world.get("/v1/secrets/openai", &writer).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get("/v1/secrets/openai", &reader).await.0, StatusCode::OK);
    let (status, hidden) = world.get("/v1/secrets/openai", &other).await;
    assert_eq!((status, &hidden), (StatusCode::NOT_FOUND, &world.get("/v1/secrets/nothing", &other).await.1));
    assert_eq!(world.get("/v1/secrets/%2e%2e", &other).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/secrets", &other).await.1["items"], json!([]));
    let gone = world.request(Method::DELETE, "/v1/secrets/openai", &other).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert_eq!(put(&world, "openai", &other, &value("theirs")).await.1["version"], json!(1));
    assert_eq!(world.get("/v1/secrets/openai", &reader).await.1["version"], json!(1));
}
