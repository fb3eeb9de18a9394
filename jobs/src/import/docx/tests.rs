//! DOCX files, sound and hostile, made part by part.

use super::super::{
    ChapterMark, Imported, Source, SourceFormat,
    epub::tests::zip_of,
    import_marked,
    tests::{Kept, PNG, file, run},
};
use crate::book::BookError;

const W: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:wp="x" xmlns:a="y""#;

/// The entries of a DOCX.
pub(in crate::import) struct Parts(pub(in crate::import) Vec<(String, Vec<u8>)>);

impl Parts {
    /// With this body; there are two styles, a numbered and a bulleted list, a note, a picture.
    pub(in crate::import) fn with(body: &str) -> Self {
        let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relation = |id: &str, kind: &str, target: &str, mode: &str| {
            format!(r#"<Relationship Id="{id}" Type="{office}/{kind}" Target="{target}"{mode}/>"#)
        };
        let relations = |all: &[String]| format!("<Relationships>{}</Relationships>", all.concat());
        let text = |name: &str, text: String| (name.to_owned(), text.into_bytes());
        Self(vec![
            text("[Content_Types].xml", "<Types/>".into()),
            text("_rels/.rels", relations(&[relation("a", "officeDocument", "word/document.xml", ""), relation("b", "core-properties", "docProps/core.xml", "")])),
            text("docProps/core.xml", "<cp:coreProperties xmlns:cp='c' xmlns:dc='d'><dc:title>The &amp; Title</dc:title><dc:creator>Ann; Bob</dc:creator><cp:keywords>a, b</cp:keywords><dc:language>de</dc:language></cp:coreProperties>".into()),
            text("word/_rels/document.xml.rels", relations(&[
                relation("s", "styles", "styles.xml", ""),
                relation("n", "numbering", "/word/numbering.xml", ""),
                relation("f", "footnotes", "footnotes.xml", ""),
                relation("i", "image", "media/pic one.png", ""),
                relation("h", "hyperlink", "https://example.org/", " TargetMode=\"External\""),
            ])),
            text("word/styles.xml", format!(concat!(
                "<w:styles {}><w:style w:type=\"paragraph\" w:default=\"1\" w:styleId=\"Standard\"><w:name w:val=\"Normal\"/></w:style>",
                "<w:style w:type=\"paragraph\" w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/><w:rPr><w:b/></w:rPr></w:style>",
                "<w:style w:type=\"paragraph\" w:styleId=\"Kapitel\"><w:name w:val=\"Kapitel\"/><w:basedOn w:val=\"berschrift1\"/></w:style>",
                "<w:style w:type=\"paragraph\" w:styleId=\"Unter\"><w:name w:val=\"Mein Unter\"/><w:pPr><w:outlineLvl w:val=\"1\"/></w:pPr></w:style>",
                "<w:style w:type=\"character\" w:styleId=\"Fett\"><w:name w:val=\"Fett\"/><w:rPr><w:b/></w:rPr></w:style>",
                "<w:style w:type=\"paragraph\" w:styleId=\"Zitat\"><w:name w:val=\"Quote\"/></w:style></w:styles>"), W)),
            text("word/numbering.xml", format!(concat!(
                "<w:numbering {}><w:abstractNum w:abstractNumId=\"0\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"3\"/><w:numFmt w:val=\"decimal\"/><w:lvlText w:val=\"%1.\"/></w:lvl>",
                "<w:lvl w:ilvl=\"1\"><w:numFmt w:val=\"bullet\"/><w:lvlText w:val=\"o\"/></w:lvl></w:abstractNum>",
                "<w:num w:numId=\"5\"><w:abstractNumId w:val=\"0\"/></w:num></w:numbering>"), W)),
            text("word/footnotes.xml", format!("<w:footnotes {W}><w:footnote w:type=\"separator\" w:id=\"0\"/><w:footnote w:id=\"2\"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t> The note.</w:t></w:r></w:p></w:footnote></w:footnotes>")),
            ("word/media/pic one.png".to_owned(), PNG.to_vec()),
            text("word/document.xml", format!("<?xml version=\"1.0\"?><w:document {W}><w:body>{body}</w:body></w:document>")),
        ])
    }

    /// One that has a little of everything.
    pub(in crate::import) fn small() -> Self {
        Self::with(BODY)
    }
}

const BODY: &str = concat!(
    r#"<w:p><w:pPr><w:pStyle w:val="Kapitel"/></w:pPr><w:bookmarkStart w:id="1" w:name="_Toc1"/><w:r><w:t>One</w:t></w:r></w:p>"#,
    r#"<w:p><w:r><w:t xml:space="preserve">Plain </w:t></w:r><w:r><w:rPr><w:rStyle w:val="Fett"/></w:rPr><w:t>bold</w:t></w:r>"#,
    r#"<w:r><w:rPr><w:i/></w:rPr><w:t> it</w:t></w:r><w:ins><w:r><w:t xml:space="preserve"> in</w:t></w:r></w:ins><w:del><w:r><w:delText>out</w:delText></w:r></w:del>"#,
    r#"<w:r><w:footnoteReference w:id="2"/></w:r><w:hyperlink r:id="h"><w:r><w:t>web</w:t></w:r></w:hyperlink>"#,
    r#"<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK \l "_Ref9" </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>there</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>"#,
    r#"<w:r><w:drawing><wp:inline><wp:docPr id="1" name="Picture 1" descr="a pic"/><a:blip r:embed="i"/></wp:inline></w:drawing></w:r><w:r><w:commentReference w:id="0"/></w:r></w:p>"#,
    r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="5"/></w:numPr></w:pPr><w:r><w:t>three</w:t></w:r></w:p>"#,
    r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="5"/></w:numPr></w:pPr><w:r><w:t>inner</w:t></w:r></w:p>"#,
    r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="5"/></w:numPr></w:pPr><w:r><w:t>four</w:t></w:r></w:p>"#,
    r#"<w:p><w:pPr><w:pStyle w:val="Zitat"/></w:pPr><w:r><w:t>Quoted</w:t></w:r></w:p>"#,
    r#"<w:p><w:pPr><w:pStyle w:val="Unter"/></w:pPr><w:bookmarkStart w:id="2" w:name="_Ref9"/><w:r><w:t>Deep</w:t></w:r></w:p>"#,
    r#"<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p><w:pPr><w:jc w:val="center"/></w:pPr><w:r><w:t>h</w:t></w:r></w:p></w:tc></w:tr>"#,
    r#"<w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"#,
    r#"<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:rPr><w:b/></w:rPr><w:t>Two</w:t></w:r></w:p>"#,
    r#"<w:p><w:r><w:t>End</w:t></w:r><w:r><w:br/></w:r><w:r><w:t>line</w:t></w:r></w:p><w:sectPr/>"#,
);

fn import(parts: &Parts) -> Result<(Kept, Imported), BookError> {
    run(SourceFormat::Docx, "b.docx", &zip_of(&parts.0))
}

#[test]
fn a_document_of_word_becomes_chapters() {
    let (kept, imported) = import(&Parts::small()).unwrap();
    assert_eq!(kept.titles(), ["One", "Two"]);
    let text = kept.text();
    for part in [
        "Plain **bold** *it* in[^1]",
        "[web](https://example.org/)[there](#_Ref9)![a pic](../images/pic-one.png)",
        "3. three\n\n   - inner\n\n4. four",
        "> Quoted",
        "## Deep {#_Ref9}",
        "| h |  |\n| :-: | --- |\n| a | b |",
        "End\\\nline",
        "[^1]: The note.",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let metadata = &imported.metadata;
    assert_eq!((metadata.title.as_str(), metadata.language.as_str()), ("The & Title", "de"));
    assert_eq!((metadata.authors.len(), metadata.subjects.len()), (2, 2));
    let lost: Vec<_> = imported.report.losses.iter().collect();
    let expected = [
        ("comment", 1),
        ("merged table cell", 1),
        ("tracked deletion, dropped", 1),
        ("tracked insertion, kept", 1),
    ];
    assert_eq!(lost, expected);
}

#[test]
fn links_in_notes_lead_to_headings_that_nothing_else_names() {
    let heading = |style: &str, name: &str, text: &str| {
        format!(
            "<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr><w:bookmarkStart w:id=\"1\" w:name=\"{name}\"/>\
             <w:r><w:t>{text}</w:t></w:r></w:p>"
        )
    };
    let marks = "<w:p><w:r><w:t>Text</w:t><w:footnoteReference w:id=\"2\"/></w:r></w:p>";
    let body = [heading("Kapitel", "_One", "One"), marks.to_owned(), heading("Unter", "_Ref9", "Deep")];
    let mut parts = Parts::with(&body.concat());
    let note = "<w:footnotes><w:footnote w:id=\"2\"><w:p><w:hyperlink w:anchor=\"_Ref9\"><w:r><w:t>there</w:t></w:r></w:hyperlink>\
                <w:hyperlink w:anchor=\"_One\"><w:r><w:t>here</w:t></w:r></w:hyperlink></w:p></w:footnote></w:footnotes>";
    let place = parts.0.iter().position(|(name, _)| name == "word/footnotes.xml").unwrap();
    parts.0[place].1 = note.as_bytes().to_vec();
    let (kept, imported) = import(&parts).unwrap();
    let text = kept.text();
    assert!(text.contains("## Deep {#_Ref9}"), "{text}");
    assert!(text.contains("[^1]: [there](#_Ref9)[here](0001-one.md)"), "{text}");
    assert_eq!(imported.report.losses.iter().count(), 0);
}

/// A document with this text behind a chapter's heading, and these notes: the ids 2, 3 and so on.
fn with_notes(body: &str, notes: &[String]) -> Parts {
    let heading = "<w:p><w:pPr><w:pStyle w:val=\"Kapitel\"/></w:pPr><w:r><w:t>One</w:t></w:r></w:p>";
    let mut parts = Parts::with(&format!("{heading}{body}"));
    let notes = notes
        .iter()
        .enumerate()
        .map(|(at, note)| format!("<w:footnote w:id=\"{}\"><w:p>{note}</w:p></w:footnote>", at + 2));
    let notes = format!("<w:footnotes>{}</w:footnotes>", notes.collect::<String>());
    let place = parts.0.iter().position(|(name, _)| name == "word/footnotes.xml").unwrap();
    parts.0[place].1 = notes.into_bytes();
    parts
}

/// The mark of the note with this id.
fn mark(id: u8) -> String {
    format!(
        "<w:bookmarkStart w:id=\"{id}\" w:name=\"note_{id}\"/><w:r><w:footnoteReference w:id=\"{id}\"/></w:r>"
    )
}

/// A field that shows it again.
fn again(id: u8) -> String {
    format!("<w:fldSimple w:instr=\" NOTEREF note_{id} \\f \\h \"><w:r><w:t>{id}</w:t></w:r></w:fldSimple>")
}

fn says(text: &str) -> String {
    format!("<w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r>")
}

#[test]
fn notes_mention_other_notes_and_themselves() {
    let body = format!("<w:p>{}{}{}{}</w:p>", says("Text"), mark(2), says(" goes on"), mark(3));
    let notes = [
        [says("First note with "), again(3), says(" inside.")].concat(),
        [says("Of itself"), again(3), says(".")].concat(),
    ];
    let (kept, imported) = import(&with_notes(&body, &notes)).unwrap();
    let text = kept.text();
    for part in ["Text[^1] goes on[^2]", "[^1]: First note with [^2] inside.", "[^2]: Of itself[^2]."] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(imported.report.losses.iter().count(), 0);
}

#[test]
fn notes_still_to_come_are_mentioned_but_not_in_contents() {
    let contents =
        format!("<w:p><w:fldSimple w:instr=\"TOC\">{}{}</w:fldSimple></w:p>", says("One"), again(2));
    let before = format!("<w:p>{}{}{}</w:p>", says("See"), again(2), says(" below."));
    let body = format!("{contents}{before}<w:p>{}{}</w:p>", says("Text"), mark(2));
    let (kept, imported) = import(&with_notes(&body, &[says("The note.")])).unwrap();
    assert_eq!(kept.text().trim_end(), "# One\n\nSee[^1] below.\n\nText[^1]\n\n[^1]: The note.");
    assert_eq!(imported.report.losses.iter().count(), 0);
}

#[test]
fn mentions_of_notes_that_are_not_found_are_counted() {
    let body = format!("<w:p>{}{}{}</w:p><w:p>{}</w:p>", says("Text"), mark(2), again(8), says("Behind."));
    let notes = [[says("A note"), again(9), says(".")].concat()];
    let (kept, imported) = import(&with_notes(&body, &notes)).unwrap();
    let text = kept.text();
    assert!(text.contains("Text[^1]\n\nBehind.") && text.contains("[^1]: A note."), "{text}");
    let lost: Vec<_> = imported.report.losses.iter().collect();
    assert_eq!(lost, [("reference to a footnote that was not found", 2)]);
}

#[test]
fn what_a_mention_without_an_end_swallows_is_counted() {
    let sign = |kind: &str| format!("<w:r><w:fldChar w:fldCharType=\"{kind}\"/></w:r>");
    let instruction = "<w:r><w:instrText>NOTEREF note_2</w:instrText></w:r>";
    let begun = format!("{}{instruction}{}{}", sign("begin"), sign("separate"), says("2"));
    let body = format!("<w:p>{}{}{begun}</w:p><w:p>{}</w:p>", says("Text"), mark(2), says("Behind."));
    let (kept, imported) = import(&with_notes(&body, &[says("The note.")])).unwrap();
    assert!(!kept.text().contains("Behind."), "{}", kept.text());
    let lost: Vec<_> = imported.report.losses.iter().collect();
    assert_eq!(lost, [("text of a field without an end, dropped", 2)]);
}

#[test]
fn without_headings_chapters_begin_at_new_pages() {
    let body = "<w:p><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:br w:type=\"page\"/><w:t>b</w:t></w:r></w:p>\
                <w:p><w:r><w:t>c</w:t></w:r></w:p>";
    let (kept, _) = import(&Parts::with(body)).unwrap();
    assert_eq!(kept.chapters.len(), 2, "{}", kept.text());
    let (kept, _) = import(&Parts::with("<w:p><w:r><w:t>a</w:t></w:r></w:p>")).unwrap();
    assert_eq!(kept.chapters.len(), 1);
}

#[test]
fn chapters_begin_at_the_level_that_their_owner_says() {
    let body: String =
        [("berschrift1", "One"), ("Unter", "A"), ("Unter", "B"), ("Kapitel", "Two"), ("Unter", "C")]
            .map(|(style, text)| {
                format!(
                    "<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>\
                 <w:p><w:r><w:t>Of {text}.</w:t></w:r></w:p>"
                )
            })
            .concat();
    let (_file, source) = file("b.docx", &zip_of(&Parts::with(&body).0));
    for (marks, titles, is_told) in [
        (&[][..], &["One", "Two"][..], false),
        (&["h1"], &["One", "Two"], false),
        (&["h2"], &["One", "A", "B", "Two", "C"], false),
        (&["h1", "h2"], &["One", "A", "B", "Two", "C"], false),
        (&["h2", "Chapter *"], &["One", "A", "B", "Two", "C"], true),
        (&["numbers"], &["One", "Two"], true),
    ] {
        let marks: Vec<ChapterMark> = marks.iter().map(|mark| mark.parse().unwrap()).collect();
        let mut kept = Kept::default();
        let imported =
            import_marked(SourceFormat::Docx, &Source::File(source.clone()), &marks, &mut kept).unwrap();
        assert_eq!(kept.titles(), titles, "{marks:?}");
        let warnings = imported.report.warnings;
        assert_eq!(warnings.iter().any(|one| one.contains("marks were not used")), is_told, "{warnings:?}");
        assert!(
            ["One", "A", "B", "Two", "C"].iter().all(|text| kept.text().contains(&format!("Of {text}.")))
        );
    }
}

#[test]
fn contents_and_hidden_text_are_left_out() {
    let body = concat!(
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val=\"Table of Contents\"/></w:docPartObj></w:sdtPr>",
        "<w:sdtContent><w:p><w:r><w:t>Contents</w:t></w:r></w:p></w:sdtContent></w:sdt>",
        "<w:p><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>TOC</w:instrText></w:r>",
        "<w:r><w:fldChar w:fldCharType=\"separate\"/></w:r><w:r><w:t>One 1</w:t></w:r></w:p>",
        "<w:p><w:r><w:t>Two 2</w:t></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r></w:p>",
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:r><w:t>Text.</w:t></w:r></w:p>",
    );
    let (kept, _) = import(&Parts::with(body)).unwrap();
    assert_eq!(kept.text(), "#\n\nText.\n");
}

#[test]
fn hostile_documents_are_refused_with_their_place() {
    let with = |document: &str| {
        let mut parts = Parts::small();
        parts.0.last_mut().unwrap().1 = document.as_bytes().to_vec();
        import(&parts).map(drop).unwrap_err().to_string()
    };
    let deep = "<w:sdt>".repeat(10_000);
    let long = format!("<w:document><w:body><w:p><w:r><w:t>{}", "x".repeat(5 << 20));
    for (document, says) in [
        ("<!DOCTYPE x [<!ENTITY a \"b\">]><w:document/>".to_owned(), "DOCTYPE"),
        ("<w:document><w:body><w:p><w:r><w:t>&a;</w:t>".to_owned(), "entity"),
        (format!("<w:document>{deep}"), "deep"),
        (long, ""),
        ("<w:document><w:body><w:p>".to_owned(), "cut off"),
        ("<w:document><w:body></w:p>".to_owned(), "broken"),
    ] {
        let error = with(&document);
        assert!(error.starts_with("b.docx") && error.contains(says), "{says}: {error}");
    }
    let old = run(SourceFormat::Docx, "b.docx", b"\xd0\xcf\x11\xe0rest").unwrap_err().to_string();
    assert!(old.contains("password"), "{old}");
    let mut parts = Parts::small();
    parts.0.pop();
    assert!(import(&parts).unwrap_err().to_string().contains("not a DOCX"));
}

/// Made by pandoc 2.17 of a Markdown file.
const PANDOC: &[u8] = include_bytes!("fixtures/pandoc.docx");
/// Made by python-docx 1.2, whose template is Word's.
const PYTHON: &[u8] = include_bytes!("fixtures/python.docx");

#[test]
fn a_document_of_pandoc_is_read() {
    let (kept, imported) = run(SourceFormat::Docx, "b.docx", PANDOC).unwrap();
    assert_eq!(kept.titles(), ["First chapter", "Second chapter"]);
    let text = kept.text();
    for part in [
        "Plain *slanted* **bold** ~~gone~~ &#120;^2^ &#72;~2~&#79; `code  x`.[^1] A [link](https://example.org) and [inside](#deep).",
        "## Deep {#deep}",
        "3. three\n4. four",
        "> Quoted.",
        "```\nfn main() {\n    let x = 1;\n}\n```",
        "| a | b |\n| :-- | --: |\n| 1 | 2 |",
        "***",
        "Line\\\nbreak.",
        "[^1]: The *note*.\n\n    Second paragraph.",
        "second paragraph",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(imported.metadata.title, "The Pandoc Book");
    assert_eq!(imported.metadata.authors, ["Ann One", "Bob Two"]);
}

#[test]
fn a_document_of_python_docx_is_read() {
    let (kept, imported) = run(SourceFormat::Docx, "b.docx", PYTHON).unwrap();
    assert_eq!(kept.titles(), ["One", "Two"]);
    let text = kept.text();
    for part in [
        "Plain **bold** and *italic*",
        "1. first",
        "- dot",
        "> Quoted",
        "| h | i |",
        "| both |",
        "## Deep",
        "End.",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(imported.metadata.title, "The Python Book");
}
