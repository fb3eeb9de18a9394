//! Plain text in the charsets that people use is read as they wrote it.

use std::io::Write as _;

use super::*;

fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, SourceFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path().to_owned();
    (file, SourceFile::new("x.txt", path))
}

fn lines(bytes: &[u8]) -> (String, Vec<String>) {
    let (_kept, source) = file(bytes);
    let charset = examine(&source, Allowed::Any).unwrap();
    let mut lines = Lines::open(&source, charset).unwrap();
    let mut all = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        all.push(line.to_owned());
    }
    (charset.encoding.name().to_owned(), all)
}

#[test]
fn charsets_are_told_apart() {
    let german = "Über den Wölfen schläft Äneas, größer als König Löwe. ".repeat(20);
    let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(&german);
    assert_eq!(lines(&latin), ("windows-1252".into(), vec![german.clone()]));
    let little: Vec<u8> = "Für\nalle".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(lines(&little), ("UTF-16LE".into(), vec!["Für".into(), "alle".into()]));
    let big: Vec<u8> = "\u{feff}Für\nalle".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(lines(&big), ("UTF-16BE".into(), vec!["Für".into(), "alle".into()]));
    assert_eq!(lines(b"\xef\xbb\xbfa\xc3\xa9"), ("UTF-8".into(), vec!["aé".into()]));
    let japanese = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。".repeat(10);
    let (sjis, _, _) = encoding_rs::SHIFT_JIS.encode(&japanese);
    assert_eq!(lines(&sjis).1, [japanese]);
}

#[test]
fn line_ends_of_every_kind_end_a_line_also_between_chunks() {
    assert_eq!(lines(b"a\r\nb\rc\n\nd").1, ["a", "b", "c", "", "d"]);
    let mut long = vec![b'x'; CHUNK - 1];
    long.extend_from_slice(b"\r\ny\r");
    let (_, lines) = lines(&long);
    assert_eq!((lines.len(), lines[1].as_str()), (2, "y"));
}

#[test]
fn long_lines_come_in_pieces() {
    let (_, lines) = lines("word ".repeat(200_000).as_bytes());
    assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= MOST_LINE_BYTES));
    assert_eq!(lines.concat().len(), 1_000_000);
}

#[test]
fn broken_utf8_is_told_with_its_place() {
    let mut bytes = "é\n".repeat(50_000).into_bytes();
    let place = bytes.len();
    bytes.extend_from_slice(b"a\xff");
    let (_kept, source) = file(&bytes);
    for allowed in [Allowed::Any, Allowed::Unicode] {
        let error = examine(&source, allowed).unwrap_err().to_string();
        assert!(error.contains(&format!("line 50001, byte {}", place + 1)), "{error}");
    }
}

#[test]
fn empty_and_binary_files_are_refused() {
    let (_kept, source) = file(b"");
    assert!(examine(&source, Allowed::Any).unwrap_err().to_string().contains("empty"));
    let (_kept, source) = file(&(0..=255).collect::<Vec<u8>>());
    assert!(examine(&source, Allowed::Any).unwrap_err().to_string().contains("binary"));
}
