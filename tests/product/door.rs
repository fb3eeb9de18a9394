//! The HTTP API of a running server before checkers that nobody here wrote: schemathesis, which makes requests from the
//! OpenAPI document, and wapiti, which attacks what it finds.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::mpsc,
    time::Duration,
};

use presswork::{
    config::Settings,
    engine::Engine,
    security::{Acting, access::Role, api_keys::NewApiKey},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Running, World, prepared, text};

/// What wapiti attacks with. Not with what asks the internet or looks for other people's programs; nor with `ldap`, for which
/// answers that name the column where a body is wrong look like an injection: longer attacks are wrong at later columns. Commands
/// that sleep find nothing, for its client waits without an end; `timesql`'s do.
const ATTACKS: [&str; 19] = [
    "backup",
    "cookieflags",
    "crlf",
    "csp",
    "csrf",
    "exec",
    "file",
    "htaccess",
    "http_headers",
    "methods",
    "permanentxss",
    "redirect",
    "shellshock",
    "sql",
    "ssrf",
    "timesql",
    "upload",
    "xss",
    "xxe",
];

/// A server that limits nobody, for a checker asks more than anybody else.
struct Door {
    world: World,
    _server: Running,
    url: String,
    key: String,
}

impl Door {
    fn open() -> Self {
        let world = World::new();
        let limits = "[limits]\napi = \"none\"\nanonymous = \"none\"\ncharacter = \"none\"\n";
        world.file("presswork.toml", format!("{limits}[api]\nrequest_timeout = \"10m\"\n"));
        let key = key(&world, Role::Root);
        let mut server = world.start(&["up", "--json", "--listen", "127.0.0.1:0", "--log", "error"]);
        let listening = server.until(|line| line["event"] == "listening");
        let url = format!("http://{}", listening["address"].as_str().unwrap());
        Self { world, _server: server, url, key }
    }

    /// Asks for what must succeed.
    fn ask(&self, method: Method, path: &str, body: &Value) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The process's crypto provider; reqwest asks for it also where it speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
            let request = request.header("content-type", "application/json").body(body.to_string());
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.text().await.unwrap()
        })
    }

    /// What becomes of a form that a page of another site sends.
    fn sent_from_elsewhere(&self, path: &str) -> reqwest::StatusCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.post(format!("{}{path}", self.url)).header("sec-fetch-site", "cross-site");
            let request = request.header("content-type", "application/x-www-form-urlencoded").body("code=1");
            request.send().await.unwrap().status()
        })
    }

    /// What wapiti finds where it attacks all that the document names with each of `attacks`, to the end; what it is led to fetch
    /// is the lure. How long an attack may take isn't bounded: that would say how busy the machine is.
    fn attacked(&self, name: &str, document: &Value, lure: &Lure, attacks: &[&str]) -> Value {
        let swagger = self.world.file(&format!("{name}-document.json"), document.to_string());
        let report = self.world.path(&format!("{name}-report.json"));
        // Only so that a server that hangs fails the test: it takes two minutes.
        let mut attacker = Command::new("timeout");
        attacker.arg("2400").arg(prepared("PRESSWORK_TEST_TOOLS").join("wapiti/venv/bin/wapiti"));
        attacker.current_dir(self.world.path(".")).env("HOME", self.world.path("."));
        attacker.args(["--url", &format!("{}/", self.url), "--swagger", &swagger, "--scope", "folder"]);
        attacker.args(["--header", &format!("Authorization: Bearer {}", self.key), "--endpoint", &lure.url]);
        // Even a module that it does not launch looks its own server's name up: its maker's, on the internet, where not told.
        attacker.args(["--dns-endpoint", "localhost", "--module", &attacks.join(",")]);
        attacker.args(["--flush-session", "--no-bugreport", "--store-session", name]);
        attacker.args(["--store-config", "config", "--verbose", "1", "--format", "json", "--output"]);
        let output = attacker.arg(&report).output().unwrap();
        let (told, complaints) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = told.lines().collect();
        let end = &lines[lines.len().saturating_sub(20)..];
        assert!(output.status.success(), "{complaints}\nafter: {end:#?}");
        for attack in attacks {
            let launched = told.contains(&format!("Launching module {attack}\n"));
            assert!(launched, "it did not attack by {attack}: {complaints}\n{end:#?}");
        }
        // What fails within an attack it only tells. Its `exec` breaks off, by a fault of its own, at a query beside a body of JSON.
        let is_broken = |two: &&[&str]| two[1].starts_with("Traceback") && two[0] != "TypeError";
        let broken: Vec<&[&str]> = lines.windows(2).filter(is_broken).collect();
        assert!(broken.is_empty() && !told.contains("seems broken"), "{broken:?}");
        serde_json::from_slice(&fs::read(report).unwrap()).unwrap()
    }

    /// How many requests were answered so far, and how many of them with the server's own fault.
    fn answered(&self) -> (f64, Vec<String>) {
        let told = self.ask(Method::GET, "/metrics", &Value::Null);
        let all = || told.lines().filter(|line| line.starts_with("presswork_http_requests_total{"));
        let counts = all().map(|line| line.rsplit(' ').next().unwrap());
        let count = counts.map(|count| count.parse::<f64>().unwrap()).sum();
        // On a machine that is busy somebody may be told to come back later, which is no fault.
        let is_fault = |line: &&str| line.contains("status=\"5") && !line.contains("status=\"503");
        let faults = all().filter(|line| is_fault(line) && !line.ends_with(" 0"));
        (count, faults.map(str::to_owned).collect())
    }
}

/// A server that lies in wait for whoever can be made to fetch something: it notes the paths, and has nothing.
struct Lure {
    url: String,
    asked: mpsc::Receiver<String>,
}

impl Lure {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::channel();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut head = [0; 2048];
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let count = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes());
                if tell.send(path).is_err() {
                    return;
                }
            }
        });
        Self { url, asked }
    }
}

/// A key that may all that a role may.
fn key(world: &World, role: Role) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine =
            Engine::connect(&Settings { data_dir: world.data(), ..Settings::default() }).await.unwrap();
        let new = NewApiKey {
            tenant: "default".parse().unwrap(),
            name: "checker".to_owned(),
            grants: role.grants(),
            from: Vec::new(),
            expires_at: None,
        };
        engine.api_keys.create(new, &Acting::command_line()).await.unwrap().1.reveal().to_owned()
    })
}

#[test]
fn schemathesis_finds_no_server_error_and_no_answer_that_is_not_documented() {
    let door = Door::open();
    let report = door.world.path("schemathesis.json");
    let mut checker = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("venv/bin/schemathesis"));
    checker.current_dir(door.world.path("."));
    checker.args(["run", &format!("{}/openapi.json", door.url)]);
    checker.args(["--header", &format!("Authorization: Bearer {}", door.key)]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    checker.args(["--checks", checks, "--phases", "examples,coverage,fuzzing"]);
    checker.args(["--max-examples", "12", "--seed", "7", "--workers", "2", "--no-shrink"]);
    // What follows, follows without an end.
    checker.args(["--exclude-path-regex", "/events"]);
    checker.args(["--request-timeout", "120", "--report", "json", "--report-json-path"]).arg(&report);
    let output = checker.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert!(found.to_string().len() > 2, "the checker has looked at nothing");
}

#[test]
fn wapiti_attacks_what_the_document_names_and_finds_nothing() {
    let door = Door::open();
    // What it calls things where the document has no word: there they are.
    door.ask(Method::PUT, "/v1/files/default", &json!("text"));
    door.ask(Method::PUT, "/v1/secrets/default", &json!({ "value": "x" }));
    door.ask(Method::PUT, "/v1/projects/default/characters/1", &json!({ "name": "Emma" }));
    let export = json!({ "project": "default", "format": "text" });
    let plan = json!({ "kind": "export", "payload": export, "cron": "0 6 1 1 *" });
    door.ask(Method::PUT, "/v1/schedules/default", &plan);
    let mut document: Value =
        serde_json::from_str(&door.ask(Method::GET, "/openapi.json", &Value::Null)).unwrap();
    document["servers"] = json!([{ "url": door.url }]);
    // A body of any JSON it takes for a bare text, in which it finds no place to attack.
    let many = json!([{ "id": "a", "name": "A", "role": "x", "notes": "x", "aliases": ["x"] }]);
    let content = json!({ "application/json": { "schema": { "type": "array", "items": {
        "type": "object", "properties": { "id": { "type": "string" }, "name": { "type": "string" },
        "role": { "type": "string" }, "notes": { "type": "string" } } } }, "example": many } });
    document["paths"]["/v1/projects/{project}/characters"]["post"]["requestBody"]["content"] = content;
    let lure = Lure::set();
    let (before, _) = door.answered();

    // A login's second step takes 0.4 s to refuse, by intent: with what guesses most it would be minutes. Of the first step's
    // most are turned away unread, as from any address that tries so often.
    let second = "/v1/auth/login/code";
    let mut alone = document.clone();
    alone["paths"].as_object_mut().unwrap().retain(|path, _| path == second);
    document["paths"].as_object_mut().unwrap().remove(second).expect("the document names it");
    let found = door.attacked("all", &document, &lure, &ATTACKS);
    assert!(found["infos"]["crawled_pages_nbr"].as_u64().unwrap() >= 100, "{}", found["infos"]);
    let guesses = ["exec", "file", "timesql"];
    let quick: Vec<&str> = ATTACKS.into_iter().filter(|attack| !guesses.contains(attack)).collect();
    let slow = door.attacked("second-step", &alone, &lure, &quick);
    assert!(slow["infos"]["crawled_pages_nbr"].as_u64().unwrap() >= 1, "{}", slow["infos"]);

    // It looks for a token in the one form that there is. That is kept from other sites by where a browser says it comes from, and by
    // a strict cookie with which alone a code is worth something.
    let form = "/v1/auth/oidc/default/code";
    assert_eq!(door.sent_from_elsewhere(form), reqwest::StatusCode::FORBIDDEN);
    let is_form = |one: &Value| one["module"] == "csrf" && one["path"] == form;
    for part in ["vulnerabilities", "anomalies", "additionals"] {
        let all = [&found, &slow].into_iter().flat_map(|found| found[part].as_object().unwrap().values());
        let all = all.flat_map(|all| all.as_array().unwrap());
        let grave: Vec<&Value> =
            all.filter(|one| one["level"].as_u64() != Some(0) && !is_form(one)).collect();
        assert!(grave.is_empty(), "{part}: {grave:#?}");
    }
    let (after, faults) = door.answered();
    println!("{} requests", after - before);
    assert!(after - before > 10_000.0 && faults.is_empty(), "{} requests, {faults:?}", after - before);
    // The server fetches nothing for anybody; only the attacker itself has asked what came.
    let fetched: Vec<String> =
        lure.asked.try_iter().filter(|path| !path.starts_with("/get_") && path != "/").collect();
    assert!(fetched.is_empty(), "{fetched:?}");
}
