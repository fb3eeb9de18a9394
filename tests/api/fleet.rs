//! Two servers on one real Redis: what both count, what one hears of the other's jobs, and how late it hears of a key that the
//! other has revoked.

use futures_util::future::join_all;
use presswork::security::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    events::Sse,
    identity::{try_login, user},
    servers::{RedisServer, process::until},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn refused_logins_at_two_servers_together_raise_one_alert() {
    let redis = RedisServer::start();
    let (here, there) = (World::on(&redis).await, World::on(&redis).await);
    user(&here, "acme", "jo", Role::Viewer).await;
    let mut heard = [&here, &there].map(|world| world.engine.audit.alerts().subscribe());
    let guess = |world| try_login(world, "acme", "jo", "not this one at all");
    // Neither has seen as many as it takes.
    for (status, _) in join_all([&here, &there, &here, &there, &here].map(guess)).await {
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let [one, other] = &mut heard;
    let alert = tokio::select! {
        alert = one.recv() => alert.unwrap(),
        alert = other.recv() => alert.unwrap(),
    };
    assert_eq!((alert.rule.name(), alert.subject.as_str(), alert.count), ("logins-of-account", "acme/jo", 5));
    assert!(one.try_recv().is_err() && other.try_recv().is_err(), "told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_at_one_server_hears_what_is_reported_through_the_other() {
    let redis = RedisServer::start();
    let (here, there) = (World::on(&redis).await, World::on(&redis).await);
    let key = here.key("acme", &["jobs:create", "jobs:read"]).await;
    let job = here.job(&key).await;
    let mut stream = Sse::open(&there, &key, job, None).await;
    let lease = here.claim().await;
    here.report(&lease, 50.0).await;
    let mut seen = Vec::new();
    while !seen.contains(&json!(50.0)) {
        let (_, event) = stream.event().await.unwrap();
        seen.push(event["percent"].clone());
    }
    here.complete(&lease).await;
    while stream.event().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_one_server_revokes_is_refused_there_at_once_and_by_the_other_within_a_moment() {
    let redis = RedisServer::start();
    let (here, there) = (World::on(&redis).await, World::on(&redis).await);
    let admin = here.key("acme", &["keys:manage", "jobs:read"]).await;
    let wanted = json!({ "name": "app", "permissions": ["jobs:read"] });
    let (_, made) = here.post("/v1/keys", &admin, &wanted).await;
    let (text, id) = (made["text"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    let status = async |world: &World| world.get("/v1/jobs", text).await.0;
    for world in [&here, &there] {
        assert_eq!(status(world).await, StatusCode::OK);
    }
    let sent = here.request(Method::DELETE, &format!("/v1/keys/{id}"), &admin).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
    assert_eq!(status(&here).await, StatusCode::UNAUTHORIZED);
    until("the other has heard", async || status(&there).await == StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&there).await, StatusCode::UNAUTHORIZED, "for good");
}
