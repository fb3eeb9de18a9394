//! Plain text: chapters found by their headings, paragraphs by blank lines or indentation, hard-wrapped lines joined.
//!
//! Two passes: the first collects what looks like a heading and measures the text ([`survey`]), then [`plan`] decides,
//! then the second writes. `headings` knows what a heading looks like, `paragraphs` what a block of lines is.

use super::{
    BookSink, ChapterMark, HELD_TITLE, Imported, Report, SourceFile, SourceFormat,
    chapters::Chapters,
    charset::{Allowed, Lines, examine},
    folder, one_line, title_from_name,
};
use crate::book::{BookError, Metadata};

mod gutenberg;
mod headings;
mod paragraphs;
mod plan;
mod survey;
#[cfg(test)]
mod tests;

use paragraphs::Paragraphs;
use plan::plan;
use survey::survey;

/// Imports a text file.
pub(super) fn import_file(
    source: &SourceFile,
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    import(&[source], marks, sink)
}

/// Imports a folder: each text is a chapter, or several where it has several titles.
pub(super) fn import_folder(
    files: &[SourceFile],
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let (chapters, _) = folder::chapters(files, SourceFormat::Text)?;
    import(&chapters, marks, sink)
}

fn import(
    files: &[&SourceFile],
    marks: &[ChapterMark],
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let mut chapters = Chapters::new(sink, Report::new(SourceFormat::Text), &files[0].name);
    let (mut metadata, mut index) = (None, 0);
    for source in files {
        chapters.set_file(&source.name);
        let told = one(source, marks, files.len() > 1, &mut index, &mut chapters)?;
        metadata.get_or_insert(told);
    }
    Ok(Imported { metadata: metadata.unwrap_or_default(), report: chapters.finish()? })
}

/// Reads one file; `index` is the next chapter's. Answers what the file says of the book.
fn one(
    source: &SourceFile,
    marks: &[ChapterMark],
    in_folder: bool,
    index: &mut usize,
    chapters: &mut Chapters<'_>,
) -> Result<Metadata, BookError> {
    let charset = examine(source, Allowed::Any)?;
    let report = &mut chapters.report;
    report.charset = Some(charset.encoding.name().to_owned());
    if charset.guessed {
        report.warn(format!("the charset was guessed: {}", charset.encoding.name()));
    }
    let mut lines = Lines::open(source, charset)?;
    let survey = survey(&mut lines, marks)?;
    if lines.replaced {
        report.losses.add("character that means nothing in the charset");
    }
    if survey.licence {
        report.warn("the header and licence of Project Gutenberg were left out");
    }
    let plan = plan(&survey, marks);
    if plan.is_empty() && !marks.is_empty() {
        report.warn(format!("{}: no line is where chapters were said to begin", source.name));
    } else if plan.is_empty() && !in_folder {
        report.warn("no chapter headings were found: the text is one chapter");
    }
    let metadata = Metadata {
        title: one_line(&survey.header.title, HELD_TITLE),
        authors: survey.header.authors.clone(),
        language: survey.header.language.clone(),
        date: survey.header.date.clone(),
        ..Metadata::default()
    };

    lines.rewind()?;
    let mut paragraphs = Paragraphs::new(survey.layout());
    let mut headings = plan.iter().peekable();
    let (mut number, mut open) = (0_u64, false);
    let mut skip = 0_u64;
    while let Some(line) = lines.next()? {
        number += 1;
        if number <= survey.begin || number >= survey.end {
            continue;
        }
        if let Some(heading) = headings.next_if(|heading| heading.line == number) {
            if open {
                paragraphs.finish(chapters)?;
                chapters.end()?;
            }
            chapters.begin(*index, &heading.title)?;
            (*index, open, skip) = (*index + 1, true, heading.lines - 1);
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if !open {
            if line.trim().is_empty() {
                continue;
            }
            let title = match (plan.is_empty(), in_folder) {
                (true, true) => title_from_name(&source.name),
                (true, false) => metadata.title.clone(),
                (false, _) => String::new(),
            };
            chapters.begin(*index, &title)?;
            (*index, open) = (*index + 1, true);
        }
        paragraphs.line(line, chapters)?;
    }
    if open {
        paragraphs.finish(chapters)?;
        chapters.end()?;
    }
    Ok(metadata)
}
