//! What a file from the web is called: as its answer says (RFC 6266), else as its address ends; with an ending of its type's.

use encoding_rs::{Encoding, UTF_8};
use presswork::security::outgoing::{HeaderMap, Url};

use crate::import::{
    SourceFormat,
    folder::{extension, is_named},
    handed::presentable,
};

/// Endings that tell something beside those of manuscripts.
const OTHERS: [&str; 6] = ["zip", "csv", "tsv", "jsonl", "ndjson", "odt"];
/// Types, and what a file of theirs ends in.
const TYPES: [(&str, &str); 12] = [
    ("application/epub+zip", "epub"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/xhtml+xml", "xhtml"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/x-markdown", "md"),
    ("application/json", "json"),
    ("application/jsonl", "jsonl"),
    ("application/x-ndjson", "jsonl"),
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("text/plain", "txt"),
];

/// What a file is called.
pub(super) fn name_of(headers: &HeaderMap, url: &Url) -> String {
    let said = headers.get("content-disposition").and_then(|value| disposition(value.as_bytes()));
    let last = || {
        let segment = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        String::from_utf8_lossy(&unescaped(segment.as_bytes())).into_owned()
    };
    let name = said.filter(|name| !name.trim().is_empty()).unwrap_or_else(last);
    // What others call a folder is none of ours.
    let name = presentable(name.rsplit(['/', '\\']).next().unwrap_or_default().trim());
    let tells = |name: &str| {
        SourceFormat::ALL.into_iter().any(|format| is_named(name, format))
            || OTHERS.contains(&extension(name).as_str())
    };
    let media_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match TYPES.iter().find(|(one, _)| *one == media_type) {
        Some((_, ending)) if !tells(&name) => presentable(&format!("{name}.{ending}")),
        _ => name,
    }
}

/// The name in `attachment; filename="a.epub"; filename*=UTF-8''%c3%a4.epub`; the second way goes before the first.
fn disposition(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let (mut plain, mut extended) = (None, None);
    for (name, value) in parameters(&text) {
        match name.as_str() {
            "filename" => plain = plain.or(Some(value)),
            "filename*" => extended = extended.or_else(|| of_charset(&value)),
            _ => {}
        }
    }
    extended.or(plain)
}

/// What stands behind semicolons, as names and values.
fn parameters(text: &str) -> Vec<(String, String)> {
    let (mut all, mut rest) = (Vec::new(), text.split_once(';').map_or("", |(_, rest)| rest));
    while let Some((name, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let mut value = String::new();
        let end = if let Some(quoted) = behind.strip_prefix('"') {
            let (mut end, mut is_escaped) = (quoted.len(), false);
            for (place, c) in quoted.char_indices() {
                match c {
                    '"' if !is_escaped => {
                        end = place;
                        break;
                    }
                    '\\' if !is_escaped => is_escaped = true,
                    c => {
                        value.push(c);
                        is_escaped = false;
                    }
                }
            }
            end + 1
        } else {
            let end = behind.find(';').unwrap_or(behind.len());
            value.push_str(behind[..end].trim());
            end
        };
        let name = name.rsplit(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        all.push((name, value));
        let behind = behind.get(end..).unwrap_or_default();
        rest = behind.split_once(';').map_or("", |(_, rest)| rest);
    }
    all
}

/// `UTF-8'de'%c3%a4` as text.
fn of_charset(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    let charset = Encoding::for_label(charset.as_bytes()).unwrap_or(UTF_8);
    Some(charset.decode_without_bom_handling(&unescaped(text.as_bytes())).0.into_owned())
}

/// `%c3%a4` as bytes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let escaped = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        if let (b'%', Some(byte)) = (first, escaped) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str, disposition: &str, media_type: &str) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in [("content-disposition", disposition), ("content-type", media_type)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        name_of(&headers, &url.parse().unwrap())
    }

    #[test]
    fn a_file_is_called_as_its_answer_says_else_as_its_address_ends() {
        for (url, disposition, media_type, wanted) in [
            ("https://x/a/b.epub?c=d.txt", "", "", "b.epub"),
            ("https://x/a/%C3%84rger%20im%20Haus.md", "", "text/plain", "Ärger im Haus.md"),
            ("https://x/download", "attachment; filename=\"My; \\\"Novel\\\".docx\"", "", "My_ _Novel_.docx"),
            ("https://x/d", "attachment; filename=a.txt; size=3", "", "a.txt"),
            ("https://x/d", "attachment; filename=\"x.epub\"; filename*=UTF-8''%e2%82%ac.epub", "", "€.epub"),
            ("https://x/d", "inline; filename*=iso-8859-1'en'%A3.txt", "", "£.txt"),
            ("https://x/d", "attachment; filename=\"../../etc/passwd\"", "", "passwd"),
            ("https://x/d", "attachment; filename=\"C:\\\\a\\\\b.md\"", "", "b.md"),
            ("https://x/d.php", "attachment; filename=\"", "application/epub+zip", "d.php.epub"),
            ("https://x/novel", "", "text/html; charset=utf-8", "novel.html"),
            ("https://x/", "", "text/html", "manuscript.html"),
            ("https://x/%2e%2e%2f%ff", "", "", "_"),
            ("https://x/a%", "", "", "a%"),
        ] {
            let got = name(url, disposition, media_type);
            let is_near = got.chars().count() == wanted.chars().count();
            assert!(got == wanted || (is_near && wanted.contains('_')), "{url} {disposition}: {got}");
        }
    }
}
