//! Parts of a project: some chapters, the characters; and what is done with the files that were made.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::world::{World, prepared, text, validate};

const BOOK: &str = "+++\ntitle = \"Novel\"\nlanguage = \"en\"\n+++\n\n# One\n\nThe first, then [the third](#three).\n\n\
    # Two\n\nThe second, after [the first](#one), before [the third](#three).\n\n# Three\n\nThe third.\n";

fn world() -> (World, crate::world::Running) {
    let world = World::new();
    let up = world.start(&["up", "--json"]);
    let file = world.file("novel.md", BOOK);
    world.json(&["enqueue", "import", &file, "--project", "novel", "--wait"]);
    (world, up)
}

fn export(world: &World, arguments: &[&str]) -> Value {
    let job = world.json(&[&["enqueue", "export", "novel", "--wait"], arguments].concat());
    assert_eq!(job["state"], "completed", "{job}");
    job
}

fn fetched(world: &World, job: &Value) -> std::path::PathBuf {
    let name = job["artifacts"][0]["name"].as_str().unwrap();
    world.json(&["artifacts", "get", job["id"].as_str().unwrap()]);
    world.path(name)
}

#[test]
fn some_chapters_go_out_as_a_valid_book_of_their_own() {
    let (world, _up) = world();
    let epub = export(&world, &["--format", "epub", "--chapters", "2"]);
    assert_eq!(epub["artifacts"][0]["name"], "novel-chapter-2.epub");
    assert_eq!(epub["result"]["chapters"], 1);
    let mut checker = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("epubcheck"));
    checker.args(["--failonwarnings", "--quiet"]).arg(fetched(&world, &epub));
    validate(checker);

    let markdown = export(&world, &["--format", "markdown", "--chapters", "2-"]);
    assert_eq!(markdown["artifacts"][0]["name"], "novel-chapters-2-end.md");
    let part = fs::read_to_string(fetched(&world, &markdown)).unwrap();
    assert!(part.contains("after the first, before [the third](#c2"), "{part}");
    assert!(!part.contains("# One"), "{part}");
    assert_eq!(markdown["result"]["dropped"]["link to a chapter outside of the part"], 1, "{markdown}");

    let beyond =
        world.run(&["enqueue", "export", "novel", "--format", "epub", "--chapters", "2-9", "--wait"]);
    assert_eq!(beyond.status.code(), Some(1), "{}", text(&beyond));
    assert!(text(&beyond).contains("the book has 3 chapters: there is no chapter 9"), "{}", text(&beyond));
    let backwards = world.run(&["enqueue", "export", "novel", "--format", "epub", "--chapters", "3-2"]);
    assert_eq!(backwards.status.code(), Some(2), "{}", text(&backwards));
}

#[test]
fn characters_go_out_as_tables_arrays_and_sheets() {
    let (world, _up) = world();
    let none = world.run(&["enqueue", "export", "novel", "--characters", "--format", "csv", "--wait"]);
    assert!(none.status.code() == Some(1) && text(&none).contains("has no characters"), "{}", text(&none));

    let formula = "=HYPERLINK(\"http://x\")";
    let many: Vec<Value> = (0..300)
        .map(|number| json!({ "id": format!("c{number:03}"), "name": formula, "notes": "a,\"b\"\nc", "age": number }))
        .collect();
    let one = json!({ "id": "odysseus", "name": "Odysseus", "aliases": ["Outis"], "first_chapter": 1 });
    let files =
        [world.file("many.json", Value::from(many).to_string()), world.file("one.json", one.to_string())];
    let added = world.json(&["characters", "add", "novel", &files[0], &files[1]]);
    assert_eq!(added["added"].as_array().unwrap().len(), 301);
    let again = world.run(&["characters", "add", "novel", &files[1]]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    world.json(&["characters", "add", "novel", &files[1], "--replace"]);
    assert_eq!(world.json(&["characters", "show", "novel", "odysseus"]), one);
    let listed = world.json(&["characters", "list", "novel", "--limit", "2"]);
    assert_eq!((&listed["characters"][1]["id"], &listed["more"]), (&"c001".into(), &true.into()));
    assert_eq!(world.json(&["characters", "remove", "novel", "c000"])["removed"], json!(["c000"]));

    let python = |script: &str, arguments: &[&std::path::Path]| {
        let mut python = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("python"));
        python.args(["-c", script]).args(arguments);
        validate(python);
    };
    let csv = export(&world, &["--characters", "--format", "csv"]);
    assert_eq!(
        (&csv["result"]["characters"], &csv["artifacts"][0]["name"]),
        (&300.into(), &"novel-characters.csv".into())
    );
    let rows = "import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True))
assert len(rows) == 300, len(rows)
assert rows[0]['id'] == 'c001' and rows[-1]['id'] == 'odysseus', rows[0]
assert rows[0]['name'] == \"'=HYPERLINK(\\\"http://x\\\")\", rows[0]
assert rows[0]['notes'] == 'a,\"b\"\\nc' and rows[0]['extra'] == '{\"age\":1}', rows[0]
assert rows[-1]['aliases'] == 'Outis' and rows[-1]['first_chapter'] == '1', rows[-1]";
    python(rows, &[&fetched(&world, &csv)]);

    let array = export(&world, &["--characters", "--format", "json"]);
    let schema =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/sheets/characters.schema.json");
    let check = "import sys, json, jsonschema
schema = json.load(open(sys.argv[1])); all = json.load(open(sys.argv[2]))
jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.Draft202012Validator(schema).validate(all)
assert len(all) == 300 and all[0]['age'] == 1";
    python(check, &[&schema, &fetched(&world, &array)]);
    let sheets = export(&world, &["--characters", "--format", "markdown"]);
    assert!(fs::read_to_string(fetched(&world, &sheets)).unwrap().contains("# Odysseus\n"));

    for wrong in [&["--characters", "--format", "epub"][..], &["--format", "csv"]] {
        let refused = world.run(&[&["enqueue", "export", "novel"], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    }
}

#[test]
fn artifacts_are_read_in_ranges_verified_and_removed() {
    let (world, _up) = world();
    let job = export(&world, &["--format", "text"]);
    let (id, whole) = (job["id"].as_str().unwrap(), fs::read(fetched(&world, &job)).unwrap());
    for (range, found) in [("0-4", &whole[..5]), ("10-", &whole[10..]), ("-7", &whole[whole.len() - 7..])] {
        let cat = world.run(&["artifacts", "cat", id, "--range", range]);
        assert!(cat.status.success() && cat.stdout == found, "{range}: {}", text(&cat));
    }
    let beyond = world.run(&["artifacts", "cat", id, "--range", "99999999-"]);
    assert_eq!(beyond.status.code(), Some(2), "{}", text(&beyond));
    assert_eq!(world.json(&["artifacts", "verify", id])["artifacts"][0]["state"], "ok");
    assert_eq!(world.json(&["artifacts", "list"])["artifacts"][0]["job"], id);
    let lent = world.run(&["artifacts", "url", id]);
    assert!(lent.status.code() == Some(2) && text(&lent).contains("can't lend"), "{}", text(&lent));

    let other = export(&world, &["--format", "html"]);
    let key = other["artifacts"][0]["manifest"]
        .as_str()
        .unwrap()
        .replace("/.manifests/", "/")
        .replace(".html.json", ".html");
    let path = world.data().join("objects").join(key);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = world.run(&["artifacts", "verify", "--all"]);
    assert_eq!(damaged.status.code(), Some(3), "{}", text(&damaged));
    assert!(text(&damaged).contains("1 of 2 artifacts are damaged or missing"), "{}", text(&damaged));

    assert_eq!(world.json(&["artifacts", "rm", id])["removed"][0], "novel.txt");
    assert!(world.json(&["artifacts", "list", id])["artifacts"][0]["removed_at"].is_string());
    let verified = world.run(&["artifacts", "verify", id]);
    assert!(!verified.status.success() && text(&verified).contains("removed"), "{}", text(&verified));
    let gone = world.run(&["artifacts", "get", id, "--force"]);
    assert!(gone.status.code() == Some(2) && text(&gone).contains("was removed at"), "{}", text(&gone));
    assert_eq!(world.json(&["artifacts", "rm", id])["gone"][0], "novel.txt");
}
