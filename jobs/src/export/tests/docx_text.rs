//! DOCX: what stands for what, as the head of `docx` says it.

use quick_xml::events::Event as Xml;

use super::{
    docx::{part, parts_of},
    sample::{Pictures, Script, book, send},
};
use crate::{
    book::{Alignment, Book, Event, Metadata, Tag},
    export::{Format, PageOptions, exporter},
};

/// Each paragraph as its style, the list and level of its item, and its text; tables as `table` and `end`.
fn outline(xml: &str) -> Vec<String> {
    let (mut reader, mut lines, mut line, mut is_text) =
        (quick_xml::Reader::from_str(xml), vec![], None, false);
    let value = |start: &quick_xml::events::BytesStart<'_>| {
        start.try_get_attribute("w:val").unwrap().map(|value| value.value.into_owned()).unwrap_or_default()
    };
    loop {
        match reader.read_event().unwrap() {
            Xml::Start(start) if start.name().as_ref() == "w:p" => line = Some(String::new()),
            Xml::Start(start) if start.name().as_ref() == "w:tbl" => lines.push("table".to_owned()),
            Xml::End(end) if end.name().as_ref() == "w:tbl" => lines.push("end".to_owned()),
            Xml::End(end) if end.name().as_ref() == "w:p" => lines.extend(line.take()),
            Xml::Start(start) if start.name().as_ref() == "w:t" => is_text = true,
            Xml::End(end) if end.name().as_ref() == "w:t" => is_text = false,
            Xml::Empty(start) => {
                let Some(line) = &mut line else { continue };
                match start.name().as_ref() {
                    "w:pStyle" => line.push_str(&format!("{}: ", value(&start))),
                    "w:ilvl" => line.push_str(&format!("[{}", value(&start))),
                    "w:numId" => line.push_str(&format!(" {}] ", value(&start))),
                    "w:br" => line.push('/'),
                    _ => {}
                }
            }
            Xml::Text(text) if is_text => {
                if let Some(line) = &mut line {
                    line.push_str(&text.into_inner());
                }
            }
            Xml::Eof => return lines,
            _ => {}
        }
    }
}

#[test]
fn blocks_say_by_their_styles_where_they_stand() {
    let lines = outline(&part("word/document.xml"));
    let begin = lines.iter().position(|line| line == "Heading1: One").unwrap();
    let lines: Vec<&str> = lines[begin..].iter().map(|line| line.trim_end()).collect();
    let shown = lines.join("\n");
    for part in [
        "FirstParagraph: Plain, slanted and bold, gone E=mc2 H2O let x = `a|b`; next/line1\nHeading2: A heading",
        "Quote: Quoted.\nListParagraph_QL: [0 2] three\nListCompact_QLL: [1 1] tight\nListCompact_QLL: [1 1]\n\
         ListParagraph_QL: [0 2] four\nListCompact_QLL: [1 1] tight\nListCompact_QLL: [1 1]\nRule:\nFirstParagraph: שלום",
        "UnmentionedNotes:\nHeading1:",
        "CodeBlock: fn main() {/    ",
        "/```//}\ntable\nTableText: a | b\nTableText:",
        "end\nChapterStart:",
    ] {
        assert!(shown.contains(part), "{part}\nin\n{shown}");
    }
    let notes: Vec<String> = outline(&part("word/footnotes.xml"));
    assert_eq!(notes[2..4], ["FootnoteText:  A note.", "FootnoteText: Its second paragraph."]);
}

#[test]
fn a_paragraph_that_runs_the_other_way_says_so() {
    let document = part("word/document.xml");
    let at = document.find("שלום").unwrap();
    let begin = document[..at].rfind("<w:p>").unwrap();
    let paragraph = &document[begin..at];
    assert!(paragraph.contains("<w:bidi/>") && paragraph.contains("<w:rtl/>"), "{paragraph}");
}

/// The text of a book of one chapter, in a language.
fn document(language: &str, chapter: impl FnOnce(&mut Script)) -> String {
    let mut alone =
        Book::new(Metadata { title: "T".into(), language: language.into(), ..Metadata::default() });
    alone.chapters.push("a.md", "One");
    alone.assets.clone_from(&book().assets);
    let (mut script, mut out) = (Script::default(), Vec::new());
    script.add(Event::BookStart).add(Event::ChapterStart { index: 0, title: "One".into() });
    chapter(&mut script);
    script.add(Event::ChapterEnd).add(Event::BookEnd);
    send(
        exporter(Format::Docx, alone.into(), Box::new(Pictures), &PageOptions::default()).unwrap().as_mut(),
        script.0,
        &mut out,
    );
    let (_, text) = parts_of(out).into_iter().find(|(name, _)| name == "word/document.xml").unwrap();
    String::from_utf8(text).unwrap()
}

fn table(script: &mut Script, cells: &'static [&'static str]) {
    let columns = vec![Alignment::Left, Alignment::Right];
    script.inside(Tag::Table { columns }, |s| {
        s.inside(Tag::TableHead, |s| {
            for cell in cells {
                s.inside(Tag::TableCell, |s| {
                    s.text(cell);
                });
            }
        });
    });
}

#[test]
fn neighbours_of_one_sort_stay_apart() {
    let text = document("en", |s| {
        for _ in 0..2 {
            s.inside(Tag::Quote, |s| {
                s.paragraph("q");
            });
        }
        for first in [None, None] {
            s.inside(Tag::List { first }, |s| {
                s.inside(Tag::Item, |s| {
                    s.inside(Tag::List { first: Some(0) }, |s| {
                        s.inside(Tag::Item, |s| table(s, &["c"]));
                    });
                    s.inside(Tag::CodeBlock { language: "".into() }, |s| {
                        s.text("a\n\n").text("b\tc").text("\n");
                    });
                });
            });
        }
        table(s, &["a", "b", "c"]);
        table(s, &["a", "b"]);
    });
    let lines = outline(&text);
    let begin = lines.iter().position(|line| line == "Heading1: One").unwrap();
    let lines: Vec<&str> = lines[begin + 1..].iter().map(|line| line.trim_end()).collect();
    let list = ["ListCompact: [0 1]", "ListCompact: [1 2]", "table", "TableText: c", "TableText:", "end"];
    let mut second = list;
    second[1] = "ListCompact: [1 3]";
    let expected = [
        &["Quote: q", "Separator:", "Quote: q"][..],
        &list,
        &["CodeBlock_L: a//bc", "Separator:"],
        &second,
        &["CodeBlock_L: a//bc", "table", "TableText: a", "TableText: b", "TableText: c", "end", "Separator:"],
        &["table", "TableText: a", "TableText: b", "end", "Separator:"],
    ];
    assert_eq!(lines, expected.concat());
    assert_eq!(text.matches("<w:tc>").count(), 8);
}

#[test]
fn a_picture_alone_is_a_figure_with_its_caption() {
    let image = |title: &'static str| Event::Image {
        source: "cover.png".into(),
        alt: "A \"cover\"".into(),
        title: title.into(),
    };
    let text = document("en", |s| {
        for event in [image("Its <title>"), image("")] {
            s.inside(Tag::Paragraph, |s| {
                s.add(event);
            });
        }
        s.inside(Tag::Paragraph, |s| {
            s.add(image("unseen")).text("and words");
        });
    });
    let lines = outline(&text);
    let end = &lines[lines.len() - 4..];
    assert_eq!(end, ["Figure: ", "Caption: Its title", "Figure: ", "FirstParagraph: and words"]);
    assert_eq!(text.matches("<w:keepNext/>").count(), 1);
    assert_eq!(
        text.matches("name=\"cover.png\" descr=\"A &quot;cover&quot;\" title=\"Its &lt;title&gt;\"").count(),
        1
    );
    assert_eq!(text.matches("<wp:extent cx=\"9525\" cy=\"9525\"/>").count(), 3);
}

#[test]
fn a_book_from_right_to_left_is_laid_out_so() {
    let text = document("he", |s| {
        s.paragraph("שלום").paragraph("English");
        table(s, &["א", "b"]);
    });
    assert!(text.contains("<w:bidiVisual/>") && text.contains("<w:titlePg/><w:bidi/></w:sectPr>"));
    let paragraph = |word: &str| {
        let at = text.rfind(word).unwrap();
        &text[text[..at].rfind("<w:p>").unwrap()..at]
    };
    assert!(!paragraph("שלום").contains("w:bidi") && paragraph("שלום").contains("<w:rtl/>"));
    assert!(
        paragraph("English").contains("<w:bidi w:val=\"0\"/>") && !paragraph("English").contains("w:rtl")
    );
    // Word's left is where a line begins: this column is aligned to the page's left.
    assert!(paragraph(">א<").contains("<w:jc w:val=\"right\"/>"));
    assert!(paragraph(">b<").contains("<w:bidi w:val=\"0\"/><w:jc w:val=\"right\"/>"));
}
