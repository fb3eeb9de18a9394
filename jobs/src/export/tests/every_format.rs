//! What each format makes of the sample.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

use super::sample::{DRAWING, PIXEL, exported, told};
use crate::export::{Format, json};

fn text(format: Format) -> String {
    String::from_utf8(exported(format).0).unwrap()
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(exported(Format::Epub).0)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let (name, mut bytes) = (file.name().unwrap().into_owned(), Vec::new());
            // Reading to the end checks the CRC.
            file.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

/// Element names and attributes of well-formed XML; panics where it is not.
fn elements(xml: &str) -> Vec<String> {
    let (mut reader, mut depth, mut elements) = (quick_xml::Reader::from_str(xml), 0, Vec::new());
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error} in {xml}")) {
            quick_xml::events::Event::Start(start) => {
                depth += 1;
                elements.push(format!("{start:?}"));
            }
            quick_xml::events::Event::Empty(start) => elements.push(format!("{start:?}")),
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    elements
}

/// The values of an attribute, wherever it stands.
fn values<'a>(markup: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    markup.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_same_book_gives_the_same_bytes() {
    for format in Format::ALL {
        assert_eq!(exported(format), exported(format), "{format}");
    }
}

#[test]
fn no_format_runs_a_script() {
    for file in files().into_values().chain([exported(Format::Html).0]) {
        let file = String::from_utf8_lossy(&file);
        assert!(!file.contains("<script") && !file.contains("javascript:alert(1)\""));
    }
}

#[test]
fn an_epub_begins_with_its_type_and_has_well_formed_files() {
    let bytes = exported(Format::Epub).0;
    assert_eq!(&bytes[30..58], b"mimetypeapplication/epub+zip");
    let files = files();
    for (name, bytes) in &files {
        if [".xhtml", ".opf", ".xml"].iter().any(|end| name.ends_with(end)) {
            elements(std::str::from_utf8(bytes).unwrap());
        }
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "EPUB/chapter-00001.xhtml",
            "EPUB/chapter-00002.xhtml",
            "EPUB/chapter-00003.xhtml",
            "EPUB/cover.xhtml",
            "EPUB/images/image-0001.png",
            "EPUB/images/image-0002.svg",
            "EPUB/images/image-0003.png",
            "EPUB/nav.xhtml",
            "EPUB/package.opf",
            "EPUB/style.css",
            "EPUB/title.xhtml",
            "META-INF/container.xml",
            "mimetype",
        ]
    );
    assert_eq!(files["EPUB/images/image-0001.png"], PIXEL);
    assert_eq!(files["EPUB/images/image-0002.svg"], DRAWING);
    assert_eq!(files["EPUB/images/image-0003.png"].len(), PIXEL.len() + (3 << 20));
}

#[test]
fn every_link_of_an_epub_finds_its_place_and_every_id_is_unique() {
    let files = files();
    let page = |name: &str| std::str::from_utf8(&files[&format!("EPUB/{name}")]).unwrap();
    let mut checked = 0;
    for name in
        files.keys().filter_map(|name| name.strip_prefix("EPUB/")).filter(|name| name.ends_with("xhtml"))
    {
        let ids = values(page(name), "id");
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "{name}");
        for target in values(page(name), "href").into_iter().filter(|target| !target.contains("://")) {
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { name } else { file };
            if !file.ends_with(".css") && !fragment.is_empty() {
                assert!(values(page(file), "id").contains(&fragment), "{target} in {name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn an_epub_says_what_reading_systems_and_shops_ask_for() {
    let files = files();
    let page = |name: &str| std::str::from_utf8(&files[&format!("EPUB/{name}")]).unwrap();
    let (package, navigation) = (page("package.opf"), page("nav.xhtml"));
    let says = |property: &str| -> Vec<&str> {
        let begin = format!("<meta property=\"{property}\">");
        package.split(&begin).skip(1).filter_map(|rest| rest.split('<').next()).collect()
    };
    assert_eq!(says("schema:accessMode"), ["textual", "visual"]);
    assert_eq!(says("schema:accessModeSufficient").len(), 1);
    for feature in ["tableOfContents", "readingOrder", "structuralNavigation", "ARIA"] {
        assert!(says("schema:accessibilityFeature").contains(&feature), "{feature}");
    }
    // The sample has a drawing that could move.
    assert_eq!(says("schema:accessibilityHazard"), ["unknown"]);
    assert_eq!(says("schema:accessibilitySummary").len(), 1);
    assert_eq!(says("dcterms:modified"), ["1843-07-01T00:00:00Z"]);
    assert!(
        package.contains("properties=\"cover-image\"")
            && package.contains("<meta name=\"cover\" content=\"i1\"/>")
    );
    let (_, landmarks) = navigation.split_once("epub:type=\"landmarks\"").unwrap();
    assert_eq!(values(landmarks, "epub:type"), ["cover", "titlepage", "toc", "bodymatter"]);
    for target in values(landmarks, "href") {
        assert!(files.contains_key(&format!("EPUB/{target}")), "{target}");
    }
}

#[test]
fn what_is_lost_is_counted_by_what_it_was() {
    let losses = |format| told(&exported(format).1);
    let markup = [
        "footnote without a text: 1",
        "link inside a link: 1",
        "link that leads nowhere: 3",
        "link to a place that is not there: 3",
        "missing image: 1",
        "remote image: 1",
    ];
    assert_eq!(losses(Format::Epub), markup);
    assert_eq!(losses(Format::Html), markup);
    let own = ["drawing that older programs can't show: 2"];
    assert_eq!(losses(Format::Docx), [&own[..], &markup].concat());
    assert_eq!(losses(Format::Json), ["link that leads nowhere: 2", "missing image: 1"]);
    assert_eq!(
        losses(Format::Markdown),
        ["link inside a link: 1", "link that leads nowhere: 2", "missing image: 1"]
    );
    assert_eq!(
        losses(Format::Text),
        ["footnote without a text: 1", "image: 5", "link target: 10", "link that leads nowhere: 2"]
    );
}

#[test]
fn an_html_file_stands_alone() {
    let html = text(Format::Html);
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">"));
    assert!(html.ends_with("</html>\n") && !html.contains('\u{0}'));
    for source in values(&html, "src") {
        assert!(source.starts_with("data:image/"), "{source:.60}");
    }
    let ids = values(&html, "id");
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len());
    for target in values(&html, "href") {
        match target.strip_prefix('#') {
            Some(fragment) => assert!(ids.contains(&fragment), "{target}"),
            None => assert!(target.starts_with("https://"), "{target}"),
        }
    }
    assert!(html.contains("<p dir=\"auto\">שלום"));
}

#[test]
fn json_is_what_its_schema_says() {
    let schema: serde_json::Value = serde_json::from_str(json::SCHEMA).unwrap();
    assert_eq!(schema["properties"]["format"]["const"], "presswork-book-export");
    let book: serde_json::Value = serde_json::from_slice(&exported(Format::Json).0).unwrap();
    assert_eq!((&book["format"], &book["version"]), (&"presswork-book-export".into(), &1.into()));
    let first = &book["chapters"][0]["blocks"];
    assert_eq!(first[0]["runs"][1]["text"], "slanted and ");
    assert_eq!(first[0]["runs"][2]["marks"], serde_json::json!(["emphasis", "strong"]));
    assert_eq!(
        first[3],
        serde_json::json!({
            "type": "heading", "level": 2, "anchor": "place", "runs": [{"type": "text", "text": "A heading"}]
        })
    );
    let table = book["chapters"][1]["blocks"].as_array().unwrap().last().unwrap();
    assert_eq!((table["rows"].as_array().unwrap().len(), table["head"].as_array().unwrap().len()), (2, 4));
    let names: Vec<_> =
        book["assets"].as_array().unwrap().iter().map(|asset| asset["name"].clone()).collect();
    assert_eq!(names, ["cover.png", "drawing.svg", "large one.png"]);
}

#[test]
fn plain_text_keeps_to_its_width() {
    let text = text(Format::Text);
    for line in text.lines().filter(|line| !line.contains("://") && !line.starts_with("    ")) {
        assert!(line.chars().count() <= 72, "{line}");
    }
    for part in [
        "\nOne\n===\n",
        "A heading\n---------\n",
        "https://example.org/a?b=1&c=\"2\"",
        "    3. three\n\n       - tight\n       -\n\n    4. four\n",
        "line[1][1][2]\n",
        "[1]  A note.\n\n     Its second paragraph.\n",
        "                                 * * *\n",
        "[Image: A drawing]",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
