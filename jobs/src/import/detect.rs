//! What a file is: its content decides, its name only between kinds of text.

use super::{
    SourceFormat,
    folder::{extension, is_named},
};
use crate::book::BookError;

/// How many bytes of a file's beginning [`detect`] wants.
pub const HEAD_BYTES: usize = 8 << 10;

/// Whether a file that begins so is a ZIP archive that may hold a manuscript's files, not a book itself.
pub(super) fn is_archive(head: &[u8], name: &str) -> bool {
    let is_odt = name.to_ascii_lowercase().ends_with(".odt");
    head.starts_with(b"PK\x03\x04") && !is_odt && detect(head, name).is_err()
}

/// What a file is, from its first [`HEAD_BYTES`] bytes (fewer where it is shorter) and its name.
///
/// # Errors
/// `Input` where it is nothing that can be imported, or not what its name says.
pub fn detect(head: &[u8], name: &str) -> Result<SourceFormat, BookError> {
    let refuse = |problem: &str| Err(BookError::input(name, problem));
    let (extension, is_named) = (extension(name), |format| is_named(name, format));
    if head.is_empty() {
        return refuse("the file is empty");
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        let names_itself =
            head.get(30..).is_some_and(|rest| rest.starts_with(b"mimetypeapplication/epub+zip"));
        // Some EPUBs have their type in another place; their container.xml is looked for when they are read.
        return match extension.as_str() {
            _ if names_itself => Ok(SourceFormat::Epub),
            _ if is_named(SourceFormat::Epub) => Ok(SourceFormat::Epub),
            _ if is_named(SourceFormat::Docx) => Ok(SourceFormat::Docx),
            // A DOCX under another name: where its parts begin, their names tell it.
            _ if contains(head, b"word/") => Ok(SourceFormat::Docx),
            "odt" => refuse("an OpenDocument text: save it as DOCX or EPUB"),
            // Perhaps one of chapters, which whoever reads it finds out.
            _ => refuse("a ZIP archive, but neither an EPUB nor a DOCX"),
        };
    }
    // The form of Word before 2007; Word puts documents with a password into it, too.
    if head.starts_with(b"\xd0\xcf\x11\xe0") {
        return refuse(
            "an old Word document, or one with a password: open it in a word processor, take the password off, and save \
             it as DOCX",
        );
    }
    if extension == "epub" {
        return refuse("it isn't what its name says: an EPUB is a ZIP archive, and this is none");
    }
    if extension == "docx" {
        return refuse("it isn't what its name says: a DOCX is a ZIP archive, and this is none");
    }
    let begin = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is_object = begin.starts_with(b"{");
    if is_object && contains(begin, super::json::FORMAT.as_bytes()) {
        return Ok(SourceFormat::Json);
    }
    if extension == "json" {
        return refuse(
            "it is JSON, but no book that Presswork exported: save it as EPUB, DOCX, Markdown or plain text",
        );
    }
    let known: [(&[u8], &str); 7] = [
        (b"%PDF", "a PDF"),
        (b"{\\rtf", "an RTF document"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"\x1f\x8b", "compressed by gzip"),
        (b"\x7fELF", "a program"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return refuse(&format!("it isn't text but {what}: save it as EPUB, DOCX, Markdown or plain text"));
    }
    let text = is_utf16(head) || !is_binary(head);
    match () {
        () if !text => refuse("it isn't what it says: the content is binary, not text"),
        () if is_named(SourceFormat::Markdown) => Ok(SourceFormat::Markdown),
        () if is_named(SourceFormat::Html) || is_page(begin) => Ok(SourceFormat::Html),
        () if is_named(SourceFormat::Text) => Ok(SourceFormat::Text),
        () => {
            let begin = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
            let marks: [&[u8]; 4] = [b"# ", b"---\n", b"+++\n", b"---\r\n"];
            let marked = marks.iter().any(|mark| begin.starts_with(mark));
            Ok(if marked { SourceFormat::Markdown } else { SourceFormat::Text })
        }
    }
}

/// Whether it begins like a page of HTML.
fn is_page(begin: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&begin[..begin.len().min(1 << 10)]).to_ascii_lowercase();
    let mut rest = head.trim_start();
    for (begin, end) in [("<?xml", "?>"), ("<!--", "-->")] {
        if let Some((_, behind)) = rest.strip_prefix(begin).and_then(|rest| rest.split_once(end)) {
            rest = behind.trim_start();
        }
    }
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|page| rest.starts_with(page))
}

fn contains(head: &[u8], what: &[u8]) -> bool {
    head.windows(what.len()).any(|window| window == what)
}

/// Whether it begins like UTF-16: a byte order mark, or zeros in every other place only.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || utf16_by_zeros(head).is_some()
}

/// Whether zeros tell UTF-16 without a mark: `Some(true)` where the low byte comes first.
pub(super) fn utf16_by_zeros(head: &[u8]) -> Option<bool> {
    let (mut even, mut odd) = (0_usize, 0_usize);
    for pair in head.chunks_exact(2) {
        even += usize::from(pair[0] == 0);
        odd += usize::from(pair[1] == 0);
    }
    // Line feeds and spaces have a zero in any script; but what reads as text but for its zeros has strays in it, unless
    // every other byte is one.
    let enough = if is_plain_but_for_zeros(head) { head.len() / 4 } else { head.len() / 100 }.max(1);
    match (even, odd) {
        (0, odd) if odd >= enough => Some(true),
        (even, 0) if even >= enough => Some(false),
        _ => None,
    }
}

fn is_plain_but_for_zeros(head: &[u8]) -> bool {
    // The last character may be cut off.
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.iter().any(|byte| matches!(byte, 1..=8 | 14..=31))
}

/// Whether more than one byte in fifty is a control character that no text has.
pub(super) fn is_binary(head: &[u8]) -> bool {
    let odd = head.iter().filter(|byte| matches!(**byte, 0..=8 | 14..=25 | 28..=31 | 127)).count();
    odd * 50 > head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_zero_does_not_make_a_text_utf_16() {
        let stray = format!("{}hello\0world{}", "some text ".repeat(20), " and more".repeat(20));
        assert!(!is_utf16(stray.as_bytes()));
        for text in ["Plain text here", "Просто текст на языке", "第三章 此の本"] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert!(is_utf16(&little), "{text}");
        }
    }

    #[test]
    fn content_comes_before_the_name() {
        let epub = b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaamimetypeapplication/epub+zipPK";
        assert_eq!(detect(epub, "book.zip").unwrap(), SourceFormat::Epub);
        assert_eq!(detect(b"PK\x03\x04other", "book.epub").unwrap(), SourceFormat::Epub);
        assert_eq!(
            detect(b"PK\x03\x04..[Content_Types].xml..word/document.xml", "x").unwrap(),
            SourceFormat::Docx
        );
        assert_eq!(detect(b"PK\x03\x04word", "book.docx").unwrap(), SourceFormat::Docx);
        assert_eq!(detect(b" {\"format\":\"presswork-book-export\",", "b.json").unwrap(), SourceFormat::Json);
        assert_eq!(detect(b"# Title\n", "book").unwrap(), SourceFormat::Markdown);
        assert_eq!(detect(b"Once\n", "book.md").unwrap(), SourceFormat::Markdown);
        assert_eq!(detect(b"<p>Once\n", "book.htm").unwrap(), SourceFormat::Html);
        let page = b"<?xml version='1.0'?>\n<!-- saved -->\n<!DOCTYPE HTML>";
        assert_eq!(detect(page, "book").unwrap(), SourceFormat::Html);
        assert_eq!(detect(b"Once\n", "book").unwrap(), SourceFormat::Text);
        assert_eq!(detect(b"O\0n\0c\0e\0\n\0", "book.txt").unwrap(), SourceFormat::Text);
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        let noise: Vec<u8> = (0..=255).collect();
        for (head, name) in [
            (&b"Once upon"[..], "book.epub"),
            (b"PK\x03\x04other", "book.zip"),
            (b"word", "book.docx"),
            (b"\xd0\xcf\x11\xe0", "book.docx"),
            (b"{\"a\": 1}", "book.json"),
            (b"%PDF-1.7", "book.txt"),
            (b"", "book.md"),
            (&noise, "book.txt"),
            (&noise, "book.md"),
        ] {
            let error = detect(head, name).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
