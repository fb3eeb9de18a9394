//! `/v1/files`.

use std::{convert::Infallible, fs, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use presswork::{
    artifact::PART_BYTES,
    limits::LimitRules,
    store::{Collection, Expect},
};
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Barrier, Notify},
};

use crate::{
    raw,
    servers::READY_WITHIN,
    world::{World, answer},
};

const BOTH: &[&str] = &["projects:read", "projects:write"];

async fn put(
    world: &World,
    name: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let request = world.request(Method::PUT, &format!("/v1/files/{name}"), key).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    answer(request.send().await.unwrap()).await
}

/// Every file below a folder, from there.
fn below(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

fn objects(world: &World) -> Vec<String> {
    below(&world.engine.folder().join("objects"))
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place * 31 % 251) as u8).collect()
}

/// A body of unknown length.
fn in_pieces(bytes: Vec<u8>) -> Body {
    let pieces: Vec<Result<Vec<u8>, Infallible>> =
        bytes.chunks(100_003).map(|piece| Ok(piece.to_vec())).collect();
    Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_any_size_is_uploaded_in_a_stream_and_read_whole_and_by_ranges() {
    let world = World::start().await;
    let key = world.key("acme", BOTH).await;
    for bytes in [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 17] {
        let content = noise(bytes);
        let name = format!("{bytes}.md");
        let (status, file) = put(&world, &name, &key, &[], in_pieces(content.clone())).await;
        assert_eq!(status, StatusCode::CREATED, "{file}");
        let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&file["bytes"], &file["sha256"]), (&json!(bytes), &json!(sha256)));
        assert_eq!(file["key"], format!("files/{name}"));
        let path = format!("/v1/files/{name}");
        let read = world.request(Method::GET, &path, &key).send().await.unwrap();
        assert_eq!(read.headers()["etag"].to_str().unwrap(), file["etag"].as_str().unwrap());
        assert_eq!(read.headers()["content-type"], "text/markdown");
        assert!(read.bytes().await.unwrap() == content);
        if bytes > 10 {
            let part = world.request(Method::GET, &path, &key).header("range", "bytes=-5");
            let part = part.send().await.unwrap();
            assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
            assert!(part.bytes().await.unwrap() == content[bytes - 5..]);
        }
        let head = world.request(Method::HEAD, &path, &key).send().await.unwrap();
        assert_eq!(head.headers()["content-length"].to_str().unwrap(), bytes.to_string());
    }
    let (_, first) = world.get("/v1/files?limit=3", &key).await;
    let next = first["next"].as_str().unwrap();
    let (_, rest) = world.get(&format!("/v1/files?limit=3&cursor={next}"), &key).await;
    let names: Vec<&str> = [&first, &rest]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!((names.len(), names.is_sorted(), &rest["next"]), (5, true, &Value::Null), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_keep_what_somebody_else_has_uploaded() {
    let world = World::start().await;
    let key = world.key("acme", BOTH).await;
    let new = [("if-none-match", "*")];
    let large = noise(PART_BYTES + 5);
    let (status, first) = put(&world, "a", &key, &new, large.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    for body in [b"small".to_vec(), large] {
        assert_eq!(put(&world, "a", &key, &new, body).await.0, StatusCode::PRECONDITION_FAILED);
    }
    let etag = first["etag"].as_str().unwrap();
    let (status, second) = put(&world, "a", &key, &[("if-match", etag)], "newer").await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert_eq!(
        put(&world, "a", &key, &[("if-match", etag)], "late").await.0,
        StatusCode::PRECONDITION_FAILED
    );
    let remove = async |etag: &str| {
        let request = world.request(Method::DELETE, "/v1/files/a", &key).header("if-match", etag);
        request.send().await.unwrap().status()
    };
    assert_eq!(remove(etag).await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(remove(second["etag"].as_str().unwrap()).await, StatusCode::NO_CONTENT);
    assert_eq!(remove("*").await, StatusCode::NOT_FOUND);
    assert_eq!(objects(&world), Vec::<String>::new());

    // Of many who make it at one time, one does.
    let all: Vec<_> = (0..8).map(|_| put(&world, "b", &key, &new, noise(PART_BYTES + 1))).collect();
    let answers = futures_util::future::join_all(all).await;
    let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    let refused = [StatusCode::PRECONDITION_FAILED, StatusCode::CONFLICT];
    let others = answers.iter().filter(|(status, _)| refused.contains(status)).count();
    assert_eq!((made, others), (1, 7), "{answers:?}");
    assert_eq!(objects(&world), ["acme/files/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_too_slow_or_cut_off_leaves_nothing() {
    let world = World::start_with(|settings| {
        settings.api.most_upload_bytes = 8 << 20;
        settings.api.transfer_idle_timeout = Duration::from_secs(2);
    })
    .await;
    let key = world.key("acme", BOTH).await;
    let (status, problem) = put(&world, "a", &key, &[], in_pieces(noise((8 << 20) + 1))).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("urn:presswork:problem:too-large"))
    );
    let begun: Result<Vec<u8>, Infallible> = Ok(noise(6 << 20));
    let slow = Body::wrap_stream(stream::iter([begun]).chain(stream::pending()));
    let (status, problem) = put(&world, "a", &key, &[], slow).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::REQUEST_TIMEOUT, &json!("urn:presswork:problem:timed-out"))
    );
    assert_eq!(objects(&world), Vec::<String>::new());

    let announced = format!(
        "PUT /v1/files/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n",
        7 << 20
    );
    let watch = Watch::on(world.engine.folder());
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    socket.write_all(announced.as_bytes()).await.unwrap();
    socket.write_all(&noise(6 << 20)).await.unwrap();
    // The first part is on its way to the disk, or there.
    watch.until("an upload has begun", || !objects(&world).is_empty()).await;
    drop(socket);
    watch.until("nothing is left of it", || objects(&world).is_empty()).await;
    assert_eq!(world.get("/v1/files", &key).await.1["items"], json!([]));

    for (header, value, status) in [
        ("content-encoding", "gzip", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("content-range", "bytes 0-4/10", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(put(&world, "a", &key, &[(header, value)], "12345").await.0, status, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_files_are_bounded_in_number_and_bytes_and_what_is_replaced_makes_room() {
    let world = World::start_with(|settings| {
        (settings.api.most_files, settings.api.most_bytes_of_files) = (2, 1_000);
    })
    .await;
    let (key, other) = (world.key("acme", BOTH).await, world.key("globex", BOTH).await);
    let (made, replaced, full) = (StatusCode::CREATED, StatusCode::OK, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(put(&world, "a", &key, &[], noise(900)).await.0, made);
    for body in [noise(101).into(), in_pieces(noise(101))] {
        let (status, problem) = put(&world, "b", &key, &[], body).await;
        assert_eq!(status, full);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("of which 100 are left: remove some"), "{detail}");
    }
    assert_eq!(objects(&world), ["acme/files/a"]);
    assert_eq!(put(&world, "b", &key, &[], noise(100)).await.0, made);
    let (status, problem) = put(&world, "c", &key, &[], "").await;
    assert_eq!(status, full);
    assert!(problem["detail"].as_str().unwrap().contains("2 files"), "{problem}");
    assert_eq!(put(&world, "a", &key, &[], noise(900)).await.0, replaced);
    assert_eq!(put(&world, "a", &key, &[], noise(901)).await.0, full);
    assert_eq!(put(&world, "a", &other, &[], noise(1_000)).await.0, made, "each tenant has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_come_at_the_same_time_never_pass_a_tenants_bounds_together() {
    for (most_files, most_bytes) in [(2, 100_000), (100, 1_000)] {
        let world = World::start_with(|settings| {
            (settings.api.most_files, settings.api.most_bytes_of_files) = (most_files, most_bytes);
        })
        .await;
        let key = world.key("acme", BOTH).await;
        // None ends before all have begun.
        let begun = Arc::new(Barrier::new(8));
        let upload = |number: usize| {
            let begun = begun.clone();
            let pieces = stream::iter([0, 1]).then(move |piece| {
                let begun = begun.clone();
                async move {
                    if piece == 1 {
                        begun.wait().await;
                    }
                    Ok::<_, Infallible>(noise(200))
                }
            });
            let (world, key) = (&world, &key);
            async move { put(world, &format!("{number}.md"), key, &[], Body::wrap_stream(pieces)).await }
        };
        let all = futures_util::future::join_all((0..8).map(upload)).await;
        let taken = all.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
        let refused = all.iter().filter(|(status, _)| *status == StatusCode::PAYLOAD_TOO_LARGE).count();
        assert_eq!((taken, refused), (2, 6), "{all:?}");
        assert_eq!(objects(&world).len(), 2);
        // Nothing is held any longer than it takes: what makes room, makes it at once.
        let request = world.request(Method::DELETE, &format!("/v1/files/{}", name_of(&world)), &key);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
        assert_eq!(put(&world, "new.md", &key, &[], noise(400)).await.0, StatusCode::CREATED);
    }
}

/// The name of some file.
fn name_of(world: &World) -> String {
    objects(world)[0].rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_has_come_waits_for_whoever_changes_the_file_just_then() {
    let world = World::start().await;
    let key = world.key("acme", BOTH).await;
    let turns = Collection::<()>::new(world.engine.records.clone(), "file-turns");
    let version = turns.put("acme/a", &(), Expect::Nothing, None).await.unwrap();
    let has_come = Arc::new(Notify::new());
    let told = has_come.clone();
    // The second piece, of nothing, is asked for when the first was taken.
    let pieces = stream::iter(["text", ""]).inspect(move |piece| {
        if piece.is_empty() {
            told.notify_one();
        }
    });
    let upload = put(&world, "a", &key, &[], Body::wrap_stream(pieces.map(Ok::<_, Infallible>)));
    let waited = async {
        has_come.notified().await;
        turns.delete("acme/a", Expect::Version(version)).await.unwrap();
    };
    let ((status, _), ()) = tokio::join!(upload, waited);
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_uploads_slowly_keeps_no_other_tenant_from_it() {
    let world = World::start().await;
    let (key, other) = (world.key("slow", BOTH).await, world.key("quick", BOTH).await);
    let begin = format!(
        "PUT /v1/files/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: 9\r\n\
         expect: 100-continue\r\n\r\n"
    );
    let mut begun = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let answer = raw::until(&mut stream, "\r\n\r\n").await;
        if raw::status(&answer) != "100" {
            break answer;
        }
        begun.push(stream);
        assert!(begun.len() < 32, "one tenant takes all the room that there is");
    };
    assert_eq!(raw::status(&refused), "429");
    assert!(refused.contains("retry-after"), "{refused}");
    assert_eq!(put(&world, "a", &other, &[], "text").await.0, StatusCode::CREATED);
}

/// Tells of every change in a folder.
struct Watch {
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    fn on(folder: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let teller = changed.clone();
        let told = move |_: notify::Result<notify::Event>| teller.notify_one();
        let mut watcher = notify::recommended_watcher(told).unwrap();
        watcher.watch(folder, RecursiveMode::Recursive).unwrap();
        Self { changed, _watcher: watcher }
    }

    /// Looks after each change, until it is so.
    async fn until(&self, what: &str, fits: impl Fn() -> bool) {
        let waited = async {
            while !fits() {
                self.changed.notified().await;
            }
        };
        let within = tokio::time::timeout(READY_WITHIN, waited).await;
        within.unwrap_or_else(|_| panic!("{what}: it never came to that"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_their_tenants_own_and_need_permissions() {
    let world = World::start().await;
    let (acme, globex) = (world.key("acme", BOTH).await, world.key("globex", BOTH).await);
    let reader = world.key("acme", &["projects:read"]).await;
    assert_eq!(put(&world, "a.md", &acme, &[], "text").await.0, StatusCode::CREATED);
    assert_eq!(put(&world, "a.md", &reader, &[], "text").await.0, StatusCode::FORBIDDEN);
    let (status, hidden) = world.get("/v1/files/a.md", &globex).await;
    let (_, none) = world.get("/v1/files/b.md", &globex).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(hidden["detail"].as_str().unwrap().replace("a.md", "b.md"), none["detail"].as_str().unwrap());
    assert_eq!(world.get("/v1/files", &globex).await.1["items"], json!([]));
    let remove = world.request(Method::DELETE, "/v1/files/a.md", &globex).send().await.unwrap();
    assert_eq!(remove.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/files?cursor=..%2Fx", &acme).await.0, StatusCode::BAD_REQUEST);
}

/// A name in the path of a web address: everything but letters and digits percent-encoded.
fn in_address(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Names as public lists of attacks have them: naughty strings, and ways to say `..`.
fn attacks() -> Vec<String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/names/blns.json");
    let list: Vec<String> = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    let mut all: Vec<String> = list.iter().map(|text| in_address(text)).collect();
    for dots in
        ["..", "%2e%2e", "%252e%252e", "%c0%ae%c0%ae", "%uff0e%uff0e", "%ef%bc%8e%ef%bc%8e", "..%00", "..;"]
    {
        for separator in ["/", "\\", "%2f", "%5c", "%252f", "%c0%af", "%ef%bc%8f", "//"] {
            for (before, behind) in [("", "x"), ("a/", "etc/passwd"), ("", "globex/files/x"), ("file:", "")] {
                let way = format!("{dots}{separator}").repeat(3);
                all.push(format!("{before}{way}{behind}"));
            }
        }
    }
    all
}

/// Sends a request whose path no client has mended; answers its status.
async fn raw(world: &World, key: &str, path: &str) -> u16 {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12345"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    // A server that refuses a request may reset the connection behind its answer.
    drop(socket.read_to_end(&mut read).await);
    let text = String::from_utf8_lossy(&read);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{path}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_the_public_attack_lists_leaves_the_tenants_folder() {
    let world = World::start().await;
    let key = world.key("acme", BOTH).await;
    world.engine.rules.set(&"acme".parse().unwrap(), &LimitRules::API, None).await.unwrap();
    let (mut taken, mut refused) = (0, 0);
    let attacks = attacks();
    for name in &attacks {
        match raw(&world, &key, &format!("/v1/files/{name}")).await {
            200 | 201 => taken += 1,
            400 | 404 | 405 | 422 => refused += 1,
            status => panic!("{name}: {status}"),
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 50 && refused > 200, "{taken} taken, {refused} refused");
    let all = below(world.engine.folder());
    let kept: Vec<&String> = all.iter().filter(|path| path.starts_with("objects/")).collect();
    for path in &kept {
        let name = path.strip_prefix("objects/acme/files/").unwrap_or_else(|| panic!("{path} is outside"));
        assert!(!name.contains('/'), "{path}");
    }
    // And nothing beside: the database, the master key, the scratch folder.
    let others = all.iter().filter(|path| !path.starts_with("objects/"));
    let others: Vec<&String> =
        others.filter(|path| !path.starts_with("presswork.db") && !path.starts_with("tmp/")).collect();
    assert!(others.iter().all(|path| !path.contains("12345") && !path.contains("passwd")), "{others:?}");
    let mut cursor = String::new();
    let mut listed = 0;
    loop {
        let (status, page) = world.get(&format!("/v1/files?limit=50{cursor}"), &key).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        listed += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", in_address(next)),
            None => break,
        }
    }
    assert_eq!(listed, kept.len());
}
