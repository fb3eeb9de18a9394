//! What people bring, through the binary: characters by the thousand, pages, archives; killed in the middle and gone on with.

use std::io::{Cursor, Write as _};

use serde_json::Value;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::world::{World, text};

/// Enqueues, waits, and gives the job.
fn done(world: &World, arguments: &[&str]) -> Value {
    let output = world.run(&[&["enqueue"], arguments, &["--wait", "--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// The result of the job that `done` gives.
fn result(job: &Value) -> &Value {
    &job["result"]
}

#[test]
fn characters_of_a_table_are_stored_or_reported_with_their_lines() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    let table = "Figur;Rolle;Notiz\r\nOdysseus;protagonist;'=1+1\r\n;nobody;\r\nPenelope;wife;\"a; b\"\r\n";
    let file = world.file("cast.csv", table);
    let job = done(
        &world,
        &[
            "characters",
            &file,
            "--project",
            "p",
            "--column",
            "Figur=name",
            "--column",
            "Rolle=role",
            "--ids-from-names",
        ],
    );
    let told = result(&job);
    assert_eq!(
        (&told["items"], &told["created"], &told["failed"]),
        (&3.into(), &2.into(), &1.into()),
        "{job}"
    );
    assert_eq!((&told["failures"][0]["line"], &told["delimiter"]), (&3.into(), &"semicolon".into()), "{job}");
    let shown = world.json(&["characters", "show", "p", "odysseus"]);
    assert_eq!((&shown["role"], &shown["Notiz"]), (&"protagonist".into(), &"=1+1".into()), "{shown}");

    let output = world.run(&[
        "enqueue",
        "characters",
        &file,
        "--project",
        "q",
        "--column",
        "Figur=name",
        "--ids-from-names",
        "--max-failures",
        "30%",
        "--wait",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("line 3"), "{}", text(&output));
    assert!(!world.objects().iter().any(|key| key.contains("projects/q")), "{:?}", world.objects());
    let refused = world.run(&["enqueue", "characters", &file, "--project", "q", "--max-failures", "x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[test]
fn an_import_of_characters_that_is_killed_goes_on_and_stores_each_once() {
    let world = World::new();
    let rows: String = (0..6_000).map(|n| format!("{{\"id\":\"c{n}\",\"name\":\"N{n}\"}}\n")).collect();
    let file = world.file("cast.jsonl", rows);
    let enqueued = world.json(&["enqueue", "characters", &file, "--project", "p", "--batch-size", "100"]);
    let id = enqueued["id"].as_str().unwrap().to_owned();
    let mut first = world.start(&["up", "--json"]);
    let mut watch = world.start(&["watch", &id, "--json"]);
    watch.until(|event| event["type"] == "progress" && event["done"].as_u64() >= Some(500));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let _second = world.start(&["up", "--json"]);
    watch.until(|event| event["type"] == "state" && event["state"] == "completed");
    let job = world.json(&["jobs", "show", &id]);
    assert!(job["attempt"].as_u64() >= Some(2), "{job}");
    let told = result(&job);
    let count = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(
        (count("items"), count("created") + count("unchanged"), count("failed")),
        (6_000, 6_000, 0),
        "{job}"
    );
    // At most what was stored of one batch when it was killed.
    assert!(count("unchanged") <= 100, "{job}");
    let stored = world
        .objects()
        .iter()
        .filter(|key| key.contains("projects/p/characters/") && key.ends_with(".json"))
        .count();
    assert_eq!(stored, 6_000);
}

#[test]
fn a_page_and_an_archive_become_books_and_chapters_begin_where_that_is_said() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    let page = world
        .file("novel.html", "<title>N</title><h2>Chapter 1</h2><p>a<h3>Chapter 2</h3><p>b<script>x</script>");
    let job = done(&world, &["import", &page, "--project", "page", "--chapters", "Chapter #"]);
    let told = result(&job);
    assert_eq!(
        (&told["format"], &told["chapters"], &told["title"]),
        (&"html".into(), &2.into(), &"N".into()),
        "{job}"
    );
    assert_eq!(told["dropped"]["script"], 1, "{job}");

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("b/10.md", "# Ten\n\nx\n"), ("b/9.md", "# Nine\n\ny\n")] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    let zip = world.file("book.zip", zip.finish().unwrap().into_inner());
    let job = done(&world, &["import", &zip, "--project", "zipped"]);
    assert_eq!(
        (&result(&job)["format"], &result(&job)["chapters"]),
        (&"markdown".into(), &2.into()),
        "{job}"
    );
    let chapters: Vec<String> = world
        .objects()
        .into_iter()
        .filter(|key| key.contains("projects/zipped/") && key.ends_with(".md"))
        .collect();
    assert!(chapters[0].ends_with("0001-nine.md") && chapters[1].ends_with("0002-ten.md"), "{chapters:?}");
}
