//! `/v1/tenants`, `/v1/limits`, and acting for another tenant.

use presswork::limits::LimitRules;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer};

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_all_sees_and_sets_any_tenants_limits_and_nobody_else() {
    let world = World::start().await;
    let root = world.key("operator", &["tenants:manage"]).await;
    let key = world.key("acme", &["jobs:create", "limits:read"]).await;
    world.job(&key).await;
    let (path, limits) = ("/v1/tenants/acme", "/v1/tenants/acme/limits");
    let set = json!({ "weight": 3, "max_waiting": null, "kinds": { "echo": { "rate": "20/min:5" } } });
    for (method, path, body) in [
        (Method::GET, "/v1/tenants", None),
        (Method::GET, path, None),
        (Method::PUT, limits, Some(set.clone())),
        (Method::PUT, "/v1/tenants/acme/sealing", Some(json!({ "seal": true }))),
    ] {
        let refused = world.send(method, path, &key, body).await;
        assert_eq!(refused.0, StatusCode::FORBIDDEN, "{path}");
    }
    let (status, changed) = world.send(Method::PUT, limits, &root, Some(set)).await;
    assert_eq!((status, &changed["limits"]["weight"]), (StatusCode::OK, &json!(3)), "{changed}");
    assert_eq!(changed["limits"]["max_waiting"], Value::Null);
    assert_eq!(changed["limits"]["kinds"]["echo"], json!({ "rate": "20/min:5", "max_running": null }));
    let (_, own) = world.get("/v1/limits", &key).await;
    assert_eq!(own["queue"], changed["limits"]);
    let (_, reset) = world.send(Method::DELETE, limits, &root, None).await;
    assert_eq!((&reset["limits"]["weight"], &reset["limits"]["max_waiting"]), (&json!(1), &json!(100_000)));
    let heavy = world.send(Method::PUT, limits, &root, Some(json!({ "weight": 1_001 }))).await;
    assert_eq!(heavy.0, StatusCode::UNPROCESSABLE_ENTITY);

    let (_, sealed) =
        world.send(Method::PUT, "/v1/tenants/sealed/sealing", &root, Some(json!({ "seal": true }))).await;
    assert!(sealed["seal"] == true && sealed["newest_key"].is_string(), "{sealed}");
    let (_, listed) = world.get("/v1/tenants?limit=1", &root).await;
    assert_eq!(
        (&listed["items"][0]["tenant"], &listed["items"][0]["jobs"]["waiting"]),
        (&json!("acme"), &json!(1))
    );
    let next = format!("/v1/tenants?limit=1&cursor={}", listed["next"].as_str().unwrap());
    let (_, rest) = world.get(&next, &root).await;
    assert_eq!(
        (&rest["items"][0]["tenant"], &rest["items"][0]["seal"], &rest["next"]),
        (&json!("sealed"), &json!(true), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_use_are_seen_by_all_and_set_by_who_may() {
    let world = World::start().await;
    let key = world.key("acme", &["limits:read"]).await;
    let root = world.key("acme", &["limits:read", "limits:write"]).await;
    let path = "/v1/limits/model:openai%2Fkey-1";
    let rate = json!({ "rate": "20/min:5" });
    assert_eq!(world.send(Method::PUT, path, &key, Some(rate.clone())).await.0, StatusCode::FORBIDDEN);
    let (status, limits) = world.send(Method::PUT, path, &root, Some(rate)).await;
    assert_eq!(status, StatusCode::OK, "{limits}");
    let found = |limits: &Value, name: &str| {
        let all = limits["resources"].as_array().unwrap();
        all.iter().find(|one| one["resource"] == name).cloned().unwrap_or_default()
    };
    let (_, seen) = world.get("/v1/limits", &key).await;
    let model = found(&seen, "model:openai/key-1");
    assert_eq!(
        (&model["rate"], &model["remaining"], &model["default"]),
        (&json!("20/min:5"), &json!(5), &json!(false))
    );
    assert_eq!(found(&seen, "generation")["default"], true);
    let (_, reset) = world.send(Method::DELETE, path, &root, None).await;
    assert_eq!(found(&reset, "model:openai/key-1"), Value::Null);
    for wrong in [json!({ "rate": "many" }), json!({}), json!({ "rate": null, "more": 1 })] {
        assert_eq!(
            world.send(Method::PUT, path, &root, Some(wrong)).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(
        world.send(Method::PUT, "/v1/limits/a%20b", &root, Some(json!({ "rate": null }))).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_manages_tenants_acts_for_any_and_to_others_there_is_no_such_tenant() {
    let world = World::start().await;
    let root = world.key("operator", &["tenants:manage", "jobs:create", "jobs:read"]).await;
    let key = world.key("acme", &["jobs:read", "jobs:create"]).await;
    let job = world.job(&key).await;
    let path = format!("/v1/jobs/{job}");
    let acting = async |key: &str, tenant: &str| {
        let request = world.request(Method::GET, &path, key).header("presswork-tenant", tenant);
        answer(request.send().await.unwrap()).await
    };
    assert_eq!(world.get(&path, &root).await.0, StatusCode::NOT_FOUND);
    assert_eq!(acting(&root, "acme").await.0, StatusCode::OK);
    assert_eq!(acting(&key, "acme").await.0, StatusCode::OK);
    let (status, there) = acting(&key, "operator").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for nobody in ["nobody", "../x", "A", ""] {
        assert_eq!(acting(&key, nobody).await, (status, there.clone()), "{nobody}");
    }
    assert_eq!(acting(&root, "../x").await.1, there);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_other_tenants_names_does_so_within_his_own_limit() {
    let world = World::start_with(|settings| {
        settings.limits.0.insert(LimitRules::API, "2/h:2".parse().unwrap());
    })
    .await;
    let key = world.key("acme", &["jobs:read"]).await;
    let acting = async |tenant: &str| {
        let request = world.request(Method::GET, "/v1/jobs", &key).header("presswork-tenant", tenant);
        answer(request.send().await.unwrap()).await.0
    };
    assert_eq!(acting("globex").await, StatusCode::NOT_FOUND);
    assert_eq!(acting("../x").await, StatusCode::NOT_FOUND);
    assert_eq!(acting("globex").await, StatusCode::TOO_MANY_REQUESTS);
}
