//! PDFs as others see them: `qpdf` finds them whole, `pdftotext` reads what the plain text says, rendered pages have
//! their ink where the text belongs. All the tools come from `tests/run`.

use std::{fs, path::Path, process::Command};

use crate::{
    demo::{demo, real_books},
    world::{World, prepared, text, validate},
};

/// Fails unless the file is a PDF of the book that the text file holds; of a thousand words, so many may differ.
pub(crate) fn check(file: &Path, text: &Path, tolerance: u32) {
    let mut python = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("python"));
    python.args(["-c", include_str!("pdf_check.py")]).args([file, text]).arg(tolerance.to_string());
    validate(python);
}

/// Exports the book of `presswork demo`, which is there, once more.
fn exported_again(world: &World, options: &[&str]) -> std::path::PathBuf {
    let worker = world.start(&["up"]);
    let job =
        world.json(&[&["enqueue", "export", "handbook", "--format", "pdf", "--wait"], options].concat());
    drop(worker);
    let id = job["id"].as_str().unwrap();
    let path = world.path("again.pdf");
    let got = world.run(&["artifacts", "get", id, "--force", "-o", path.to_str().unwrap()]);
    assert!(got.status.success(), "{}", text(&got));
    path
}

#[test]
fn the_handbook_becomes_a_book_in_every_size() {
    let world = World::new();
    let files = demo(&world, &[]);
    let file = |format: &str| world.path("").join(files[format]["file"].as_str().unwrap());
    check(&file("pdf"), &file("text"), 10);
    // The handbook has a line of Japanese.
    let dropped = files["pdf"]["dropped"].as_object().unwrap().keys().collect::<Vec<_>>();
    assert!(dropped.iter().all(|lost| *lost == "character that no font has"), "{dropped:?}");
    for options in [
        &["--page-size", "letter", "--font", "sans", "--font-size", "11.5"][..],
        &["--page-size", "6x9in", "--margin", "18", "--language", "de"],
    ] {
        let again = exported_again(&world, options);
        assert_ne!(fs::read(&again).unwrap(), fs::read(file("pdf")).unwrap(), "{options:?}");
        check(&again, &file("text"), 10);
    }
}

#[test]
fn pages_that_can_not_be_are_refused() {
    let world = World::new();
    for wrong in [
        &["--format", "pdf", "--page-size", "huge"][..],
        &["--format", "pdf", "--margin", "3"],
        &["--format", "pdf", "--margin", "60"],
        &["--format", "pdf", "--font-size", "99"],
        &["--format", "epub", "--page-size", "a4"],
    ] {
        let output = world.run(&[&["enqueue", "export", "handbook"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output));
    }
}

#[test]
fn real_books_become_pdfs_that_say_the_same() {
    // Letters of scripts that no font in the binary has are counted, not compared.
    for book in [real_books("epub", 8), real_books("markdown", 2), real_books("text", 1)].concat() {
        let world = World::new();
        let files = demo(&world, &[book.to_str().unwrap()]);
        let file = |format: &str| world.path("").join(files[format]["file"].as_str().unwrap());
        check(&file("pdf"), &file("text"), 20);
    }
}
