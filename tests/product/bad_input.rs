//! Bad input: each ends in a clear error that names the file and the place, the job dead without a retry, nothing
//! half-published, the data directory intact.

use std::io::{Cursor, Write as _};

use serde_json::Value;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::world::{World, text};

const CONTAINER: &str = r#"<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"#;
const PAGE: &str = r#"<html xmlns="http://www.w3.org/1999/xhtml"><head><title>One</title></head><body><h1>One</h1><p>Words.</p></body></html>"#;

fn package(items: &str, spine: &str) -> String {
    format!(
        r#"<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier><dc:title>Bad</dc:title><dc:language>en</dc:language></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"#
    )
}

fn epub(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("mimetype", SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
        .unwrap();
    zip.write_all(b"application/epub+zip").unwrap();
    for (name, content) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const ONE_ITEM: &str = r#"<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>"#;
const ONE_REF: &str = r#"<itemref idref="one"/>"#;

/// Imports a file, waits, and gives the job as `jobs show` does; the import must have died at its first attempt.
fn dies(world: &World, file: &str) -> Value {
    let _up = world.start(&["up", "--json"]);
    let output = world.run(&["enqueue", "import", file, "--project", "bad", "--wait", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{file}: {}", text(&output));
    let jobs = world.json(&["jobs", "list"]);
    let id = jobs["jobs"][0]["id"].as_str().unwrap().to_owned();
    let job = world.json(&["jobs", "show", &id]);
    assert_eq!((&job["state"], &job["attempt"]), (&"dead".into(), &1.into()), "{job}");
    assert!(!world.objects().iter().any(|key| key.contains("projects/bad")), "{:?}", world.objects());
    assert_eq!(world.integrity(), "ok");
    job
}

fn assert_says(job: &Value, words: &[&str]) {
    let reason = job["reason"].as_str().unwrap().to_lowercase();
    for word in words {
        assert!(reason.contains(&word.to_lowercase()), "{word:?} is not in {reason:?}");
    }
}

#[test]
fn a_file_that_is_not_what_it_says_is_refused() {
    for (name, content, word) in [
        ("novel.epub", &b"just some text, no archive at all"[..], "novel.epub"),
        ("novel.md", &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0"[..], "novel.md"),
        ("novel.txt", &b""[..], "empty"),
        ("novel.md", &b"  \n\n \n"[..], "novel.md"),
    ] {
        let world = World::new();
        let file = world.file(name, content);
        assert_says(&dies(&world, &file), &[word]);
    }
}

#[test]
fn an_epub_that_lies_is_refused_with_the_place() {
    let package_one = package(ONE_ITEM, ONE_REF);
    let two_chapters = package(
        &format!(r#"{ONE_ITEM}<item id="two" href="two.xhtml" media-type="application/xhtml+xml"/>"#),
        &format!(r#"{ONE_REF}<itemref idref="two"/>"#),
    );
    let good = ("META-INF/container.xml", CONTAINER.as_bytes());
    let outside =
        package(r#"<item id="one" href="../../../etc/passwd" media-type="application/xhtml+xml"/>"#, ONE_REF);
    let bomb = vec![b' '; 300 << 20];
    let bomb_page = [b"<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>".as_slice(), &bomb].concat();
    let doctype = r#"<!DOCTYPE html [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><html xmlns="http://www.w3.org/1999/xhtml"><body><p>&b;</p></body></html>"#;
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("no-package.epub", epub(&[good]), &["content.opf"]),
        ("no-container.epub", epub(&[("x.xhtml", PAGE.as_bytes())]), &["container.xml"]),
        (
            "missing-chapter.epub",
            epub(&[good, ("OEBPS/content.opf", package_one.as_bytes())]),
            &["one.xhtml"],
        ),
        ("outside.epub", epub(&[good, ("OEBPS/content.opf", outside.as_bytes())]), &["passwd"]),
        (
            "traversal.epub",
            epub(&[
                good,
                ("OEBPS/content.opf", package_one.as_bytes()),
                ("../../evil.xhtml", PAGE.as_bytes()),
            ]),
            &["evil.xhtml"],
        ),
        (
            "bomb.epub",
            epub(&[good, ("OEBPS/content.opf", package_one.as_bytes()), ("OEBPS/one.xhtml", &bomb_page)]),
            &["one.xhtml"],
        ),
        (
            "entities.epub",
            epub(&[
                good,
                ("OEBPS/content.opf", package_one.as_bytes()),
                ("OEBPS/one.xhtml", doctype.as_bytes()),
            ]),
            &["one.xhtml"],
        ),
        (
            "broken.epub",
            epub(&[
                good,
                ("OEBPS/content.opf", package_one.as_bytes()),
                ("OEBPS/one.xhtml", b"<html><body><p>x</b></html>"),
            ]),
            &["one.xhtml"],
        ),
        ("empty.epub", epub(&[good, ("OEBPS/content.opf", package("", "").as_bytes())]), &["empty.epub"]),
        // A whole chapter comes in before the broken one: it goes again.
        (
            "half.epub",
            epub(&[
                good,
                ("OEBPS/content.opf", two_chapters.as_bytes()),
                ("OEBPS/one.xhtml", PAGE.as_bytes()),
                ("OEBPS/two.xhtml", b"<html><body><p>x</b></html>"),
            ]),
            &["two.xhtml"],
        ),
    ];
    for (name, content, words) in cases {
        let world = World::new();
        let file = world.file(name, content);
        let job = dies(&world, &file);
        assert_says(&job, words);
        assert_says(&job, &[name]);
    }
}

#[test]
fn names_that_leave_their_folder_are_refused_on_every_way_in() {
    let world = World::new();
    let file = world.file("good.md", "# One\n\nWords.\n");
    for name in ["..", "../x", "/etc", "a/b", "a\\b", "~root", "nul", "COM1", "x.", " x", "a\u{202e}b", ""] {
        let bad = |arguments: &[&str]| {
            let output = world.run(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        };
        bad(&["enqueue", "import", &file, "--project", name]);
        bad(&["enqueue", "export", name, "--format", "epub"]);
        bad(&["jobs", "list", "--tenant", name]);
    }
    assert!(world.objects().is_empty());
}

#[test]
fn a_project_that_was_damaged_by_hand_names_the_chapter() {
    let world = World::new();
    let file = world.file("good.md", "# One\n\nWords.\n\n# Two\n\nMore words.\n");
    let _up = world.start(&["up", "--json"]);
    world.json(&["enqueue", "import", &file, "--project", "good", "--wait"]);
    let chapter =
        world.objects().into_iter().find(|key| key.contains("chapters/") && key.contains("two")).unwrap();
    let path = world.data().join("objects").join(&chapter);
    for damage in [Some(&b"# Two\n\nbad \xff byte"[..]), None] {
        match damage {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let output = world.run(&["enqueue", "export", "good", "--format", "html", "--wait", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let jobs = world.json(&["jobs", "list", "--state", "dead"]);
        assert_says(&jobs["jobs"][0], &["two"]);
        assert!(!world.objects().iter().any(|key| key.contains("/artifacts/")), "{:?}", world.objects());
    }
}
