//! What stands in the place of what a format can't show, and in the place of English words in other languages' books.

use std::sync::Arc;

use super::{
    docx::parts_of,
    sample::{Pictures, Script, send, told},
};
use crate::{
    book::{Book, Event, Losses, Metadata, Tag},
    export::{Format, exporter},
};

/// A book of one chapter in a format: its text or, of an archive, that of its files, and what was lost.
fn made(format: Format, language: &str, chapter: &dyn Fn(&mut Script)) -> (String, Losses) {
    let mut book = Book::new(Metadata {
        title: "A Book".to_owned(),
        language: language.to_owned(),
        ..Metadata::default()
    });
    book.chapters.push("0001-a.md", "One");
    let mut script = Script::default();
    script.add(Event::BookStart).add(Event::ChapterStart { index: 0, title: "One".into() });
    chapter(&mut script);
    script.add(Event::ChapterEnd).add(Event::BookEnd);
    let mut out = Vec::new();
    let mut exporter = exporter(format, Arc::new(book), Box::new(Pictures), &Default::default()).unwrap();
    send(exporter.as_mut(), script.0, &mut out);
    let bytes = match format {
        Format::Epub | Format::Docx => parts_of(out).into_iter().flat_map(|(_, bytes)| bytes).collect(),
        _ => out,
    };
    (String::from_utf8_lossy(&bytes).into_owned(), exporter.losses().clone())
}

/// Longer than PDF and DOCX take.
fn long_address() -> &'static str {
    Box::leak(format!("https://example.org/{}", "a".repeat(2_000)).into_boxed_str())
}

#[test]
fn a_table_of_contents_is_called_so_in_the_books_language() {
    let paragraph = |s: &mut Script| {
        s.paragraph("Wort.");
    };
    for (language, called) in [("de", "Inhalt"), ("ar", "المحتويات"), ("ja", "目次"), ("xx", "Contents")]
    {
        let epub = made(Format::Epub, language, &paragraph).0;
        assert!(epub.contains(&format!("<h1>{called}</h1>")), "{epub}");
        let html = made(Format::Html, language, &paragraph).0;
        assert!(html.contains(&format!("aria-label=\"{called}\"")), "{html}");
        let docx = made(Format::Docx, language, &paragraph).0;
        let heading = docx.split("\"TOCHeading\"").find(|rest| rest.contains(&format!(">{called}<")));
        assert!(heading.is_some(), "{docx}");
        // Of letters that its fonts lack a page would have boxes, which count.
        assert!(told(&made(Format::Pdf, language, &paragraph).1).is_empty(), "{language}");
    }
}

fn picture(source: &'static str) -> impl Fn(&mut Script) {
    move |s| {
        s.inside(Tag::Paragraph, |s| {
            let title = "Her house in spring".into();
            s.add(Event::Image { source: source.into(), alt: "A house".into(), title });
        });
    }
}

#[test]
fn a_picture_that_is_not_there_leaves_its_words_and_its_caption() {
    for source in ["none.png", "https://example.org/house.png", long_address()] {
        for format in [Format::Epub, Format::Html, Format::Docx, Format::Text] {
            let (text, losses) = made(format, "en", &picture(source));
            assert!(text.contains("A house]") && text.contains("Her house in spring"), "{format}: {text}");
            assert_eq!(losses.iter().map(|(_, count)| count).sum::<u64>(), 1, "{format}");
        }
        assert_eq!(told(&made(Format::Pdf, "en", &picture(source)).1).len(), 1, "{source}");
    }
    let markdown = made(Format::Markdown, "en", &picture("none.png")).0;
    assert!(markdown.contains("\nA house Her house in spring\n"), "{markdown}");
}

#[test]
fn an_address_that_is_too_long_for_a_format_is_told_as_that() {
    let address = long_address();
    let link = |s: &mut Script| {
        s.inside(Tag::Paragraph, |s| {
            s.inside(Tag::Link { target: address.into(), title: "".into() }, |s| {
                s.text("there");
            });
        });
    };
    for format in [Format::Pdf, Format::Docx] {
        assert_eq!(told(&made(format, "en", &link).1), ["link with an over-long address: 1"]);
    }
    assert!(made(Format::Html, "en", &link).0.contains(address));
}
