//! HTML, as browsers read it: one file, or a folder of them. Each is read twice by tags: the first pass finds headings, pictures, notes
//! and places, the second writes chapters. No tree is held, so a file of any size takes the same memory.
//!
//! `tokens` parts text and tags, `tree` makes them balanced, `page` leaves out what stands around a page's text, `survey` is the first pass with `front` for its metadata, `plan` decides where chapters begin and links
//! lead, `write` is the second pass; what elements mean is known by the EPUB's `xhtml`.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{
    BookSink, ChapterMark, HELD_TITLE, Imported, Report, SourceFile, SourceFormat,
    chapters::{Chapters, MOST_CHAPTERS},
    charset::{Allowed, examine},
    detect::is_binary,
    epub::in_file,
    folder,
    letters::Text,
    markdown::resolve::Files,
    one_line,
    pictures::Pictures,
    read_error, title_from_name,
};
use crate::book::{BookError, Metadata};

mod front;
mod headings;
mod marks;
mod page;
mod places;
mod plan;
mod survey;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod write;

use page::{Furnished, Page, furnished};
use plan::{Book, Links, Planned};
use survey::{Survey, survey};
use tree::Tree;
use write::Writer;

/// How much of a file is looked at for its charset.
const HEAD_BYTES: u64 = 8 << 10;

/// Imports one file.
pub(super) fn import_file(
    source: &SourceFile,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    import(&[source], &Files::single(source), marks, sink)
}

/// Imports a folder: each HTML file is a chapter, or several where it has several titles.
pub(super) fn import_folder(
    files: &[SourceFile],
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let (chapters, _) = folder::chapters(files, SourceFormat::Html)?;
    import(&chapters, &Files::folder(files), marks, sink)
}

fn import(
    files: &[&SourceFile],
    all: &Files,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let mut report = Report::new(SourceFormat::Html);
    let (mut read, mut pictures, mut count) = (Vec::new(), Pictures::default(), 0);
    let in_folder = files.len() > 1;
    for source in files {
        let charset = charset(source, &mut report)?;
        let furnished = furnished(source, charset)?;
        let mut tree = Page::new(Tree::new(Text::open(source, charset)?, &source.name), furnished.as_ref());
        let survey = survey(&mut tree, &source.name, all, &mut pictures, sink)?;
        if tree.tokens().ends_in_tag {
            report.warn(format!("{}: it ends inside of a tag: the file is cut off", source.name));
        }
        if tree.tokens().text.replaced {
            report.losses.add("character that means nothing in the charset");
        }
        (0..tree.pieces).for_each(|_| report.losses.add("what stands around a page's main part"));
        survey.warnings.iter().for_each(|warning| report.warn(warning.clone()));
        let planned = Planned::of(&survey, marks, in_folder, count);
        count += planned.chapters();
        if count > MOST_CHAPTERS {
            return Err(BookError::input(&source.name, "the book has more than 50,000 chapters"));
        }
        if !marks.is_empty() && planned.begins.is_empty() {
            report.warn(format!("{}: no heading is where chapters were said to begin", source.name));
        }
        read.push(Read { source, charset, furnished, planned, survey });
    }
    let metadata = metadata(&read, in_folder);
    let named = read.iter().map(|read| (read.source.name.clone(), &read.planned, &read.survey));
    let title = |place: usize, chapter: usize| title(&read[place], chapter, in_folder);
    let book = Book::new(named.collect(), title);

    let mut chapters = Chapters::new(sink, report, &files[0].name);
    for (place, Read { source, charset, furnished, planned, survey }) in read.iter().enumerate() {
        chapters.set_file(&source.name);
        let tree = Page::new(Tree::new(Text::open(source, charset)?, &source.name), furnished.as_ref());
        let links = Links { book: &book, file: place, chapter: planned.first };
        let front_title = front_title(&read[place], in_folder);
        let written = Writer::new(tree, survey, planned, links, front_title).write(&mut chapters);
        written.map_err(|error| in_file(error, &source.name))?;
    }
    chapters.set_file(&files[0].name);
    Ok(Imported { metadata, report: chapters.finish()? })
}

/// A file that was read once.
struct Read<'a> {
    source: &'a SourceFile,
    charset: &'static Encoding,
    furnished: Option<Furnished>,
    planned: Planned,
    survey: Survey,
}

/// What a file's chapters are called, counted from 0.
fn title(read: &Read<'_>, chapter: usize, in_folder: bool) -> String {
    let Read { planned, survey, .. } = read;
    match chapter.checked_sub(usize::from(planned.has_front)) {
        Some(begun) => {
            planned.begins.get(begun).map(|place| survey.headings[*place].text.clone()).unwrap_or_default()
        }
        None => front_title(read, in_folder),
    }
}

fn front_title(Read { source, planned, survey, .. }: &Read<'_>, in_folder: bool) -> String {
    if !in_folder {
        return String::new();
    }
    let named = one_line(&survey.metadata.title, HELD_TITLE);
    match (planned.begins.is_empty(), named.is_empty()) {
        (true, false) => named,
        (true, true) => title_from_name(&source.name),
        (false, _) => String::new(),
    }
}

/// What the files say of the book; the first that says something counts.
fn metadata(read: &[Read<'_>], in_folder: bool) -> Metadata {
    let mut metadata = read.first().map(|read| read.survey.metadata.clone()).unwrap_or_default();
    let Some(Read { planned, survey, .. }) = read.first() else { return metadata };
    metadata.cover = read.iter().find_map(|read| read.survey.cover.clone());
    let heading = survey.headings.first().filter(|_| planned.skips_first).map(|heading| heading.text.clone());
    if let Some(heading) = heading.filter(|heading| !heading.is_empty()) {
        metadata.title = heading;
    } else if in_folder && read.iter().any(|other| other.survey.metadata.title != survey.metadata.title) {
        // Each is called after its chapter.
        metadata.title = String::new();
    }
    metadata
}

/// A file's charset: UTF-8 where it is that all through, else as its head says, else guessed.
fn charset(source: &SourceFile, report: &mut Report) -> Result<&'static Encoding, BookError> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let opened = source.open();
    let read = opened.and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.map_err(read_error(&source.name))?;
    let said = said(&head);
    let found = examine(source, Allowed::Any);
    let is_wide = |encoding| encoding == UTF_16LE || encoding == UTF_16BE;
    let charset = match (found, said) {
        // Of ASCII alone, with other letters behind escapes.
        (Ok(found), Some(said)) if found.encoding == UTF_8 && said == encoding_rs::ISO_2022_JP => said,
        (Ok(found), _) if !found.guessed || is_wide(found.encoding) => found.encoding,
        (Ok(_) | Err(BookError::Input { .. }), Some(said)) if !is_binary(&head) => said,
        (Ok(found), _) => {
            report.warn(format!("{}: the charset was guessed: {}", source.name, found.encoding.name()));
            found.encoding
        }
        (Err(error), _) => return Err(error),
    };
    report.charset = Some(charset.name().to_owned());
    Ok(charset)
}

/// The charset that a head says: `<meta charset="…">`, `content="text/html; charset=…"`, `<?xml encoding="…"?>`.
fn said(head: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let label = ["charset=", "encoding="].iter().find_map(|name| {
        let (before, rest) = text.split_once(name)?;
        let tag = before.rfind('<').map(|begin| &before[begin..])?;
        let is_said = tag.starts_with("<meta") || tag.starts_with("<?xml");
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(rest.len());
        is_said.then(|| rest[..end].to_owned())
    })?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    // A text whose head can be read so is none in UTF-16.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}
