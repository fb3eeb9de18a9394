//! Out and in again.

use super::{Held, books, same};
use crate::{export::Format, import::SourceFormat};

static FORMATS: [(Format, SourceFormat); 4] = [
    (Format::Json, SourceFormat::Json),
    (Format::Markdown, SourceFormat::Markdown),
    (Format::Epub, SourceFormat::Epub),
    (Format::Docx, SourceFormat::Docx),
];

/// How many of a format's failures a test tells, the smallest first.
const SHOWN: usize = 40;

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
    let mut failures = Vec::new();
    for (name, book) in books::real() {
        for (format, source) in FORMATS.iter().copied() {
            failures.extend(
                goes_round(&book, format, source)
                    .map(|difference| format!("{name} as {format}: {difference}")),
            );
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn random_books_come_back_as_they_were() {
    let mut report = String::new();
    for (format, source) in FORMATS.iter().copied() {
        let mut failures: Vec<(usize, u64, String)> = Vec::new();
        for seed in 0..300 {
            let book = books::random(seed);
            if let Some(difference) = goes_round(&book, format, source) {
                let size = book.chapters.iter().map(|(.., text)| text.len()).sum();
                failures.push((size, seed, difference));
            }
        }
        failures.sort();
        for (_, seed, difference) in failures.iter().take(SHOWN) {
            let text: String = books::random(*seed).chapters.into_iter().map(|(.., text)| text).collect();
            let broken = failures.len();
            report.push_str(&format!("{broken} failures as {format}, seed {seed}:\n{difference}\n{text}\n"));
        }
    }
    assert!(report.is_empty(), "{report}");
}
