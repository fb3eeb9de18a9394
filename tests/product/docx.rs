//! DOCX as python-docx, which nobody here wrote, reads it: every word of the source in its place, notes and tables
//! included, and no name that leads nowhere.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::Command,
};

use crate::{
    demo::{demo, python},
    world::{World, prepared, text},
};

const CHECK: &str = include_str!("read_docx.py");

/// Fails unless the DOCX has what the JSON has.
pub(crate) fn check_docx(file: &Path, json: &Path) {
    python(CHECK, &[file, json]);
}

/// A copy of a DOCX in whose chapters a piece of text is another one.
fn changed(file: &Path, from: &str, to: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut copy = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        if name == "word/document.xml" {
            let document = String::from_utf8(bytes).unwrap();
            // Behind the pages before the first chapter.
            let (front, chapters) = document.split_at(document.find("Heading1").unwrap());
            assert!(chapters.contains(from), "{from}");
            bytes = [front, &chapters.replacen(from, to, 1)].concat().into_bytes();
        }
        copy.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        copy.write_all(&bytes).unwrap();
    }
    copy.finish().unwrap().into_inner()
}

#[test]
fn a_word_that_is_lost_and_a_name_that_leads_nowhere_are_found() {
    let world = World::new();
    let files = demo(&world, &[]);
    let file = |format: &str| world.path("").join(files[format]["file"].as_str().unwrap());
    check_docx(&file("docx"), &file("json"));
    for (from, to, complaint) in [
        ("Presswork ", "Prsswork ", "words of the source"),
        ("w:name=\"chapter_2\"", "w:name=\"chapter_x\"", "chapter_2"),
        ("\"Heading2\"", "\"Heading22\"", "Heading22"),
    ] {
        let copy = world.file("copy/changed.docx", changed(&file("docx"), from, to));
        let mut check = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("python"));
        let output = check.args(["-c", CHECK]).arg(copy).arg(file("json")).output().unwrap();
        assert!(!output.status.success() && text(&output).contains(complaint), "{}", text(&output));
    }
}
