//! What the file says of itself: title and author, twice (Info and XMP), language, page numbers, and how to open it.

use std::io::Write;

use super::{Pdf, objects::text, places::hash};
use crate::{
    book::{Book, BookError, check::is_legal},
    export::escape::escaped,
};

/// Sixteen bytes that are the same for the same book.
pub(super) fn identity(book: &Book) -> [u8; 16] {
    let metadata = &book.metadata;
    let mut whole = format!(
        "{}\n{}\n{}\n{}\n{}",
        metadata.title,
        metadata.subtitle,
        metadata.authors.join("\n"),
        metadata.identifier,
        metadata.language
    );
    let first = hash(&whole);
    for chapter in book.chapters.iter() {
        // Rolled up, so that a book of many chapters makes no long text.
        // Of a file only its own name: its folder is new with each import.
        whole = format!("{:x}{}{}", hash(&whole), chapter.name(), chapter.title);
    }
    let second = hash(&format!("{whole}{first:x}"));
    let mut identity = [0; 16];
    identity[..8].copy_from_slice(&first.to_be_bytes());
    identity[8..].copy_from_slice(&second.to_be_bytes());
    identity
}

/// Writes all that stands at the end of a file.
pub(super) fn finish(pdf: &mut Pdf, out: &mut dyn Write) -> Result<(), BookError> {
    let front = pdf.paper.front_pages();
    let pages = pdf.paper.finish(out)?;
    let is_accessible = !pdf.has_silent && pdf.paper.typesetter.missing() == 0 && pdf.language != "und";
    let right_to_left = pdf.paper.look.right_to_left;
    let objects = &mut pdf.paper.objects;
    let outline = pdf.outline.finish(objects, out)?;
    let root = pdf.paper.structure.finish(objects, out)?;
    let metadata = objects.alloc();
    let book = pdf.lookup.book();
    let packet = packet(book, pdf.lookup.title(), &pdf.language, is_accessible);
    let head =
        format!("{} 0 obj\n<</Type/Metadata/Subtype/XML/Length {}>>\nstream\n", metadata.get(), packet.len());
    objects.plain(out, metadata, format!("{head}{packet}\nendstream\nendobj\n").as_bytes())?;
    let info = objects.info();
    objects.body(out, info, information(book, pdf.lookup.title()).as_bytes())?;
    let mut catalog = format!(
        "<</Type/Catalog/Pages {} 0 R/StructTreeRoot {} 0 R/MarkInfo<</Marked true>>/Metadata {} 0 R\
         /ViewerPreferences<</DisplayDocTitle true{}>>",
        pages.get(),
        root.get(),
        metadata.get(),
        if right_to_left { "/Direction/R2L" } else { "" }
    );
    if pdf.language != "und" {
        catalog.push_str(&format!("/Lang{}", text(&pdf.language)));
    }
    if let Some(outline) = outline {
        catalog.push_str(&format!("/Outlines {} 0 R/PageMode/UseOutlines", outline.get()));
    }
    let roman = if front > 0 { "0<</S/r>>" } else { "" };
    catalog.push_str(&format!("/PageLabels<</Nums[{roman}{front}<</S/D>>]>>>>"));
    let id = objects.catalog();
    objects.body(out, id, catalog.as_bytes())?;
    Ok(objects.finish(out)?)
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| is_legal(*c)).collect::<String>().trim().to_owned()
}

fn information(book: &Book, title: &str) -> String {
    let metadata = &book.metadata;
    let mut dict = "<<".to_owned();
    for (key, value) in [
        ("Title", title.to_owned()),
        ("Author", metadata.authors.join(", ")),
        ("Subject", metadata.description.clone()),
        ("Keywords", metadata.subjects.join(", ")),
        ("Creator", "Presswork".to_owned()),
        ("Producer", "Presswork".to_owned()),
    ] {
        let value = clean(&value);
        if !value.is_empty() {
            dict.push_str(&format!("/{key}{}", text(&value)));
        }
    }
    dict + ">>"
}

/// The metadata as XMP (ISO 16684-1).
fn packet(book: &Book, title: &str, language: &str, is_accessible: bool) -> String {
    let metadata = &book.metadata;
    let text = |value: &str| escaped(&clean(value)).into_owned();
    let mut body = String::new();
    let alternatives =
        [("title", title), ("description", &metadata.description), ("rights", &metadata.rights)];
    for (name, value) in alternatives {
        if !value.trim().is_empty() {
            let value = text(value);
            body.push_str(&format!(
                "<dc:{name}><rdf:Alt><rdf:li xml:lang=\"x-default\">{value}</rdf:li></rdf:Alt></dc:{name}>\n"
            ));
        }
    }
    let lists: [(&str, &str, &[String]); 5] = [
        ("creator", "Seq", &metadata.authors),
        ("subject", "Bag", &metadata.subjects),
        ("publisher", "Bag", std::slice::from_ref(&metadata.publisher)),
        ("date", "Seq", std::slice::from_ref(&metadata.date)),
        ("language", "Bag", &[language.to_owned()]),
    ];
    for (name, kind, values) in lists {
        let items: String = values
            .iter()
            .filter(|value| !value.trim().is_empty())
            .map(|value| format!("<rdf:li>{}</rdf:li>", text(value)))
            .collect();
        if !items.is_empty() {
            body.push_str(&format!("<dc:{name}><rdf:{kind}>{items}</rdf:{kind}></dc:{name}>\n"));
        }
    }
    if !metadata.identifier.trim().is_empty() {
        body.push_str(&format!("<dc:identifier>{}</dc:identifier>\n", text(&metadata.identifier)));
    }
    if !metadata.subjects.is_empty() {
        body.push_str(&format!("<pdf:Keywords>{}</pdf:Keywords>\n", text(&metadata.subjects.join(", "))));
    }
    if is_accessible {
        body.push_str("<pdfuaid:part>1</pdfuaid:part>\n");
    }
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
         xmlns:pdfuaid=\"http://www.aiim.org/pdfua/ns/id/\">\n\
         <dc:format>application/pdf</dc:format>\n{body}\
         <pdf:Producer>Presswork</pdf:Producer>\n<xmp:CreatorTool>Presswork</xmp:CreatorTool>\n\
         </rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"r\"?>"
    )
}
