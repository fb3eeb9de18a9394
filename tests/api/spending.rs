//! What a tenant has spent on models and may spend, as callers see it.

use std::time::Duration;

use presswork::{
    domain::{Cost, TenantId},
    spending::{Estimate, ModelName, Used},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer};

fn estimate() -> Estimate {
    let name = ModelName { provider: "openai".to_owned(), model: "m".to_owned() };
    Estimate { name, input_tokens: 100, output_tokens: 400, cost: Some(Cost::from_nanos(5_000_000_000)) }
}

/// A call that has cost 1.25.
async fn spend(world: &World, tenant: &str) {
    let (spending, tenant) = (&world.engine.spending, tenant.parse::<TenantId>().unwrap());
    let reserved = spending.reserve(&tenant, &estimate(), Duration::from_secs(60)).await.unwrap().unwrap();
    let cost = Some(Cost::from_nanos(1_250_000_000));
    let used = Used { input_tokens: 90, output_tokens: 10, cost, ..Used::default() };
    spending.settle(&reserved, Some(&used)).await.unwrap();
}

async fn put(world: &World, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = world.request(Method::PUT, path, key).header("content-type", "application/json");
    answer(request.body(body.to_string()).send().await.unwrap()).await
}

fn budget<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["budgets"].as_array().unwrap().iter().find(|one| one["budget"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_what_it_has_spent_and_nobody_elses() {
    let world = World::start().await;
    for tenant in ["acme", "acme", "globex"] {
        spend(&world, tenant).await;
    }
    world
        .engine
        .spending
        .cached(&"acme".parse().unwrap(), &estimate().name, Cost::from_nanos(1))
        .await
        .unwrap();
    let key = world.key("acme", &["limits:read"]).await;
    let (status, document) = world.get("/v1/spending", &key).await;
    assert_eq!(status, StatusCode::OK);
    let total = &document["total"];
    assert_eq!(
        (&document["tenant"], &total["calls"], &total["cached_calls"]),
        (&json!("acme"), &json!(2), &json!(1))
    );
    assert_eq!((&total["cost"], &total["saved"]), (&json!("2.50"), &json!("0.000000001")));
    assert_eq!((&total["input_tokens"], &total["output_tokens"]), (&json!(180), &json!(20)));
    let model = &document["days"][0]["models"][0];
    assert_eq!(
        (&model["provider"], &model["model"], &model["cost"]),
        (&json!("openai"), &json!("m"), &json!("2.50"))
    );
    let day = document["days"][0]["day"].as_str().unwrap();
    let (status, empty) = world.get("/v1/spending?from=2020-01-01&to=2020-12-31", &key).await;
    assert_eq!(
        (status, &empty["days"], &empty["total"]["cost"]),
        (StatusCode::OK, &json!([]), &json!("0.00"))
    );
    let (status, same) = world.get(&format!("/v1/spending?from={day}&to={day}"), &key).await;
    assert_eq!((status, &same["total"]), (StatusCode::OK, total));
    for wrong in ["from=2020-01-01", "from=2026-02-02&to=2026-02-01", "from=yesterday"] {
        let (status, problem) = world.get(&format!("/v1/spending?{wrong}"), &key).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {problem}");
    }
    // All of them, for who runs the installation.
    assert_eq!(world.get("/v1/spending/tenants", &key).await.0, StatusCode::FORBIDDEN);
    let root = world.key("root", &["tenants:manage", "status:read"]).await;
    let (_, first) = world.get("/v1/spending/tenants?limit=1", &root).await;
    assert_eq!((&first["items"][0]["tenant"], &first["items"][0]["cost"]), (&json!("acme"), &json!("2.50")));
    let next = first["next"].as_str().unwrap();
    let (_, second) = world.get(&format!("/v1/spending/tenants?limit=1&cursor={next}"), &root).await;
    assert_eq!((&second["items"][0]["tenant"], &second["items"][0]["calls"]), (&json!("globex"), &json!(1)));
    // The metrics are all tenants' together, without a word of who they are, and not for everybody.
    let metrics = async |key: &str| {
        world.request(Method::GET, "/metrics", key).send().await.unwrap().text().await.unwrap()
    };
    let all = metrics(&root).await;
    for line in [
        "presswork_model_tokens_total{provider=\"openai\",model=\"m\",kind=\"input\"} 270",
        "presswork_model_calls_total{provider=\"openai\",model=\"m\",answered=\"cached\"} 1",
        "presswork_model_cost_total{provider=\"openai\",model=\"m\"} 3.75",
        "presswork_model_unpriced_calls_total{provider=\"openai\",model=\"m\"} 0",
    ] {
        assert!(all.lines().any(|found| found == line), "{line} is not in\n{all}");
    }
    assert!(!all.contains("globex"));
    let own = world.key("acme", &["status:read"]).await;
    assert!(!metrics(&own).await.contains("presswork_model_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_set_by_who_may_and_hold_at_once() {
    let world = World::start_with(|settings| {
        settings.budgets.0.insert(presswork::spending::Measure::MonthlyTokens, 1_000_000);
    })
    .await;
    let (reads, writes) =
        (world.key("acme", &["limits:read"]).await, world.key("acme", &["limits:write"]).await);
    let (_, before) = world.get("/v1/budgets", &reads).await;
    assert_eq!(budget(&before, "monthly-tokens")["amount"], "1000000");
    assert_eq!(
        (&budget(&before, "daily")["amount"], &budget(&before, "daily")["default"]),
        (&Value::Null, &json!(true))
    );
    let body = json!({ "daily": "6.50" });
    assert_eq!(put(&world, "/v1/budgets", &reads, &body).await.0, StatusCode::FORBIDDEN);
    let (status, set) = put(&world, "/v1/budgets", &writes, &body).await;
    assert_eq!((status, &budget(&set, "daily")["amount"]), (StatusCode::OK, &json!("6.50")));
    assert_eq!(budget(&set, "monthly-tokens")["amount"], "1000000");
    spend(&world, "acme").await;
    let acme = "acme".parse().unwrap();
    let held =
        world.engine.spending.reserve(&acme, &estimate(), Duration::from_secs(60)).await.unwrap().unwrap();
    let (_, now) = world.get("/v1/budgets", &reads).await;
    let daily = budget(&now, "daily");
    assert_eq!((&daily["spent"], &daily["set_aside"]), (&json!("1.25"), &json!("5.00")));
    assert!(
        world.engine.spending.reserve(&acme, &estimate(), Duration::from_secs(60)).await.unwrap().is_err()
    );
    world.engine.spending.settle(&held, None).await.unwrap();
    for body in [
        json!({ "daily": "much" }),
        json!({ "daily": "-1" }),
        json!({ "daily-tokens": "1.5" }),
        json!({ "weekly": "1" }),
        json!({ "daily": 5 }),
    ] {
        let (status, problem) = put(&world, "/v1/budgets", &writes, &body).await;
        assert!(status.is_client_error(), "{body}: {problem}");
    }
    let (_, lifted) = put(&world, "/v1/budgets", &writes, &json!({ "monthly-tokens": null })).await;
    assert!(
        budget(&lifted, "monthly-tokens")["amount"].is_null() && budget(&lifted, "daily")["amount"].is_null()
    );
    let reset = world.request(Method::DELETE, "/v1/budgets", &writes).send().await.unwrap();
    let (status, reset) = answer(reset).await;
    assert_eq!((status, &budget(&reset, "monthly-tokens")["default"]), (StatusCode::OK, &json!(true)));
}
