//! Requests that no client sends, callers that dawdle, and settings that are not safe.

use std::{ffi::OsString, fs, path::Path, sync::Arc, time::Duration};

use presswork::{
    config::{Environment, Layer, Settings},
    engine::verify::{Severity, look_into, verify},
    limits::LimitRules,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    layers::{Gate, test_routes},
    raw::{body, rest, send, status, until},
    world::World,
};

fn is_problem(answer: &str, expected: &str, name: &str) {
    assert_eq!(status(answer), expected, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body(answer)).unwrap();
    assert_eq!(problem["type"], format!("urn:presswork:problem:{name}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_none_or_too_large_are_problems_and_end_the_connection() {
    let world = World::start().await;
    let many = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    for (request, expected, name) in [
        ("GARBAGE\r\n\r\n".to_owned(), "400", "invalid"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n".to_owned(), "400", "invalid"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx : 1\r\n\r\n".to_owned(), "400", "invalid"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n".to_owned(), "400", "invalid"),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), "431", "headers-too-large"),
        (
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(64 << 10)),
            "431",
            "headers-too-large",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70 << 10)),
            "431",
            "headers-too-large",
        ),
        ("GET /openapi.json HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "400", "invalid"),
        (
            "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.net\r\nconnection: close\r\n\r\n".to_owned(),
            "400",
            "invalid",
        ),
    ] {
        is_problem(&send(world.address, request.as_bytes()).await, expected, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_smuggled_in_anothers_body() {
    let world = World::start_with_routes(|_| (), Some(test_routes(Arc::default()))).await;
    let hidden = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n".to_owned(),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
    ] {
        let request =
            format!("POST /v1/test/body HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n0\r\n\r\n{hidden}");
        let answer = send(world.address, request.as_bytes()).await;
        // The one inside is never answered: no OpenAPI document comes.
        assert!(!answer.contains("\"openapi\""), "{headers}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{headers}: {answer}");
    }
    for chunk in ["zz\r\nx\r\n", "5;\nx\r\nhello\r\n0\r\n\r\n", "-1\r\nx\r\n", "ffffffffffffffffff\r\nx\r\n"]
    {
        let request = format!(
            "POST /v1/test/body HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{hidden}"
        );
        let answer = send(world.address, request.as_bytes()).await;
        assert!(!answer.contains("\"openapi\"") && !answer.starts_with("HTTP/1.1 200"), "{chunk}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dawdles_with_a_head_a_body_or_between_requests_is_let_go() {
    let world = World::start_with_routes(
        |settings| {
            settings.api.header_timeout = Duration::from_secs(1);
            settings.api.idle_timeout = Duration::from_secs(1);
        },
        Some(test_routes(Arc::default())),
    )
    .await;
    // Slowloris: a head that never ends.
    let answer = send(world.address, b"GET / HTTP/1.1\r\nhost: loc").await;
    assert!(answer.is_empty() || status(&answer).starts_with('4'), "{answer}");
    // Nothing at all.
    assert_eq!(send(world.address, b"").await, "");
    // Idle after an answer.
    let answer = send(world.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1").count()), ("200", 1), "{answer}");
    // A body that never ends.
    let request = b"POST /v1/test/body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    let answer = send(world.address, request).await;
    is_problem(&answer, "408", "timed-out");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_its_share_of_connections_and_no_more() {
    let world = World::start_with(|settings| settings.api.most_connections_per_address = Some(2)).await;
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        assert_eq!(status(&until(&mut stream, "\r\n\r\n").await), "200");
        held.push(stream);
    }
    assert_eq!(send(world.address, request).await, "");
    held.pop();
    let again = || async {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let closing = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(closing).await;
        rest(stream).await.starts_with("HTTP/1.1 200")
    };
    crate::servers::process::until("the place of who has gone is free", again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_what_has_begun_end_and_closes_the_rest() {
    let gate = Arc::new(Gate::default());
    let world = World::start_with_routes(|_| (), Some(test_routes(gate.clone()))).await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    until(&mut idle, "\r\n\r\n").await;
    let mut busy = TcpStream::connect(world.address).await.unwrap();
    busy.write_all(b"GET /v1/test/long HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    gate.begun.notified().await;
    world.stopping.cancel();
    assert_eq!(rest(idle).await, "");
    gate.go.notify_one();
    let answer = rest(busy).await;
    assert_eq!((status(&answer), body(&answer)), ("200", "done"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    let refused = async || TcpStream::connect(world.address).await.is_err();
    crate::servers::process::until("nobody is let in any more", refused).await;
}

/// The variables of `deploy/.env.production`.
fn variables(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect()
}

fn load(folder: &Path, environment: &str, file: &str) -> (Settings, Vec<(String, String)>) {
    let path = folder.join("production.toml");
    fs::write(&path, file).unwrap();
    let all = variables(environment);
    let read =
        |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| OsString::from(value));
    let settings = Settings::load(Layer::default(), Some(path), &read).unwrap();
    (settings, all)
}

#[test]
fn the_shipped_production_settings_pass_once_they_are_filled_in_and_not_before() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let environment = fs::read_to_string(deploy.join(".env.production")).unwrap();
    let file = fs::read_to_string(deploy.join("production.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let judge = |environment: &str, file: &str| {
        let (settings, all) = load(folder.path(), environment, file);
        assert_eq!(settings.environment, Environment::Production);
        let read =
            |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| OsString::from(value));
        verify(&settings, &read)
    };
    let report = judge(&environment, &file);
    let placeholders = report.critical().find(|finding| finding.check == "placeholders").unwrap();
    for name in ["PRESSWORK_REDIS_URL", "AWS_SECRET_ACCESS_KEY", "hosts"] {
        assert!(placeholders.what.contains(name), "{placeholders:?}");
    }

    let key = folder.path().join("master.key");
    fs::write(&key, format!("{}\n", "5a".repeat(32))).unwrap();
    close(&key);
    let fill = |text: &str| {
        text.replace("CHANGE-ME", "q7Zp2vLx9Rk4Tn8Wm3Yb6Hd1")
            .replace("example.com", "books.io")
            .replace("/run/secrets/presswork-master.key", &key.display().to_string())
    };
    let report = judge(&fill(&environment), &fill(&file));
    assert_eq!(report.critical().count(), 0, "{:#?}", report.findings);
    assert!(report.score >= 95 && report.checks > 20, "{:#?}", report.findings);
}

#[cfg(unix)]
fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn each_thing_that_is_not_safe_is_found_with_its_severity() {
    let folder = tempfile::tempdir().unwrap();
    let judge = |text: &str| {
        let data = folder.path().join("data");
        let (settings, _) = load(folder.path(), "", &format!("data_dir = \"{}\"\n{text}", data.display()));
        verify(&settings, &|name| (name == "AWS_ENDPOINT_URL").then(|| "http://minio.internal:9000".into()))
    };
    let api = "[api]\nlisten = \"0.0.0.0:8080\"\n";
    for (text, check, severity) in [
        (api.to_owned(), "tls.none", Severity::Critical),
        (api.to_owned(), "hosts.none", Severity::Critical),
        (api.to_owned(), "environment.development", Severity::High),
        (format!("{api}tls_cert = \"/nowhere/a.pem\""), "tls.half", Severity::Critical),
        (format!("{api}tls_cert = \"/nowhere/a.pem\""), "tls.file", Severity::Critical),
        (format!("{api}cors_origins = [\"*\"]"), "cors.any", Severity::Critical),
        (format!("{api}cors_origins = [\"http://app.books.io\"]"), "cors.http", Severity::High),
        (format!("{api}trusted_proxies = [\"0.0.0.0/0\"]"), "proxies.everybody", Severity::Critical),
        (format!("{api}trusted_proxies = [\"10.0.0.0/7\"]"), "proxies.wide", Severity::High),
        (format!("{api}most_body_bytes = \"1GiB\""), "bounds.body", Severity::Medium),
        (format!("{api}[limits]\napi = \"none\""), "limits.api", Severity::High),
        (format!("{api}[limits]\nanonymous = \"none\""), "limits.anonymous", Severity::High),
        (format!("{api}[limits]\nanonymous = \"500/s\""), "limits.anonymous-high", Severity::Medium),
        ("redis_url = \"redis://:short@redis.internal\"".to_owned(), "redis.plain", Severity::Critical),
        ("redis_url = \"redis://:short@redis.internal\"".to_owned(), "redis.short", Severity::High),
        ("redis_url = \"redis://:short@redis.internal\"".to_owned(), "redis.user", Severity::Medium),
        ("redis_url = \"rediss://redis.internal\"".to_owned(), "redis.password", Severity::Critical),
        ("redis_url = \"redis://127.0.0.1\"".to_owned(), "redis.password-local", Severity::Medium),
        ("redis_url = \"redis://127.0.0.1\"".to_owned(), "master-key.none", Severity::Critical),
        ("storage_url = \"s3://books/x\"".to_owned(), "storage.plain", Severity::Critical),
        ("storage_url = \"memory://\"".to_owned(), "storage.memory", Severity::Critical),
        ("environment = \"production\"".to_owned(), "alerts.nobody", Severity::Medium),
        ("log = \"info,hyper=debug\"".to_owned(), "log.debug", Severity::Medium),
        ("retention = \"0s\"".to_owned(), "retention.none", Severity::Low),
        ("master_key_file = \"/nowhere/key\"".to_owned(), "master-key.file", Severity::Critical),
        (String::new(), "master-key.made", Severity::High),
        ("storage_url = \"s3://example/x\"".to_owned(), "placeholders", Severity::Critical),
    ] {
        let report = judge(&text);
        let found = report.findings.iter().find(|finding| finding.check == check);
        assert_eq!(
            found.map(|finding| finding.severity),
            Some(severity),
            "{text}: {check}: {:#?}",
            report.findings
        );
        assert!(
            report.findings.iter().all(|finding| !finding.fix.is_empty() && !finding.what.contains("short@"))
        );
        assert!(report.score < 100);
    }
}

#[cfg(unix)]
#[test]
fn a_data_directory_that_others_may_enter_is_found() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    for (mode, check) in [(0o755, "data-dir.readable"), (0o777, "data-dir.writable"), (0o700, "")] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let report = verify(&settings, &|_| None);
        let found: Vec<&str> = report.findings.iter().map(|finding| finding.check).collect();
        let expected: Vec<&str> = [check].into_iter().filter(|check| !check.is_empty()).collect();
        let of_the_folder = found
            .into_iter()
            .filter(|check| check.starts_with("data-dir.") && *check != "data-dir.temporary");
        assert_eq!(of_the_folder.collect::<Vec<_>>(), expected, "{mode:o}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_looked_at_too() {
    let world = World::start().await;
    world.key("acme", &["jobs:read"]).await;
    let settings = Settings { data_dir: world.engine.folder().to_owned(), ..Settings::default() };
    let report = look_into(&world.engine, &settings, verify(&settings, &|_| None)).await;
    let found = |check: &str| report.findings.iter().find(|finding| finding.check == check);
    assert_eq!(found("api-keys.endless").unwrap().what, "1 API keys never end by themselves");
    assert!(found("sealing.none").is_some() && found("limits.api").is_none());
    assert!(settings.limits.0.contains_key(&LimitRules::API));
}
