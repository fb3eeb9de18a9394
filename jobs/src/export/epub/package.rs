//! The package document: metadata, the list of files, the reading order.

use std::io;

use super::element;
use crate::{
    book::{Asset, Metadata},
    export::{
        escape::escaped,
        language,
        lookup::Lookup,
        markup::{Markup, Style, picture_file},
    },
};

/// When the book was changed, where nobody says: the same each time, so that the same book gives the same bytes.
const SOME_TIME: &str = "2000-01-01T00:00:00Z";

/// What the chapters turned out to have.
pub(super) struct Facts<'a> {
    /// By asset: whether it is in the archive.
    pub(super) used: &'a [bool],
    /// Whether an image had no alternative text.
    pub(super) has_silent_image: bool,
}

/// Hands the package document on in pieces.
pub(super) fn write(
    lookup: &Lookup,
    facts: &Facts<'_>,
    write: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let language = language::tag(&lookup.book().metadata.language);
    let direction = if language::is_right_to_left(&language) { "rtl" } else { "ltr" };
    write(&format!(
        concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
            "<package xmlns=\"http://www.idpf.org/2007/opf\" version=\"3.0\" unique-identifier=\"id\" ",
            "xml:lang=\"{}\" dir=\"{}\" prefix=\"presswork: https://presswork.invalid/epub#\">\n"
        ),
        language, direction
    ))?;
    write(&metadata(lookup, facts, &language))?;
    if let Some((index, _)) = lookup.cover() {
        // What EPUB 2 called the cover: older devices and shops look for nothing else.
        write(&format!("<meta name=\"cover\" content=\"i{}\"/>\n", index + 1))?;
    }
    write("</metadata>\n")?;
    write("<manifest>\n")?;
    let mut item = |id: &str, file: &str, media_type: &str, properties: &str| {
        let properties = if properties.is_empty() { "" } else { &format!(" properties=\"{properties}\"") };
        write(&format!("<item id=\"{id}\" href=\"{file}\" media-type=\"{media_type}\"{properties}/>\n"))
    };
    const XHTML: &str = "application/xhtml+xml";
    item("nav", "nav.xhtml", XHTML, "nav")?;
    item("style", "style.css", "text/css", "")?;
    item("title-page", "title.xhtml", XHTML, "")?;
    let cover = lookup.cover().map(|(index, _)| index);
    if cover.is_some() {
        item("cover", "cover.xhtml", XHTML, "")?;
    }
    let chapters = lookup.book().chapters.len();
    for index in 0..chapters {
        item(&format!("c{}", index + 1), &Markup::chapter_address(Style::Epub, index), XHTML, "")?;
    }
    for (index, asset) in lookup.book().assets.iter().enumerate() {
        if facts.used[index] {
            let file = picture_file(index, &asset.media_type);
            let properties = if cover == Some(index) { "cover-image" } else { "" };
            item(&format!("i{}", index + 1), &file, &escaped(&asset.media_type), properties)?;
        }
    }
    write(&format!("</manifest>\n<spine page-progression-direction=\"{direction}\">\n"))?;
    if cover.is_some() {
        write("<itemref idref=\"cover\"/>\n")?;
    }
    write("<itemref idref=\"title-page\"/>\n<itemref idref=\"nav\"/>\n")?;
    for index in 0..chapters {
        write(&format!("<itemref idref=\"c{}\"/>\n", index + 1))?;
    }
    write("</spine>\n</package>\n")
}

/// The metadata up to its end tag. What is said of accessibility is what the program knows; conformance to a standard is
/// for people to judge, so none is claimed.
fn metadata(lookup: &Lookup, facts: &Facts<'_>, language: &str) -> String {
    let metadata = &lookup.book().metadata;
    let date = date(&metadata.date);
    let mut out = String::from("<metadata xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n");
    out.push_str(&element("dc:identifier", " id=\"id\"", &identifier(metadata)));
    out.push_str(&element("dc:title", " id=\"title\"", lookup.title()));
    if !metadata.subtitle.trim().is_empty() {
        out.push_str("<meta refines=\"#title\" property=\"title-type\">main</meta>\n");
        out.push_str(&element("dc:title", " id=\"subtitle\"", &metadata.subtitle));
        out.push_str("<meta refines=\"#subtitle\" property=\"title-type\">subtitle</meta>\n");
    }
    out.push_str(&element("dc:language", "", language));
    for (index, author) in metadata.authors.iter().filter(|author| !author.trim().is_empty()).enumerate() {
        let id = format!("author-{}", index + 1);
        out.push_str(&element("dc:creator", &format!(" id=\"{id}\""), author));
        out.push_str(&format!(
            "<meta refines=\"#{id}\" property=\"role\" scheme=\"marc:relators\">aut</meta>\n"
        ));
    }
    out.push_str(&element("dc:date", "", date.as_deref().unwrap_or_default()));
    out.push_str(&element("dc:description", "", &metadata.description));
    out.push_str(&element("dc:publisher", "", &metadata.publisher));
    out.push_str(&element("dc:rights", "", &metadata.rights));
    for subject in &metadata.subjects {
        out.push_str(&element("dc:subject", "", subject));
    }
    let modified = date.as_ref().map_or(SOME_TIME.to_owned(), |date| {
        // A year or a month alone begins with its first day.
        format!("{date}{}T00:00:00Z", &"-01-01"[date.len() - 4..])
    });
    for (name, written, given) in [
        ("title", lookup.title(), &metadata.title),
        ("subtitle", "", &metadata.subtitle),
        ("language", language, &metadata.language),
        ("identifier", &identifier(metadata), &metadata.identifier),
        ("date", date.as_deref().unwrap_or_default(), &metadata.date),
        ("description", "", &metadata.description),
        ("publisher", "", &metadata.publisher),
        ("rights", "", &metadata.rights),
    ] {
        out.push_str(&as_given(name, written, given));
    }
    for (index, asset) in lookup.book().assets.iter().enumerate().filter(|(index, _)| facts.used[*index]) {
        let name = escaped(&serde_json::Value::from(asset.name.as_str()).to_string()).into_owned();
        let of = index + 1;
        out.push_str(&format!("<meta refines=\"#i{of}\" property=\"presswork:name\">{name}</meta>\n"));
    }
    let mut meta = |property: &str, value: &str| {
        out.push_str(&format!("<meta property=\"{property}\">{value}</meta>\n"));
    };
    meta("dcterms:modified", &modified);
    meta("schema:accessMode", "textual");
    let has_images = facts.used.contains(&true);
    if has_images {
        meta("schema:accessMode", "visual");
    }
    let is_told = !facts.has_silent_image;
    meta("schema:accessModeSufficient", if is_told { "textual" } else { "textual,visual" });
    for feature in
        ["tableOfContents", "readingOrder", "structuralNavigation", "displayTransformability", "ARIA"]
    {
        meta("schema:accessibilityFeature", feature);
    }
    if has_images && is_told {
        meta("schema:accessibilityFeature", "alternativeText");
    }
    // These may move, and nobody has looked at how they flash.
    let may_move = |asset: &Asset| matches!(&*asset.media_type, "image/gif" | "image/webp" | "image/svg+xml");
    let is_moving = lookup.book().assets.iter().zip(facts.used).any(|(asset, used)| *used && may_move(asset));
    meta("schema:accessibilityHazard", if is_moving { "unknown" } else { "none" });
    meta(
        "schema:accessibilitySummary",
        if is_told {
            "The text can be reflowed and read aloud; every image has an alternative text."
        } else {
            "The text can be reflowed and read aloud; some images have no alternative text."
        },
    );
    out
}

/// What the metadata say, as JSON, where the format has it in another spelling: the importer brings it back.
fn as_given(name: &str, written: &str, given: &str) -> String {
    let is_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ") == text;
    if written == given || (written.is_empty() && is_line(given) && given.len() < 4000 && name != "date") {
        return String::new();
    }
    let given = serde_json::Value::from(given).to_string();
    format!("<meta property=\"presswork:{name}\">{}</meta>\n", escaped(&given))
}

/// The book's identifier as a URN where it can be one; without one, made of what tells books apart.
fn identifier(metadata: &Metadata) -> String {
    let given = metadata.identifier.trim();
    let bare = given.strip_prefix("urn:uuid:").unwrap_or(given);
    let is_uuid = bare.len() == 36
        && bare.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_uuid {
        return format!("urn:uuid:{}", bare.to_ascii_lowercase());
    }
    let isbn: String = bare.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let digits = isbn.bytes().filter(u8::is_ascii_digit).count();
    let is_short = isbn.len() == 10 && (digits == 10 || (digits == 9 && isbn.ends_with('X')));
    if is_short || (isbn.len() == 13 && digits == 13) {
        return format!("urn:isbn:{isbn}");
    }
    if !bare.is_empty() {
        return bare.to_owned();
    }
    // FNV-1a of 128 bits, marked as a UUID of version 8 (RFC 9562 §5.8).
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let parts =
        [&metadata.title, &metadata.subtitle, &metadata.language].into_iter().chain(&metadata.authors);
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash = hash & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{hash:032x}");
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD` at the date's beginning, if that is what it is.
pub(in crate::export) fn date(text: &str) -> Option<String> {
    let text = text.trim();
    let day = text.split(['T', ' ']).next()?;
    let mut parts = day.split('-');
    let mut number = |digits: usize, most: u32| -> Option<Option<u32>> {
        let Some(part) = parts.next() else { return Some(None) };
        let number: u32 = part.parse().ok()?;
        (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) && number <= most)
            .then_some(Some(number))
    };
    let year = number(4, 9999)??;
    let month = number(2, 12)?;
    let days = match month {
        Some(0) => return None,
        Some(2) if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        Some(2) => 28,
        Some(4 | 6 | 9 | 11) => 30,
        _ => 31,
    };
    if number(2, days)? == Some(0) || parts.next().is_some() {
        return None;
    }
    Some(day.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_become_urns() {
        let of = |given: &str| {
            identifier(&Metadata { identifier: given.into(), title: "A".into(), ..Metadata::default() })
        };
        assert_eq!(of("978-3-16-148410-0"), "urn:isbn:9783161484100");
        assert_eq!(of("https://example.org/a"), "https://example.org/a");
        let uuid = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
        assert_eq!((of(uuid).as_str(), of(&uuid[9..]).as_str()), (uuid, uuid));
        assert_eq!(of(""), of(" "));
        assert_eq!(of("").len(), uuid.len());
        assert_eq!(&of("")[23..24], "8");
    }

    #[test]
    fn only_real_dates_are_dates() {
        for real in ["1843", "1843-12", "2024-02-29"] {
            assert_eq!(date(real).as_deref(), Some(real));
        }
        assert_eq!(date("2020-01-02T03:04:05Z").as_deref(), Some("2020-01-02"));
        for wrong in ["", "c. 1843", "18", "2023-02-29", "2020-13", "2020-00-01", "2020-1-1", "2020-01-01-01"]
        {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }
}
