//! The product on Redis: processes that share nothing but a Redis and a storage.

use serde_json::{Value, json};

use presswork::{
    client::Client,
    domain::{BatchId, NewBatch, NewJob},
};

use crate::{
    crash::{completes_at_the_second_attempt, is_progress_beyond},
    demo::{check_all, files_of},
    processes::cancel_a_running_export,
    servers::{RedisServer, redis::RedisOptions},
    world::{World, long_book, text},
};

/// A world on a server of its own.
fn fleet() -> (RedisServer, World) {
    let server = RedisServer::start();
    let world = World::on_redis(&server.url());
    (server, world)
}

#[test]
fn two_worker_processes_share_the_demo_and_its_files_are_valid() {
    let (_server, world) = fleet();
    let report = world.json(&["demo"]);
    check_all(&world, &files_of(&report));
    let workers = report["workers"].as_array().unwrap();
    let completed: u64 = workers.iter().map(|worker| worker["completed"].as_u64().unwrap()).sum();
    assert_eq!(completed, 8, "an import and seven exports: {workers:?}");
    let processes: std::collections::BTreeSet<u64> =
        workers.iter().map(|worker| worker["process"].as_u64().unwrap()).collect();
    assert_eq!((workers.len(), processes.len()), (2, 2), "{workers:?}");
}

#[test]
fn a_worker_killed_in_the_middle_of_an_export_is_stood_in_for_by_the_other() {
    let (_server, world) = fleet();
    let book = world.file("long.md", long_book(6 << 20));
    let up = ["up", "--json", "--lease", "2s", "--kind", "export"];
    let _importer = world.start(&["up", "--json", "--kind", "import"]);
    let mut workers: Vec<_> = (0..2)
        .map(|_| {
            let mut worker = world.start(&up);
            let started = worker.until(|line| line["event"] == "started");
            (started["worker"].clone(), worker)
        })
        .collect();
    world.json(&["enqueue", "import", &book, "--project", "long", "--wait"]);
    let enqueued = world.json(&["enqueue", "export", "long", "--format", "html", "--compression", "brotli"]);
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    watcher.until(is_progress_beyond(20.0));
    let runs_it = world.json(&["jobs", "show", id])["worker"].clone();
    let (_, killed) = workers.iter_mut().find(|(worker, _)| *worker == runs_it).unwrap();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();

    // The watcher is a third process.
    completes_at_the_second_attempt(&world, watcher, id);
}

#[test]
fn a_running_export_is_cancelled_from_another_process_and_leaves_nothing() {
    let (_server, world) = fleet();
    let _up = world.start(&["up", "--json"]);
    cancel_a_running_export(&world);
}

/// What `doctor` says of a server: its exit code, and the health and words of its checks named `redis`.
fn diagnosis(options: RedisOptions) -> (Option<i32>, Vec<(String, String)>) {
    let server = RedisServer::start_with(options);
    let world = World::on_redis(&server.url());
    let output = world.run(&["doctor", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "redis");
    (output.status.code(), checks.map(|check| (word(check, "health"), word(check, "detail"))).collect())
}

#[test]
fn doctor_says_what_of_a_redis_could_lose_jobs() {
    let durable = RedisOptions { append_only: true, ..RedisOptions::default() };
    let (code, checks) = diagnosis(durable.clone());
    let healths: Vec<_> = checks.iter().map(|(health, _)| health.as_str()).collect();
    assert_eq!((code, healths), (Some(0), vec!["ok"]), "{checks:?}");

    let (code, checks) = diagnosis(RedisOptions::default());
    assert_eq!((code, checks.len(), checks[0].0.as_str()), (Some(0), 1, "warning"), "{checks:?}");
    assert!(checks[0].1.contains("nothing is kept on disk"), "{checks:?}");

    let settings = vec!["maxmemory 100mb".to_owned(), "maxmemory-policy allkeys-lru".to_owned()];
    let (code, checks) = diagnosis(RedisOptions { settings, ..durable });
    assert_eq!((code, checks.len(), checks[0].0.as_str()), (Some(3), 1, "bad"), "{checks:?}");
    assert!(checks[0].1.contains("allkeys-lru") && checks[0].1.contains("noeviction"), "{checks:?}");
}

#[test]
fn a_redis_that_is_away_is_told_without_its_password() {
    let mut server = RedisServer::start_with(RedisOptions {
        login: Some("app:s3cret-word".to_owned()),
        users: vec!["user app on >s3cret-word ~* &* +@all".to_owned()],
        ..RedisOptions::default()
    });
    let world = World::on_redis(&server.url());
    world.json(&["enqueue", "export", "novel", "--format", "text"]);
    server.kill();
    for arguments in [
        &["enqueue", "export", "novel", "--format", "text"][..],
        &["jobs", "list"],
        &["stats"],
        &["doctor"],
        &["up"],
    ] {
        for arguments in [arguments.to_vec(), [arguments, &["--json"]].concat()] {
            let output = world.run(&arguments);
            let told = text(&output);
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {told}");
            assert!(told.contains("127.0.0.1") && !told.contains("s3cret"), "{arguments:?}: {told}");
        }
    }
    server.restart();
    world.json(&["enqueue", "export", "novel", "--format", "text"]);
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let server = RedisServer::start_with(RedisOptions {
        login: Some("app:wr0ng-word".to_owned()),
        users: vec!["user app on >right-word ~* &* +@all".to_owned()],
        ..RedisOptions::default()
    });
    let output = World::on_redis(&server.url()).run(&["stats"]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(!told.contains("wr0ng"), "{told}");
}

#[test]
fn limits_set_at_run_time_hold_on_the_next_claim_and_say_so() {
    let (_server, world) = fleet();
    let enqueue = || {
        let enqueued = world.json(&["enqueue", "export", "novel", "--format", "text"]);
        enqueued["id"].as_str().unwrap().to_owned()
    };
    let why = |id: &str| world.json(&["jobs", "why", id]);
    let _up = world.start(&["up", "--json"]);
    world.json(&["tenants", "set", "default", "--max-running", "0", "--weight", "3", "--max-waiting", "2"]);
    assert_eq!(world.json(&["tenants", "show", "default"])["weight"], 3);
    let (first, second) = (enqueue(), enqueue());
    let told = why(&first);
    assert_eq!(
        (&told["state"], &told["constraint"]["type"]),
        (&"waiting".into(), &"tenant_running".into()),
        "{told}"
    );
    assert_eq!(why(&second)["ahead"], 1);
    let refused = world.run(&["enqueue", "export", "novel", "--format", "text"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));

    world.json(&["tenants", "set", "default", "--max-running", "none"]);
    // There is no such project: both die.
    for id in [first, second] {
        assert_eq!(world.run(&["watch", &id]).status.code(), Some(1));
        assert_eq!(world.json(&["jobs", "show", &id])["state"], "dead");
    }
}

#[test]
fn a_schedule_makes_its_job_on_redis() {
    let (_server, world) = fleet();
    let payload = json!({ "project": "novel", "format": "text" }).to_string();
    world.json(&[
        "schedules",
        "set",
        "often",
        "--kind",
        "export",
        "--cron",
        "* * * * * *",
        "--payload",
        &payload,
    ]);
    let listed = world.json(&["schedules", "list"]);
    assert_eq!(listed["schedules"][0]["name"], "often", "{listed}");
    let _up = world.start(&["up", "--json"]);
    let made = crate::servers::process::comes_true(|| {
        let jobs = world.json(&["jobs", "list", "--state", "dead"]);
        !jobs["jobs"].as_array().unwrap().is_empty()
    });
    assert!(made, "no job of the schedule has run");
    world.json(&["schedules", "remove", "often"]);
}

#[test]
fn a_batch_opened_by_a_client_is_shown_with_its_progress() {
    let (server, world) = fleet();
    let _up = world.start(&["up", "--json"]);
    let book = world.file("good.md", "# One\n\nWords.\n");
    world.json(&["enqueue", "import", &book, "--project", "good", "--wait"]);
    let batch = BatchId::from_u128(42);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let tenant: presswork::domain::TenantId = "default".parse().unwrap();
        let job = |format: &str| {
            let payload = json!({ "project": "good", "format": format });
            let job = client.job(tenant.clone(), "export".parse().unwrap(), 1, &payload).unwrap();
            NewJob { batch: Some(batch), ..job }
        };
        let callback = NewJob { batch: None, ..job("json") };
        let follower = callback.id;
        let open = NewBatch { id: batch, tenant: tenant.clone(), size: 2, callback: Some(callback) };
        client.queue().open_batch(open).await.unwrap().unwrap();
        for answer in client.enqueue(vec![job("text"), job("html")]).await.unwrap() {
            answer.unwrap();
        }
        let ended = client.wait_for(&tenant, follower, std::time::Duration::from_secs(60)).await.unwrap();
        assert_eq!(ended.unwrap().state, presswork::domain::State::Completed);
    });
    let shown = world.json(&["batches", "show", &batch.to_string()]);
    assert_eq!((&shown["completed"], &shown["percent"]), (&2.into(), &json!(100.0)), "{shown}");
}
