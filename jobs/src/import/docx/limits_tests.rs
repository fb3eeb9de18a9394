//! What a hostile DOCX may not do: use up the stack or the memory, multiply, or have text dropped without a word.

use super::{
    super::{
        Imported, SourceFormat,
        epub::tests::zip_of,
        tests::{Kept, file, run},
    },
    parts::Notes,
    styles::Styles,
    tests::Parts,
    text::{Block, NoteId, Reader},
    xml::Xml,
};
use crate::{book::BookError, import::archive::Archive};

fn import(parts: &Parts) -> Result<(Kept, Imported), BookError> {
    run(SourceFormat::Docx, "b.docx", &zip_of(&parts.0))
}

/// What comes of a body on a stack like that of a thread of the runtime: its text and losses, or what is wrong.
fn on_a_small_stack(body: String) -> Result<(String, Vec<(String, u64)>), String> {
    let import = move || {
        let (kept, imported) = import(&Parts::with(&body)).map_err(|error| error.to_string())?;
        let losses = imported.report.losses.iter().map(|(what, count)| (what.to_owned(), count));
        Ok((kept.text(), losses.collect()))
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(import).unwrap().join().unwrap()
}

#[test]
fn nesting_does_not_use_up_the_stack() {
    let nested = |begin: &str, middle: &str, end: &str, times: usize| {
        format!("{}{middle}{}", begin.repeat(times), end.repeat(times))
    };
    let run = "<w:r><w:t>within</w:t></w:r>";
    let link = |times| nested("<w:hyperlink w:anchor=\"a\">", run, "</w:hyperlink>", times);
    let runs = |times| nested("<w:r>", "<w:t>within</w:t>", "</w:r>", times);
    let tables = |times| {
        let cell = format!("<w:p>{run}</w:p>");
        nested("<w:tbl><w:tr><w:tc>", &cell, "</w:tc></w:tr></w:tbl>", times)
    };
    for body in [
        format!("<w:p>{}</w:p>", link(500)),
        format!("<w:p>{}</w:p>", runs(500)),
        tables(160),
        nested("<w:tbl>", &nested("<w:ins>", "", "</w:ins>", 480), "</w:tbl>", 1),
        nested("<w:tbl><w:tr>", &nested("<w:sdt>", "", "</w:sdt>", 480), "</w:tr></w:tbl>", 1),
    ] {
        let problem = on_a_small_stack(body).unwrap_err();
        assert!(problem.contains("nested more than 100 deep"), "{problem}");
    }
    for body in [format!("<w:p>{}</w:p>", link(90)), format!("<w:p>{}</w:p>", runs(90)), tables(30)] {
        let (text, _) = on_a_small_stack(body).unwrap();
        assert!(text.contains("within"), "{text}");
    }
}

const BEHIND: &str = "<w:p><w:r><w:t>Behind.</w:t></w:r></w:p>";

fn sign(kind: &str) -> String {
    format!("<w:r><w:fldChar w:fldCharType=\"{kind}\"/></w:r>")
}

fn instruction(text: &str) -> String {
    format!("<w:r><w:instrText>{text}</w:instrText></w:r>")
}

#[test]
fn a_field_without_an_end_hides_nothing_behind_its_paragraph() {
    let begun = format!("{}{}<w:r><w:t>lost</w:t></w:r>", sign("begin"), instruction("PAGE"));
    let (text, losses) = on_a_small_stack(format!("<w:p>{begun}</w:p>{BEHIND}")).unwrap();
    assert!(text.contains("Behind.") && !text.contains("lost"), "{text}");
    assert_eq!(losses, [("text of a field without an end, dropped".to_owned(), 1)]);
}

#[test]
fn what_contents_without_an_end_swallow_is_counted() {
    let begun = format!("{}{}{}", sign("begin"), instruction("TOC"), sign("separate"));
    let text = "<w:p><w:r><w:t>Before.</w:t></w:r></w:p>";
    let (text, losses) = on_a_small_stack(format!("{text}<w:p>{begun}</w:p>{BEHIND}{BEHIND}")).unwrap();
    assert!(text.contains("Before."), "{text}");
    assert_eq!(losses, [("text of a field without an end, dropped".to_owned(), 2)]);
}

#[test]
fn the_end_of_a_field_counts_where_it_was_deleted() {
    let begun = format!("{}{}{}", sign("begin"), instruction("TOC"), sign("separate"));
    let deleted = format!("<w:p><w:del>{}</w:del></w:p>", sign("end"));
    let (text, losses) = on_a_small_stack(format!("<w:p>{begun}</w:p>{deleted}{BEHIND}")).unwrap();
    assert!(text.contains("Behind."), "{text}");
    assert_eq!(losses, [("tracked deletion, dropped".to_owned(), 1)]);
}

#[test]
fn fields_too_deep_to_be_followed_end_no_others() {
    // Contents around many fields: the last ends are theirs, and what stands before them is not text.
    let contents = format!("{}{}{}", sign("begin"), instruction("TOC"), sign("separate"));
    let many = format!("{}{}", sign("begin"), sign("separate")).repeat(80);
    let body = format!(
        "<w:p>{contents}{many}{}<w:r><w:t>entry</w:t></w:r>{}</w:p>{BEHIND}",
        sign("end").repeat(80),
        sign("end")
    );
    let (text, losses) = on_a_small_stack(body).unwrap();
    assert!(text.contains("Behind.") && !text.contains("entry"), "{text}");
    assert!(losses.is_empty(), "{losses:?}");
}

fn first_block(xml: &str) -> Result<Option<Block>, BookError> {
    let styles = Styles::default();
    Reader::new(Xml::new(xml.as_bytes(), "x"), &styles).next()
}

#[test]
fn names_and_tooltips_do_not_fill_the_memory() {
    let mark = |name: &str| format!("<w:bookmarkStart w:name=\"{name}\"/>");
    let many = format!("{}{}", mark(&"n".repeat(1 << 20)), mark("a").repeat(2000));
    let Some(Block::Paragraph(paragraph)) =
        first_block(&format!("<w:b>{many}<w:p>{many}</w:p></w:b>")).unwrap()
    else {
        panic!("a paragraph");
    };
    assert_eq!(paragraph.bookmarks, vec!["a"; 1000]);

    let link = |bytes: usize| format!("<w:hyperlink r:id=\"i\" w:tooltip=\"{}\"/>", "t".repeat(bytes));
    let Some(Block::Paragraph(paragraph)) = first_block(&format!("<w:p>{}</w:p>", link(1 << 20))).unwrap()
    else {
        panic!("a paragraph");
    };
    assert_eq!(paragraph.links[0].title.len(), 64 << 10);
    let problem = first_block(&format!("<w:p>{}</w:p>", link(64 << 10).repeat(200))).unwrap_err();
    assert!(problem.to_string().contains("8 MiB"), "{problem}");
}

#[test]
fn a_note_that_every_chapter_mentions_does_not_multiply() {
    let mut parts = Parts::small();
    let notes = format!(
        "<w:footnotes><w:footnote w:id=\"2\"><w:p>{}</w:p></w:footnote></w:footnotes>",
        "-".repeat((1 << 20) - 200)
    );
    let place = parts.0.iter().position(|(name, _)| name == "word/footnotes.xml").unwrap();
    parts.0[place].1 = notes.into_bytes();
    let (_file, source) = file("b.docx", &zip_of(&parts.0));
    let mut archive = Archive::open(&source, "a DOCX").unwrap();
    let mut notes = Notes::new(crate::scratch::Scratch::default());
    notes.add(&mut archive, "word/footnotes.xml", false).unwrap();
    let note = NoteId { at_end: false, id: "2".into() };
    for _ in 0..60 {
        assert!(!notes.read(&note, "b.docx").unwrap().is_empty());
    }
    let problem = (0..10).find_map(|_| notes.read(&note, "b.docx").err()).unwrap();
    assert!(problem.to_string().contains("64 MiB"), "{problem}");
}

#[test]
fn of_parts_of_one_kind_the_first_is_read() {
    let mut parts = Parts::small();
    let (mut more, mut others) = (String::new(), Vec::new());
    for number in 0..20 {
        more.push_str(&format!(
            "<Relationship Id=\"g{number}\" Type=\"x/footnotes\" Target=\"more{number}.xml\"/>"
        ));
        let note = "<w:footnotes><w:footnote w:id=\"2\"><w:p><w:r><w:t>Another.</w:t></w:r></w:p></w:footnote></w:footnotes>";
        others.push((format!("word/more{number}.xml"), note.as_bytes().to_vec()));
    }
    // The same id again means nothing.
    more.push_str("<Relationship Id=\"f\" Type=\"x/footnotes\" Target=\"more1.xml\"/></Relationships>");
    let relations = parts.0.iter_mut().find(|(name, _)| name == "word/_rels/document.xml.rels").unwrap();
    let text = String::from_utf8(relations.1.clone()).unwrap().replace("</Relationships>", &more);
    relations.1 = text.into_bytes();
    parts.0.splice(0..0, others);
    let (kept, _) = import(&parts).unwrap();
    assert!(kept.text().contains("[^1]: The note."), "{}", kept.text());
}
