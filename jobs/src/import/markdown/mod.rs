//! Markdown: one file, split at its topmost headings, or a folder of chapters.
//!
//! Each file is read twice by lines: the first pass ([`scan`]) finds where chapters begin and keeps the definitions of
//! links and footnotes, the second gathers one chapter after the other, puts the definitions that it refers to behind it
//! and parses that. `lines` knows fences and headings, `front_matter` the metadata, `resolve` where images and links lead.

use super::{
    BookSink, ChapterMark, HELD_TITLE, Imported, Report, SourceFile, SourceFormat,
    chapters::{Chapters, MOST_CHAPTERS, TOO_LARGE},
    charset::{Allowed, Lines, examine},
    folder, one_line,
    pictures::Pictures,
};
use crate::book::{
    BookError, Losses, loss,
    markdown::{TitleText, read_blocks},
    markdown_labels::Labels,
    project::MOST_CHAPTER_BYTES,
};

mod definitions;
mod front_matter;
mod lines;
pub(super) mod resolve;
mod scan;
#[cfg(test)]
mod tests;

use lines::{Line, Scanner};
use resolve::{Anchors, Embedded, Files, Manuscript};
use scan::{Place, Scan, scan};

/// A chapter's source that is larger is parsed in pieces: what the parser holds grows with them.
const PIECE_BYTES: usize = 256 << 10;
/// Where no better place for that was found: inside a fence, a list or a paragraph. What can't be cut without becoming
/// something else (tables, items, quotations) is only bounded by its chapter.
const MOST_PIECE_BYTES: usize = 1 << 20;

/// Imports one file.
pub(super) fn import_file(
    source: &SourceFile,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    import(&[source], Files::single(source), marks, sink)
}

/// Imports a folder: each Markdown file is a chapter, or several where it has several titles.
pub(super) fn import_folder(
    files: &[SourceFile],
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let (chapters, note) = folder::chapters(files, SourceFormat::Markdown)?;
    let mut imported = import(&chapters, Files::folder(files), marks, sink)?;
    note.into_iter().for_each(|note| imported.report.warn(note));
    Ok(imported)
}

fn import(
    files: &[&SourceFile],
    all: Files,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let mut report = Report::new(SourceFormat::Markdown);
    let mut scans = Vec::new();
    let mut anchors = Anchors::default();
    let mut count = 0;
    let mut pictures = Pictures::default();
    for source in files {
        let charset = examine(source, Allowed::Unicode)?;
        report.charset = Some(charset.encoding.name().to_owned());
        let mut lines = Lines::open(source, charset)?;
        let mut embedded = Embedded { pictures: &mut pictures, sink };
        let place = Place { source, in_folder: files.len() > 1, first_index: count, marks };
        let scan = scan(&mut lines, &place, &mut anchors, &mut embedded, &mut report)?;
        count += scan.chapters;
        if count > MOST_CHAPTERS {
            return Err(BookError::input(&source.name, "the book has more than 50,000 chapters"));
        }
        scans.push((*source, charset, scan));
    }
    anchors.finish();
    let mut metadata = scans.iter_mut().find_map(|(_, _, scan)| scan.metadata.take()).unwrap_or_default();
    if metadata.title.trim().is_empty() {
        metadata.title = scans.first().and_then(|(_, _, scan)| scan.book_title.clone()).unwrap_or_default();
    }
    metadata.title = one_line(&metadata.title, HELD_TITLE);
    let cover = metadata.cover.take();

    // A cover may be named like the picture of a definition: our own exports do.
    let cover = cover.map(|cover| scans[0].2.definitions.embedded(&cover).unwrap_or(cover));

    let mut chapters = Chapters::new(sink, report, &scans[0].0.name);
    let mut index = 0;
    for (source, charset, scan) in &mut scans {
        chapters.set_file(&source.name);
        let mut lines = Lines::open(source, *charset)?;
        Writer {
            source,
            scan,
            chapters: &mut chapters,
            all: &all,
            marks,
            anchors: &anchors,
            pictures: &mut pictures,
        }
        .write(&mut lines, &mut index)?;
        let unused = scan.definitions.unused_footnotes();
        (0..unused).for_each(|_| chapters.losses().add("footnote that nothing refers to"));
    }
    metadata.cover = cover_picture(cover, scans[0].0, &all, &mut pictures, &mut chapters)?;
    Ok(Imported { metadata, report: chapters.finish()? })
}

/// Brings the cover in that the front matter names.
fn cover_picture(
    cover: Option<String>,
    source: &SourceFile,
    all: &Files,
    pictures: &mut Pictures,
    chapters: &mut Chapters<'_>,
) -> Result<Option<String>, BookError> {
    let Some(cover) = cover else { return Ok(None) };
    let name = resolve::picture(&cover, &source.name, all, pictures, chapters.sink())?;
    if name.is_none() {
        chapters.report.warn(format!("the cover {cover:?} was not found or is no picture"));
    }
    Ok(name)
}

/// Whether a chapter begins at a heading: where that is said, else at those of a level.
fn begins(marks: &[ChapterMark], most: u8, level: u8, title: impl FnOnce() -> String) -> bool {
    if marks.is_empty() {
        return level <= most;
    }
    let title = title();
    marks.iter().any(|mark| mark.is_heading(level, &title))
}

/// The second pass over a file.
struct Writer<'a, 's> {
    source: &'a SourceFile,
    scan: &'a mut Scan,
    chapters: &'a mut Chapters<'s>,
    all: &'a Files,
    marks: &'a [ChapterMark],
    anchors: &'a Anchors,
    pictures: &'a mut Pictures,
}

impl Writer<'_, '_> {
    fn write(&mut self, lines: &mut Lines, index: &mut usize) -> Result<(), BookError> {
        let mut scanner = Scanner::new(self.scan.front_lines);
        let (mut text, mut open, mut first) = (String::new(), false, true);
        let mut headings = 0_usize;
        while let Some(line) = lines.next()? {
            let was_in_fence = scanner.is_in_fence();
            let kind = scanner.line(line);
            headings += usize::from(matches!(kind, Line::Heading(_)));
            match kind {
                Line::Front => continue,
                Line::Definition if self.scan.definitions.has(line, &scanner, self.chapters.losses()) => {
                    continue;
                }
                Line::Heading(level)
                    if begins(self.marks, self.scan.level, level, || scanner.title(line).text) =>
                {
                    let title = scanner.title(line);
                    self.count(&title);
                    scanner.take_back(&mut text);
                    // The book's own title stands in its metadata, not in a chapter.
                    let skipped = std::mem::take(&mut first) && self.scan.skips_first_heading;
                    if skipped {
                        title.images.iter().for_each(|_| self.chapters.losses().add(loss::TITLE_IMAGE));
                        continue;
                    }
                    self.end(&mut text, index, &mut open)?;
                    self.chapters.begin(*index, &title.text)?;
                    // A title is text; its pictures begin the chapter.
                    if !title.images.is_empty() {
                        text.push_str(&title.images.join(" "));
                        text.push_str("\n\n");
                    }
                    self.scan.definitions.begin_chapter(headings);
                    open = true;
                    continue;
                }
                Line::Heading(_) => first = false,
                _ => {}
            }
            let safe = kind == Line::Blank && scanner.is_top_level();
            if safe && text.len() > PIECE_BYTES {
                self.piece(&mut text, index, &mut open)?;
            } else if text.len() + line.len() > MOST_PIECE_BYTES {
                self.make_room(&scanner, was_in_fence, line, &mut text, index, &mut open)?;
            }
            text.push_str(line);
            text.push('\n');
        }
        self.end(&mut text, index, &mut open)
    }

    /// Counts what a title loses.
    fn count(&mut self, title: &TitleText) {
        let losses = self.chapters.losses();
        (0..title.notes).for_each(|_| losses.add("footnote reference in a title"));
        (0..title.tags).for_each(|_| losses.add("raw HTML"));
        if title.has_marks {
            losses.add(loss::TITLE_MARK);
        }
    }

    /// A text has become too long for its next line: parses it, where what is open bears to be cut.
    fn make_room(
        &mut self,
        scanner: &Scanner,
        was_in_fence: bool,
        line: &str,
        text: &mut String,
        index: &mut usize,
        open: &mut bool,
    ) -> Result<(), BookError> {
        if was_in_fence {
            // A line that ends it is part of it.
            let Some((begins, ends)) = scanner.fence() else { return Ok(()) };
            text.push_str(&ends);
            self.chapters.losses().add(loss::SPLIT);
            self.piece(text, index, open)?;
            text.push_str(begins);
            text.push('\n');
            return Ok(());
        }
        let last = text.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
        let is_table = !text.ends_with("\n\n") && last.trim_start().starts_with('|');
        if !(is_table || scanner.is_inside()) || scanner.is_item(line) {
            return self.piece(text, index, open);
        }
        if text.len() + line.len() > MOST_CHAPTER_BYTES {
            return Err(BookError::input(&self.source.name, TOO_LARGE));
        }
        Ok(())
    }

    /// Ends the chapter, if there is one.
    fn end(&mut self, text: &mut String, index: &mut usize, open: &mut bool) -> Result<(), BookError> {
        if *open || !text.trim().is_empty() {
            self.piece(text, index, open)?;
            self.chapters.end()?;
            *index += 1;
        }
        *open = false;
        text.clear();
        Ok(())
    }

    /// Parses what was gathered, with the definitions that it refers to.
    fn piece(&mut self, text: &mut String, index: &mut usize, open: &mut bool) -> Result<(), BookError> {
        if !*open {
            let title = self.scan.front_title.clone();
            self.chapters.begin(*index, &title)?;
            *open = true;
        }
        let definitions = self.scan.definitions.wanted(text);
        text.push('\n');
        text.push_str(&definitions);
        let mut losses = Losses::default();
        let mut manuscript = Manuscript::new(&self.source.name, *index, self.scan.level, self.anchors);
        manuscript.labels = Labels::of(text);
        // A picture goes to the sink that the text's events go to, so pictures are brought in before those.
        for source in resolve::image_sources(text) {
            let sink = self.chapters.sink();
            let name = resolve::picture(&source, &self.source.name, self.all, self.pictures, sink)?;
            if name.is_none() {
                let shown: String = source.chars().take(100).collect();
                self.chapters.report.warn(format!(
                    "{}: the image {shown:?} was not found or is no picture",
                    self.source.name
                ));
            }
            manuscript.found.insert(source, name);
        }
        let read = read_blocks(text, &mut manuscript, self.chapters, &mut losses);
        self.chapters.losses().merge(&losses);
        text.clear();
        read
    }
}
