//! What the writer writes reads back as the same events.

use std::fmt::Write;

use pulldown_cmark::{CodeBlockKind, Event as Read, HeadingLevel, Parser, Tag as ReadTag};

use super::{
    author::Author,
    sample::{Script, exported},
};
use crate::{
    book::{
        Alignment, Event, Tag,
        writer::{MarkdownWriter, dialect},
    },
    export::Format,
};

/// Events of a chapter as text, one a line; texts that touch are one.
fn written(events: &[Event<'static>]) -> String {
    let (mut out, mut text) = (String::new(), String::new());
    for event in events {
        if let Event::Text(more) = event {
            text.push_str(more);
            continue;
        }
        flush(&mut out, &mut text);
        match event {
            Event::Start(Tag::Link { target, title }) => writeln!(out, "link {target:?} {title:?}").unwrap(),
            Event::Start(Tag::Footnote { label }) => writeln!(out, "Footnote {label:?}").unwrap(),
            Event::Start(tag) => writeln!(out, "{tag:?}").unwrap(),
            Event::End(tag) => writeln!(out, "/{tag:?}").unwrap(),
            other => writeln!(out, "{other:?}").unwrap(),
        }
    }
    flush(&mut out, &mut text);
    out
}

fn flush(out: &mut String, text: &mut String) {
    if !text.is_empty() {
        writeln!(out, "text {:?}", std::mem::take(text)).unwrap();
    }
}

/// The same, of Markdown.
fn read(markdown: &str) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    let mut ends = Vec::new();
    let mut image: Option<(String, String, String)> = None;
    for event in Parser::new_ext(markdown, dialect()) {
        if let Some((source, alt, title)) = &mut image {
            match event {
                Read::Text(text) | Read::Code(text) => alt.push_str(&text),
                Read::End(pulldown_cmark::TagEnd::Image) => {
                    let (source, alt, title) =
                        (source.clone().into(), alt.clone().into(), title.clone().into());
                    events.push(Event::Image { source, alt, title });
                    image = None;
                }
                other => panic!("{other:?} in an image"),
            }
            continue;
        }
        events.push(match event {
            Read::Start(ReadTag::Image { dest_url, title, .. }) => {
                let name = dest_url.strip_prefix("../images/").unwrap_or(&dest_url).to_owned();
                image = Some((name, String::new(), title.into_string()));
                continue;
            }
            Read::Start(tag) => {
                let tag = start(tag);
                ends.push(tag.end());
                Event::Start(tag)
            }
            Read::End(_) => Event::End(ends.pop().unwrap()),
            Read::Text(text) => Event::Text(text.into_string().into()),
            Read::Code(code) => Event::Code(code.into_string().into()),
            Read::SoftBreak => Event::SoftBreak,
            Read::HardBreak => Event::HardBreak,
            Read::Rule => Event::Rule,
            Read::FootnoteReference(label) => Event::FootnoteReference(label.into_string().into()),
            other => panic!("{other:?} in {markdown}"),
        });
    }
    events
}

fn start(tag: ReadTag<'_>) -> Tag<'static> {
    match tag {
        ReadTag::Paragraph => Tag::Paragraph,
        ReadTag::Heading { level, id, .. } => Tag::Heading {
            level: match level {
                HeadingLevel::H1 => 1,
                HeadingLevel::H2 => 2,
                HeadingLevel::H3 => 3,
                HeadingLevel::H4 => 4,
                HeadingLevel::H5 => 5,
                HeadingLevel::H6 => 6,
            },
            anchor: id.map(|id| id.into_string().into()),
        },
        ReadTag::BlockQuote(_) => Tag::Quote,
        ReadTag::CodeBlock(CodeBlockKind::Fenced(language)) => {
            Tag::CodeBlock { language: language.into_string().into() }
        }
        ReadTag::List(first) => Tag::List { first },
        ReadTag::Item => Tag::Item,
        ReadTag::FootnoteDefinition(label) => Tag::Footnote { label: label.into_string().into() },
        ReadTag::Table(columns) => Tag::Table {
            columns: columns
                .into_iter()
                .map(|column| match column {
                    pulldown_cmark::Alignment::None => Alignment::None,
                    pulldown_cmark::Alignment::Left => Alignment::Left,
                    pulldown_cmark::Alignment::Center => Alignment::Center,
                    pulldown_cmark::Alignment::Right => Alignment::Right,
                })
                .collect(),
        },
        ReadTag::TableHead => Tag::TableHead,
        ReadTag::TableRow => Tag::TableRow,
        ReadTag::TableCell => Tag::TableCell,
        ReadTag::Emphasis => Tag::Emphasis,
        ReadTag::Strong => Tag::Strong,
        ReadTag::Strikethrough => Tag::Strikethrough,
        ReadTag::Superscript => Tag::Superscript,
        ReadTag::Subscript => Tag::Subscript,
        ReadTag::Link { dest_url, title, .. } => {
            Tag::Link { target: dest_url.into_string().into(), title: title.into_string().into() }
        }
        other => panic!("{other:?}"),
    }
}

fn markdown(events: &[Event<'static>]) -> String {
    let mut writer = MarkdownWriter::for_project();
    for event in events {
        writer.event(event);
    }
    std::mem::take(writer.buffer())
}

fn assert_same(events: &[Event<'static>]) {
    let markdown = markdown(events);
    let (before, after) = (written(events), written(&read(&markdown)));
    assert!(before == after, "--- wrote\n{before}\n--- as\n{markdown}\n--- read\n{after}");
}

#[test]
fn random_chapters_read_back_as_they_were() {
    let mut failures = Vec::new();
    for seed in 0..2_000 {
        let mut author = Author { state: seed, notes: (seed % 2) as usize };
        let mut s = Script::default();
        author.blocks(&mut s, 0);
        if author.notes > 0 {
            author.notes = 0;
            s.inside(Tag::Footnote { label: "n1".into() }, |s| author.blocks(s, 1));
        }
        let markdown = markdown(&s.0);
        let (before, after) = (written(&s.0), written(&read(&markdown)));
        if before != after {
            failures.push((
                before.len(),
                seed,
                format!("--- wrote\n{before}\n--- as\n{markdown}\n--- read\n{after}"),
            ));
        }
    }
    failures.sort();
    if let Some((_, seed, smallest)) = failures.first() {
        panic!("{} failures, the smallest has the seed {seed}:\n{smallest}", failures.len());
    }
}

#[test]
fn edges_of_marks_read_back_as_they_were() {
    let marks = [Tag::Emphasis, Tag::Strong, Tag::Strikethrough, Tag::Superscript, Tag::Subscript];
    for mark in marks {
        for (before, inner, after) in [
            ("a", "b", "c"),
            ("a", "(b)", "c"),
            ("é", "“b”", "é"),
            ("(", "\u{a0}b\u{a0}", ")"),
            ("日", "本", "語"),
        ] {
            let mut s = Script::default();
            s.inside(Tag::Paragraph, |s| {
                s.text(before).inside(mark.clone(), |s| _ = s.text(inner)).text(after);
            });
            assert_same(&s.0);
        }
    }
}

#[test]
fn what_markdown_can_not_say_is_brought_close_and_counted() {
    let mut s = Script::default();
    s.inside(Tag::Paragraph, |s| {
        s.text("a").inside(Tag::Strong, |s| _ = s.text(" b ")).text("c");
        s.inside(Tag::Emphasis, |_| {}).add(Event::SoftBreak).add(Event::SoftBreak);
        s.inside(Tag::Subscript, |s| _ = s.text("d"));
        s.inside(Tag::Strikethrough, |s| _ = s.text("e")).add(Event::HardBreak);
    });
    let mut writer = MarkdownWriter::for_project();
    s.0.iter().for_each(|event| writer.event(event));
    assert_eq!(writer.buffer(), "a **b** c\n~d~&#101;\n");
    assert_eq!(writer.losses().iter().collect::<Vec<_>>(), [("mark that can't be combined", 1)]);
}

#[test]
fn a_note_inside_a_list_is_written_behind_it() {
    let mut s = Script::default();
    s.add(Event::ChapterStart { index: 0, title: "The *first*".into() });
    s.inside(Tag::List { first: None }, |s| {
        for text in ["a", "b"] {
            s.inside(Tag::Item, |s| {
                s.text(text).add(Event::FootnoteReference("n".into()));
                s.inside(Tag::Footnote { label: "n".into() }, |s| {
                    _ = s.paragraph("Note.").paragraph("More.")
                });
            });
        }
    });
    s.paragraph("After.");
    let note = "[^n]: Note.\n\n    More.\n\n";
    assert_eq!(markdown(&s.0), format!("# The \\*first\\*\n\n- a[^n]\n- b[^n]\n\n{note}{note}After.\n"));
}

#[test]
fn a_book_has_front_matter_and_names_that_are_unique() {
    let text = String::from_utf8(exported(Format::Markdown).0).unwrap();
    let front = text.strip_prefix("+++\n").unwrap().split("+++\n").next().unwrap();
    let front: toml::Table = front.parse().unwrap();
    assert_eq!(front["authors"].as_array().unwrap().len(), 2);
    for part in [
        "# One {#c1}\n",
        "## A heading {#c1-place}\n",
        "[^c1-n_20_1]: A note.",
        "[^c2-n_20_1]: Another note",
        "](#c2-later)",
        "](#c2)",
        "![A drawing][drawing.svg]",
        "\n[drawing.svg]: data:image/svg+xml;base64,PHN2Z",
        "\n  \"A caption\"\n",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let body = &text[text.find("\n+++\n").unwrap() + 5..];
    let images = read(body).into_iter().filter(|event| matches!(event, Event::Image { .. })).count();
    assert_eq!(images, 4);
}

#[test]
fn links_spell_anchors_as_headings_do_and_notes_follow_their_link() {
    let mut s = Script::default();
    s.inside(Tag::Heading { level: 2, anchor: Some("a b}".into()) }, |s| _ = s.text("A {b}"));
    s.inside(Tag::Paragraph, |s| {
        s.inside(Tag::Link { target: "0002-x.md#a b}".into(), title: "".into() }, |s| {
            s.text("x").add(Event::FootnoteReference("n".into())).text("y");
        });
        s.text("(z)");
    });
    assert_eq!(markdown(&s.0), "## A \\{b\\} {#a_20_b_7d_}\n\n[xy](0002-x.md#a_20_b_7d_)[^n]\\(z)\n");
}
