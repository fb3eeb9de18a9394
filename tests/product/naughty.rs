//! Public lists of strings that break programs, and ways to say `..`, in every parameter and every text of every body that the
//! document has: each is refused as the document says or kept as it came, and nothing of it spoils a log.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use crate::served::{Caller, Operation, Served};

/// So many callers at a time.
const CALLERS: usize = 6;
/// Each place gets every so manieth string, and the next place others; all of them where `PRESSWORK_NAUGHTY` is `all`.
const STRIDE: usize = 5;

/// The big list of naughty strings, and ways out of a folder.
fn strings() -> Vec<String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/names/blns.json");
    let mut all: Vec<String> = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    for dots in ["..", "%2e%2e", "%252e%252e", "\u{ff0e}\u{ff0e}", "..\0", "..;", "....//"] {
        for separator in ["/", "\\", "%2f", "%5c", "%252f", "%c0%af", "\u{ff0f}", "\u{2215}"] {
            all.push(format!("{}etc/passwd", format!("{dots}{separator}").repeat(5)));
            all.push(format!("acme/{dots}{separator}globex/files/x"));
        }
    }
    all.extend(
        ["\u{1b}[2J\u{1b}]0;title\u{7}", "a\r\nSet-Cookie: x=1\r\n\r\n<p>", "\u{9b}31m\u{2028}\u{202e}"]
            .map(str::to_owned),
    );
    all.push("x".repeat(10_000));
    assert!(all.len() > 590, "{}", all.len());
    all
}

/// Where a string stands.
#[derive(Clone, Debug)]
enum Place {
    /// Which of the path's parameters.
    Path(usize),
    Query(String),
    Header(String),
    /// The way to it in the body.
    Body(Vec<String>),
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str();
    let named = reference.and_then(|name| document.pointer(name.trim_start_matches('#')));
    let one = named.or_else(|| schema["oneOf"].as_array()?.iter().find(|one| one["type"] != "null"));
    one.map_or(schema, |one| resolved(one, document))
}

fn is_a(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&json!(kind)))
}

/// A body with all that may be in it, and the ways to its texts.
fn body(schema: &Value, document: &Value, way: &[String], found: &mut Vec<Vec<String>>) -> Value {
    let schema = resolved(schema, document);
    let at = |name: &str| [way, &[name.to_owned()]].concat();
    if is_a(schema, "object") {
        let Some(fields) = schema["properties"].as_object() else {
            // What a kind of job is given; or names of one's own.
            if way.last().is_some_and(|name| name == "payload") {
                found.extend([at("project"), at("title")]);
                return json!({ "project": "novel", "source": [], "title": "x" });
            }
            return json!({});
        };
        let field =
            |(name, schema): (&String, &Value)| (name.clone(), body(schema, document, &at(name), found));
        return Value::Object(fields.iter().map(field).collect::<Map<_, _>>());
    }
    if is_a(schema, "array") {
        return json!([body(&schema["items"], document, &at("0"), found)]);
    }
    if is_a(schema, "string") {
        found.push(way.to_vec());
        let kept =
            ["example", "default"].into_iter().map(|name| &schema[name]).find(|value| value.is_string());
        let first = schema["enum"].as_array().and_then(|all| all.first());
        return kept.or(first).cloned().unwrap_or_else(|| match way.last().map_or("", |name| name) {
            "kind" => json!("import"),
            name if name.ends_with("_at") || is_a(schema, "null") => Value::Null,
            _ => json!("x"),
        });
    }
    if is_a(schema, "boolean") { json!(false) } else { json!(1) }
}

fn put(body: &mut Value, way: &[String], text: &str) {
    let mut place = body;
    for step in way {
        place = match place {
            Value::Array(all) => &mut all[step.parse::<usize>().unwrap()],
            Value::Object(all) => all.entry(step.clone()).or_insert(Value::Null),
            other => panic!("{way:?} leads through {other}"),
        };
    }
    *place = json!(text);
}

/// An operation with a string in a place of it.
struct Trial {
    operation: Operation,
    sample: Option<Value>,
    place: Place,
}

impl Trial {
    fn all(operations: &[Operation], document: &Value) -> Vec<Self> {
        let mut trials = Vec::new();
        for operation in operations {
            let mut places: Vec<Place> = (0..operation.path.matches('{').count()).map(Place::Path).collect();
            for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap().to_owned();
                match parameter["in"].as_str() {
                    Some("query") => places.push(Place::Query(name)),
                    Some("header") => places.push(Place::Header(name)),
                    _ => {}
                }
            }
            places.extend(
                ["Authorization", "Cookie", "Idempotency-Key", "X-Request-Id", "traceparent"]
                    .map(|name| Place::Header(name.to_owned()))
                    .into_iter()
                    .take(if operation.path == "/v1/jobs" { 5 } else { 0 }),
            );
            let schema = &operation.says["requestBody"]["content"]["application/json"]["schema"];
            let mut ways = Vec::new();
            let sample = (!schema.is_null()).then(|| body(schema, document, &[], &mut ways));
            places.extend(ways.into_iter().map(Place::Body));
            let trial = |place| Self { operation: operation.clone(), sample: sample.clone(), place };
            trials.extend(places.into_iter().map(trial));
        }
        trials
    }

    /// The request; nothing where HTTP itself can't carry the string there.
    fn request(&self, key: &str, text: &str) -> Option<Request<Full<Bytes>>> {
        let mut number = 0;
        let pieces = self.operation.path.split('/').map(|piece| {
            if !piece.starts_with('{') {
                return piece.to_owned();
            }
            number += 1;
            let is_here = matches!(self.place, Place::Path(place) if place + 1 == number);
            if is_here { encoded(text) } else { "job_00000000000000000000000000".to_owned() }
        });
        let mut path = pieces.collect::<Vec<_>>().join("/");
        if let Place::Query(name) = &self.place {
            path = format!("{path}?{name}={}", encoded(text));
        }
        let mut request = Request::builder().method(self.operation.method.as_str()).uri(path);
        request = request.header("host", "localhost").header("content-type", "application/json");
        match &self.place {
            Place::Header(name) if name == "Authorization" => {
                request = request.header("authorization", format!("Bearer {text}").as_bytes());
            }
            Place::Header(name) => {
                request = request.header("authorization", format!("Bearer {key}"));
                request = request.header(name.as_str(), text.as_bytes());
            }
            _ => request = request.header("authorization", format!("Bearer {key}")),
        }
        let mut body = self.sample.clone();
        if let (Place::Body(way), Some(body)) = (&self.place, &mut body) {
            put(body, way, text);
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        request.body(Full::new(body)).ok()
    }

    fn documents(&self, status: u16) -> bool {
        let responses = self.operation.says["responses"].as_object().unwrap();
        let class = format!("{}XX", status / 100);
        responses.keys().any(|known| *known == status.to_string() || known.eq_ignore_ascii_case(&class))
    }
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    // It ends with whoever sends.
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// Sends strings to places until none is left; answers how many came to which end.
async fn attack(
    address: String,
    key: String,
    trials: Arc<Vec<Trial>>,
    strings: Arc<Vec<String>>,
    caller: usize,
) -> BTreeMap<u16, usize> {
    let stride =
        if std::env::var("PRESSWORK_NAUGHTY").is_ok_and(|which| which == "all") { 1 } else { STRIDE };
    let (mut sender, mut ends) = (connect(&address).await, BTreeMap::new());
    for (number, trial) in trials.iter().enumerate().skip(caller).step_by(CALLERS) {
        for text in strings.iter().skip(number % stride).step_by(stride) {
            let Some(request) = trial.request(&key, text) else { continue };
            let what = || {
                format!(
                    "{} {} with {text:?} as {:?}",
                    trial.operation.method, trial.operation.path, trial.place
                )
            };
            if sender.ready().await.is_err() {
                sender = connect(&address).await;
                sender.ready().await.unwrap();
            }
            let answer =
                sender.send_request(request).await.unwrap_or_else(|error| panic!("{}: {error}", what()));
            let (status, kind) = (answer.status().as_u16(), answer.headers().get("content-type").cloned());
            let is_ours = answer
                .headers()
                .get_all("set-cookie")
                .iter()
                .all(|cookie| cookie.as_bytes().starts_with(b"__Host-presswork"));
            assert!(is_ours, "{}: a header of its own", what());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            assert!(status < 500 && trial.documents(status), "{}: {status} {body}", what());
            if status >= 400 {
                assert_eq!(
                    kind.as_ref().map(|kind| kind.as_bytes()),
                    Some(&b"application/problem+json"[..]),
                    "{}",
                    what()
                );
            }
            *ends.entry(status).or_default() += 1;
        }
    }
    ends
}

/// Every text in it.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(all) => all.iter().for_each(|one| texts(one, found)),
        Value::Object(all) => all.iter().for_each(|(name, one)| {
            found.push(name);
            texts(one, found);
        }),
        _ => {}
    }
}

/// Each line is JSON, and no text in it has a control character.
fn is_clean(what: &str, lines: &str) {
    assert!(!lines.is_empty(), "{what} is empty");
    for line in lines.lines() {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{what}: {error}: {line:?}"));
        let mut found = Vec::new();
        texts(&value, &mut found);
        let dirty = found.iter().find(|text| text.chars().any(char::is_control));
        assert!(dirty.is_none() && !line.chars().any(char::is_control), "{what}: {dirty:?} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_naughty_string_breaks_any_operation_or_reaches_a_log() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let said = Stdio::from(log.reopen().unwrap());
    let served = Served::start_saying("api", "", "presswork=debug", said).await;
    let document = served.document().await;
    let operations = Operation::all(&document);
    let (trials, strings) = (Arc::new(Trial::all(&operations, &document)), Arc::new(strings()));
    let Caller::Key(key) = served.key_without("acme", &[]).await else { panic!("no key") };
    let address = served.url.trim_start_matches("http://").to_owned();
    let attacks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            tokio::spawn(attack(address.clone(), key.clone(), trials.clone(), strings.clone(), caller))
        })
        .collect();
    let mut ends: BTreeMap<u16, usize> = BTreeMap::new();
    for attack in attacks {
        for (status, count) in attack.await.unwrap() {
            *ends.entry(status).or_default() += count;
        }
    }
    let sent: usize = ends.values().sum();
    println!("{sent} requests to {} places: {ends:?}", trials.len());
    assert!(trials.len() > 150 && sent > 15_000, "{sent} requests to {} places", trials.len());
    is_clean("the log", &fs::read_to_string(log.path()).unwrap());
    let audit = served.world.run(&["audit", "tail", "--json", "--lines", "1000"]);
    is_clean("the audit", &String::from_utf8(audit.stdout).unwrap());
}

/// What takes any text gives it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_naughty_string_that_is_taken_is_read_back_as_it_was() {
    let served = Served::start("api", "").await;
    let caller = served.key_without("acme", &[]).await;
    let send = async |method: Method, path: &str, body: Value| {
        let request = served.request(method, path).header("content-type", "application/json");
        let answer = caller.signs(request.body(body.to_string())).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(!status.is_server_error(), "{path} with {body}: {status} {text}");
        (status.is_success(), serde_json::from_str(&text).unwrap_or(Value::Null))
    };
    let mut taken = [0; 3];
    for text in strings().iter().filter(|text| !text.is_empty()) {
        let new = json!({ "name": text, "permissions": ["jobs:read"] });
        let (is_taken, made) = send(Method::POST, "/v1/keys", new).await;
        if is_taken {
            let path = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
            assert_eq!(send(Method::GET, &path, Value::Null).await.1["name"], json!(text));
            taken[0] += 1;
        }
        let who =
            json!({ "name": text, "notes": text, "role": text, "aliases": [text], "own": { text: text } });
        let path = "/v1/projects/novel/characters/emma";
        if send(Method::PUT, path, who.clone()).await.0 {
            let mut read = send(Method::GET, path, Value::Null).await.1;
            read.as_object_mut().unwrap().remove("id");
            assert_eq!(read, who);
            taken[1] += 1;
        }
        let payload = json!({ "project": "novel", "title": text, "authors": [text],
            "source": [{ "name": "x.md", "key": "files/x.md" }] });
        let job = json!({ "kind": "import", "payload": payload });
        let (is_taken, made) = send(Method::POST, "/v1/jobs", job).await;
        if is_taken {
            let path = format!("/v1/jobs/{}", made["id"].as_str().unwrap());
            let read = send(Method::GET, &path, Value::Null).await.1;
            let shown = read["payload"].get("json").unwrap_or(&read["payload"]);
            assert_eq!((&shown["title"], &shown["authors"][0]), (&json!(text), &json!(text)), "{read}");
            taken[2] += 1;
        }
    }
    println!("{taken:?} were taken");
    assert!(taken[0] > 200 && taken[1] > 400 && taken[2] > 500, "{taken:?} were taken");
}
