//! The small parts around the document: what the archive has, properties, settings, the page's foot.

use crate::{
    book::{Losses, Metadata},
    export::{epub::date, escape::escaped, language, loss},
};

/// Begins every part.
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
/// The longest property of one's own that Word takes.
const MOST_PROPERTY_CHARACTERS: usize = 255;

/// What the archive has. Pictures go by their extension, so that it can be written before they are known.
pub(super) fn content_types() -> String {
    let mut out =
        format!("{HEAD}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">");
    for (extension, media_type) in [
        ("rels", "application/vnd.openxmlformats-package.relationships+xml"),
        ("xml", "application/xml"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("svg", "image/svg+xml"),
    ] {
        out.push_str(&format!("<Default Extension=\"{extension}\" ContentType=\"{media_type}\"/>"));
    }
    const WORD: &str = "wordprocessingml.";
    for (part, kind, media_type) in [
        ("word/document", WORD, "document.main"),
        ("word/styles", WORD, "styles"),
        ("word/settings", WORD, "settings"),
        ("word/numbering", WORD, "numbering"),
        ("word/footnotes", WORD, "footnotes"),
        ("word/footer1", WORD, "footer"),
        ("docProps/app", "", "extended-properties"),
        ("docProps/custom", "", "custom-properties"),
    ] {
        out.push_str(&format!(
            "<Override PartName=\"/{part}.xml\" \
             ContentType=\"application/vnd.openxmlformats-officedocument.{kind}{media_type}+xml\"/>"
        ));
    }
    out.push_str(
        "<Override PartName=\"/docProps/core.xml\" \
         ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/></Types>",
    );
    out
}

/// What the archive is.
pub(super) fn relationships() -> String {
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    format!(
        "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
         <Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"word/document.xml\"/>\
         <Relationship Id=\"rId2\" Type=\"http://schemas.openxmlformats.org/package/2006/relationships/metadata/\
         core-properties\" Target=\"docProps/core.xml\"/>\
         <Relationship Id=\"rId3\" Type=\"{OFFICE}/extended-properties\" Target=\"docProps/app.xml\"/>\
         <Relationship Id=\"rId4\" Type=\"{OFFICE}/custom-properties\" Target=\"docProps/custom.xml\"/>\
         </Relationships>"
    )
}

/// The properties that every program knows.
pub(super) fn core(title: &str, metadata: &Metadata) -> String {
    let mut out = format!(
        "{HEAD}<cp:coreProperties \
         xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:dcterms=\"http://purl.org/dc/terms/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
    );
    let mut element = |name: &str, text: &str| {
        if !text.trim().is_empty() {
            out.push_str(&format!("<{name}>{}</{name}>", escaped(text)));
        }
    };
    element("dc:title", title);
    element("dc:creator", &metadata.authors.join("; "));
    element("cp:keywords", &metadata.subjects.join("; "));
    element("dc:description", &metadata.description);
    element("dc:identifier", &metadata.identifier);
    element("dc:language", &language::tag(&metadata.language));
    if let Some(date) = date(&metadata.date) {
        // A year or a month alone begins with its first day.
        let day = format!("{date}{}T00:00:00Z", &"-01-01"[date.len() - 4..]);
        for name in ["dcterms:created", "dcterms:modified"] {
            out.push_str(&format!("<{name} xsi:type=\"dcterms:W3CDTF\">{day}</{name}>"));
        }
    }
    out.push_str("</cp:coreProperties>");
    out
}

/// The program's own.
pub(super) fn app() -> String {
    format!(
        "{HEAD}<Properties xmlns=\"http://schemas.openxmlformats.org/officeDocument/2006/extended-properties\">\
         <Application>Presswork</Application></Properties>"
    )
}

/// What the common properties have no place for, as it was written.
pub(super) fn custom(metadata: &Metadata, losses: &mut Losses) -> String {
    let mut out = format!(
        "{HEAD}<Properties xmlns=\"http://schemas.openxmlformats.org/officeDocument/2006/custom-properties\" \
         xmlns:vt=\"http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes\">"
    );
    let properties = [
        ("Subtitle", &metadata.subtitle),
        ("Publisher", &metadata.publisher),
        ("Date", &metadata.date),
        ("Rights", &metadata.rights),
    ];
    for (id, (name, value)) in (2..).zip(properties.iter().filter(|(_, value)| !value.trim().is_empty())) {
        let end = value.char_indices().nth(MOST_PROPERTY_CHARACTERS).map(|(end, _)| end);
        if end.is_some() {
            losses.add(loss::METADATA);
        }
        out.push_str(&format!(
            "<property fmtid=\"{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}\" pid=\"{id}\" name=\"{name}\">\
             <vt:lpwstr>{}</vt:lpwstr></property>",
            escaped(&value[..end.unwrap_or(value.len())])
        ));
    }
    out.push_str("</Properties>");
    out
}

/// How programs treat the document: as Word 2013 and later do.
pub(super) fn settings() -> String {
    format!(
        "{HEAD}<w:settings xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">\
         <w:zoom w:percent=\"100\"/><w:defaultTabStop w:val=\"720\"/>\
         <w:characterSpacingControl w:val=\"doNotCompress\"/>\
         <w:footnotePr><w:footnote w:id=\"-1\"/><w:footnote w:id=\"0\"/></w:footnotePr>\
         <w:compat><w:doNotExpandShiftReturn/><w:compatSetting w:name=\"compatibilityMode\" \
         w:uri=\"http://schemas.microsoft.com/office/word\" w:val=\"15\"/></w:compat>\
         <w:decimalSymbol w:val=\".\"/><w:listSeparator w:val=\",\"/></w:settings>"
    )
}

/// The page's number.
pub(super) fn footer() -> String {
    format!(
        "{HEAD}<w:ftr xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">\
         <w:p><w:pPr><w:pStyle w:val=\"Footer\"/></w:pPr><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r>\
         <w:r><w:instrText xml:space=\"preserve\"> PAGE </w:instrText></w:r>\
         <w:r><w:fldChar w:fldCharType=\"separate\"/></w:r><w:r><w:t>1</w:t></w:r>\
         <w:r><w:fldChar w:fldCharType=\"end\"/></w:r></w:p></w:ftr>"
    )
}
