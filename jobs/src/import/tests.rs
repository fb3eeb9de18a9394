//! What the formats' tests share: a sink that keeps what it gets, and the promise that no input brings an importer down.

use std::{collections::BTreeMap, io::Write as _};

use presswork::domain::{Random as _, SeededRandom};

use super::*;
use crate::book::{
    Checked, Event, EventSink,
    markdown::read_chapter,
    project::{MEDIA_TYPES, MOST_CHAPTER_BYTES},
};

/// Keeps what it gets.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Name, title, text.
    pub(super) chapters: Vec<(String, String, String)>,
    pub(super) assets: BTreeMap<String, (String, Vec<u8>)>,
}

impl BookSink for Kept {
    fn chapter(&mut self, name: &str, title: &str, markdown: String) -> Result<(), BookError> {
        self.chapters.push((name.to_owned(), title.to_owned(), markdown));
        Ok(())
    }

    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        assert!(
            self.assets.insert(name.to_owned(), (media_type.to_owned(), bytes)).is_none(),
            "{name} twice"
        );
        Ok(())
    }
}

impl Kept {
    /// All chapters' texts.
    pub(super) fn text(&self) -> String {
        self.chapters.iter().map(|(_, _, text)| text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The chapters' titles.
    pub(super) fn titles(&self) -> Vec<&str> {
        self.chapters.iter().map(|(_, title, _)| title.as_str()).collect()
    }
}

/// A scratch file with these bytes.
pub(super) fn file(name: &str, bytes: &[u8]) -> (tempfile::NamedTempFile, SourceFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path().to_owned();
    (file, SourceFile::new(name, path))
}

/// Imports one file.
pub(super) fn run(format: SourceFormat, name: &str, bytes: &[u8]) -> Result<(Kept, Imported), BookError> {
    let (_file, source) = file(name, bytes);
    let mut kept = Kept::default();
    let imported = import(format, &Source::File(source), &mut kept)?;
    Ok((kept, imported))
}

pub(super) use crate::book::pixel::PIXEL as PNG;

struct Nowhere;

impl EventSink for Nowhere {
    fn event(&mut self, _event: Event<'_>) -> Result<(), BookError> {
        Ok(())
    }
}

/// What every import keeps to, whatever came in.
pub(super) fn holds(kept: &Kept, imported: &Imported, input: usize) {
    assert!(!imported.metadata.title.is_empty() && !imported.metadata.language.is_empty());
    assert_eq!(imported.report.chapters, kept.chapters.len() as u64);
    let mut total = 0;
    for (place, (name, _, text)) in kept.chapters.iter().enumerate() {
        assert!(name.parse::<presswork::domain::FileName>().is_ok(), "{name}");
        assert!(kept.chapters.iter().skip(place + 1).all(|(other, ..)| other != name), "{name} twice");
        assert!(text.len() <= MOST_CHAPTER_BYTES);
        total += text.len();
        let mut checked = Checked::new(Nowhere, name.as_str());
        read_chapter(text, name, 0, &mut checked, &mut Losses::default()).unwrap();
    }
    assert!(total <= 64 * 1024 + 16 * input, "{total} bytes from {input}");
    for (name, (media_type, _)) in &kept.assets {
        assert!(name.parse::<presswork::domain::FileName>().is_ok(), "{name}");
        assert!(MEDIA_TYPES.contains(&media_type.as_str()));
    }
    if let Some(cover) = &imported.metadata.cover {
        assert!(kept.assets.contains_key(cover), "{cover}");
    }
}

fn next(random: &SeededRandom) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Imports thousands of mutations of an input: each ends in a book or in an error.
fn survives(format: SourceFormat, seed: u64, input: &[u8], rounds: usize) {
    let random = SeededRandom::new(seed);
    let pieces: [&[u8]; 24] = [
        b"<",
        b">",
        b"&",
        b"]]>",
        b"<p>",
        b"</p>",
        b"<table><td>",
        b"<li>",
        b"# ",
        b"```\n",
        b"[^1]: ",
        b"[a]: /x\n",
        b"\n\n",
        b"---\n",
        b"===\n",
        b"\0",
        b"\xff\xfe",
        b"\r",
        b"> > > ",
        b"    ",
        b"CHAPTER II\n\n",
        b"_",
        b"![x](y.png)",
        b"&#x0;",
    ];
    let below = |most: usize| (next(&random) % most.max(1) as u64) as usize;
    for round in 0..rounds {
        let mut bytes = input.to_vec();
        for _ in 0..=below(6) {
            let place = below(bytes.len());
            match below(5) {
                0 if !bytes.is_empty() => bytes[place] ^= 1 << below(8),
                1 => bytes.truncate(place),
                2 => {
                    let end = (place + below(40)).min(bytes.len());
                    bytes.drain(place..end);
                }
                3 => {
                    let end = (place + below(80)).min(bytes.len());
                    let again = bytes[place..end].to_vec();
                    let at = below(bytes.len());
                    bytes.splice(at..at, again);
                }
                _ => {
                    bytes.splice(place..place, pieces[below(pieces.len())].iter().copied());
                }
            }
        }
        match run(format, "m.x", &bytes) {
            Ok((kept, imported)) => holds(&kept, &imported, bytes.len()),
            Err(BookError::Input { file, .. }) => assert!(file.starts_with("m.x"), "round {round}: {file}"),
            Err(other) => panic!("round {round} of seed {seed}: {other}"),
        }
    }
}

#[test]
fn no_mutation_of_markdown_brings_the_importer_down() {
    let input = concat!(
        "---\ntitle: T\nauthor: [A, B]\n---\n\n# Book\n\nFront.[^1] ![p](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==)\n\n",
        "## One {#o}\n\n> quote\n> - item\n>   ```\n>   code\n>   ```\n\n1. a\n2. b\n\n   c\n\nTwo\n---\n\n",
        "| a | b |\n|---|:-:|\n| *x* | `y` |\n\n~~s~~ ^u^ H~2~O [l](#o) [m][r] <br> <em>x</em>\n\n[^1]: note\n\n    more\n\n[r]: http://x 't'\n",
    );
    survives(SourceFormat::Markdown, 1, input.as_bytes(), 3000);
}

#[test]
fn no_mutation_of_text_brings_the_importer_down() {
    let input = "Title: T\nAuthor: A\n\nCHAPTER I.\nThe Start\n\nOnce _upon_ a time\nthere was.\n\n  verse\n  verse\n\n* * *\n\nEnd.\n\n\
                 CHAPTER II.\n\nMore \u{e9}\u{4e00}.\n\n\u{7b2c}\u{4e09}\u{7ae0}\n\nLast.\n";
    survives(SourceFormat::Text, 2, input.as_bytes(), 3000);
    let wide: Vec<u8> = input.encode_utf16().flat_map(u16::to_le_bytes).collect();
    survives(SourceFormat::Text, 3, &wide, 1000);
}

#[test]
fn no_mutation_of_an_epub_or_of_what_is_in_it_brings_the_importer_down() {
    use super::epub::tests::{Parts, zip_of};
    survives(SourceFormat::Epub, 4, &zip_of(&Parts::small().0), 2000);
    // Mutated inside, where the archive's checksums don't hide it.
    let random = SeededRandom::new(5);
    for round in 0..2000_u64 {
        let mut parts = Parts::small();
        let chosen = (next(&random) % parts.0.len() as u64) as usize;
        let bytes = &mut parts.0[chosen].1;
        for _ in 0..=next(&random) % 4 {
            let place = (next(&random) % bytes.len().max(1) as u64) as usize;
            match next(&random) % 4 {
                0 if !bytes.is_empty() => bytes[place] ^= 1 << (next(&random) % 7),
                1 => bytes.truncate(place),
                2 => drop(bytes.splice(place..place, *b"<table><tr><td><ul>")),
                _ => drop(bytes.splice(place..place, *b"<b><p>x<br/>&nbsp;")),
            }
        }
        let zip = zip_of(&parts.0);
        match run(SourceFormat::Epub, "m.x", &zip) {
            Ok((kept, imported)) => holds(&kept, &imported, 4 * zip.len() + 4096),
            Err(BookError::Input { .. }) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
    }
}

#[test]
fn no_mutation_of_html_brings_the_importer_down() {
    let input = concat!(
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>T &amp; U</title><style>p{}</style></head><body>",
        "<header><h1>T</h1><p class=author>A</header><nav><ol><li><a href='#c1'>One</a></ol></nav><section id=c1><h2>One</h2>",
        "<p>a <b>b<i>c</b>d</i><a role=doc-noteref href='#n1'>1</a><ul><li>x<li>y</ul><table><tr><th>a<td>b</table>",
        "<img src='data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==' alt=p><pre><code class=language-x>y\n</code></pre></section>",
        "<h2 id=t>Two</h2><blockquote><p>q<br>r</blockquote><a href='#t'>l</a><script>z</script><ol start=3><li id=n1>note</ol>",
    );
    survives(SourceFormat::Html, 9, input.as_bytes(), 3000);
    let wide: Vec<u8> = input.encode_utf16().flat_map(u16::to_le_bytes).collect();
    survives(SourceFormat::Html, 10, &wide, 500);
}

#[test]
fn no_mutation_of_our_json_brings_the_importer_down() {
    survives(SourceFormat::Json, 6, super::json::tests::small().as_bytes(), 3000);
}

#[test]
fn no_mutation_of_a_docx_or_of_what_is_in_it_brings_the_importer_down() {
    use super::{docx::tests::Parts, epub::tests::zip_of};
    survives(SourceFormat::Docx, 7, &zip_of(&Parts::small().0), 1000);
    let random = SeededRandom::new(8);
    for round in 0..2000_u64 {
        let mut parts = Parts::small();
        let chosen = (next(&random) % parts.0.len() as u64) as usize;
        let bytes = &mut parts.0[chosen].1;
        for _ in 0..=next(&random) % 4 {
            let place = (next(&random) % bytes.len().max(1) as u64) as usize;
            match next(&random) % 4 {
                0 if !bytes.is_empty() => bytes[place] ^= 1 << (next(&random) % 7),
                1 => bytes.truncate(place),
                2 => drop(bytes.splice(place..place, *b"<w:tbl><w:tr><w:tc><w:p>")),
                _ => drop(bytes.splice(place..place, *b"</w:p><w:p><w:r><w:t>x")),
            }
        }
        let zip = zip_of(&parts.0);
        match run(SourceFormat::Docx, "m.x", &zip) {
            Ok((kept, imported)) => holds(&kept, &imported, 4 * zip.len() + 4096),
            Err(BookError::Input { file, .. }) => assert!(file.starts_with("m.x"), "round {round}: {file}"),
            Err(other) => panic!("round {round}: {other}"),
        }
    }
}
