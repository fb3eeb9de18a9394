//! Plain text: chapters found by their headings, paragraphs by blank lines or indentation, hard-wrapped lines joined.
//!
//! Two passes: the first collects what looks like a heading and measures the text ([`survey`]), then [`plan`] decides,
//! then the second writes. `headings` knows what a heading looks like, `paragraphs` what a block of lines is.

use super::{
    BookSink, Imported, Report, SourceFile, SourceFormat,
    chapters::Chapters,
    charset::{Allowed, Lines, examine},
    one_line,
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
pub(super) fn import(source: &SourceFile, sink: &mut dyn BookSink) -> Result<Imported, BookError> {
    let charset = examine(source, Allowed::Any)?;
    let mut report = Report::new(SourceFormat::Text);
    report.charset = Some(charset.encoding.name().to_owned());
    if charset.guessed {
        report.warn(format!("the charset was guessed: {}", charset.encoding.name()));
    }
    let mut lines = Lines::open(source, charset)?;
    let survey = survey(&mut lines)?;
    if lines.replaced {
        report.losses.add("character that means nothing in the charset");
    }
    if survey.licence {
        report.warn("the header and licence of Project Gutenberg were left out");
    }
    let plan = plan(&survey);
    if plan.is_empty() {
        report.warn("no chapter headings were found: the text is one chapter");
    }
    let metadata = Metadata {
        title: one_line(&survey.header.title, 300),
        authors: survey.header.authors.clone(),
        language: survey.header.language.clone(),
        date: survey.header.date.clone(),
        ..Metadata::default()
    };

    lines.rewind()?;
    let mut chapters = Chapters::new(sink, report, &source.name);
    let mut paragraphs = Paragraphs::new(survey.layout());
    let mut headings = plan.iter().peekable();
    let (mut number, mut index, mut open) = (0_u64, 0_usize, false);
    let mut skip = 0_u64;
    while let Some(line) = lines.next()? {
        number += 1;
        if number <= survey.begin || number >= survey.end {
            continue;
        }
        if let Some(heading) = headings.next_if(|heading| heading.line == number) {
            if open {
                paragraphs.finish(&mut chapters)?;
                chapters.end()?;
            }
            chapters.begin(index, &heading.title)?;
            (index, open, skip) = (index + 1, true, heading.lines - 1);
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
            let title = if plan.is_empty() { metadata.title.as_str() } else { "" };
            chapters.begin(index, title)?;
            (index, open) = (index + 1, true);
        }
        paragraphs.line(line, &mut chapters)?;
    }
    if open {
        paragraphs.finish(&mut chapters)?;
    }
    Ok(Imported { metadata, report: chapters.finish()? })
}
