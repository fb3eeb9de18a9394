//! The first pass over a Markdown file: its front matter, where its chapters begin, its definitions and anchors.

use super::{
    begins,
    definitions::Definitions,
    front_matter,
    lines::{Line, Scanner},
    resolve::{Anchors, Embedded, Heading},
};
use crate::{
    book::{BookError, Metadata},
    import::{ChapterMark, Report, SourceFile, charset::Lines, title_from_name},
};

/// How many bytes a front matter has at most.
const MOST_FRONT_BYTES: usize = 64 << 10;
/// How many headings are remembered for links.
const MOST_HEADINGS: usize = 100_000;

/// What the first pass over a file found.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) metadata: Option<Metadata>,
    /// The title that the file's first heading gives the book.
    pub(super) book_title: Option<String>,
    /// Headings of this level and above begin chapters; 0 where none do.
    pub(super) level: u8,
    /// Whether the first heading is the book's title, not a chapter's.
    pub(super) skips_first_heading: bool,
    /// How many chapters the file has.
    pub(super) chapters: usize,
    /// What text before the first chapter's heading is called.
    pub(super) front_title: String,
    /// How many lines the front matter has.
    pub(super) front_lines: u64,
    pub(super) definitions: Definitions,
}

/// What a file is in its book.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) source: &'a SourceFile,
    /// Whether it is one of several.
    pub(super) in_folder: bool,
    /// The index of its first chapter.
    pub(super) first_index: usize,
    /// Where chapters begin, if that is said.
    pub(super) marks: &'a [ChapterMark],
}

/// Reads a file through.
pub(super) fn scan(
    lines: &mut Lines,
    place: &Place<'_>,
    anchors: &mut Anchors,
    embedded: &mut Embedded<'_>,
    report: &mut Report,
) -> Result<Scan, BookError> {
    let Place { source, in_folder, first_index, marks } = *place;
    let (metadata, front_lines) = front(lines, source, report)?;
    let mut scanner = Scanner::new(front_lines);
    let mut definitions = Definitions::default();
    let mut headings: Vec<Heading> = Vec::new();
    let mut counts = [0_usize; 7];
    let (mut others, mut full) = (0_usize, false);
    while let Some(line) = lines.next()? {
        match scanner.line(line) {
            Line::Front | Line::Blank => {}
            Line::Heading(level) => {
                if scanner.is_setext() {
                    others = others.saturating_sub(scanner.paragraph_lines());
                }
                counts[usize::from(level)] += 1;
                if headings.len() < MOST_HEADINGS {
                    let (title, anchor) = (scanner.title(line).text, scanner.anchor(line));
                    headings.push(Heading {
                        level,
                        title,
                        anchor,
                        text_before: others > 0,
                        begins: false,
                        index: 0,
                    });
                }
            }
            Line::Definition => {
                let short = match scanner.begins_definition() {
                    true => embedded.take(line)?,
                    false => None,
                };
                let line = short.as_deref().unwrap_or(line);
                anchors.refer(line);
                let before = counts.iter().sum();
                full |= !definitions.add(line, scanner.begins_definition(), before);
            }
            Line::Other => {
                others += 1;
                anchors.refer(line);
            }
        }
    }
    if full {
        report.warn(format!(
            "{}: more than 16 MiB of definitions; later ones count in their chapter only",
            source.name
        ));
    }
    let own = marks.is_empty() && !in_folder && headings.first().is_some_and(Heading::is_own);
    let (level, skips) = match marks {
        [] if own => (1, false),
        [] => split_level(&counts, &headings, in_folder),
        marks => {
            let said = said_level(marks, &headings);
            if said == 0 {
                report.warn(format!("{}: no heading is where chapters were said to begin", source.name));
            }
            (said, false)
        }
    };
    let first = headings.first();
    let book_title = first.filter(|first| skips || first.level <= level).map(|first| first.title.clone());
    let book_title =
        book_title.filter(|_| !own).filter(|_| skips || (!in_folder && counts[usize::from(level)] == 1));
    let front_title = match (in_folder, level) {
        (true, 0) => title_from_name(&source.name),
        _ => String::new(),
    };
    let is_first = |heading: &Heading| begins(marks, level, heading.level, || heading.title.clone());
    let (chapters, headings) = number(headings, is_first, skips, first_index, others);
    let numbered = headings.iter().zip(1 + usize::from(skips)..);
    definitions.settle(numbered.filter(|(heading, _)| heading.begins).map(|(_, number)| number).collect());
    anchors.add_file(&source.name, first_index, &front_title, headings, own);
    Ok(Scan {
        metadata,
        book_title,
        level,
        skips_first_heading: skips,
        chapters,
        front_title,
        front_lines,
        definitions,
    })
}

/// The level at which chapters begin, and whether the first heading is the book's title.
fn split_level(counts: &[usize; 7], headings: &[Heading], in_folder: bool) -> (u8, bool) {
    let next = |after: usize| (after + 1..7).find(|level| counts[*level] > 0);
    let Some(top) = next(0) else { return (0, false) };
    let begins = headings.first().is_some_and(|first| usize::from(first.level) == top && !first.text_before);
    if in_folder {
        let level = if top == 1 || (counts[top] == 1 && begins) { top } else { 0 };
        return (level as u8, false);
    }
    match next(top) {
        Some(below) if counts[top] == 1 && counts[below] > 1 && begins => (below as u8, true),
        _ => (top as u8, false),
    }
}

/// The lowest level of the headings at which chapters are said to begin; 0 where none do.
fn said_level(marks: &[ChapterMark], headings: &[Heading]) -> u8 {
    let said = headings.iter().filter(|one| begins(marks, 0, one.level, || one.title.clone()));
    said.map(|one| one.level).max().unwrap_or(0)
}

/// Gives each heading the index of the chapter that it stands in. Answers the number of chapters.
fn number(
    headings: Vec<Heading>,
    is_first: impl Fn(&Heading) -> bool,
    skips: bool,
    first_index: usize,
    others: usize,
) -> (usize, Vec<Heading>) {
    let mut chapters = 0_usize;
    let mut numbered = Vec::new();
    for (place, mut heading) in headings.into_iter().enumerate() {
        if skips && place == 0 {
            continue;
        }
        let begins = is_first(&heading);
        if begins && chapters == 0 && (heading.text_before || !numbered.is_empty()) {
            chapters = 1;
        }
        chapters += usize::from(begins);
        heading.begins = begins;
        heading.index = first_index + chapters.saturating_sub(1);
        numbered.push(heading);
    }
    if chapters == 0 && (others > 0 || !numbered.is_empty()) {
        chapters = 1;
    }
    (chapters, numbered)
}

/// Reads the front matter, if there is one; the lines begin again after that.
fn front(
    lines: &mut Lines,
    source: &SourceFile,
    report: &mut Report,
) -> Result<(Option<Metadata>, u64), BookError> {
    let mark = lines.next()?.unwrap_or_default().trim_end().to_owned();
    let mut inside = String::new();
    let mut count = 1_u64;
    let mut closed = false;
    if mark == "---" || mark == "+++" {
        while let Some(line) = lines.next()? {
            count += 1;
            let end = line.trim_end();
            if end == mark || (mark == "---" && end == "...") {
                closed = true;
                break;
            }
            inside.push_str(line);
            inside.push('\n');
            if inside.len() > MOST_FRONT_BYTES {
                break;
            }
        }
    }
    lines.rewind()?;
    if !closed {
        return Ok((None, 0));
    }
    let read = if mark == "+++" {
        front_matter::toml(&inside, &source.name)?
    } else {
        // Between two rules there may as well be text.
        match front_matter::yaml(&inside) {
            Some(read) => read,
            None => return Ok((None, 0)),
        }
    };
    for unknown in read.unknown {
        report.warn(format!("{}: the front matter's {unknown:?} was not understood", source.name));
    }
    Ok((Some(read.metadata), count))
}
