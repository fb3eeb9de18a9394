//! The order of a folder's chapters: as its `SUMMARY.md` lists them, where there is one that does (mdBook's and GitBook's way), as
//! its `index.html` links to most of them, else by name, numbers in them by value.

use std::{
    collections::{HashMap, HashSet},
    io::Read as _,
};

use pulldown_cmark::{Event, Parser, Tag};

use super::{SourceFile, markdown::resolve::beside, read_error};
use crate::book::{BookError, markdown::dialect};

/// How many bytes of a summary or index are read.
const MOST_SUMMARY_BYTES: u64 = 1 << 20;

/// The chapters in order, and what their owner should know of it.
pub(super) fn in_order(
    mut chapters: Vec<&SourceFile>,
) -> Result<(Vec<&SourceFile>, Option<String>), BookError> {
    chapters.sort_by_cached_key(|file| natural_key(&file.name));
    let is_summary = |file: &&SourceFile| {
        file.name.rsplit('/').next().is_some_and(|name| name.eq_ignore_ascii_case("summary.md"))
    };
    let summary =
        chapters.iter().copied().filter(is_summary).min_by_key(|file| file.name.matches('/').count());
    let Some(summary) = summary else { return Ok((by_index(chapters)?, None)) };
    let by_name: HashMap<String, &SourceFile> =
        chapters.iter().map(|file| (file.name.to_lowercase(), *file)).collect();
    let text = beginning(summary)?;
    let mut seen: HashSet<&str> = HashSet::new();
    let targets = Parser::new_ext(&text, dialect()).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => beside(&summary.name, &dest_url),
        _ => None,
    });
    let listed = targets.filter_map(|name| by_name.get(&name.to_lowercase()).copied());
    let listed: Vec<&SourceFile> =
        listed.filter(|file| file.name != summary.name && seen.insert(&file.name)).collect();
    if listed.is_empty() {
        return Ok((chapters, None));
    }
    let others: Vec<&str> = chapters
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| *name != summary.name && !seen.contains(name))
        .collect();
    let note = (!others.is_empty()).then(|| {
        let shown: Vec<&str> = others.iter().copied().take(5).collect();
        format!(
            "{} lists {} chapters; {} files that it does not list were left out: {}…",
            summary.name,
            listed.len(),
            others.len(),
            shown.join(", ")
        )
    });
    Ok((listed, note))
}

fn beginning(file: &SourceFile) -> Result<String, BookError> {
    let opened = file.open().map_err(read_error(&file.name))?;
    let mut bytes = Vec::new();
    opened.take(MOST_SUMMARY_BYTES).read_to_end(&mut bytes).map_err(read_error(&file.name))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Pages as their index links to them, where it does so to most; the others behind those.
fn by_index(chapters: Vec<&SourceFile>) -> Result<Vec<&SourceFile>, BookError> {
    let is_index = |file: &&SourceFile| {
        let name = file.name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        matches!(name.as_str(), "index.html" | "index.htm" | "index.xhtml")
    };
    let index = chapters.iter().copied().filter(is_index).min_by_key(|file| file.name.matches('/').count());
    let Some(index) = index else { return Ok(chapters) };
    let text = beginning(index)?;
    let by_name: HashMap<String, &SourceFile> =
        chapters.iter().map(|file| (file.name.to_lowercase(), *file)).collect();
    let mut seen = HashSet::from([index.name.as_str()]);
    let targets = text.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        beside(&index.name, rest[1..].split(quote).next()?)
    });
    let linked = targets.filter_map(|name| by_name.get(&name.to_lowercase()).copied());
    let linked: Vec<&SourceFile> = linked.filter(|file| seen.insert(&file.name)).collect();
    if linked.len() * 2 < chapters.len() {
        return Ok(chapters);
    }
    let others = chapters.iter().copied().filter(|file| !seen.contains(file.name.as_str()));
    Ok([index].into_iter().chain(linked.iter().copied()).chain(others).collect())
}

/// Sorts `2-b.md` before `10-a.md`: digits by value, letters without their case.
fn natural_key(name: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(text_end);
        let digits_end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(digits_end);
        // The text before the number comes first: two entries, of which the first has no number.
        key.push((0, text.to_lowercase()));
        key.push((digits.parse().unwrap_or(u64::MAX), String::new()));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use crate::import::{
        Source, SourceFormat, import,
        tests::{Kept, file},
    };

    fn titles(parts: &[(&str, &str)]) -> (String, Vec<String>) {
        let held: Vec<_> = parts.iter().map(|(name, text)| file(name, text.as_bytes())).collect();
        let files = held.iter().map(|(_, source)| source.clone()).collect();
        let mut kept = Kept::default();
        let imported = import(SourceFormat::Markdown, &Source::Folder(files), &mut kept).unwrap();
        (kept.titles().join("|"), imported.report.warnings)
    }

    #[test]
    fn a_summary_says_the_order_and_what_belongs_to_the_book() {
        let summary = "# Summary\n\n[Intro](README.md)\n\n- [Z](z.md)\n  - [A](sub/a%20b.md#x)\n- [Z again](z.md)\n- [out](../x.md)\n";
        let chapters = [
            ("src/SUMMARY.md", summary),
            ("src/sub/a b.md", "# A\n\na\n"),
            ("src/z.md", "# Z\n\nz\n"),
            ("src/readme.md", "# Intro\n\ni\n"),
            ("src/draft.md", "# Draft\n\nd\n"),
        ];
        let (told, warnings) = titles(&chapters);
        assert_eq!(told, "Intro|Z|A");
        assert!(warnings[0].contains("src/draft.md"), "{warnings:?}");
        let (told, _) =
            titles(&[("10.md", "# T\n\nt\n"), ("summary.md", "# Not a list\n\ns\n"), ("9.md", "# N\n\nn\n")]);
        assert_eq!(told, "N|T|Not a list");
    }

    #[test]
    fn an_index_page_that_links_to_most_pages_says_their_order() {
        let index = "<h1>Book</h1><a HREF='x'>x</a><a href=\"foreword.html\">F</a> <a href='z.html#s'>Z</a><a href='sub/a%20b.html'>A</a>";
        let page = |title: &'static str| (title, format!("<h1>{title}</h1><p>text"));
        let pages = [page("Foreword"), page("Z"), page("A"), page("Left")];
        let names = ["foreword.html", "z.html", "sub/a b.html", "a-left.html"];
        let order = |index: &str| {
            let texts = names.iter().zip(&pages).map(|(name, (_, text))| (*name, text.as_str()));
            let held: Vec<_> = texts
                .chain([("index.html", index)])
                .map(|(name, text)| file(name, text.as_bytes()))
                .collect();
            let files = held.iter().map(|(_, source)| source.clone()).collect();
            let mut kept = Kept::default();
            import(SourceFormat::Html, &Source::Folder(files), &mut kept).unwrap();
            kept.titles().join("|")
        };
        assert_eq!(order(index), "Book|Foreword|Z|A|Left");
        assert_eq!(order("<h1>Book</h1><a href='z.html'>z</a>"), "Left|Foreword|Book|A|Z");
    }
}
