//! How often who may call, and what the answer tells of it.

use std::sync::Arc;

use presswork::{
    config::Settings,
    limits::{Health, LimitRules, Resource},
};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::{
    layers::test_routes,
    servers::{RedisServer, process::until},
    world::World,
};

fn limit(settings: &mut Settings, resource: Resource, rate: &str) {
    settings.limits.0.insert(resource, rate.parse().unwrap());
}

async fn open(world: &World, path: &str) -> Response {
    world.client.get(format!("http://{}{path}", world.address)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_may_call_ten_times_at_once_and_then_waits() {
    let world = World::start_with_routes(
        |settings| limit(settings, LimitRules::ANONYMOUS, "1/h:10"),
        Some(test_routes(Arc::default())),
    )
    .await;
    for left in (0..10).rev() {
        let response = open(&world, "/openapi.json").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "ratelimit-policy"), "\"anonymous\";q=10;w=36000");
        let told = header(&response, "ratelimit");
        assert!(told.starts_with(&format!("\"anonymous\";r={left};t=")), "{told}");
    }
    let refused = open(&world, "/openapi.json").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    assert!(header(&refused, "ratelimit").starts_with("\"anonymous\";r=0;t="));
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "urn:presswork:problem:limit-reached");
    assert_eq!(open(&world, "/nowhere").await.status(), StatusCode::TOO_MANY_REQUESTS);
    // A probe is never counted.
    assert_eq!(open(&world, "/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_credentials_is_stopped_and_whoever_has_one_is_not() {
    let world = World::start_with(|settings| {
        limit(settings, LimitRules::ANONYMOUS, "1/h:3");
    })
    .await;
    let key = world.key("acme", &["jobs:read"]).await;
    for expected in [401, 401, 401, 429, 429] {
        let (status, _) = world.get("/v1/jobs", "pw_live_guess").await;
        assert_eq!(status, expected);
    }
    assert_eq!(world.get("/v1/jobs", &key).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_calls_are_limited_and_anothers_are_not_touched() {
    let world = World::start_with(|settings| {
        limit(settings, LimitRules::API, "3/h:3");
    })
    .await;
    let (one, two) = (world.key("acme", &["jobs:read"]).await, world.key("acme", &["jobs:create"]).await);
    let other = world.key("globex", &["jobs:read"]).await;
    let response = world.request(Method::GET, "/v1/jobs", &one).send().await.unwrap();
    assert_eq!(header(&response, "ratelimit-policy"), "\"api\";q=3;w=3600");
    assert_eq!(header(&response, "ratelimit"), "\"api\";r=2;t=1200");
    // What is refused for want of a permission counts as well.
    assert_eq!(world.get("/v1/jobs", &two).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get("/v1/jobs", &one).await.0, StatusCode::OK);
    for key in [&one, &two] {
        assert_eq!(world.get("/v1/jobs", key).await.0, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(world.get("/v1/jobs", &other).await.0, StatusCode::OK);
    // What is set for a tenant holds at once.
    world
        .engine
        .rules
        .set(&"globex".parse().unwrap(), &LimitRules::API, Some("1/h:1".parse().unwrap()))
        .await
        .unwrap();
    let refused = async || world.get("/v1/jobs", &other).await.0 == StatusCode::TOO_MANY_REQUESTS;
    until("the tenant's own limit holds", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_own_share_where_one_is_set() {
    let world = World::start_with(|settings| {
        limit(settings, LimitRules::API, "9/h:9");
        limit(settings, "api:session".parse().unwrap(), "1/h:1");
    })
    .await;
    let (one, two) = (world.key("acme", &["jobs:read"]).await, world.key("acme", &["jobs:read"]).await);
    for key in [&one, &two] {
        assert_eq!(world.get("/v1/jobs", key).await.0, StatusCode::OK);
        let refused = world.request(Method::GET, "/v1/jobs", key).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(header(&refused, "ratelimit").starts_with("\"api:session\";r=0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_go_on_in_memory_while_redis_is_away_and_return() {
    let mut redis = RedisServer::start();
    let world = World::start_with(|settings| {
        settings.redis_url = Some(redis.url().parse().unwrap());
        limit(settings, LimitRules::ANONYMOUS, "1/h:3");
    })
    .await;
    let status = async || open(&world, "/openapi.json").await.status();
    assert_eq!(status().await, StatusCode::OK);
    redis.kill();
    for expected in [200, 200, 200, 429] {
        assert_eq!(status().await, expected);
    }
    assert!(matches!(world.engine.limiter.health(), Health::Away { .. }));
    redis.restart();
    // The server kept nothing: the fleet's bucket is a full one.
    until("the fleet's limits are back", async || status().await == StatusCode::OK).await;
    assert_eq!(world.engine.limiter.health(), Health::Well);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_anothers_tenant_is_counted_like_everybody_else() {
    let world = World::start_with(|settings| limit(settings, LimitRules::API, "3/h:3")).await;
    let key = world.key("acme", &["jobs:read"]).await;
    for expected in [404, 404, 404, 429, 429] {
        let request = world.request(Method::GET, "/v1/jobs", &key).header("presswork-tenant", "globex");
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_somebody_makes_up_do_not_fill_the_audit_log() {
    let world = World::start_with(|settings| limit(settings, LimitRules::ANONYMOUS, "1/h:3")).await;
    for n in 0..100 {
        let (status, _) = world.get("/v1/jobs", &format!("eyJhbGciOiJub25lIn0.{n}.")).await;
        // Beside each token comes a session.
        assert_eq!(status, if n < 2 { 401 } else { 429 });
        let cookie = format!("__Host-presswork={n:043}");
        let url = format!("http://{}/v1/jobs", world.address);
        let refused = world.client.get(url).header("cookie", cookie).send().await.unwrap();
        assert!([401, 429].contains(&refused.status().as_u16()));
    }
    // The rest of them is told in one entry each.
    world.engine.api_keys.settle().await;
    world.engine.audit.settle(std::time::Duration::from_secs(20)).await;
    let (_, path) = world.engine.audit.folder().files().unwrap().remove(0);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |reason: &str| -> Vec<&str> {
        let refused = lines.iter().filter(|line| line["action"] == "auth.credential_refused");
        let of = refused.filter(|line| line["detail"]["reason"] == reason);
        of.map(|line| line["detail"]["stands_for"].as_str().unwrap()).collect()
    };
    assert_eq!(told("the access token does not hold"), ["1", "99"]);
    assert_eq!(told("the session does not hold"), ["1", "99"]);
}
