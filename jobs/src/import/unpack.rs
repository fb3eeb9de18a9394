//! A manuscript in a ZIP archive: its chapters and pictures as files of a folder. The archive's own bounds hold; an archive inside of it
//! is not looked into.

use std::{collections::BTreeSet, io};

use super::{
    SourceFile, SourceFormat,
    archive::Archive,
    folder::{extension, is_named},
    pictures::{MOST_PICTURE_BYTES, own_error},
};
use crate::{book::BookError, scratch::Scratch};

/// How many bytes a chapter's file in an archive has at most.
const MOST_FILE_BYTES: u64 = 1 << 30;
/// What a folder's chapters may be; what comes first goes before the others.
const CHAPTERS: [SourceFormat; 3] = [SourceFormat::Markdown, SourceFormat::Html, SourceFormat::Text];
const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "gif", "webp", "svg"];

fn is_picture(name: &str) -> bool {
    PICTURES.contains(&extension(name).as_str())
}

/// Whether a file of a folder is or may be part of a book.
pub(super) fn is_part(name: &str) -> bool {
    CHAPTERS.iter().any(|format| is_named(name, *format)) || is_picture(name)
}

/// What a folder's chapters are: Markdown where there is any, else HTML, else plain text.
///
/// # Errors
/// `Input` where it holds none.
pub(super) fn format_of(files: &[SourceFile], name: &str) -> Result<SourceFormat, BookError> {
    let has = |format: &SourceFormat| files.iter().any(|file| is_named(&file.name, *format));
    CHAPTERS
        .into_iter()
        .find(has)
        .ok_or_else(|| BookError::input(name, "there are no chapters in it: no Markdown, HTML or text files"))
}

/// Writes an archive's chapters and pictures to scratch.
///
/// # Errors
/// `Input` where it is no archive, leads outside, or grows too large; `Storage` where the folder can't be written to.
pub(super) fn unpack(source: &SourceFile, scratch: &Scratch) -> Result<Vec<SourceFile>, BookError> {
    let mut archive = Archive::open(source, "a ZIP archive of chapters")?;
    let names: BTreeSet<String> = archive.names().filter(|name| !is_hidden(name) && is_part(name)).collect();
    if names.is_empty() {
        let problem = "a ZIP archive, but neither an EPUB nor a DOCX, and there are no chapters in it: no Markdown, HTML or text files";
        return Err(BookError::input(&source.name, problem));
    }
    let mut files = Vec::new();
    for name in names {
        let most = if is_picture(&name) { MOST_PICTURE_BYTES } else { MOST_FILE_BYTES };
        let doing = || format!("unpacking {}", source.name);
        let mut entry = archive.open_entry(&name, most)?;
        let mut file = scratch.create().map_err(|error| BookError::storage(doing(), error))?;
        io::copy(&mut entry, &mut file).map_err(own_error(&name))?;
        let file = file.finish().map_err(|error| BookError::storage(doing(), error))?;
        files.push(SourceFile::sealed(name, file));
    }
    Ok(files)
}

/// What programs leave in archives for themselves.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|segment| segment.starts_with('.') || segment == "__MACOSX")
}

#[cfg(test)]
mod tests {
    use presswork::domain::SystemRandom;

    use super::*;
    use crate::import::{
        Source,
        epub::tests::zip_of,
        import,
        tests::{Kept, PNG, file},
    };

    fn unpacked(entries: &[(&str, &[u8])]) -> Result<(Kept, SourceFormat), BookError> {
        let entries: Vec<(String, Vec<u8>)> =
            entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        read(&zip_of(&entries))
    }

    fn read(bytes: &[u8]) -> Result<(Kept, SourceFormat), BookError> {
        let (_file, source) = file("book.zip", bytes);
        let folder = tempfile::tempdir().unwrap();
        let files = unpack(&source, &Scratch::within(folder.path(), &SystemRandom))?;
        let format = format_of(&files, &source.name)?;
        let mut kept = Kept::default();
        import(format, &Source::Folder(files), &mut kept)?;
        Ok((kept, format))
    }

    #[test]
    fn chapters_of_an_archive_are_a_book_in_their_natural_order() {
        let (kept, format) = unpacked(&[
            ("b/10.md", b"# Ten\n\nc ![p](img/x.png)\n"),
            ("b/2.md", b"# Two\n\nb\n"),
            ("__MACOSX/b/2.md", b"# Not\n"),
            ("b/.hidden.md", b"# Not\n"),
            ("b/img/x.png", PNG),
            ("b/run.exe", b"MZ"),
            ("b/1.md", b"# One\n\na\n"),
        ])
        .unwrap();
        assert_eq!((kept.titles(), format), (vec!["One", "Two", "Ten"], SourceFormat::Markdown));
        assert_eq!(kept.assets.len(), 1);
        let (kept, format) = unpacked(&[("x.html", b"<h1>A</h1>b"), ("y.txt", b"z")]).unwrap();
        assert_eq!((kept.titles(), format), (vec!["A"], SourceFormat::Html));
        let (kept, _) = unpacked(&[("2.txt", b"Second."), ("1.txt", b"First.")]).unwrap();
        assert_eq!(kept.titles(), ["1", "2"]);
    }

    #[test]
    fn names_that_are_not_in_utf_8_are_read_as_they_were_meant() {
        let entries = [("K?se/1.md", "# One\n\n![p](B?ume.png)\n"), ("K?se/B?ume.png", "")];
        let entries = entries.map(|(name, text)| {
            let bytes = if text.is_empty() { PNG.to_vec() } else { text.replace('?', "ä").into_bytes() };
            (name.to_owned(), bytes)
        });
        let mut zip = zip_of(&entries);
        // As programs for DOS and Windows write them.
        for place in (0..zip.len() - 1)
            .filter(|place| zip[*place..].starts_with(b"K?") || zip[*place..].starts_with(b"B?"))
            .collect::<Vec<_>>()
        {
            zip[place + 1] = 0x84;
        }
        let (kept, _) = read(&zip).unwrap();
        assert_eq!((kept.titles(), kept.assets.len()), (vec!["One"], 1), "{}", kept.text());
    }

    #[test]
    fn an_archive_that_lies_or_leads_outside_is_refused_with_its_reason() {
        let bomb = vec![b'a'; 8 << 20];
        for (entries, word) in [
            (&[("../x.md", &b"# A\n"[..])][..], "leads outside"),
            (&[("/x.md", b"# A\n")], "leads outside"),
            (&[("a\\..\\x.md", b"# A\n")], "leads outside"),
            (&[("c:x.md", b"# A\n")], "leads outside"),
            (&[("x.md", &bomb)], "bomb"),
            (&[("inner.zip", b"PK\x03\x04"), ("x.exe", b"MZ")], "no chapters"),
        ] {
            let refused = unpacked(entries).map(drop).unwrap_err().to_string();
            assert!(refused.starts_with("book.zip") && refused.contains(word), "{word}: {refused}");
        }
    }

    #[test]
    fn sizes_that_lie_and_entries_that_share_their_bytes_are_refused() {
        let good = zip_of(&[("a.md".to_owned(), [&b"# A\n\n"[..], &b"some words\n".repeat(50)].concat())]);
        // The sizes in the list of entries and before the entry itself.
        for (mark, size_at) in [(&b"PK\x01\x02"[..], 24), (b"PK\x03\x04", 22)] {
            let at = good.windows(4).position(|window| window == mark).unwrap() + size_at;
            for size in [1_u32, 100_000] {
                let mut lying = good.clone();
                lying[at..at + 4].copy_from_slice(&size.to_le_bytes());
                if let Ok((kept, _)) = read(&lying) {
                    assert_eq!(kept.titles(), ["A"], "a size that nobody believes");
                }
            }
        }
        // One body under many names.
        let same = overlapping(&good, 2_000);
        let refused = read(&same).map(drop).unwrap_err().to_string();
        assert!(refused.contains("share their bytes"), "{refused}");
        for cut in [good.len() / 3, good.len() - 5, 10] {
            assert!(matches!(read(&good[..cut]), Err(BookError::Input { .. })), "{cut}");
        }
    }

    /// An archive whose list names its first entry many times.
    fn overlapping(zip: &[u8], times: u16) -> Vec<u8> {
        let list = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        let end = zip.windows(4).position(|window| window == b"PK\x05\x06").unwrap();
        let mut out = zip[..list].to_vec();
        for number in 0..times {
            let mut entry = zip[list..end].to_vec();
            let name = format!("a{number:04}.md");
            entry[28..30].copy_from_slice(&(name.len() as u16).to_le_bytes());
            entry.splice(46..46 + 4, name.bytes());
            out.extend(entry);
        }
        let bytes = (out.len() - list) as u32;
        let mut tail = zip[end..].to_vec();
        tail[8..10].copy_from_slice(&times.to_le_bytes());
        tail[10..12].copy_from_slice(&times.to_le_bytes());
        tail[12..16].copy_from_slice(&bytes.to_le_bytes());
        out.extend(tail);
        out
    }
}
