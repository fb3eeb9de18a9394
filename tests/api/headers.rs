//! The headers of every kind of answer, over TLS, before a checker that nobody here wrote: drHEADer, with the rules of OWASP's
//! secure headers project that it brings along.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use presswork::{config::Settings, security::access::Role};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    identity::{self, PASSWORD},
    servers::redis::make_certificates,
    world::{World, answer},
};

/// Beside the checker's own rules: whoever has downloaded a file may keep it, and asks before he uses it again.
const RULES: &str =
    "Cache-Control:\n    Required: True\n    Severity: high\n    Must-Avoid:\n        - public\n";

/// What tells which program answers, or of which version.
const TELLING: [&str; 5] = ["server", "x-powered-by", "via", "x-generator", "x-aspnet-version"];

struct Kept {
    world: World,
    client: Client,
    all: BTreeMap<String, Value>,
}

impl Kept {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("https://{}{path}", self.world.address))
    }

    /// Keeps the headers of an answer, which must have this status.
    async fn keep(&mut self, what: &str, status: u16, request: RequestBuilder) -> Response {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in answer.headers() {
            let text = headers.entry(name.as_str()).or_default();
            let more = if text.is_empty() { "" } else { ", " };
            text.push_str(&format!("{more}{}", value.to_str().unwrap()));
        }
        for name in TELLING {
            assert!(!headers.contains_key(name), "{what}: {name}");
        }
        assert!(self.all.insert(what.to_owned(), json!(headers)).is_none(), "{what} twice");
        answer
    }
}

async fn begin(folder: &std::path::Path) -> Kept {
    make_certificates(folder);
    let (cert, key) = (folder.join("server.crt"), folder.join("server.key"));
    let world = World::start_with(|settings: &mut Settings| {
        settings.api.tls_cert = Some(cert);
        settings.api.tls_key = Some(key);
        settings.api.most_body_bytes = 10_000;
        settings.api.cors_origins = vec!["https://app.books.io".parse().unwrap()];
        settings.limits.0.insert("api".parse().unwrap(), "1000/s:1000".parse().unwrap());
    })
    .await;
    let authority = Certificate::from_pem(&fs::read(folder.join("ca.crt")).unwrap()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    Kept { world, client, all: BTreeMap::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checker_of_headers_finds_nothing_in_any_kind_of_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = begin(folder.path()).await;
    let names = ["jobs:create", "jobs:read", "projects:read", "projects:write", "secrets:read"];
    let key = kept.world.key("acme", &names).await;
    let poor = kept.world.key("poor", &["jobs:read"]).await;
    let poor_tenant = "poor".parse().unwrap();
    let (resource, rate) = ("api".parse().unwrap(), "1/d:1".parse().unwrap());
    kept.world.engine.rules.set(&poor_tenant, &resource, Some(rate)).await.unwrap();
    identity::user(&kept.world, "acme", "jo", Role::Viewer).await;
    let given = json!({ "kind": "echo", "payload": { "text": "x" } }).to_string();
    let request = kept.request(Method::POST, "/v1/jobs").bearer_auth(&key);
    let given = request.header("content-type", "application/json").body(given).send().await.unwrap();
    let job = answer(given).await.1["id"].as_str().unwrap().to_owned();
    let lease = kept.world.claim().await;
    kept.world.complete(&lease).await;
    let json =
        |request: RequestBuilder, body: String| request.header("content-type", "application/json").body(body);
    let origin = ("origin", "https://app.books.io");

    for (what, status, path) in [
        ("a page", 200, "/docs"),
        ("its style", 200, "/docs/style.css"),
        ("the document", 200, "/openapi.json"),
        ("a probe", 200, "/healthz"),
        ("the keys", 200, "/.well-known/jwks.json"),
        ("nobody", 401, "/v1/jobs"),
        ("no path", 404, "/nowhere"),
        ("another way to write one", 404, "/%2e%2e/etc/passwd"),
    ] {
        let request = kept.request(Method::GET, path);
        kept.keep(what, status, request).await;
    }
    for (what, status, path) in [
        ("a list", 200, "/v1/jobs"),
        ("a job", 200, &format!("/v1/jobs/{job}") as &str),
        ("a job's end", 200, &format!("/v1/jobs/{job}/wait")),
        ("no job", 404, "/v1/jobs/job_00000000000000000000000000"),
        ("too little", 403, "/v1/users"),
        ("a wrong question", 400, "/v1/jobs?limit=0"),
        ("events", 200, &format!("/v1/jobs/{job}/events")),
        ("no more events", 204, &format!("/v1/jobs/{job}/events?after=1000")),
        ("no WebSocket", 400, &format!("/v1/jobs/{job}/events/ws")),
    ] {
        let request = kept.request(Method::GET, path).bearer_auth(&key);
        kept.keep(what, status, request).await;
    }
    let put =
        kept.request(Method::PUT, "/v1/files/a.html").bearer_auth(&key).body("<script>alert(1)</script>");
    kept.keep("an upload", 201, put).await;
    let file = kept.request(Method::GET, "/v1/files/a.html").bearer_auth(&key);
    let etag = kept.keep("a download", 200, file).await.headers()["etag"].to_str().unwrap().to_owned();
    let part = kept.request(Method::GET, "/v1/files/a.html").bearer_auth(&key).header("range", "bytes=0-3");
    kept.keep("a part", 206, part).await;
    let beyond = kept.request(Method::GET, "/v1/files/a.html").bearer_auth(&key).header("range", "bytes=99-");
    kept.keep("beyond its end", 416, beyond).await;
    let known = kept.request(Method::GET, "/v1/files/a.html").bearer_auth(&key).header("if-none-match", etag);
    kept.keep("what one has", 304, known).await;
    let head = kept.request(Method::HEAD, "/v1/files/a.html").bearer_auth(&key);
    kept.keep("its head", 200, head).await;
    let removed = kept.request(Method::DELETE, "/v1/files/a.html").bearer_auth(&key);
    kept.keep("nothing", 204, removed).await;

    let made = json!({ "kind": "echo", "payload": { "text": "x" } }).to_string();
    let jobs = |kept: &Kept| kept.request(Method::POST, "/v1/jobs").bearer_auth(&key);
    let request = json(jobs(&kept), made.clone()).header(origin.0, origin.1);
    kept.keep("what was made", 201, request).await;
    let request = json(jobs(&kept), "{".to_owned());
    kept.keep("no JSON", 400, request).await;
    let request = json(jobs(&kept), json!({ "kind": "echo", "payload": 1 }).to_string());
    kept.keep("a wrong body", 422, request).await;
    let request = jobs(&kept).body(made.clone());
    kept.keep("another type", 415, request).await;
    let request = json(jobs(&kept), "x".repeat(20_000));
    kept.keep("too much", 413, request).await;
    let request = jobs(&kept).header("x-long", "x".repeat(100_000));
    kept.keep("headers too large", 431, request).await;
    let request = kept.request(Method::PATCH, "/v1/jobs").bearer_auth(&key);
    kept.keep("no such method", 405, request).await;
    let request = kept.request(Method::OPTIONS, "/v1/jobs").header(origin.0, origin.1);
    kept.keep("a page's first question", 200, request.header("access-control-request-method", "POST")).await;
    let login = |kept: &Kept, path: &str, password: &str| {
        let body = json!({ "tenant": "acme", "name": "jo", "password": password });
        json(kept.request(Method::POST, path), body.to_string())
    };
    let request = login(&kept, "/v1/sessions", PASSWORD).header("sec-fetch-site", "same-origin");
    let cookie = kept.keep("a session", 201, request).await.headers()["set-cookie"].clone();
    let request = login(&kept, "/v1/sessions", PASSWORD).header("sec-fetch-site", "cross-site");
    kept.keep("another site", 403, request).await;
    let request = login(&kept, "/v1/auth/login", PASSWORD);
    kept.keep("tokens", 200, request).await;
    let request = login(&kept, "/v1/auth/login", "not this one at all");
    kept.keep("no tokens", 401, request).await;
    let session = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
    let request = kept.request(Method::GET, "/v1/sessions/current").header("cookie", session);
    kept.keep("one's session", 200, request).await;
    let request = kept.request(Method::GET, "/v1/jobs").bearer_auth(&poor);
    request.send().await.unwrap();
    let request = kept.request(Method::GET, "/v1/jobs").bearer_auth(&poor);
    kept.keep("too often", 429, request).await;

    // Public keys are the one thing that anybody may keep and hand on.
    let keys = kept.all.get_mut("the keys").unwrap();
    assert_eq!(keys["cache-control"], "public, max-age=30");
    keys["cache-control"] = "no-store".into();
    judge(folder.path(), &kept.all);
}

/// Asks the checker; it must find nothing of any severity, and find what is wrong where something is.
fn judge(folder: &std::path::Path, all: &BTreeMap<String, Value>) {
    assert!(all.len() > 35, "{:?}", all.keys());
    let mut answers: Vec<Value> = all
        .iter()
        .map(|(what, headers)| json!({ "url": format!("https://answers/{}", what.replace(' ', "-")), "headers": headers }))
        .collect();
    let mut bare = answers[0].clone();
    bare["headers"].as_object_mut().unwrap().retain(|name, _| name != "x-frame-options");
    bare["headers"]["server"] = json!("presswork/1.0");
    answers.push(bare);
    fs::write(folder.join("answers.json"), json!(answers).to_string()).unwrap();
    fs::write(folder.join("rules.yml"), RULES).unwrap();
    let tools =
        std::env::var("PRESSWORK_TEST_TOOLS").unwrap_or_else(|_| panic!("run the tests by tests/run"));
    let mut checker = Command::new(PathBuf::from(tools).join("wapiti/venv/bin/drheader"));
    checker.current_dir(folder).args(["compare", "bulk", "--output", "json", "--merge"]);
    checker.args(["--cross-origin-isolated", "--rules-file", "rules.yml", "answers.json"]);
    let output = checker.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let found: Vec<Value> = serde_json::from_str(&told)
        .unwrap_or_else(|error| panic!("{error}: {told}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(found.len(), answers.len());
    let findings = |one: &Value| one["report"].as_array().cloned().unwrap_or_default();
    let (bare, answers) = found.split_last().unwrap();
    assert_eq!(findings(bare).len(), 2, "it is blind: {bare}");
    let wrong: Vec<&Value> = answers.iter().filter(|one| !findings(one).is_empty()).collect();
    assert!(wrong.is_empty(), "{}", serde_json::to_string_pretty(&wrong).unwrap());
}
