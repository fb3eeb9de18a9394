//! The HTTP API of the binary itself: a manuscript goes in by HTTP, a book comes out by HTTP.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use presswork::{
    config::Settings,
    engine::Engine,
    security::{
        Acting,
        access::Role,
        api_keys::{ApiKey, NewApiKey},
    },
    store::Collection,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    servers::{
        RedisServer, S3Server,
        process::until,
        s3::{Matching, Moment, Operation},
    },
    world::{Running, World, long_book, text},
};

/// A running process that listens, and a caller with a key of the tenant that the command line works for.
pub(crate) struct Door {
    pub(crate) process: Running,
    pub(crate) engine: Engine,
    /// The key as it is kept.
    pub(crate) known: ApiKey,
    address: String,
    key: String,
    client: reqwest::Client,
}

impl Door {
    /// That of `presswork up`.
    async fn open(world: &World) -> Self {
        Self::of("up", world).await
    }

    /// That of `presswork api` or `presswork up`.
    pub(crate) async fn of(command: &str, world: &World) -> Self {
        Self::saying(command, world, Stdio::inherit()).await
    }

    /// The same, its errors and its log going elsewhere.
    async fn saying(command: &str, world: &World, errors: Stdio) -> Self {
        let mut process = world.start_saying(&[command, "--listen", "127.0.0.1:0", "--json"], errors);
        let told = process.until(|line| line["event"] == "listening");
        let address = told["address"].as_str().unwrap().to_owned();
        let settings = Settings { data_dir: world.data(), ..Settings::default() };
        let engine = Engine::connect(&settings).await.unwrap();
        let new = NewApiKey {
            tenant: settings.tenant,
            name: "a test's".to_owned(),
            grants: Role::Operator.grants(),
            from: Vec::new(),
            expires_at: None,
        };
        let (known, text) = engine.api_keys.create(new, &Acting::command_line()).await.unwrap();
        // The process's crypto provider; reqwest asks for it also where it speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, engine, known, address, key: text.reveal().to_owned(), client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(&self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        body(self.get(path).await).await.1
    }

    async fn send(&self, method: Method, path: &str, content: Value) -> (StatusCode, Value) {
        let request = self.request(method, path).header("content-type", "application/json");
        body(request.body(content.to_string()).send().await.unwrap()).await
    }

    /// Gives a job and follows it to its end.
    async fn run(&self, kind: &str, payload: Value) -> Value {
        let (status, made) =
            self.send(Method::POST, "/v1/jobs", json!({ "kind": kind, "payload": payload })).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let path = format!("/v1/jobs/{}/wait?timeout=60", made["id"].as_str().unwrap());
        loop {
            let (status, job) = body(self.get(&path).await).await;
            match status {
                StatusCode::OK => return job,
                StatusCode::ACCEPTED => {}
                refused => panic!("{kind}: {refused}: {job}"),
            }
        }
    }

    /// Uploads a manuscript and imports it.
    async fn import(&self, name: &str, manuscript: &str, project: &str) -> Value {
        let path = format!("/v1/files/{name}");
        let uploaded = self.request(Method::PUT, &path).body(manuscript.to_owned()).send().await.unwrap();
        let (status, file) = body(uploaded).await;
        assert_eq!(status, StatusCode::CREATED, "{file}");
        let source = json!([{ "name": file["name"], "key": file["key"] }]);
        let job = self.run("import", json!({ "project": project, "source": source })).await;
        assert_eq!(job["state"], "completed", "{job}");
        job
    }
}

async fn body(response: Response) -> (StatusCode, Value) {
    let (status, body) = (response.status(), response.bytes().await.unwrap());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manuscript_goes_in_and_a_book_comes_out_by_http() {
    let world = World::new();
    let door = Door::open(&world).await;
    // Its name is in letters that a web address does not have.
    door.import("%E5%90%BE%E8%BC%A9.md", &long_book(1 << 20), "novel").await;
    let job = door.run("export", json!({ "project": "novel", "format": "epub" })).await;
    assert_eq!(job["state"], "completed", "{job}");
    let id = job["id"].as_str().unwrap();

    let listed = door.json(&format!("/v1/jobs/{id}/artifacts")).await;
    let name = listed["items"][0]["name"].as_str().unwrap();
    let path = format!("/v1/jobs/{id}/artifacts/{name}");
    let whole = door.get(&path).await;
    assert_eq!(whole.headers()["content-type"], "application/epub+zip");
    let whole = whole.bytes().await.unwrap();
    world.json(&["artifacts", "get", id]);
    assert!(whole == fs::read(world.path(name)).unwrap(), "not what the command line fetches");

    let (mut joined, mut from) = (Vec::new(), 0);
    while from < whole.len() {
        let range = format!("bytes={from}-{}", from + 99_999);
        let part = door.request(Method::GET, &path).header("range", range).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        joined.extend_from_slice(&part.bytes().await.unwrap());
        from = joined.len();
    }
    assert!(joined == whole, "the ranges are not the whole");

    let book = door.json("/v1/projects/novel").await;
    assert_eq!(book["metadata"]["title"], "A Long Book");
    assert_eq!(book["chapters"][0]["number"], 1);
    let chapter = door.get("/v1/projects/novel/chapters/1").await;
    assert_eq!(chapter.headers()["content-type"], "text/markdown; charset=utf-8");
    assert!(chapter.text().await.unwrap().starts_with("# Chapter 1"));
    assert_eq!(door.get("/v1/projects/novel/chapters/0").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(door.get("/v1/projects/nothing").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(door.json("/v1/projects").await["items"][0]["project"], "novel");

    let removed = door.request(Method::DELETE, "/v1/projects/novel").send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(door.json("/v1/projects").await["items"], json!([]));
    let again = door.request(Method::DELETE, "/v1/projects/novel").send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    assert!(!world.objects().iter().any(|key| key.contains("/projects/")), "{:?}", world.objects());
    // What was made of it stays.
    assert_eq!(door.get(&path).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_are_put_one_by_one_and_many_at_once_and_each_failure_is_told() {
    let world = World::new();
    let door = Door::open(&world).await;
    let all = "/v1/projects/novel/characters";
    let (one, put) = (format!("{all}/odysseus"), json!({ "name": "Odysseus", "age": 40 }));
    let (status, stored) = door.send(Method::PUT, &one, put.clone()).await;
    assert_eq!((status, &stored["id"]), (StatusCode::CREATED, &json!("odysseus")), "{stored}");
    assert_eq!(door.send(Method::PUT, &one, put).await.0, StatusCode::OK);
    assert_eq!(door.json(&one).await["age"], 40);
    let wrong = json!({ "id": "argos", "name": "Argos" });
    assert_eq!(door.send(Method::PUT, &one, wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let outside = door.send(Method::PUT, &format!("{all}/..%2Fx"), json!({ "name": "X" })).await;
    assert_eq!(outside.0, StatusCode::UNPROCESSABLE_ENTITY, "{}", outside.1);

    let many = json!([
        { "id": "argos", "name": "Argos" },
        { "id": "odysseus", "name": "Nobody" },
        { "id": "x/y", "name": "X" },
        { "id": "Argos", "name": "Argos again" },
        { "id": "blank", "name": " " },
        "penelope",
    ]);
    let (status, report) = door.send(Method::POST, all, many.clone()).await;
    assert_eq!(
        (status, &report["stored"], &report["failed"]),
        (StatusCode::OK, &json!(1), &json!(5)),
        "{report}"
    );
    let outcomes: Vec<&str> =
        report["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["created", "failed", "failed", "failed", "failed", "failed"]);
    assert!(report["items"][2]["problem"].as_str().unwrap().contains("file's name"), "{report}");
    let (_, report) = door.send(Method::POST, &format!("{all}?replace=true"), many).await;
    assert_eq!(
        (&report["items"][1]["outcome"], &report["stored"]),
        (&json!("replaced"), &json!(2)),
        "{report}"
    );

    for (content_type, content) in [
        ("text/csv", "id,name,aliases\ncirce,Circe,\"a; b\"\nscylla,,\n".to_owned()),
        ("application/x-ndjson", "{\"id\":\"helen\",\"name\":\"Helen\"}\n{\"id\":1}\n".to_owned()),
    ] {
        let request = door.request(Method::POST, all).header("content-type", content_type).body(content);
        let (status, report) = body(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &report["stored"], &report["failed"]),
            (StatusCode::OK, &json!(1), &json!(1)),
            "{report}"
        );
    }
    assert_eq!(door.json(&format!("{all}/circe")).await["aliases"], json!(["a", "b"]));
    let first = door.json(&format!("{all}?limit=3")).await;
    let next = first["next"].as_str().unwrap();
    let rest = door.json(&format!("{all}?limit=3&cursor={next}")).await;
    let ids: Vec<&Value> = [&first, &rest]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["argos", "circe", "helen", "odysseus"]);
    let removed = door.request(Method::DELETE, &one).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(door.get(&one).await.status(), StatusCode::NOT_FOUND);

    // More than the tenant may make for now: none is made, and when to come again is told.
    let new = |from: u32| (from..from + 200).map(|n| json!({ "id": format!("c{n}"), "name": "C" }));
    let mut statuses = Vec::new();
    for from in [0, 200] {
        let content = Value::from(new(from).collect::<Vec<_>>()).to_string();
        let request = door.request(Method::POST, all).header("content-type", "application/json");
        let answer = request.body(content).send().await.unwrap();
        let waits = answer.headers().contains_key("retry-after");
        statuses.push((answer.status(), waits));
    }
    assert!(statuses.contains(&(StatusCode::TOO_MANY_REQUESTS, true)), "{statuses:?}");
    assert_eq!(door.get(&format!("{all}/c200")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_on_object_storage_is_lent_of_what_is_not_sealed() {
    let server = S3Server::start();
    let world = World::on_s3(&server, "books");
    let door = Door::open(&world).await;
    // Of several parts, so that they are uploaded as such.
    let book = long_book(12 << 20);
    door.import("novel.md", &book, "novel").await;
    let stored = door.get("/v1/files/novel.md").await.bytes().await.unwrap();
    assert!(stored == book.as_bytes(), "the file is not what was uploaded");
    let export = json!({ "project": "novel", "format": "text", "compression": "none" });
    let job = door.run("export", export.clone()).await;
    let path = format!("/v1/jobs/{}/artifacts/novel.txt", job["id"].as_str().unwrap());
    let (status, lent) = door.send(Method::POST, &format!("{path}/presign"), json!({})).await;
    assert_eq!((status, &lent["expires_in_seconds"]), (StatusCode::OK, &json!(300)), "{lent}");
    let anybody = door.client.get(lent["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(anybody.status(), StatusCode::OK);
    assert!(anybody.bytes().await.unwrap() == door.get(&path).await.bytes().await.unwrap());

    let seal = world.run(&["tenants", "set", "default", "--seal", "on"]);
    assert!(seal.status.success(), "{}", text(&seal));
    // Another process hears of it within ten seconds; until then it makes what is not sealed.
    let (mut path, mut refused) = (String::new(), Value::Null);
    let is_sealed = async || {
        let job = door.run("export", export.clone()).await;
        path = format!("/v1/jobs/{}/artifacts/novel.txt", job["id"].as_str().unwrap());
        let (status, answer) = door.send(Method::POST, &format!("{path}/presign"), json!({})).await;
        refused = answer;
        status == StatusCode::UNPROCESSABLE_ENTITY
    };
    until("the other process seals", is_sealed).await;
    assert!(refused["detail"].as_str().unwrap().contains("sealed"), "{refused}");
    assert_eq!(door.get(&path).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_starts_before_its_redis_is_unready_until_that_is_there() {
    let (mut redis, world) = (RedisServer::start(), World::new());
    redis.kill();
    let arguments = ["api", "--listen", "127.0.0.1:0", "--redis-url", &redis.url(), "--json"];
    let mut api = world.start(&arguments);
    let told = api.until(|line| line["event"] == "listening");
    let address = told["address"].as_str().unwrap().to_owned();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |path: &str| {
        let sent = client.get(format!("http://{address}{path}")).send().await;
        sent.unwrap().status()
    };
    assert_eq!(status("/healthz").await, StatusCode::OK);
    assert_eq!(status("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    redis.restart();
    until("it is ready", async || status("/readyz").await == StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_puts_uploads_that_have_come_in_their_place() {
    let server = S3Server::start();
    let world = World::on_s3(&server, "books");
    let mut door = Door::saying("api", &world, Stdio::piped()).await;
    let storing = Matching::operation(Operation::Put).key("/files/a.md");
    let held = server.hold(storing, 1, Moment::Whole);
    let upload = tokio::spawn(door.request(Method::PUT, "/v1/files/a.md").body("text").send());
    held.reached().await;
    // Nobody waits for the answer any more.
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    let pid = door.process.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut said = BufReader::new(door.process.child.stderr.take().unwrap()).lines();
    let waiting = tokio::task::spawn_blocking(move || {
        let waits = said.any(|line| line.unwrap().contains("waiting for files that have come"));
        (waits, said)
    });
    let (waits, _said) = waiting.await.unwrap();
    assert!(waits, "it ended without having waited");
    held.open();
    assert!(door.process.child.wait().unwrap().success());
    assert_eq!(server.object("books/default/files/a.md"), b"text");
    let arrivals = Collection::<Value>::new(door.engine.records.clone(), "file-arrivals");
    assert_eq!(arrivals.get("default").await.unwrap(), None, "it is counted no more");
}
