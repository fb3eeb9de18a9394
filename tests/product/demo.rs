//! `presswork demo`: an artifact in each format, each valid by a checker that nobody here wrote.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    docx::check_docx,
    world::{World, prepared, text, validate},
};

const FORMATS: [&str; 7] = ["docx", "epub", "html", "json", "markdown", "pdf", "text"];

/// The demo's files by format.
pub(crate) fn demo(world: &World, arguments: &[&str]) -> BTreeMap<String, Value> {
    files_of(&world.json(&[&["demo"], arguments].concat()))
}

/// The files of a demo's report, by format.
pub(crate) fn files_of(report: &Value) -> BTreeMap<String, Value> {
    let artifacts = report["artifacts"].as_array().unwrap().iter();
    let files: BTreeMap<String, Value> = artifacts
        .map(|artifact| (artifact["format"].as_str().unwrap().to_owned(), artifact.clone()))
        .collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), FORMATS);
    files
}

/// Fails unless each file is what its format says.
pub(crate) fn check_all(world: &World, files: &BTreeMap<String, Value>) {
    let file = |format: &str| world.path("").join(files[format]["file"].as_str().unwrap());
    for (format, artifact) in files {
        let size = fs::metadata(file(format)).unwrap().len();
        assert!(size > 0 && Some(size) == artifact["bytes"].as_u64(), "{format}: {size} bytes, {artifact}");
    }
    check_epub(&file("epub"));
    check_html(&file("html"));
    check_json(&file("json"));
    check_docx(&file("docx"), &file("json"));
    crate::pdf::check(&file("pdf"), &file("text"), 20);
    for format in ["markdown", "text"] {
        assert!(String::from_utf8(fs::read(file(format)).unwrap()).is_ok(), "{format}");
    }
}

fn check_epub(file: &Path) {
    let mut checker = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("epubcheck"));
    checker.args(["--failonwarnings", "--quiet"]).arg(file);
    validate(checker);
}

/// Runs a script of Python; fails with what it said where it is not content.
pub(crate) fn python(script: &str, arguments: &[&Path]) {
    let mut python = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("python"));
    validate({
        python.args(["-c", script]).args(arguments);
        python
    });
}

fn check_html(file: &Path) {
    let strict = "import sys, html5lib
parser = html5lib.HTMLParser(strict=False)
parser.parse(open(sys.argv[1], 'rb'), transport_encoding='utf-8')
sys.exit('\\n'.join(f'{where}: {code} {data}' for where, code, data in parser.errors[:20]) or 0)";
    python(strict, &[file]);
}

fn check_json(file: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/book.schema.json");
    let check = "import sys, json, jsonschema
schema = json.load(open(sys.argv[1])); book = json.load(open(sys.argv[2]))
jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.Draft202012Validator(schema).validate(book)";
    python(check, &[&schema, file]);
}

#[test]
fn the_demo_exports_the_handbook_to_valid_files_of_every_format() {
    let world = World::new();
    let files = demo(&world, &[]);
    check_all(&world, &files);
    let epub = world.path("").join(files["epub"]["file"].as_str().unwrap());
    let text = world.path("").join(files["text"]["file"].as_str().unwrap());
    assert!(zip::ZipArchive::new(fs::File::open(epub).unwrap()).unwrap().len() > 15);
    assert!(fs::read_to_string(text).unwrap().contains("Presswork"));
    assert_eq!(world.integrity(), "ok");
}

#[test]
fn the_demo_may_be_run_again_in_the_same_place() {
    let world = World::new();
    let (one, two) = (demo(&world, &[]), demo(&world, &[]));
    for format in FORMATS {
        assert_eq!(one[format]["sha256"], two[format]["sha256"], "{format}: the same book, the same bytes");
    }
}

/// The largest books of a kind among those that `tests/run` has fetched.
pub(crate) fn real_books(kind: &str, most: usize) -> Vec<std::path::PathBuf> {
    let folder = prepared("PRESSWORK_TEST_BOOKS").join(kind);
    let mut books: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    books.sort_by_key(|book| std::cmp::Reverse(fs::metadata(book).unwrap().len()));
    books.truncate(most);
    assert!(!books.is_empty(), "no {kind} books");
    books
}

#[test]
fn the_demo_takes_real_epubs() {
    let books = real_books("epub", 4);
    assert!(books.len() >= 3, "three real EPUBs, not {books:?}");
    for book in books {
        let world = World::new();
        let files = demo(&world, &[book.to_str().unwrap()]);
        check_all(&world, &files);
    }
}

#[test]
fn the_demo_takes_real_markdown_and_text() {
    for book in [real_books("markdown", 1), real_books("text", 2)].concat() {
        let world = World::new();
        let files = demo(&world, &[book.to_str().unwrap()]);
        check_all(&world, &files);
    }
}

#[test]
fn a_book_survives_the_way_through_its_own_epub() {
    let world = World::new();
    let first = demo(&world, &[]);
    let epub = world.path("").join(first["epub"]["file"].as_str().unwrap());
    let copy = world.file("copy/again.epub", fs::read(epub).unwrap());
    let again = demo(&World::new(), &[&copy]);
    let sizes = |files: &BTreeMap<String, Value>| files["text"]["bytes"].as_u64().unwrap();
    let (one, two) = (sizes(&first), sizes(&again));
    assert!(two.abs_diff(one) * 50 < one, "plain text of {one} bytes, after an EPUB {two}");
}

#[test]
fn two_chapters_that_a_model_writes_are_taken_in_with_the_handbook_and_valid_in_every_format() {
    let world = World::new();
    let report = world.json(&["demo", "--generate"]);
    let files = files_of(&report);
    check_all(&world, &files);
    let generated = &report["generated"];
    assert_eq!((generated["project"].as_str(), generated["chapters"].as_u64()), (Some("novel"), Some(2)));
    assert!(generated["words"].as_u64().unwrap() > 200, "{generated}");
    let own = presswork_jobs::handbook::FILES.iter().filter(|(path, _)| path.ends_with(".md")).count();
    assert_eq!(report["chapters"].as_u64(), Some(own as u64 + 2));
    // What the model wrote stands in the book, and nothing stood in for it: the people of the brief, none of those it knows.
    let book = fs::read_to_string(world.path("").join(files["text"]["file"].as_str().unwrap())).unwrap();
    // Behind the table of contents, if there is one.
    let (_, novel) = book.rsplit_once("The Keeper of the Light, chapter 1").unwrap();
    assert!(novel.contains("The Keeper of the Light, chapter 2"), "{novel}");
    assert!(novel.split_whitespace().count() > 250, "{novel}");
    assert!(["Ada", "Byron", "Hugo", "Sand"].iter().any(|name| novel.contains(name)), "{novel}");
    assert_eq!(world.integrity(), "ok");
}

#[test]
fn what_a_model_writes_is_shown_and_the_same_in_another_place() {
    let novel = || {
        let output = World::new().run(&["demo", "--generate"]);
        assert!(output.status.success(), "{}", text(&output));
        let told = String::from_utf8(output.stdout).unwrap();
        let (novel, rest) = told.split_once("The Keeper of the Light: 2 chapters").unwrap();
        assert!(rest.contains("written by job_") && rest.contains("epub"), "{rest}");
        assert!(novel.split_whitespace().count() > 250, "{novel}");
        novel.to_owned()
    };
    assert_eq!(novel(), novel());
    let refused = World::new().run(&["demo", "--generate", "book.md"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}
