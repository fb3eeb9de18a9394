//! `kill -9` in the middle of an export: the job completes, one artifact, the file intact.

use serde_json::Value;

use crate::world::{Running, World, long_book};

pub(crate) fn is_progress_beyond(percent: f64) -> impl Fn(&Value) -> bool {
    move |line| line["type"] == "progress" && line["percent"].as_f64().unwrap() > percent
}

/// The watcher, which has seen the first attempt, sees the second one through, and what it made is whole.
pub(crate) fn completes_at_the_second_attempt(world: &World, mut watcher: Running, id: &str) {
    // By sequence number, without a gap or a step back.
    let mut last = watcher.until(|_| true);
    let mut percent: f64 = 0.0;
    while let Some(line) = watcher.next_json() {
        assert_eq!(line["sequence"].as_u64(), last["sequence"].as_u64().map(|n| n + 1), "{line}");
        if let Some(now) = line["percent"].as_f64() {
            assert!(now >= percent, "{line}");
            percent = now;
        }
        last = line;
    }
    assert_eq!((&last["type"], &last["state"]), (&"state".into(), &"completed".into()));
    assert_eq!(watcher.child.wait().unwrap().code(), Some(0));

    let job = world.json(&["jobs", "show", id]);
    assert_eq!((&job["state"], &job["attempt"]), (&"completed".into(), &2.into()), "{job}");
    assert_eq!(job["artifacts"].as_array().unwrap().len(), 1);
    let copy = world.path("copy.html");
    world.json(&["artifacts", "get", id, "-o", copy.to_str().unwrap()]);
    let html = std::fs::read_to_string(copy).unwrap();
    assert!(html.contains("Chapter 1<") && html.trim_end().ends_with("</html>"));
}

#[test]
fn a_worker_killed_in_the_middle_of_an_export_loses_nothing() {
    let world = World::new();
    let book = world.file("long.md", long_book(6 << 20));
    let up = ["up", "--json", "--lease", "2s"];
    let mut first = world.start(&up);
    world.json(&["enqueue", "import", &book, "--project", "long", "--wait"]);

    let enqueued = world.json(&["enqueue", "export", "long", "--format", "html", "--compression", "brotli"]);
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    watcher.until(is_progress_beyond(20.0));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(world.json(&["jobs", "show", id])["state"], "running");

    let _second = world.start(&up);
    completes_at_the_second_attempt(&world, watcher, id);
    assert_eq!(world.integrity(), "ok");
}

#[test]
fn a_worker_asked_to_stop_hands_its_job_back_at_no_cost() {
    let world = World::new();
    let book = world.file("long.md", long_book(6 << 20));
    let up = ["up", "--json", "--drain", "0s"];
    let mut first = world.start(&up);
    world.json(&["enqueue", "import", &book, "--project", "long", "--wait"]);
    let enqueued = world.json(&["enqueue", "export", "long", "--format", "html", "--compression", "brotli"]);
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    watcher.until(is_progress_beyond(10.0));
    let asked = std::process::Command::new("kill").args(["-TERM", &first.child.id().to_string()]).status();
    assert!(asked.unwrap().success());
    assert_eq!(first.child.wait().unwrap().code(), Some(0));
    let job = world.json(&["jobs", "show", id]);
    assert_eq!(job["attempt"], 0, "{job}");

    let _second = world.start(&up);
    watcher.until(|line| line["state"] == "completed");
    assert_eq!(world.json(&["jobs", "show", id])["attempt"], 1);
}
