//! `/v1/jobs/{job}/artifacts`.

use std::{fs, net::SocketAddr, time::Duration};

use presswork::{
    artifact::{ArtifactOptions, FRAME_BYTES},
    domain::{
        ArtifactPointer, Encoding, FileName, JobId, KindName, NewJob, Output, Payload, Random as _,
        SeededRandom, TenantId, Verdict, WorkerId,
    },
    queue::Ask,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    servers::{READY_WITHIN, process::until},
    world::World,
};

const READ: &[&str] = &["artifacts:read"];

/// A completed job of a tenant that has made one artifact.
async fn made(
    world: &World,
    tenant: &str,
    name: &str,
    options: ArtifactOptions,
    plain: &[u8],
) -> (JobId, ArtifactPointer) {
    let (engine, tenant): (_, TenantId) = (&world.engine, tenant.parse().unwrap());
    let (id, kind) = (JobId::new(engine.clock.now(), &*engine.random), KindName::literal("echo"));
    let payload = Payload { version: 1, bytes: bytes::Bytes::from_static(b"{\"text\":\"\"}") };
    engine.queue.enqueue(vec![NewJob::new(id, tenant.clone(), kind.clone(), payload)]).await.unwrap();
    let ask = Ask { kinds: vec![kind], most: 1, lease: Duration::from_secs(60) };
    let claim = engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0);
    let name: FileName = name.parse().unwrap();
    let epoch = claim.lease.epoch;
    let mut writer = engine.artifacts.create(&tenant, id, epoch, &name, options).await.unwrap();
    for piece in plain.chunks(64 << 10) {
        writer.write(piece).await.unwrap();
    }
    let pointer = writer.finish().await.unwrap();
    let output = Output { result: Value::Null, artifacts: vec![pointer.clone()] };
    engine.queue.settle(vec![(claim.lease, Verdict::Done(output))]).await.unwrap();
    (id, pointer)
}

fn stored(encoding: Encoding) -> ArtifactOptions {
    ArtifactOptions { encoding, content_type: "text/html".to_owned(), ..ArtifactOptions::default() }
}

/// Half noise, half repetition.
fn content(bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    SeededRandom::new(9).fill(&mut all);
    all.iter_mut().enumerate().filter(|(place, _)| place / 64 % 2 == 0).for_each(|(_, byte)| *byte = b'x');
    all
}

async fn fetch(world: &World, path: &str, key: &str, headers: &[(&str, &str)]) -> Response {
    let request = world.request(Method::GET, path, key);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Changes a byte of an artifact on the disk.
fn spoil(world: &World, pointer: &ArtifactPointer, place: impl FnOnce(usize) -> usize) {
    let key = pointer.manifest.replace("/.manifests/", "/");
    let path = world.engine.local_path(key.strip_suffix(".json").unwrap()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let place = place(bytes.len());
    bytes[place] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_downloaded_whole_and_by_ranges_in_every_encoding_sealed_or_not() {
    let world = World::start().await;
    let plain = content(2 * FRAME_BYTES + 17);
    world.engine.keyring.set_seals(&"vault".parse().unwrap(), true).await.unwrap();
    for tenant in ["acme", "vault"] {
        let key = world.key(tenant, READ).await;
        for encoding in Encoding::ALL {
            let (job, pointer) = made(&world, tenant, "Œuvre 1.html", stored(encoding), &plain).await;
            assert_eq!(pointer.seal.is_some(), tenant == "vault");
            let path = format!("/v1/jobs/{job}/artifacts/%C5%92uvre%201.html");
            let whole = fetch(&world, &path, &key, &[]).await;
            assert_eq!(whole.status(), StatusCode::OK, "{tenant} {encoding}");
            for (name, value) in [
                ("content-length", plain.len().to_string()),
                ("content-type", "text/html".to_owned()),
                ("accept-ranges", "bytes".to_owned()),
                ("etag", format!("\"{}\"", pointer.sha256)),
                ("vary", "Accept-Encoding".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
                (
                    "content-disposition",
                    "attachment; filename=\"_uvre 1.html\"; filename*=UTF-8''%C5%92uvre%201.html".to_owned(),
                ),
                ("content-encoding", String::new()),
            ] {
                assert_eq!(header(&whole, name), value, "{name}");
            }
            assert!(header(&whole, "content-security-policy").contains("sandbox"));
            let etag = header(&whole, "etag").to_owned();
            assert!(whole.bytes().await.unwrap() == plain, "{tenant} {encoding}");

            let (begin, end) = (FRAME_BYTES - 5, 2 * FRAME_BYTES + 3);
            for (range, found) in [
                ("bytes=0-0".to_owned(), 0..1),
                (format!("bytes={begin}-{}", end - 1), begin..end),
                ("bytes=-7".to_owned(), plain.len() - 7..plain.len()),
            ] {
                let part =
                    fetch(&world, &path, &key, &[("range", range.as_str()), ("if-range", etag.as_str())])
                        .await;
                assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
                let said = format!("bytes {}-{}/{}", found.start, found.end - 1, plain.len());
                assert_eq!(header(&part, "content-range"), said);
                assert!(part.bytes().await.unwrap() == plain[found], "{tenant} {encoding} {range}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_ranges_and_head_are_answered_as_http_says() {
    let world = World::start().await;
    let (key, plain) = (world.key("acme", READ).await, content(100_000));
    let (job, pointer) = made(&world, "acme", "a.txt", stored(Encoding::Zstd), &plain).await;
    let path = format!("/v1/jobs/{job}/artifacts/a.txt");
    let etag = format!("\"{}\"", pointer.sha256);
    for (name, value, status) in [
        ("if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
        ("if-none-match", "*", StatusCode::NOT_MODIFIED),
        ("if-none-match", "\"other\"", StatusCode::OK),
        ("if-match", etag.as_str(), StatusCode::OK),
        ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
        ("range", "bytes=100000-", StatusCode::RANGE_NOT_SATISFIABLE),
        ("range", "bytes=0-1,5-6", StatusCode::OK),
        ("range", "pages=1-2", StatusCode::OK),
    ] {
        let answer = fetch(&world, &path, &key, &[(name, value)]).await;
        assert_eq!(answer.status(), status, "{name}: {value}");
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            assert_eq!(header(&answer, "content-range"), "bytes */100000");
        } else if status == StatusCode::NOT_MODIFIED {
            assert_eq!(header(&answer, "etag"), etag);
        }
    }
    let other = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(fetch(&world, &path, &key, &other).await.status(), StatusCode::OK);
    let head = world.request(Method::HEAD, &path, &key).header("range", "bytes=0-1").send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "100000"));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_form_is_sent_to_who_takes_it_and_only_where_that_is_safe() {
    let world = World::start().await;
    let plain = content(FRAME_BYTES + 17);
    let (key, vault) = (world.key("acme", READ).await, world.key("vault", READ).await);
    world.engine.keyring.set_seals(&"vault".parse().unwrap(), true).await.unwrap();
    let (job, pointer) = made(&world, "acme", "a.txt", stored(Encoding::Zstd), &plain).await;
    let path = format!("/v1/jobs/{job}/artifacts/a.txt");
    let accepts = [("accept-encoding", "gzip, zstd")];
    let whole = fetch(&world, &path, &key, &accepts).await;
    assert_eq!(header(&whole, "content-encoding"), "zstd");
    assert_eq!(header(&whole, "etag"), format!("\"{}-zstd\"", pointer.sha256));
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, pointer.stored_bytes);
    let object = pointer.manifest.replace("/.manifests/", "/");
    let object = world.engine.local_path(object.strip_suffix(".json").unwrap()).unwrap();
    assert!(bytes == fs::read(object).unwrap());
    let part = fetch(&world, &path, &key, &[accepts[0], ("range", "bytes=3-9")]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.bytes().await.unwrap() == bytes[3..10]);

    // Two members of gzip, of which browsers read the first; a seal; nothing compressed.
    let long = made(&world, "acme", "b", stored(Encoding::Gzip), &plain).await;
    let short = made(&world, "acme", "b", stored(Encoding::Gzip), &plain[..1000]).await;
    let none = made(&world, "acme", "b", stored(Encoding::None), &plain).await;
    let sealed = made(&world, "vault", "b", stored(Encoding::Zstd), &plain).await;
    for ((job, _), key, encoding) in
        [(long, &key, ""), (short, &key, "gzip"), (none, &key, ""), (sealed, &vault, "")]
    {
        let path = format!("/v1/jobs/{job}/artifacts/b");
        let answer = fetch(&world, &path, key, &accepts).await;
        assert_eq!(header(&answer, "content-encoding"), encoding);
        answer.bytes().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_breaks_the_connection_instead_of_ending_well() {
    let world = World::start().await;
    let (key, plain) = (world.key("acme", READ).await, content(3 * FRAME_BYTES));
    let manager = world.key("acme", &["artifacts:read", "artifacts:delete"]).await;
    for encoding in [Encoding::Zstd, Encoding::None] {
        let (job, pointer) = made(&world, "acme", "a", stored(encoding), &plain).await;
        let path = format!("/v1/jobs/{job}/artifacts/a");
        let verify = format!("{path}/verify");
        assert_eq!(world.post(&verify, &manager, &json!({})).await.1["state"], "ok");
        // What is not compressed shows it only by the checksum of all of it, behind the last byte.
        spoil(&world, &pointer, |bytes| bytes - 20);
        for accepted in ["identity", "zstd"] {
            let answer = fetch(&world, &path, &key, &[("accept-encoding", accepted)]).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(answer.bytes().await.is_err(), "{encoding}, {accepted}: it ended well");
        }
        let (status, found) = world.post(&verify, &manager, &json!({})).await;
        assert_eq!((status, &found["state"]), (StatusCode::OK, &json!("damaged")), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_listed_and_removed_for_good_and_are_nobody_elses() {
    let world = World::start().await;
    let manager = world.key("acme", &["artifacts:read", "artifacts:delete"]).await;
    let (reader, other) = (world.key("acme", READ).await, world.key("globex", &["artifacts:read"]).await);
    let (job, pointer) = made(&world, "acme", "a.txt", stored(Encoding::Zstd), b"text").await;
    let (list, path) = (format!("/v1/jobs/{job}/artifacts"), format!("/v1/jobs/{job}/artifacts/a.txt"));
    let (status, listed) = world.get(&list, &reader).await;
    assert_eq!((status, &listed["items"][0]["name"]), (StatusCode::OK, &json!("a.txt")), "{listed}");
    assert_eq!(
        (&listed["items"][0]["sha256"], &listed["items"][0]["removed_at"]),
        (&json!(pointer.sha256), &Value::Null)
    );
    for hidden in [&list, &path] {
        let (status, problem) = world.get(hidden, &other).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::NOT_FOUND, &json!("urn:presswork:problem:not-found"))
        );
    }
    let no_such = format!("/v1/jobs/{job}/artifacts/b.txt");
    assert_eq!(world.get(&no_such, &reader).await.0, StatusCode::NOT_FOUND);
    for outside in ["..%2F..%2Fbook.json", "%00", "%FF", "a.txt%2F..%2Fa.txt"] {
        let (status, _) = world.get(&format!("{list}/{outside}"), &reader).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{outside}");
    }

    let remove = async |key: &str| world.request(Method::DELETE, &path, key).send().await.unwrap().status();
    assert_eq!(remove(&reader).await, StatusCode::FORBIDDEN);
    assert_eq!(remove(&manager).await, StatusCode::NO_CONTENT);
    assert_eq!(remove(&manager).await, StatusCode::NO_CONTENT);
    let (status, gone) = world.get(&path, &reader).await;
    assert_eq!((status, &gone["type"]), (StatusCode::GONE, &json!("urn:presswork:problem:gone")));
    assert!(!gone["detail"].as_str().unwrap().contains(".manifests"), "{gone}");
    assert!(world.get(&list, &reader).await.1["items"][0]["removed_at"].is_string());
    let verify = world.post(&format!("{path}/verify"), &reader, &json!({})).await.1;
    assert_eq!(verify["state"], "removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_lent_for_minutes_and_never_of_what_is_sealed() {
    let world = World::start().await;
    world.engine.keyring.set_seals(&"vault".parse().unwrap(), true).await.unwrap();
    for (tenant, word) in [("acme", "can't lend"), ("vault", "sealed")] {
        let key = world.key(tenant, READ).await;
        let (job, _) = made(&world, tenant, "a", stored(Encoding::Zstd), b"text").await;
        let path = format!("/v1/jobs/{job}/artifacts/a/presign");
        let (status, problem) = world.post(&path, &key, &json!({})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        let (status, problem) = world.post(&path, &key, &json!({ "expires_in_seconds": 301 })).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("/expires_in_seconds"))
        );
    }
}

/// Whether the server still holds its end of a connection, as the kernel says it: ESTABLISHED.
fn is_held(server: SocketAddr, client: SocketAddr) -> bool {
    let ends = [server, client].map(|end| format!(":{:04X} ", end.port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let between = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        ends.iter().all(|end| fields.next().is_some_and(|field| format!("{field} ").ends_with(end)))
    };
    table.lines().find(between).is_some_and(|line| line.split_whitespace().nth(3) == Some("01"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_is_let_go() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::start_with(|settings| {
        settings.api.transfer_idle_timeout = Duration::from_millis(200);
        settings.api.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let (key, plain) = (world.key("acme", READ).await, content(24 << 20));
    let (job, _) = made(&world, "acme", "a", stored(Encoding::None), &plain).await;
    let mut socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let client = socket.local_addr().unwrap();
    assert!(is_held(world.address, client));
    let request = format!(
        "GET /v1/jobs/{job}/artifacts/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 1024];
    let begun = socket.read(&mut head).await.unwrap();
    // Nothing is read from here on, and the server does not wait for that.
    until("the server has let go", async || !is_held(world.address, client)).await;
    // What the kernels hold still comes, and then the end.
    let mut rest = Vec::new();
    let read = tokio::time::timeout(READY_WITHIN, socket.read_to_end(&mut rest)).await.unwrap();
    assert!(read.is_err() || begun + rest.len() < plain.len(), "all of it came");
}
