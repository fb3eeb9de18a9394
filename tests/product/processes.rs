//! Several processes on one data directory: one works, others enqueue, watch, cancel, fetch.

use presswork::{
    config::Settings,
    domain::{BatchId, JobId, KindName, NewBatch, NewJob, Payload},
    engine::Engine,
    queue::Opened,
};
use std::time::{Duration, Instant};

use crate::crash::is_progress_beyond;
use crate::world::{World, long_book, text};

#[test]
fn another_process_follows_and_fetches_what_a_worker_does() {
    let world = World::new();
    let file = world.file("good.md", "# One\n\nWords *here*.\n\n# Two\n\nMore.\n");
    let _up = world.start(&["up", "--json"]);
    let imported = world.json(&["enqueue", "import", &file, "--project", "good", "--wait"]);
    assert_eq!(imported["state"], "completed", "{imported}");

    let enqueued = world.json(&["enqueue", "export", "good", "--format", "markdown"]);
    let id = enqueued["id"].as_str().unwrap();
    let watched = world.run(&["watch", id]);
    assert!(watched.status.success(), "{}", text(&watched));
    let out = world.path("out.md");
    world.json(&["artifacts", "get", id, "-o", out.to_str().unwrap()]);
    let markdown = std::fs::read_to_string(&out).unwrap();
    assert!(markdown.contains("Words *here*."), "{markdown}");
    let again = world.run(&["artifacts", "get", id, "-o", out.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2), "a file that is there is not overwritten: {}", text(&again));
}

/// Cancels an export while it runs, which leaves nothing; answers its id.
pub(crate) fn cancel_a_running_export(world: &World) -> String {
    let book = world.file("long.md", long_book(24 << 20));
    world.json(&["enqueue", "import", &book, "--project", "long", "--wait"]);
    let enqueued = world.json(&["enqueue", "export", "long", "--format", "html", "--compression", "brotli"]);
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    watcher.until(is_progress_beyond(5.0));
    world.json(&["jobs", "cancel", id]);
    let last = watcher.until(|line| line["type"] == "state" && line["state"] != "running");
    assert_eq!(last["state"], "cancelled");
    assert_eq!(watcher.child.wait().unwrap().code(), Some(1));
    assert!(!world.objects().iter().any(|key| key.contains("/artifacts/")), "{:?}", world.objects());
    id.to_owned()
}

#[test]
fn a_running_export_is_cancelled_from_another_process_and_leaves_nothing() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    let id = &cancel_a_running_export(&world);
    let retried = world.run(&["jobs", "retry", id]);
    assert!(retried.status.success(), "{}", text(&retried));
    assert!(world.run(&["watch", id]).status.success());
}

/// The schedule is made by one process and noticed by the worker, another one.
#[test]
fn a_schedule_of_another_process_is_noticed_and_its_job_awaited() {
    let world = World::new();
    let file = world.file("good.md", "# One\n\nWords *here*.\n");
    let mut up = world.start(&["up", "--json"]);
    world.json(&["enqueue", "import", &file, "--project", "good", "--wait"]);
    let payload = r#"{"project":"good","format":"markdown"}"#;
    let every_second = ["--cron", "* * * * * *", "--zone", "Europe/Berlin", "--catch-up", "one"];
    let set = [&["schedules", "set", "often", "--kind", "export", "--payload", payload], &every_second[..]]
        .concat();
    assert_eq!(world.json(&set)["plan"]["payload"]["json"]["format"], "markdown");
    assert_eq!(
        world.json(&["schedules", "next", "often", "--count", "3"])["next"].as_array().unwrap().len(),
        3
    );
    let deadline = Instant::now() + Duration::from_secs(120);
    let job = loop {
        let shown = world.json(&["schedules", "show", "often"]);
        if let Some(job) = shown["last"]["job"].as_str() {
            break job.to_owned();
        }
        assert!(Instant::now() < deadline && up.child.try_wait().unwrap().is_none(), "{shown}");
    };
    assert!(world.json(&["schedules", "pause", "often"])["next"].is_null());
    let ended = world.json(&["jobs", "wait", &job, "--timeout", "10m"]);
    assert_eq!((ended["state"].as_str(), ended["kind"].as_str()), (Some("completed"), Some("export")));
    assert_eq!(world.json(&["schedules", "list"])["schedules"][0]["paused"], true);
    world.json(&["schedules", "remove", "often"]);
    let gone = world.run(&["schedules", "resume", "often"]);
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone));
}

#[test]
fn a_repeated_request_with_a_key_makes_one_job() {
    let world = World::new();
    let enqueue =
        || world.json(&["enqueue", "export", "novel", "--format", "epub", "--idempotency-key", "k1"]);
    let (one, two) = (enqueue(), enqueue());
    assert_eq!(one["id"], two["id"]);
    assert_eq!(world.json(&["jobs", "list"])["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_usage_and_unknown_things_have_exit_code_two() {
    let world = World::new();
    world.json(&["enqueue", "export", "novel", "--format", "html"]);
    for arguments in [
        &["enqueue", "export", "novel"][..],
        &["enqueue", "nonsense", "--payload", "{}"],
        &["jobs", "show", "job_nonsense"],
        &["jobs", "show", "job_00000000000000000000000000"],
        &["jobs", "why", "job_00000000000000000000000000"],
        &["batches", "show", "batch_00000000000000000000000000"],
        &["batches", "show", "job_00000000000000000000000000"],
        &["artifacts", "get", "job_00000000000000000000000000"],
        &["watch", "job_00000000000000000000000000"],
        &["frobnicate"],
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn dead_jobs_are_put_back_all_at_once() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    // More than are read at a time would take minutes here; the cursor has tests of its own.
    for project in ["one", "two", "three"] {
        let waited = world.run(&["enqueue", "export", project, "--format", "text", "--wait", "--json"]);
        assert_eq!(waited.status.code(), Some(1), "there is no such project: {}", text(&waited));
    }
    world.json(&["pause", "--everything"]);
    let put_back = world.json(&["jobs", "retry", "--all-dead"]);
    assert_eq!(put_back["jobs"].as_array().unwrap().len(), 3, "{put_back}");
    let listed = world.json(&["jobs", "list", "--state", "waiting"]);
    let attempts: Vec<_> =
        listed["jobs"].as_array().unwrap().iter().map(|job| job["attempt"].clone()).collect();
    assert_eq!(attempts, [0, 0, 0]);
    assert_eq!(world.json(&["jobs", "retry", "--all-dead"])["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn each_command_has_one_json_document_and_nothing_else() {
    let world = World::new();
    let enqueued = world.json(&["enqueue", "export", "novel", "--format", "text", "--delay", "1h"]);
    let id = enqueued["id"].as_str().unwrap();
    for arguments in [
        &["stats"][..],
        &["jobs", "list"],
        &["jobs", "show", id],
        &["jobs", "why", id],
        &["tenants", "show"],
        &["tenants", "set", "acme", "--weight", "2"],
        &["limits", "show"],
        &["limits", "set", "model:key", "90000/min:500"],
        &["limits", "reset", "model:key"],
        &["kinds", "list"],
        &["kinds", "set", "export", "--max-running", "4"],
        &["kinds", "show", "export"],
        &["pause", "--kind", "import"],
        &["resume", "--kind", "import"],
        &["doctor"],
        &["jobs", "cancel", id],
        &["jobs", "retry", id],
    ] {
        assert!(world.json(arguments).is_object(), "{arguments:?}");
    }
    for (arguments, kind) in [
        (&["frobnicate", "--json"][..], "usage"),
        (&["jobs", "show", "job_00000000000000000000000000", "--json"], "not-found"),
        (&["artifacts", "list", id, "--json"], "not-found"),
        (&["jobs", "why", "job_00000000000000000000000000", "--json"], "not-found"),
        (&["batches", "show", "batch_00000000000000000000000000", "--json"], "not-found"),
    ] {
        let output = world.run(arguments);
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["type"], kind, "{error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_limit_is_set_for_one_tenant_and_reset_over_what_the_file_says() {
    let world = World::new();
    std::fs::write(world.path("presswork.toml"), "[limits]\napi = \"7/min\"\n").unwrap();
    let run = |tenant: &str, arguments: &[&str]| {
        let config = world.path("presswork.toml");
        let before = ["--config", config.to_str().unwrap(), "--tenant", tenant];
        let told = world.json(&[&before[..], arguments].concat());
        let rows = told["limits"].as_array().unwrap().clone();
        move |resource: &str| {
            let row = rows.iter().find(|row| row["resource"] == resource);
            row.map(|row| (row["rate"].clone(), row["default"].clone(), row["remaining"].clone()))
        }
    };
    let set = |rate: &str, left: u32| Some((rate.into(), false.into(), left.into()));
    let default = |rate: &str, left: u32| Some((rate.into(), true.into(), left.into()));
    assert_eq!(
        run("acme", &["limits", "set", "model:key", "90000/min:500"])("model:key"),
        set("90000/min:500", 500)
    );
    assert_eq!(run("acme", &["limits", "set", "api", "3/s:3"])("api"), set("3/s:3", 3));
    let acme = run("acme", &["limits", "show"]);
    assert_eq!((acme("api"), acme("export")), (set("3/s:3", 3), default("20/min:20", 20)));
    let other = run("other", &["limits", "show"]);
    assert_eq!((other("api"), other("model:key")), (default("7/min:7", 7), None));
    let lifted = run("acme", &["limits", "set", "export", "none"])("export");
    assert_eq!(lifted, Some((serde_json::Value::Null, false.into(), serde_json::Value::Null)));
    assert_eq!(run("acme", &["limits", "reset", "api"])("api"), default("7/min:7", 7));
    let refused = world.run(&["limits", "set", "a b", "1/s"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[test]
fn a_job_that_does_not_start_says_why() {
    let world = World::new();
    let enqueue = |more: &[&str]| {
        let enqueued = world.json(&[&["enqueue", "export", "novel", "--format", "text"], more].concat());
        enqueued["id"].as_str().unwrap().to_owned()
    };
    let why = |id: &str| world.json(&["jobs", "why", id]);
    let later = enqueue(&["--delay", "1h"]);
    let told = why(&later);
    assert_eq!(
        (&told["state"], &told["constraint"]["type"]),
        (&"scheduled".into(), &"time".into()),
        "{told}"
    );
    assert_eq!(told["estimate"], told["constraint"]["until"]);

    let (first, second) = (enqueue(&[]), enqueue(&[]));
    let told = why(&second);
    assert_eq!((&told["constraint"]["type"], &told["ahead"]), (&"turn".into(), &1.into()), "{told}");
    // The wider pause is told; lifted, the next thing counts.
    world.json(&["kinds", "set", "export", "--max-running", "0"]);
    world.json(&["pause", "--kind", "export"]);
    world.json(&["pause", "--everything"]);
    assert_eq!(why(&first)["constraint"]["scope"], "everything");
    world.json(&["resume", "--everything"]);
    assert_eq!(why(&first)["constraint"]["scope"]["kind"], "export");
    world.json(&["resume", "--kind", "export"]);
    let told = why(&first);
    assert_eq!(
        (&told["constraint"]["type"], &told["constraint"]["limit"]),
        (&"kind_running".into(), &0.into())
    );
    assert_eq!(world.json(&["kinds", "show", "export"])["max_running"], 0);

    let shown = world.run(&["jobs", "why", &first]);
    assert!(shown.status.success() && text(&shown).contains("held up by"), "{}", text(&shown));
    world.json(&["jobs", "cancel", &first]);
    assert_eq!(why(&first)["constraint"]["type"], "nothing");
}

#[tokio::test]
async fn a_batch_shows_how_far_it_is() {
    let world = World::new();
    // No command opens a batch: producers do.
    let settings = Settings { data_dir: world.data(), ..Settings::default() };
    let (tenant, id) = (settings.tenant.clone(), "batch_01kanp6f5rwe9b4p0e4y0m8sjg");
    let batch: BatchId = id.parse().unwrap();
    let queue = Engine::open(&settings).unwrap().queue;
    let open = NewBatch { id: batch, tenant: tenant.clone(), size: 4, callback: None };
    assert_eq!(queue.open_batch(open).await.unwrap(), Ok(Opened::Now));
    let payload = Payload { version: 1, bytes: b"{}".as_slice().into() };
    let member = |bits| NewJob {
        batch: Some(batch),
        ..NewJob::new(JobId::from_u128(bits), tenant.clone(), KindName::literal("export"), payload.clone())
    };
    let jobs = [member(1), member(2)];
    let ids = jobs.clone().map(|job| job.id.to_string());
    assert!(queue.enqueue(jobs.into()).await.unwrap().iter().all(Result::is_ok));
    world.json(&["jobs", "cancel", &ids[0]]);

    let shown = world.json(&["batches", "show", id]);
    let figures = ["size", "enqueued", "cancelled", "ended"].map(|name| shown[name].as_u64().unwrap());
    assert_eq!((figures, shown["percent"].as_f64()), ([4, 2, 1, 1], Some(25.0)), "{shown}");
    let told = text(&world.run(&["batches", "show", id]));
    assert!(told.contains("2 of 4 jobs") && told.contains("1 (25.0 %)"), "{told}");
}
