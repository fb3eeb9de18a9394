//! `/v1/jobs`.

use presswork::domain::{JobId, Reason, Verdict};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    servers::RedisServer,
    world::{World, answer},
};

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

fn echo(text: &str) -> Value {
    json!({ "kind": "echo", "payload": { "text": text } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_under_its_key_makes_no_second_job() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create"]).await;
    let ask = |idempotency: &'static str, body: Value| {
        let request = world.request(Method::POST, "/v1/jobs", &key).header("idempotency-key", idempotency);
        let request = request.header("content-type", "application/json").body(body.to_string());
        async move { answer(request.send().await.unwrap()).await }
    };
    let (status, first) = ask("one", echo("a")).await;
    assert_eq!((status, &first["duplicate"]), (StatusCode::CREATED, &json!(false)));
    let (status, again) = ask("\"one\"", echo("a")).await;
    assert_eq!((status, &again["id"], &again["duplicate"]), (StatusCode::OK, &first["id"], &json!(true)));
    let mut body = echo("a");
    body["idempotency_key"] = json!("one");
    assert_eq!(ask("one", body.clone()).await.1["id"], first["id"]);
    let (status, problem) = ask("two", body).await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/idempotency_key"))
    );
    assert_eq!(ask("a b", echo("a")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_come_in_one_call_and_each_is_answered_on_its_own() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create:echo", "jobs:read"]).await;
    let mut jobs: Vec<Value> = (0..998).map(|n| echo(&n.to_string())).collect();
    jobs.insert(1, json!({ "kind": "export", "payload": {} }));
    jobs.insert(2, json!({ "kind": "echo", "payload": { "text": 7 } }));
    let body = json!({ "jobs": jobs });
    let request = || {
        let request = world.request(Method::POST, "/v1/jobs/batch", &key).header("idempotency-key", "many");
        request.header("content-type", "application/json").body(body.to_string()).send()
    };
    let (status, made) = answer(request().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!((&made["accepted"], &made["refused"]), (&json!(998), &json!(2)));
    let items = made["items"].as_array().unwrap();
    assert_eq!(items.len(), 1_000);
    assert_eq!(items[1]["problem"]["status"], 403);
    assert_eq!(items[2]["problem"]["errors"][0]["pointer"], "/payload");
    let (_, found) = world.get(&format!("/v1/jobs/{}", items[3]["id"].as_str().unwrap()), &key).await;
    assert_eq!(found["payload"]["text"], "1");
    let (_, again) = answer(request().await.unwrap()).await;
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(998)));
    assert_eq!(again["items"][0]["id"], items[0]["id"]);
    for jobs in [Vec::new(), vec![echo("x"); 1_001]] {
        let (status, _) = world.post("/v1/jobs/batch", &key, &json!({ "jobs": jobs })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

async fn pages(world: World) {
    let key = world.key("acme", &["jobs:create", "jobs:read"]).await;
    let other = world.key("globex", &["jobs:create", "jobs:read"]).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.job(&key).await.to_string());
    }
    let (mut listed, mut path) = (Vec::new(), "/v1/jobs?limit=2".to_owned());
    let mut cursor = String::new();
    loop {
        let (status, page) = world.get(&path, &key).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        listed.extend(
            page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
        path = format!("/v1/jobs?limit=2&cursor={next}");
    }
    // The newest first; those whose ids have one millisecond in any order.
    let millisecond = "job_".len() + 10;
    assert!(listed.is_sorted_by(|one, next| one[..millisecond] >= next[..millisecond]), "{listed:?}");
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
    for forged in ["x", "", "AAAAAAAA", "1", "job_00000000000000000000000000", "%00", &cursor[1..]] {
        let (status, problem) = world.get(&format!("/v1/jobs?cursor={forged}"), &key).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!("cursor")),
            "{forged}"
        );
    }
    // A cursor is of no use in another listing, nor to another tenant.
    for (path, key) in [("/v1/jobs?state=dead", &key), ("/v1/jobs?limit=2", &other)] {
        assert_eq!(world.get(&format!("{path}&cursor={cursor}"), key).await.0, StatusCode::BAD_REQUEST);
    }
    for wrong in ["limit=0", "limit=201", "limit=x", "state=asleep", "kind=A"] {
        assert_eq!(world.get(&format!("/v1/jobs?{wrong}"), &key).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_comes_in_pages_and_a_forged_cursor_is_refused() {
    pages(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_comes_in_pages_on_redis_too() {
    let redis = RedisServer::start();
    pages(World::on(&redis).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_and_put_back_one_by_one_and_together() {
    let world = World::start().await;
    let all = ["jobs:create", "jobs:read", "jobs:cancel", "jobs:retry"];
    let (key, other) = (world.key("acme", &all).await, world.key("globex", &all).await);
    let (first, second) = (world.job(&key).await, world.job(&key).await);
    let act = async |job: JobId, act: &str, key: &str| {
        world.send(Method::POST, &format!("/v1/jobs/{job}/{act}"), key, None).await
    };
    for what in ["cancel", "retry"] {
        assert_eq!(act(first, what, &other).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(act(first, "retry", &key).await.0, StatusCode::CONFLICT);
    let (status, outcome) = act(first, "cancel", &key).await;
    assert_eq!((status, &outcome["outcome"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(act(first, "cancel", &key).await.0, StatusCode::OK);
    assert_eq!(act(first, "retry", &key).await.1["outcome"], "requeued");

    // One that runs is asked to stop.
    let lease = world.claim().await;
    let (status, asked) = act(lease.job, "cancel", &key).await;
    assert_eq!((status, &asked["outcome"]), (StatusCode::ACCEPTED, &json!("asked")));
    world.complete(&lease).await;
    assert_eq!(act(lease.job, "cancel", &key).await.0, StatusCode::CONFLICT);

    let left = if lease.job == first { second } else { first };
    let unknown = "job_00000000000000000000000000";
    let named = json!({ "jobs": [left, unknown, lease.job] });
    let (status, outcomes) = world.post("/v1/jobs/cancel", &key, &named).await;
    let outcomes: Vec<_> =
        outcomes["items"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(
        (status, outcomes),
        (StatusCode::OK, vec![json!("cancelled"), json!("unknown"), json!("unchanged")])
    );
    let (_, outcomes) = world.post("/v1/jobs/retry", &key, &named).await;
    let outcomes: Vec<_> =
        outcomes["items"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("requeued"), json!("unknown"), json!("unchanged")]);

    let lease = world.claim().await;
    world.settle(&lease, Verdict::Dead(Reason::new("broken"))).await;
    let (status, back) = world.post("/v1/jobs/retry-dead", &key, &json!({ "kind": "echo" })).await;
    assert_eq!((status, &back["requeued"], &back["next"]), (StatusCode::OK, &json!(1), &Value::Null));
    let (status, _) = world.post("/v1/jobs/retry-dead", &key, &json!({ "cursor": "forged" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_at_the_end_and_fetches_the_result() {
    let world = World::start().await;
    let key = world.key("acme", &["jobs:create", "jobs:read"]).await;
    let job = world.job(&key).await;
    let (status, why) = world.get(&format!("/v1/jobs/{job}/why"), &key).await;
    assert_eq!(
        (status, &why["constraint"]["type"], &why["state"]),
        (StatusCode::OK, &json!("turn"), &json!("waiting"))
    );
    let (status, early) = world.get(&format!("/v1/jobs/{job}/result"), &key).await;
    assert_eq!((status, &early["type"]), (StatusCode::CONFLICT, &json!("urn:presswork:problem:conflict")));
    assert_eq!(world.get(&format!("/v1/jobs/{job}/wait?timeout=0"), &key).await.0, StatusCode::ACCEPTED);
    assert_eq!(world.get(&format!("/v1/jobs/{job}/wait?timeout=61"), &key).await.0, StatusCode::BAD_REQUEST);
    let path = format!("/v1/jobs/{job}/wait?timeout=20");
    let (waited, ()) = tokio::join!(world.get(&path, &key), async {
        let lease = world.claim().await;
        world.complete(&lease).await;
    });
    assert_eq!((waited.0, &waited.1["state"]), (StatusCode::OK, &json!("completed")), "{}", waited.1);
    let (status, result) = world.get(&format!("/v1/jobs/{job}/result"), &key).await;
    assert_eq!(
        (status, &result["result"], &result["artifacts"]),
        (StatusCode::OK, &json!("done"), &json!([]))
    );
    let (_, why) = world.get(&format!("/v1/jobs/{job}/why"), &key).await;
    assert_eq!(why["constraint"]["type"], "nothing");
}
