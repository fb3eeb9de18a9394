//! Out and in again.

use super::{Held, books, same};
use crate::{export::Format, import::SourceFormat};

static FORMATS: [(Format, SourceFormat); 4] = [
    (Format::Json, SourceFormat::Json),
    (Format::Markdown, SourceFormat::Markdown),
    (Format::Epub, SourceFormat::Epub),
    (Format::Docx, SourceFormat::Docx),
];

/// Sends a book round; `None` where it came back as it was.
fn goes_round(book: &Held, format: Format, source: SourceFormat) -> Option<String> {
    let (bytes, losses) = book.export(format);
    let (back, imported) = Held::read(source, &format!("book.{}", format.extension()), &bytes);
    let lost = imported.report.losses.iter().next().is_some();
    same::difference(book, &back, format)
        .map(|difference| format!("{difference}\n lost: {losses:?} {lost} {:?}", imported.report.losses))
}

fn all_go_round(book: &Held, what: &str, formats: &[(Format, SourceFormat)]) {
    let failures: Vec<String> = formats
        .iter()
        .copied()
        .filter_map(|(format, source)| {
            goes_round(book, format, source).map(|difference| format!("{what} as {format}: {difference}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_book_that_has_everything_comes_back_as_it_was() {
    let (docx, others) = FORMATS.split_last().unwrap();
    all_go_round(&books::rich(), "the rich book", others);
    all_go_round(&books::rich_for_docx(), "the rich book", &[*docx]);
}

#[test]
fn the_handbook_comes_back_as_it_was() {
    all_go_round(&books::handbook(), "the handbook", &FORMATS);
}

#[test]
fn real_books_come_back_as_they_were() {
    for (name, book) in books::real() {
        all_go_round(&book, &name, &FORMATS);
    }
}

#[test]
fn random_books_come_back_as_they_were() {
    for (format, source) in FORMATS.iter().copied() {
        let mut failures: Vec<(usize, u64, String)> = Vec::new();
        let mut broken = 0;
        for seed in 0..300 {
            let book = books::random(seed);
            if let Some(difference) = goes_round(&book, format, source) {
                broken += 1;
                let size = book.chapters.iter().map(|(.., text)| text.len()).sum();
                failures.push((size, seed, difference));
            }
        }
        failures.sort();
        if let Some((_, seed, smallest)) = failures.first() {
            let text: String = books::random(*seed).chapters.into_iter().map(|(.., text)| text).collect();
            panic!("{broken} failures as {format}, the smallest has the seed {seed}:\n{smallest}\n{text}");
        }
    }
}
