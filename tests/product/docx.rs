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

/// A copy of a DOCX in which a piece of its text is another one.
fn changed(file: &Path, from: &str, to: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut copy = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entry.name().unwrap() == "word/document.xml" {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from), "{from}");
            bytes = text.replacen(from, to, 1).into_bytes();
        }
        copy.start_file(entry.name().unwrap(), zip::write::SimpleFileOptions::default()).unwrap();
        copy.write_all(&bytes).unwrap();
    }
    copy.finish().unwrap().into_inner()
}

#[test]
fn a_word_that_is_lost_and_a_link_into_nothing_are_found() {
    let world = World::new();
    let files = demo(&world, &[]);
    let file = |format: &str| world.path("").join(files[format]["file"].as_str().unwrap());
    check_docx(&file("docx"), &file("json"));
    for (from, to, complaint) in [
        ("Presswork ", "Prsswork ", "words of the source"),
        ("w:name=\"chapter_2\"", "w:name=\"chapter_x\"", "chapter_2"),
        ("<w:pStyle w:val=\"Heading2\"/>", "<w:pStyle w:val=\"Heading22\"/>", "Heading22"),
    ] {
        let last = from == "Presswork ";
        let bytes =
            if last { changed_in_text(&file("docx"), from, to) } else { changed(&file("docx"), from, to) };
        let copy = world.file("copy/changed.docx", bytes);
        let mut check = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("python"));
        let output = check.args(["-c", CHECK, &copy]).arg(file("json")).output().unwrap();
        assert!(!output.status.success() && text(&output).contains(complaint), "{}", text(&output));
    }
}

/// Changes a word of the first chapter, not of the pages before it.
fn changed_in_text(file: &Path, from: &str, to: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut document = String::new();
    archive.by_name("word/document.xml").unwrap().read_to_string(&mut document).unwrap();
    let begin = document.find("Heading1").unwrap();
    let at = begin + document[begin..].find(from).unwrap();
    let from = &document[at - 40..at + from.len()];
    changed(file, from, &format!("{}{to}", &from[..40]))
}
