//! DOCX: what Word is strict about. Every name that is used must be there, ids must differ, properties stand in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read},
};

use quick_xml::events::Event as Xml;

use super::sample::{DRAWING, PIXEL, Pictures, book, events, exported, send};
use crate::export::{Format, Means, exporter};

/// An element of a part: its name, its attributes and its depth.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    depth: usize,
}

impl Element {
    fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

fn parts() -> Vec<(String, Vec<u8>)> {
    parts_of(exported(Format::Docx).0)
}

pub(super) fn parts_of(docx: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(docx)).unwrap();
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

pub(super) fn part(name: &str) -> String {
    let (_, bytes) =
        parts().into_iter().find(|(part, _)| part == name).unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8(bytes).unwrap()
}

/// The elements of well-formed XML, in order; panics where it is not.
fn elements(xml: &str) -> Vec<Element> {
    let (mut reader, mut depth, mut elements) = (quick_xml::Reader::from_str(xml), 0, Vec::new());
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error} in {xml}"));
        if let Xml::Start(start) | Xml::Empty(start) = &event {
            let attributes = start.attributes().map(|attribute| {
                let attribute = attribute.unwrap();
                (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
            });
            let name = start.name().as_ref().to_owned();
            elements.push(Element { name, attributes: attributes.collect(), depth });
        }
        match event {
            Xml::Start(_) => depth += 1,
            Xml::End(_) => depth -= 1,
            Xml::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    elements
}

const STORIES: [&str; 2] = ["word/document.xml", "word/footnotes.xml"];

/// The values of an attribute on elements of this name, in all texts.
fn values(name: &str, attribute: &str) -> Vec<String> {
    let all = STORIES.iter().flat_map(|story| elements(&part(story)));
    all.filter(|element| element.name == name).map(|element| element.get(attribute).to_owned()).collect()
}

fn unique(values: &[String]) -> BTreeSet<&str> {
    let unique: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), values.len(), "{values:?}");
    unique
}

#[test]
fn a_docx_begins_with_its_content_types_and_has_well_formed_parts() {
    let parts = parts();
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "[Content_Types].xml",
            "_rels/.rels",
            "docProps/core.xml",
            "docProps/app.xml",
            "docProps/custom.xml",
            "word/settings.xml",
            "word/footer1.xml",
            "word/document.xml",
            "word/footnotes.xml",
            "word/numbering.xml",
            "word/styles.xml",
            "word/_rels/document.xml.rels",
            "word/_rels/footnotes.xml.rels",
            "word/media/none.png",
            "word/media/image-0001.png",
            "word/media/image-0002.svg",
            "word/media/image-0003.png",
        ]
    );
    for (name, bytes) in &parts[..13] {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(elements(text).len() > 1, "{name}");
    }
    assert_eq!((parts[14].1.as_slice(), parts[15].1.as_slice()), (PIXEL, DRAWING));
    assert_eq!(parts[16].1.len(), PIXEL.len() + (3 << 20));
}

#[test]
fn properties_stand_in_the_order_of_the_schema() {
    const ORDERS: [(&str, &str); 6] = [
        (
            "w:pPr",
            "pStyle keepNext keepLines pageBreakBefore numPr pBdr shd tabs suppressAutoHyphens bidi spacing ind jc \
             outlineLvl",
        ),
        ("w:rPr", "rStyle rFonts b bCs i iCs strike noProof color sz szCs u vertAlign rtl lang"),
        ("w:tblPr", "tblStyle bidiVisual tblW tblInd tblBorders tblCellMar tblLook"),
        ("w:sectPr", "footerReference pgSz pgMar titlePg bidi"),
        (
            "w:style",
            "name basedOn next uiPriority semiHidden unhideWhenUsed qFormat pPr rPr tblPr tblStylePr",
        ),
        ("w:lvl", "start numFmt lvlText lvlJc pPr"),
    ];
    let mut checked = 0;
    for name in ["word/document.xml", "word/footnotes.xml", "word/styles.xml", "word/numbering.xml"] {
        let all = elements(&part(name));
        for (at, parent) in all.iter().enumerate() {
            let Some((_, order)) = ORDERS.iter().find(|(name, _)| *name == parent.name) else { continue };
            let children = all[at + 1..].iter().take_while(|child| child.depth > parent.depth);
            let places: Vec<usize> = children
                .filter(|child| child.depth == parent.depth + 1)
                .map(|child| {
                    let place = order.split_whitespace().position(|known| child.name == format!("w:{known}"));
                    place.unwrap_or_else(|| panic!("{} in {}", child.name, parent.name))
                })
                .collect();
            assert!(places.is_sorted_by(|a, b| a < b), "{} in {name}: {places:?}", parent.name);
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn every_relationship_that_is_used_is_there_and_leads_somewhere() {
    let names: Vec<String> = parts().into_iter().map(|(name, _)| name).collect();
    for story in STORIES {
        let list = elements(&part(&story.replace("word/", "word/_rels/").replace(".xml", ".xml.rels")));
        let ids: Vec<String> = list[1..].iter().map(|entry| entry.get("Id").to_owned()).collect();
        let ids = unique(&ids);
        for entry in &list[1..] {
            let (target, is_out) = (entry.get("Target"), entry.get("TargetMode") == "External");
            assert!(is_out || names.contains(&format!("word/{target}")), "{target}");
            assert!(!is_out || target.starts_with("https://") && !target.contains(' '), "{target}");
        }
        let mut used = 0;
        for element in elements(&part(story)) {
            for attribute in ["r:id", "r:embed"] {
                let id = element.get(attribute);
                assert!(id.is_empty() || ids.contains(id), "{id} in {story}");
                used += usize::from(!id.is_empty());
            }
        }
        assert!(used > 0, "{story}");
    }
}

#[test]
fn bookmarks_are_legal_and_unique_and_every_link_finds_its_own() {
    unique(&values("w:bookmarkStart", "w:id"));
    assert_eq!(values("w:bookmarkStart", "w:id").len(), values("w:bookmarkEnd", "w:id").len());
    let names = values("w:bookmarkStart", "w:name");
    let names = unique(&names);
    for name in &names {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        assert!(name.len() <= 40 && name.chars().all(legal), "{name}");
    }
    for name in ["chapter_1", "chapter_3", "c1_place", "c1_1_020__0fc_nusual", "c2_later", "note_1"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let anchors = values("w:hyperlink", "w:anchor");
    assert!(anchors.iter().filter(|anchor| !anchor.is_empty()).count() > 10);
    for anchor in anchors {
        assert!(anchor.is_empty() || names.contains(anchor.as_str()), "{anchor}");
    }
    for field in values("w:fldSimple", "w:instr") {
        let name = field.split_whitespace().nth(1).unwrap();
        assert!(field.starts_with(" NOTEREF ") && names.contains(name), "{field}");
    }
    unique(&values("wp:docPr", "id"));
}

#[test]
fn every_style_list_and_note_that_is_used_is_there() {
    let ids = |name: &str, element: &str, attribute: &str| {
        let all = elements(&part(name)).into_iter().filter(|found| found.name == element);
        all.map(|found| found.get(attribute).to_owned()).collect::<Vec<_>>()
    };
    let styles = ids("word/styles.xml", "w:style", "w:styleId");
    let (styles, names) = (unique(&styles), ids("word/styles.xml", "w:name", "w:val"));
    unique(&names);
    for used in
        [values("w:pStyle", "w:val"), values("w:rStyle", "w:val"), values("w:tblStyle", "w:val")].concat()
    {
        assert!(styles.contains(used.as_str()), "{used}");
    }
    for name in ["w:basedOn", "w:next"] {
        for used in ids("word/styles.xml", name, "w:val") {
            assert!(styles.contains(used.as_str()), "{used}");
        }
    }
    let lists = ids("word/numbering.xml", "w:num", "w:numId");
    let lists = unique(&lists);
    for used in values("w:numId", "w:val") {
        assert!(lists.contains(used.as_str()), "{used}");
    }
    let notes = ids("word/footnotes.xml", "w:footnote", "w:id");
    let mentioned = values("w:footnoteReference", "w:id");
    assert_eq!(unique(&notes).len(), unique(&mentioned).len() + 2);
    assert!(mentioned.iter().all(|id| notes.contains(id)));
}

#[test]
fn a_large_book_has_the_form_that_reaches_beyond_four_gigabytes_and_nothing_else_changes() {
    let means = Means { most_bytes: 1 << 30, ..Box::new(Pictures).into() };
    let mut exporter = exporter(Format::Docx, book(), means, &<_>::default()).unwrap();
    let mut large = Vec::new();
    send(exporter.as_mut(), events(), &mut large);
    // The ZIP64 field, of two sizes that follow the data.
    let announced = [&b"word/document.xml"[..], &[1, 0, 16, 0], &[0; 16]].concat();
    let announces = |docx: &[u8]| docx.windows(announced.len()).any(|bytes| bytes == announced);
    let plain = exported(Format::Docx).0;
    assert!(announces(&large) && !announces(&plain));
    assert!(parts_of(large) == parts_of(plain));
}
