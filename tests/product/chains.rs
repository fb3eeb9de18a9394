//! Jobs that are tied together on the command line: one after the other, several with one that follows, one at a time.

use crate::world::{World, text};

#[test]
fn an_export_waits_for_the_import_it_names() {
    let world = World::new();
    let file = world.file("good.md", "# One\n\nWords.\n");
    let imported = world.json(&["enqueue", "import", &file, "--project", "good"]);
    let import = imported["id"].as_str().unwrap();
    let exported = world.json(&["enqueue", "export", "good", "--format", "text", "--after", import]);
    let export = exported["id"].as_str().unwrap();
    let job = world.json(&["jobs", "show", export]);
    assert_eq!((&job["state"], &job["after"]), (&"blocked".into(), &[import].into()), "{job}");
    let shown = world.run(&["jobs", "show", export]);
    assert!(text(&shown).contains(&format!("after        {import}")), "{}", text(&shown));

    let _up = world.start(&["up", "--json"]);
    let watched = world.run(&["watch", export]);
    assert!(watched.status.success(), "{}", text(&watched));

    let stranger = "job_00000000000000000000000000";
    let refused = world.run(&["enqueue", "export", "good", "--format", "text", "--after", stranger]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains(stranger), "{}", text(&refused));
}

#[test]
fn what_follows_a_batch_runs_once_all_of_its_jobs_have_ended() {
    let world = World::new();
    let files = ["one", "two"].map(|name| world.file(&format!("{name}.md"), "# One\n\nWords.\n"));
    let payload = r#"{"project":"one","format":"text"}"#;
    let open = ["batches", "open", "--size", "2", "--callback", "export", "--payload", payload];
    let opened = world.json(&open);
    let (batch, callback) = (opened["id"].as_str().unwrap(), opened["callback"].as_str().unwrap());
    let again = world.json(&[&open[..], &["--id", batch]].concat());
    assert_eq!((&again["duplicate"], &again["callback"]), (&true.into(), &callback.into()), "{again}");

    let import = |file: &str, name: &str| {
        world.json(&["enqueue", "import", file, "--project", name, "--batch", batch])
    };
    let job = import(&files[0], "one");
    let job = world.json(&["jobs", "show", job["id"].as_str().unwrap()]);
    assert_eq!(job["batch"], batch);
    let _up = world.start(&["up", "--json"]);
    assert_eq!(world.json(&["jobs", "show", callback])["state"], "blocked");
    import(&files[1], "two");
    let watched = world.run(&["watch", callback]);
    assert!(watched.status.success(), "{}", text(&watched));
    let shown = world.json(&["batches", "show", batch]);
    assert_eq!((&shown["ended"], &shown["completed"]), (&2.into(), &2.into()), "{shown}");
    let full = world.run(&["enqueue", "export", "one", "--format", "text", "--batch", batch]);
    assert_eq!(full.status.code(), Some(2), "{}", text(&full));
}

#[test]
fn of_a_unique_key_one_job_waits_at_a_time() {
    let world = World::new();
    let enqueue = || world.json(&["enqueue", "export", "novel", "--format", "text", "--unique", "novel"]);
    let (one, two) = (enqueue(), enqueue());
    assert_eq!((&one["id"], &two["duplicate"]), (&two["id"], &true.into()));
    let id = one["id"].as_str().unwrap();
    let shown = world.json(&["jobs", "show", id]);
    assert_eq!(shown["unique"]["window"], "waiting", "{shown}");
    world.json(&["jobs", "cancel", id]);
    assert_ne!(enqueue()["id"], one["id"]);
}
