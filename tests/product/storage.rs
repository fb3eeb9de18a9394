//! Import, export and reading back with everything on an S3 server, which is well or is not.

use crate::{
    servers::{
        S3Server,
        s3::{Conditioned, Fault, Matching, Operation, UploadState},
    },
    world::{World, long_book, text},
};

/// A world on S3 with a book imported, and a worker at work.
fn with_book(server: &S3Server, bytes: usize) -> (World, crate::world::Running) {
    let world = World::on_s3(server, "some/prefix");
    let book = world.file("novel.md", long_book(bytes));
    let worker = world.start(&["up", "--json", "--log", "error"]);
    world.json(&["enqueue", "import", &book, "--project", "novel", "--wait"]);
    (world, worker)
}

#[test]
fn a_book_goes_in_and_out_with_nothing_on_this_machine() {
    let server = S3Server::start();
    let (world, _worker) = with_book(&server, 200_000);
    let (html, epub) = (world.path("novel.html"), world.path("novel.epub"));
    for (format, file) in [("html", &html), ("epub", &epub)] {
        let export = ["enqueue", "export", "novel", "--format", format, "--wait"];
        let exported = world.json(&export);
        let id = exported["id"].as_str().unwrap().to_owned();
        world.json(&["artifacts", "get", &id, "-o", file.to_str().unwrap()]);
    }
    assert!(std::fs::read_to_string(html).unwrap().trim_end().ends_with("</html>"));
    assert!(std::fs::read(epub).unwrap().starts_with(b"PK"));
    assert_eq!(world.objects(), [] as [String; 0], "nothing is kept in the data directory");
    let keys: Vec<String> = server.objects().into_iter().map(|(key, _)| key).collect();
    let (marks, others): (Vec<_>, Vec<_>) =
        keys.iter().partition(|key| key.starts_with("some/prefix/.presswork/"));
    let what = "whether it keeps conditions, and whose it is";
    assert_eq!(marks, ["some/prefix/.presswork/conditions", "some/prefix/.presswork/queue"], "{what}");
    assert!(others.iter().all(|key| key.starts_with("some/prefix/default/")), "{keys:?}");
    let doctor = world.run(&["doctor"]);
    assert!(doctor.status.success(), "{}", text(&doctor));
}

#[test]
fn a_storage_that_keeps_no_conditions_is_told_of_once_and_worked_on() {
    for conditioned in [Conditioned::Ignored, Conditioned::NotAllowed] {
        let server = S3Server::start();
        server.condition(conditioned);
        let world = World::on_s3(&server, "x");
        let book = world.file("novel.md", long_book(1_000));
        let log = std::fs::File::create(world.path("log")).unwrap();
        let _worker = world.start_saying(&["up", "--json", "--log", "warn"], log.into());
        for project in ["one", "two", "one"] {
            let imported = world.json(&["enqueue", "import", &book, "--project", project, "--wait"]);
            assert_eq!(imported["state"], "completed", "{conditioned:?}: {imported}");
        }
        let log = std::fs::read_to_string(world.path("log")).unwrap();
        let told = log.matches("Let one process run the kinds that change them").count();
        assert_eq!(told, 1, "{conditioned:?}: {log}");
    }
}

#[test]
fn an_export_goes_on_where_the_storage_stumbles() {
    let server = S3Server::start();
    let (world, _worker) = with_book(&server, 6 << 20);
    let kinds = [Operation::CreateUpload, Operation::UploadPart, Operation::CompleteUpload, Operation::Put];
    let faults =
        [Fault::InternalError, Fault::SlowDown, Fault::CutRequest(64), Fault::CutAnswer, Fault::LoseAnswer];
    for (place, operation) in kinds.into_iter().enumerate() {
        // Every fault comes up, and not every pair: those are tried on the artifact store alone.
        for fault in [faults[place], faults[(place + 2) % faults.len()]] {
            server.break_one(Matching::operation(operation).key("/artifacts/"), 1, fault);
            let exported = world.json(&[
                "enqueue",
                "export",
                "novel",
                "--format",
                "markdown",
                "--compression",
                "none",
                "--wait",
            ]);
            assert_eq!(exported["state"], "completed", "{operation:?} {fault:?}: {exported}");
            let file = world.path("novel.out");
            let get = ["artifacts", "get", exported["id"].as_str().unwrap(), "-o", file.to_str().unwrap()];
            world.json(&[&get[..], &["--force"]].concat());
            assert!(std::fs::metadata(&file).unwrap().len() > 5 << 20, "{operation:?} {fault:?}");
            server.behave();
        }
    }
    let figures = server.figures();
    assert!(figures.uploads(UploadState::Completed) >= 8, "{figures}");
}

#[test]
fn a_storage_that_refuses_is_named_and_nothing_is_seen() {
    let server = S3Server::start();
    let (world, _worker) = with_book(&server, 50_000);
    server.break_many(Matching::any().key("/artifacts/"), 1, u32::MAX, Fault::AccessDenied);
    let enqueued = world.json(&["enqueue", "export", "novel", "--format", "text"]);
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    let failed = watcher
        .until(|line| line["type"] == "state" && line["state"] != "running" && line["reason"].is_string());
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("storage") && reason.contains("AccessDenied"), "{reason}");
    assert!(!reason.contains(crate::servers::s3::SECRET_KEY), "{reason}");
    let job = world.json(&["jobs", "show", id]);
    assert!(job["artifacts"].as_array().is_none_or(Vec::is_empty), "{job}");
    assert!(server.objects().iter().all(|(key, _)| !key.contains("/artifacts/")), "{:?}", server.objects());
}

#[test]
fn a_storage_that_is_away_is_told_with_what_to_do() {
    let world = World::new();
    let book = world.file("novel.md", long_book(1_000));
    let mut command = world.command(&["enqueue", "import", &book, "--storage-url", "s3://books/x"]);
    command.envs([
        ("AWS_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_MAX_RETRIES", "0"),
    ]);
    command.envs([
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("storage") && !text(&output).contains("hunter2"), "{}", text(&output));
}
