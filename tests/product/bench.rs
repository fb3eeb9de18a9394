//! `presswork bench` on Redis and on S3: its figures have names that scripts rely on, and it leaves nothing behind.

use std::process::Command;

use presswork_jobs::{export::Format, import::SourceFormat};
use serde_json::Value;

use crate::{
    servers::{RedisServer, S3Server, process::comes_true, s3::Operation},
    world::{World, text},
};

/// Those of the issue, which others read by name.
const FIGURES: [&str; 7] = [
    "enqueue_bulk_per_s",
    "enqueue_one_per_s",
    "drain_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "bytes_per_job",
    "left_bytes_per_job",
];
const BASELINES: [&str; 4] =
    ["baseline_rpush_per_s", "baseline_evalsha_per_s", "baseline_blpop_p50_ms", "baseline_blpop_p99_ms"];

fn keys(server: &RedisServer) -> u64 {
    server.command("DBSIZE").trim().trim_start_matches(':').parse().unwrap()
}

#[test]
fn the_figures_of_the_queue_stand_on_one_line_by_name_beside_the_baselines() {
    let (server, world) = (RedisServer::start(), World::new());
    let output = world.run(&["bench", "queue", "--redis-url", &server.url(), "--jobs", "500", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    let figures: Value = serde_json::from_str(&told).unwrap();
    for name in FIGURES.iter().chain(&BASELINES) {
        assert!(figures[name].is_f64(), "{name}: {told}");
    }
    assert_eq!((figures["engine"].as_str(), figures["jobs"].as_u64()), (Some("redis"), Some(500)));
    assert_eq!(keys(&server), 0);
}

#[test]
fn a_benchmark_that_is_stopped_takes_its_keys_away() {
    let (server, world) = (RedisServer::start(), World::new());
    let scratch = tempfile::tempdir().unwrap();
    let arguments = ["bench", "fairness", "--redis-url", &server.url(), "--jobs", "1000000"];
    let mut command = world.command(&arguments);
    let mut bench = command.env("TMPDIR", scratch.path()).spawn().unwrap();
    assert!(comes_true(|| keys(&server) > 0), "it has begun");
    let stopped = Command::new("kill").args(["-INT", &bench.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    assert_eq!(keys(&server), 0);
    assert_eq!(scratch.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_benchmark_says_that_it_wants_a_single_server() {
    let world = World::new();
    for url in ["redis+cluster://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main"] {
        let output = world.run(&["bench", "tenants", "--redis-url", url]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("single Redis server"), "{}", text(&output));
    }
}

/// Its jobs stay in a place of its own: the workers of a fleet would take them.
#[test]
fn the_exports_are_measured_beside_the_redis_of_the_settings() {
    let world = World::new();
    let arguments = ["bench", "export", "--size", "64KiB", "--format", "text", "--json"];
    let mut command = world.command(&arguments);
    let output = command.env("PRESSWORK_REDIS_URL", "redis://127.0.0.1:1").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_exports_are_measured_sealed_on_s3_and_leave_nothing_there() {
    let server = S3Server::start();
    let world = World::on_s3(&server, "bench");
    let output =
        world.run(&["bench", "export", "--size", "64KiB", "--baseline-size", "0", "--sealed", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let formats: Vec<&str> = lines.iter().map(|line| line["format"].as_str().unwrap()).collect();
    assert_eq!(formats, Format::ALL.map(Format::name));
    for line in lines {
        assert!(line["mib_per_s"].is_f64() && line["peak_mib"].is_f64(), "{line}");
        assert!(line["stage"]["adds"].is_f64() && line["stage"]["zstd3_seconds"].is_f64(), "{line}");
        assert_eq!(
            (&line["sealed"], &line["storage"], &line["baseline"]),
            (&true.into(), &"s3".into(), &Value::Null)
        );
    }
    assert!(server.figures().arrived(Operation::Put) > 0);
    assert_eq!(server.objects(), []);
}

#[test]
fn exports_are_set_beside_other_programs_where_these_are_installed() {
    let world = World::new();
    let pandoc = world.file("bin/pandoc", "#!/bin/sh\nread -r first <book.md && [ \"$first\" = --- ]\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&pandoc, executable).unwrap();
    for (path, is_there) in [("bin", true), ("nowhere", false)] {
        let arguments =
            ["bench", "export", "--size", "64KiB", "--baseline-size", "32KiB", "--format", "html"];
        let mut command = world.command(&[&arguments[..], &["--json"]].concat());
        let output = command.env("PATH", world.path(path)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        let beside = &line["baseline"];
        let told = text(&output);
        if is_there {
            assert_eq!(beside["program"], "pandoc");
            for figure in [
                "seconds",
                "peak_mib",
                "our_seconds",
                "our_peak_mib",
                "times_its_speed",
                "part_of_its_memory",
            ] {
                assert!(beside[figure].is_f64(), "{figure}: {line}");
            }
        } else {
            assert!(beside.is_null() && told.contains("pandoc is not installed"), "{told}");
        }
    }
}

#[test]
fn the_imports_are_measured_beside_pandoc_where_that_is_installed() {
    let world = World::new();
    let pandoc = world.file("bin/pandoc", "#!/bin/sh\n[ -s \"$4\" ]\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&pandoc, executable).unwrap();
    let arguments = ["bench", "import", "--size", "64KiB", "--baseline-size", "32KiB", "--json"];
    let output = world.command(&arguments).env("PATH", world.path("bin")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let formats: Vec<&str> = lines.iter().map(|line| line["format"].as_str().unwrap()).collect();
    assert_eq!(formats, SourceFormat::ALL.map(SourceFormat::name));
    for line in lines {
        for figure in ["markdown_mib", "file_mib", "seconds", "mib_per_s", "peak_mib"] {
            assert!(line[figure].is_f64(), "{figure}: {line}");
        }
        assert!(line["chapters"].as_u64() >= Some(1), "{line}");
        let is_beside = ["epub", "docx"].contains(&line["format"].as_str().unwrap());
        assert_eq!(line["baseline"]["times_its_speed"].is_f64(), is_beside, "{line}");
    }
}

#[test]
fn a_corpus_is_told_file_by_file_whatever_is_in_it() {
    let world = World::new();
    world.file("corpus/a.md", "# A\n\nb\n");
    world.file("corpus/sub/b.pdf", "%PDF-1.7");
    world.file("corpus/sub/c.txt", "");
    let folder = world.path("corpus").display().to_string();
    let output = world.run(&["bench", "corpus", &folder, "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["imported", "refused", "refused"], "{told}");
    assert!(lines[1]["reason"].as_str().unwrap().contains("a PDF"), "{told}");
}

#[test]
fn the_api_is_measured_beside_bare_routes_on_both_engines() {
    let (server, world) = (RedisServer::start(), World::new());
    let small = [
        "bench",
        "api",
        "--requests",
        "100",
        "--connections",
        "4",
        "--subscribers",
        "20",
        "--sessions",
        "20",
        "--json",
    ];
    for (engine, arguments) in
        [("sqlite", small.to_vec()), ("redis", [&small[..], &["--redis-url", &server.url()]].concat())]
    {
        let output = world.run(&arguments);
        assert!(output.status.success(), "{}", text(&output));
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        for name in [
            "post_jobs_per_s",
            "bare_post_per_s",
            "ratio",
            "authentication_p50_ms",
            "memory_each_kib",
            "bare_memory_each_kib",
            "event_to_all_ms",
            "bare_event_to_all_ms",
            "session_requests_per_s",
        ] {
            assert!(figures[name].is_f64(), "{name}: {figures}");
        }
        assert_eq!((&figures["engine"], &figures["sessions_refused"]), (&engine.into(), &0.into()));
    }
    assert_eq!(keys(&server), 0);
}

#[test]
fn streams_of_answers_are_measured_beside_a_bare_client_and_all_of_their_text_comes_through() {
    let world = World::new();
    let scratch = tempfile::tempdir().unwrap();
    let arguments = ["bench", "generation", "--streams", "8", "--seconds", "1", "--rate", "20", "--json"];
    let output = world.command(&arguments).env("TMPDIR", scratch.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    for name in
        ["tokens_per_s", "bare_core_share", "client_core_share", "jobs_core_share", "overhead_core_share"]
    {
        assert!(figures[name].is_f64(), "{name}: {figures}");
    }
    assert_eq!((figures["engine"].as_str(), figures["streams"].as_u64()), (Some("sqlite"), Some(8)));
    assert_eq!(scratch.path().read_dir().unwrap().count(), 0);
}
