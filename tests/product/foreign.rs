//! Every operation on something with an id, called with another tenant's and with one that does not exist: nobody can tell the
//! one answer from the other, and what belongs to others stays as it is. An operation that is added is walked, too; where it is
//! about something new, the walk fails until it knows how one is made.

use std::{collections::BTreeSet, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    served::{Caller, Operation, Served, filled},
    things::{Thing, ask, body, make},
};

const SETTINGS: &str = "[oidc.her-provider]\nissuer = \"https://127.0.0.1:1\"\nclient_id = \"us\"\ntenant = \"corp\"\n\
    redirect_uri = \"https://books.example/v1/auth/oidc/her-provider/callback\"\n";

/// Whoever names what he has not makes it, or is told of an empty one: here others' things change nothing, either.
const ANSWERED: &[&str] = &[
    "DELETE /v1/limits/{resource}",
    "GET /v1/projects/{project}/characters",
    "POST /v1/projects/{project}/characters",
    "PUT /v1/files/{name}",
    "PUT /v1/limits/{resource}",
    "PUT /v1/projects/{project}/characters/{id}",
    "PUT /v1/schedules/{schedule}",
    "PUT /v1/secrets/{name}",
];

/// An answer without what differs from call to call.
#[derive(Debug, PartialEq)]
struct Told {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Value,
}

/// Puts what nothing has for a name in the place of what names the thing, and `…` in that of times and of what is the caller's own.
fn plain(value: Value, swap: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(swap(&text)),
        Value::Array(all) => all.into_iter().map(|one| plain(one, swap)).collect(),
        Value::Object(all) => {
            let own = ["changed_by", "etag", "generation", "next", "sealed_with"];
            let volatile = |name: &str| name.ends_with("_at") || own.contains(&name);
            let field = |(name, value): (String, Value)| {
                let value = if volatile(&name) { json!("…") } else { plain(value, swap) };
                (name, value)
            };
            all.into_iter().map(field).collect()
        }
        other => other,
    }
}

impl Told {
    async fn read(answer: Response, swap: &dyn Fn(&str) -> String) -> Self {
        let status = answer.status();
        // The length of what succeeds is that of its times.
        let is_fine = status.is_success();
        let volatile = |name: &str| match name {
            "x-request-id" | "traceparent" | "date" | "etag" => true,
            "content-length" => is_fine,
            _ => false,
        };
        let mut headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .filter(|(name, _)| !volatile(name.as_str()))
            .map(|(name, value)| (name.to_string(), swap(&String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        headers.sort();
        let read = tokio::time::timeout(Duration::from_secs(60), answer.text()).await;
        let text = read.expect("the answer does not end").unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body: plain(body, swap) }
    }
}

/// The operation on what these name.
fn request(served: &Served, operation: &Operation, names: &[String]) -> RequestBuilder {
    let path = operation.with(names);
    let path = if path.ends_with("/wait") { path + "?timeout=0" } else { path };
    let request = served.request(operation.method.clone(), &path);
    if operation.path.ends_with("/ws") {
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        return request
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    }
    if operation.method == Method::GET || operation.method == Method::DELETE {
        return request;
    }
    let content = body(&operation.method, &operation.path).to_string();
    request.header("content-type", "application/json").body(content)
}

async fn seen(served: &Served, thing: &Thing, by: &Caller) -> Vec<String> {
    let mut all = Vec::new();
    for path in &thing.shown {
        let answer = by.signs(served.request(Method::GET, path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} is not seen by its own tenant");
        all.push(answer.text().await.unwrap());
    }
    all
}

/// Somebody of a tenant who may all that an operation of tenants may need.
async fn stranger(served: &Served, operation: &Operation, tenant: &str) -> Caller {
    let needs = operation.needs.as_ref().unwrap();
    if needs.is_empty() {
        // Some of these are for users alone.
        return served.browser(&served.user(tenant, "bo").await).await.0;
    }
    // Who may manage tenants may see all of them; everybody else may not.
    let without: &[&str] = if needs[0] == "tenants:manage" { &["tenants:manage"] } else { &[] };
    served.key_without(tenant, without).await
}

async fn walk(served: &Served, operation: &Operation, number: usize) {
    let what = format!("{} {}", operation.method, operation.path);
    let hers = format!("acme-{number:03}");
    let thing = make(served, operation.thing().unwrap(), &hers).await;
    let reader = served.key_without(&hers, &[]).await;
    let before = seen(served, &thing, &reader).await;
    for (pair, (named, unnamed)) in thing.names.iter().enumerate() {
        assert!(named.iter().zip(unnamed).all(|(one, other)| one.len() == other.len()), "{named:?}");
        // Two of them, for the first may make what he names.
        let [one, two] = ["globex", "initec"].map(|name| format!("{name}-{number:03}-{pair}"));
        let swap = |text: &str| {
            let names = named.iter().zip(unnamed).filter(|(one, other)| one != other);
            names.fold(text.replace(&one, &two), |text, (one, other)| text.replace(one, other))
        };
        let by = stranger(served, operation, &one).await;
        let answer = by.signs(request(served, operation, named)).send().await.unwrap();
        let of_hers = Told::read(answer, &swap).await;
        let by = stranger(served, operation, &two).await;
        let answer = by.signs(request(served, operation, unnamed)).send().await.unwrap();
        let of_nothing = Told::read(answer, &|text| text.to_owned()).await;
        assert_eq!(of_hers, of_nothing, "{what}: {named:?} can be told from {unnamed:?}");
        // An answer that comes before anybody has looked for the thing would prove nothing.
        if ANSWERED.contains(&what.as_str()) {
            assert!(of_hers.status.is_success(), "{what}: {of_hers:?}");
        } else if operation.needs.as_ref().unwrap().first().is_some_and(|needed| needed == "tenants:manage") {
            assert_eq!(of_hers.status, StatusCode::FORBIDDEN, "{what}: {of_hers:?}");
        } else {
            assert_eq!(of_hers.status, StatusCode::NOT_FOUND, "{what}: {of_hers:?}");
        }
        let header = of_hers.headers.iter().find(|(name, _)| name == header::CONTENT_TYPE.as_str());
        if !of_hers.status.is_success() {
            assert_eq!(header.map(|(_, value)| value.as_str()), Some("application/problem+json"), "{what}");
        }
    }
    assert_eq!(seen(served, &thing, &reader).await, before, "{what} by another tenant has changed it");
    // And it was there to be found all the time: its owner's call finds it.
    let owner = match &thing.owner {
        Caller::Key(_) => &reader,
        browser @ Caller::Browser { .. } => browser,
    };
    for named in thing.names.iter().map(|(named, _)| named).collect::<BTreeSet<_>>() {
        let status = owner.signs(request(served, operation, named)).send().await.unwrap().status();
        let is_found = status != StatusCode::NOT_FOUND && status != StatusCode::FORBIDDEN;
        assert!(is_found, "{what} by its own tenant: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_answers_like_one_that_is_not_there_and_nothing_of_it_changes() {
    let served = Served::start("api", SETTINGS).await;
    let operations = Operation::all(&served.document().await);
    // What is for everybody acts for nobody: the two steps of a login by a provider, whose names are on the page of logins.
    let walked: Vec<&Operation> =
        operations.iter().filter(|one| one.thing().is_some() && one.needs.is_some()).collect();
    let mut things = BTreeSet::new();
    for (number, operation) in walked.iter().enumerate() {
        things.insert(operation.thing().unwrap());
        walk(&served, operation, number).await;
    }
    println!("{} operations on {} kinds of things", walked.len(), things.len());
    assert!(walked.len() > 55 && things.len() > 15, "{things:?}");
    for answered in ANSWERED {
        let (method, path) = answered.split_once(' ').unwrap();
        assert!(walked.iter().any(|one| one.path == path && one.method.as_str() == method), "{answered}");
    }
}

/// What is named in bodies and questions.
#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_in_a_body_a_question_or_a_cursor_is_one_that_is_not_there() {
    let served = Served::start("api", "").await;
    let (by, hers) =
        (served.key_without("globex", &["tenants:manage"]).await, served.key_without("acme", &[]).await);
    let jobs = make(&served, "/v1/jobs/{job}", "acme").await;
    let batch = make(&served, "/v1/batches/{batch}", "acme").await;
    let export = json!({ "project": "novel", "format": "text" });
    let before = [seen(&served, &jobs, &hers).await, seen(&served, &batch, &hers).await];
    let told = async |path: &str, content: Value, swap: &dyn Fn(&str) -> String| {
        let request = served.request(Method::POST, path).header("content-type", "application/json");
        Told::read(by.signs(request.body(content.to_string())).send().await.unwrap(), swap).await
    };
    for (named, unnamed) in &jobs.names {
        let (named, unnamed) = (&named[0], &unnamed[0]);
        let swap = |text: &str| text.replace(named, unnamed);
        for path in ["/v1/jobs/cancel", "/v1/jobs/retry"] {
            let of_hers = told(path, json!({ "jobs": [named] }), &swap).await;
            assert_eq!(of_hers.body["items"][0]["outcome"], "unknown", "{of_hers:?}");
            assert_eq!(of_hers, told(path, json!({ "jobs": [unnamed] }), &str::to_owned).await);
        }
        let after = |job: &str| json!({ "kind": "export", "payload": export, "after": [job] });
        // The job that is not made has an id of its own each time.
        let before_its_own = |text: &str| text.split(", so job_").next().unwrap().to_owned();
        let of_hers = told("/v1/jobs", after(named), &|text| before_its_own(&swap(text))).await;
        assert_eq!(of_hers, told("/v1/jobs", after(unnamed), &before_its_own).await);
        assert!(of_hers.status.is_client_error(), "{of_hers:?}");
    }
    let (named, unnamed) = (&batch.names[0].0[0], &batch.names[0].1[0]);
    let swap = |text: &str| text.replace(named, unnamed);
    let member = |batch: &str| json!({ "kind": "export", "payload": export, "batch": batch });
    let of_hers = told("/v1/jobs", member(named), &swap).await;
    assert_eq!(of_hers, told("/v1/jobs", member(unnamed), &str::to_owned).await);
    assert!(of_hers.status.is_client_error(), "{of_hers:?}");
    assert_eq!([seen(&served, &jobs, &hers).await, seen(&served, &batch, &hers).await], before);

    let asked = async |path: &str, by: &Caller| {
        let answer = by.signs(served.request(Method::GET, path)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let [of_hers, of_nothing] = [asked("/v1/audit?tenant=acme", &by), asked("/v1/audit?tenant=nobo", &by)];
    let (of_hers, of_nothing) = (of_hers.await, of_nothing.await);
    assert_eq!((of_hers.0, &of_hers), (StatusCode::OK, &of_nothing));
    let page: Value = serde_json::from_str(&asked("/v1/jobs?limit=1", &hers).await.1).unwrap();
    let cursor = format!("/v1/jobs?limit=1&cursor={}", page["next"].as_str().unwrap());
    assert_eq!(asked(&cursor, &hers).await.0, StatusCode::OK);
    assert_eq!(asked(&cursor, &by).await.0, StatusCode::BAD_REQUEST);
}

/// The header by which who manages tenants acts for one.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_act_for_others_is_told_of_no_tenant_whatever_he_asks() {
    let served = Served::start("api", "").await;
    let owner = served.key_without("acme", &[]).await;
    ask(&served, &owner, Method::PUT, "/v1/secrets/mine", json!({ "value": "hers" })).await;
    let key = served.key_without("globex", &["tenants:manage"]).await;
    for operation in Operation::all(&served.document().await) {
        if operation.needs.is_none() {
            continue;
        }
        let names = ["mine".to_owned(), "mine".to_owned()];
        let path = filled(&operation.path, &names);
        let mut told = Vec::new();
        for tenant in ["acme", "nobo"] {
            let request = served.request(operation.method.clone(), &path).header("presswork-tenant", tenant);
            told.push(Told::read(key.signs(request).send().await.unwrap(), &str::to_owned).await);
        }
        assert_eq!(told[0], told[1], "{} {path}", operation.method);
        assert_eq!(told[0].status, StatusCode::NOT_FOUND, "{} {path}", operation.method);
    }
}
