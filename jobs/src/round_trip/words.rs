//! No word of the author's is lost on the way without being told: titles, captions, wide tables, dates.

use std::io::{Cursor, Read as _};

use super::Held;
use crate::{book::loss, export::Format, import::SourceFormat};

const PICTURE: &str = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=";

fn markdown(text: &str) -> Held {
    Held::read(SourceFormat::Markdown, "book.md", text.as_bytes()).0
}

/// Everything that an EPUB's chapters and pages say, or the whole of another file.
fn said(held: &Held, format: Format) -> String {
    let (bytes, _) = held.export(format);
    if format != Format::Epub {
        return String::from_utf8(bytes).unwrap();
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut all = String::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        if file.name().unwrap().ends_with(".xhtml") {
            file.read_to_string(&mut all).unwrap();
        }
    }
    all
}

fn losses(held: &Held, format: Format) -> Vec<(String, u64)> {
    held.export(format).1.iter().map(|(what, count)| (what.to_owned(), count)).collect()
}

#[test]
fn a_title_as_long_as_swifts_stays_whole_and_what_is_cut_of_a_longer_one_is_told() {
    let long = "The Author gives some account of himself ".repeat(14);
    let (held, imported) = Held::read(SourceFormat::Markdown, "a.md", format!("# {long}\n\nx\n").as_bytes());
    assert_eq!((&*held.chapters[0].1, imported.report.losses.iter().next()), (long.trim(), None));
    let longer = "a word ".repeat(100);
    let files = [
        (SourceFormat::Markdown, format!("+++\ntitle = \"T\"\n+++\n\n# {longer}\n\nx\n\n# B\n\ny\n")),
        (SourceFormat::Html, format!("<title>T</title><h1>{longer}</h1><p>x</p><h1>B</h1><p>y</p>")),
    ];
    for (format, text) in files {
        let (held, imported) = Held::read(format, "book", text.as_bytes());
        assert_eq!(held.chapters[0].1.chars().count(), 600, "{format}");
        assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [(loss::TITLE, 1)], "{format}");
    }
}

#[test]
fn a_caption_is_read_in_every_format_whether_its_picture_is_shown_or_not() {
    let held = markdown(&format!(
        "# A\n\n![alt]({PICTURE} \"In 1066 & all that\")\n\n![web](https://example.org/x.png \"In 1492\") goes on\n\n\
         Words ![icon]({PICTURE} \"In 1789\") around.\n"
    ));
    let text = said(&held, Format::Text);
    for caption in ["[Image: alt] In 1066 & all that", "[Image: web] In 1492", "[Image: icon] In 1789"] {
        assert!(text.contains(caption), "{text}");
    }
    for format in [Format::Epub, Format::Html] {
        let text = said(&held, format);
        for caption in [">In 1066 &amp; all that<", " In 1492"] {
            assert!(text.contains(caption), "{format}: {text}");
        }
    }
    // Back from the file, each stands once.
    for (format, source) in [(Format::Epub, SourceFormat::Epub), (Format::Html, SourceFormat::Html)] {
        let (bytes, _) = held.export(format);
        let back = Held::read(source, "book", &bytes).0;
        let text: String = back.chapters.into_iter().map(|(.., text)| text).collect();
        for year in ["1066", "1492", "1789"] {
            assert_eq!(text.matches(year).count(), 1, "{format}: {text}");
        }
    }
}

#[test]
fn a_title_page_has_the_day_of_a_moment() {
    let held = markdown("+++\ntitle = \"T\"\ndate = \"2026-11-23T12:05:52Z\"\n+++\n\n# A\n\nx\n");
    assert_eq!(held.metadata.date, "2026-11-23T12:05:52Z");
    for format in [Format::Text, Format::Html, Format::Epub] {
        let text = said(&held, format);
        assert!(
            text.contains("2026-11-23") && !text.contains(">2026-11-23T") && !text.contains("\n2026-11-23T")
        );
    }
    // The page says nothing new for that, and becomes no chapter.
    let back = Held::read(SourceFormat::Epub, "book.epub", &held.export(Format::Epub).0).0;
    assert_eq!((back.chapters.len(), back.metadata.date), (1, held.metadata.date));
}

#[test]
fn a_wide_table_is_set_smaller_and_told_where_its_words_are_parted_all_the_same() {
    let table = |columns: usize| {
        let row = |cell: &str| format!("|{}\n", format!(" {cell} |").repeat(columns));
        markdown(&format!("# A\n\n{}{}{}", row("Heading"), row("---"), row("value")))
    };
    let told = |columns| losses(&table(columns), Format::Pdf);
    assert_eq!((told(3), told(10)), (vec![], vec![]));
    assert_eq!(told(100), [(loss::WIDE_TABLE.to_owned(), 1)]);
}
