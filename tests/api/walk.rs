//! Every operation of the OpenAPI document, called with every credential that does not hold: each is refused in the documented
//! form. An operation that is added is walked too, without a word here.

use std::time::Duration;

use presswork::{
    domain::TenantId,
    security::{Acting, access::PERMISSIONS, api_keys::NewApiKey},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer};

/// An operation as the document has it.
struct Operation {
    method: Method,
    path: String,
    /// What it needs: nothing where it is for everybody; no scope where whoever has proved who he is may.
    needs: Option<Vec<String>>,
    /// The statuses that it documents, as they are written there: `401`, `4XX`.
    statuses: Vec<String>,
}

impl Operation {
    fn documents(&self, status: StatusCode) -> bool {
        let (exact, class) = (status.as_u16().to_string(), format!("{}XX", status.as_u16() / 100));
        self.statuses.iter().any(|known| *known == exact || known.eq_ignore_ascii_case(&class))
    }

    /// The path with names in it that nobody has.
    fn filled(&self) -> String {
        let pieces = self.path.split('/').map(|piece| match piece {
            "{job}" => "job_00000000000000000000000000",
            "{batch}" => "batch_00000000000000000000000000",
            piece if piece.starts_with('{') => "nobody-has-this",
            piece => piece,
        });
        pieces.collect::<Vec<_>>().join("/")
    }
}

async fn operations(world: &World) -> Vec<Operation> {
    let url = format!("http://{}/openapi.json", world.address);
    let document: Value =
        serde_json::from_slice(&world.client.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let requirements = operation["security"].as_array();
            let requirements =
                requirements.unwrap_or_else(|| panic!("{method} {path} says nothing of security"));
            let is_public = requirements.iter().any(|one| one.as_object().unwrap().is_empty());
            let scopes = |one: &Value| one.as_object().unwrap().values().next().unwrap().clone();
            let needs = (!is_public).then(|| serde_json::from_value(scopes(&requirements[0])).unwrap());
            let statuses = operation["responses"].as_object().unwrap().keys().cloned().collect();
            found.push(Operation { method, path: path.clone(), needs, statuses });
        }
    }
    assert!(!found.is_empty());
    found
}

/// A key that ended as soon as a busy machine can have made it, and one that somebody has revoked.
async fn spent_keys(world: &World) -> [String; 2] {
    let tenant: TenantId = "acme".parse().unwrap();
    let new = |expires_at| NewApiKey {
        tenant: tenant.clone(),
        name: "spent".to_owned(),
        grants: PERMISSIONS.iter().map(|(name, _)| name.parse().unwrap()).collect(),
        from: Vec::new(),
        expires_at,
    };
    let (keys, by) = (&world.engine.api_keys, Acting::command_line());
    let end = |wait| Some(world.engine.clock.now().after(wait));
    let (_, expired) = keys.create(new(end(Duration::from_secs(1))), &by).await.unwrap();
    let (revoked, text) = keys.create(new(end(Duration::from_secs(60))), &by).await.unwrap();
    keys.revoke(&tenant, &revoked.id, &by).await.unwrap();
    while keys.verify(expired.reveal(), &by, true).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    [expired.reveal().to_owned(), text.reveal().to_owned()]
}

async fn refused(world: &World, operation: &Operation, key: Option<&str>, wanted: StatusCode) {
    let mut request = world
        .client
        .request(operation.method.clone(), format!("http://{}{}", world.address, operation.filled()));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if operation.method != Method::GET {
        request = request.header("content-type", "application/json").body("{}");
    }
    let response = request.send().await.unwrap();
    let what = format!("{} {} with {key:?}", operation.method, operation.path);
    assert!(operation.documents(response.status()), "{what}: {} is not documented", response.status());
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
    let (status, problem) = answer(response).await;
    assert_eq!((status, &problem["status"]), (wanted, &json!(wanted.as_u16())), "{what}: {problem}");
    let kind = problem["type"].as_str().unwrap();
    assert!(kind.starts_with("urn:presswork:problem:"), "{what}: {problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{what}: {problem}");
}

/// A server that limits nobody: a walk asks more in a second than anybody else in a minute.
async fn unlimited() -> World {
    World::start_with(|settings| settings.limits.0.clear()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_every_credential_that_does_not_hold() {
    let world = unlimited().await;
    let [expired, revoked] = spent_keys(&world).await;
    let forged = expired.replace("pw_live_", "pw_live_0");
    for operation in operations(&world).await.iter().filter(|operation| operation.needs.is_some()) {
        for key in [None, Some("x"), Some("pw_live_x"), Some(&forged), Some(&expired), Some(&revoked)] {
            refused(&world, operation, key.map(|key| key as &str), StatusCode::UNAUTHORIZED).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_who_has_every_permission_but_its_own() {
    let world = unlimited().await;
    for operation in operations(&world).await {
        let Some(needed) = operation.needs.as_ref().and_then(|scopes| scopes.first()) else { continue };
        let others: Vec<&str> =
            PERMISSIONS.iter().map(|(name, _)| *name).filter(|name| name != needed).collect();
        let key = world.key("acme", &others).await;
        refused(&world, &operation, Some(&key), StatusCode::FORBIDDEN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_everybody_is_a_short_list() {
    let world = unlimited().await;
    let public: Vec<String> = operations(&world)
        .await
        .into_iter()
        .filter(|operation| operation.needs.is_none())
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    let expected = [
        "GET /.well-known/jwks.json",
        "GET /docs",
        "GET /docs/style.css",
        "GET /healthz",
        "GET /openapi.json",
        "GET /readyz",
        "POST /v1/auth/link",
        "POST /v1/auth/login",
        "POST /v1/auth/login/code",
        "POST /v1/auth/logout",
        "GET /v1/auth/oidc/{provider}/callback",
        "POST /v1/auth/oidc/{provider}/code",
        "GET /v1/auth/oidc/{provider}/start",
        "POST /v1/auth/refresh",
        "POST /v1/sessions",
    ];
    assert_eq!(public, expected, "whoever opens an operation to everybody adds it here");
}
