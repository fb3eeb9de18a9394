//! A small book that has every block and run, twice the same label, links of every sort and texts that try to break out.

use std::{
    io::{Cursor, Read},
    sync::Arc,
};

use crate::{
    book::{Alignment, Asset, Book, BookError, Event, EventSink, Losses, Metadata, Tag, event::Tag as T},
    export::{AssetSource, Exporter, Format, exporter},
};

pub(super) use crate::book::pixel::PIXEL;
pub(super) const DRAWING: &[u8] =
    b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"><rect width=\"8\" height=\"8\"/></svg>";
/// Tries to end whatever it stands in.
pub(super) const HOSTILE: &str = "<script>alert(1)</script> ]]> --> \" ' & &amp; &#0; </p></style></title> `*_~^|[x](y)![z](w) \u{fffe}\u{7}\\ ";

/// Pictures in memory.
pub(in crate::export) struct Pictures;

impl AssetSource for Pictures {
    fn open(&mut self, asset: &Asset) -> Result<Box<dyn Read + '_>, BookError> {
        match asset.name.as_str() {
            "drawing.svg" => Ok(Box::new(DRAWING)),
            // Too large to be held.
            "large one.png" => Ok(Box::new(Cursor::new([PIXEL, &vec![7; 3 << 20]].concat()))),
            _ => Ok(Box::new(PIXEL)),
        }
    }
}

/// What the book says of itself.
pub(in crate::export) fn book() -> Arc<Book> {
    let mut book = Book::new(Metadata {
        title: format!("A Book {HOSTILE}"),
        subtitle: "Of everything".into(),
        authors: vec!["Ada \"Author\"".into(), "Béla & Co".into()],
        language: "en".into(),
        description: HOSTILE.into(),
        date: "1843-07".into(),
        publisher: "Nobody".into(),
        rights: "CC0 <1.0>".into(),
        subjects: vec!["Tests".into()],
        cover: Some("cover.png".into()),
        ..Metadata::default()
    });
    for (name, title) in [("0001-a.md", "One"), ("0002-b.md", HOSTILE), ("0003-c.md", "")] {
        book.chapters.push(&format!("r1/chapters/{name}"), title);
    }
    for (name, media_type, bytes) in [
        ("cover.png", "image/png", PIXEL.len()),
        ("drawing.svg", "image/svg+xml", DRAWING.len()),
        ("large one.png", "image/png", PIXEL.len() + (3 << 20)),
        ("unused.png", "image/png", PIXEL.len()),
    ] {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        book.assets.push(Asset { file: format!("r1/images/{name}"), name, media_type, bytes: bytes as u64 });
    }
    Arc::new(book)
}

/// Collects what is sent.
#[derive(Default)]
pub(super) struct Script(pub(super) Vec<Event<'static>>);

impl Script {
    pub(super) fn add(&mut self, event: Event<'static>) -> &mut Self {
        self.0.push(event);
        self
    }

    pub(super) fn inside(&mut self, tag: Tag<'static>, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let end = tag.end();
        self.0.push(Event::Start(tag));
        inner(self);
        self.add(Event::End(end))
    }

    pub(super) fn text(&mut self, text: &'static str) -> &mut Self {
        self.add(Event::Text(text.into()))
    }

    pub(super) fn paragraph(&mut self, text: &'static str) -> &mut Self {
        self.inside(T::Paragraph, |s| {
            s.text(text);
        })
    }

    fn link(&mut self, target: &'static str) -> &mut Self {
        self.inside(T::Link { target: target.into(), title: "".into() }, |s| {
            s.text(target);
        })
        .text(" ")
    }

    fn image(&mut self, source: &'static str, alt: &'static str) -> &mut Self {
        self.add(Event::Image { source: source.into(), alt: alt.into(), title: "A caption".into() })
    }
}

/// The book's stream.
pub(in crate::export) fn events() -> Vec<Event<'static>> {
    let mut s = Script::default();
    s.add(Event::BookStart);
    first_chapter(s.add(Event::ChapterStart { index: 0, title: "One".into() }));
    s.add(Event::ChapterEnd);
    second_chapter(s.add(Event::ChapterStart { index: 1, title: HOSTILE.into() }));
    s.add(Event::ChapterEnd).add(Event::ChapterStart { index: 2, title: "".into() });
    s.add(Event::ChapterEnd).add(Event::BookEnd);
    s.0
}

fn first_chapter(s: &mut Script) {
    s.inside(T::Paragraph, |s| {
        s.text("Plain, ").inside(T::Emphasis, |s| {
            s.text("slanted and ").inside(T::Strong, |s| {
                s.text("bold");
            });
        });
        s.text(", ").inside(T::Strikethrough, |s| {
            s.text("gone");
        });
        s.text(" E=mc").inside(T::Superscript, |s| {
            s.text("2");
        });
        s.text(" H").inside(T::Subscript, |s| {
            s.text("2");
        });
        s.text("O ").add(Event::Code("let x = `a|b`;".into())).add(Event::SoftBreak).text("next");
        s.add(Event::HardBreak).text("line").add(Event::FootnoteReference("n 1".into()));
        s.add(Event::FootnoteReference("n 1".into())).add(Event::FootnoteReference("none".into()));
    });
    s.inside(T::Footnote { label: "n 1".into() }, |s| {
        s.paragraph("A note.").paragraph("Its second paragraph.");
    });
    s.inside(T::Footnote { label: "unmentioned".into() }, |s| {
        s.inside(T::Paragraph, |s| {
            s.image("drawing.svg", "in a note");
        });
    });
    for anchor in ["place", "place", "1 ünusual"] {
        s.inside(T::Heading { level: 2, anchor: Some(anchor.into()) }, |s| {
            s.text("A heading");
        });
    }
    s.inside(T::Paragraph, |s| {
        for target in [
            "#place",
            "#1 ünusual",
            "#missing",
            "0002-b.md",
            "0002-b.md#later",
            "0002-b.md#never",
            "nowhere.md",
            "javascript:alert(1)",
            "https://example.org/a?b=1&c=\"2\"",
            "https://exa mple.org/",
            "doi:10.1000/1",
        ] {
            s.link(target);
        }
        s.inside(T::Link { target: "https://example.org".into(), title: HOSTILE.into() }, |s| {
            s.link("#place").add(Event::FootnoteReference("n 1".into()));
        });
    });
    s.inside(T::Quote, |s| {
        s.paragraph("Quoted.").inside(T::List { first: Some(3) }, |s| {
            for text in ["three", "four"] {
                s.inside(T::Item, |s| {
                    s.paragraph(text).inside(T::List { first: None }, |s| {
                        s.inside(T::Item, |s| {
                            s.text("tight");
                        });
                        s.inside(T::Item, |_| {});
                    });
                });
            }
        });
    });
    s.add(Event::Rule);
    s.paragraph("שלום, from right to left.");
}

fn second_chapter(s: &mut Script) {
    s.paragraph(HOSTILE);
    s.inside(T::Heading { level: 6, anchor: Some("later".into()) }, |s| {
        s.text(HOSTILE);
    });
    s.inside(T::Paragraph, |s| {
        s.link("0001-a.md#place").link("0001-a.md#gone").link("#later");
        s.image("drawing.svg", "A drawing").image("large one.png", HOSTILE).image("gone.png", "gone");
        s.image("https://example.org/far.png", "far").add(Event::FootnoteReference("n 1".into()));
    });
    s.inside(T::Footnote { label: "n 1".into() }, |s| {
        s.paragraph("Another note of that name.");
    });
    s.inside(T::CodeBlock { language: "rust \"x".into() }, |s| {
        s.text("fn main() {\n    ").text(HOSTILE).text("\n```\n\n}\n");
    });
    let columns = vec![Alignment::Left, Alignment::Center, Alignment::Right, Alignment::None];
    s.inside(T::Table { columns }, |s| {
        let cells = |s: &mut Script| {
            for text in ["a | b", HOSTILE, "", "d"] {
                s.inside(T::TableCell, |s| {
                    s.text(text);
                });
            }
        };
        s.inside(T::TableHead, cells).inside(T::TableRow, cells).inside(T::TableRow, cells);
    });
}

/// Each loss with its count.
pub(in crate::export) fn told(losses: &Losses) -> Vec<String> {
    losses.iter().map(|(what, count)| format!("{what}: {count}")).collect()
}

/// The sample in a format, and what was lost.
pub(in crate::export) fn exported(format: Format) -> (Vec<u8>, Losses) {
    let mut out = Vec::new();
    let mut exporter = exporter(format, book(), Box::new(Pictures), &Default::default()).unwrap();
    send(exporter.as_mut(), events(), &mut out);
    (out, exporter.losses().clone())
}

/// Sends events through the check that stands before every exporter.
pub(super) fn send(exporter: &mut dyn Exporter, events: Vec<Event<'static>>, out: &mut Vec<u8>) {
    struct To<'a>(&'a mut dyn Exporter, &'a mut Vec<u8>);
    impl EventSink for To<'_> {
        fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
            self.0.event(event, self.1)
        }
    }
    let mut checked = crate::book::Checked::new(To(exporter, out), "sample");
    for event in events {
        checked.event(event).unwrap();
    }
}
