//! Our own JSON export (`export::json::SCHEMA`) read back. Two passes, neither of which holds more than a run: the first
//! takes the metadata, the pictures and the chapters' titles, by which links find their files, the second the blocks.
//!
//! `tokens` knows JSON, `blocks` what a chapter holds.

use std::collections::HashMap;

use super::{
    BookSink, HELD_TITLE, Imported, Report, SourceFile, SourceFormat, SourceReader,
    chapters::{Chapters, MOST_CHAPTERS, file_name},
    one_line,
    pictures::Pictures,
    read_error,
};
use crate::book::{BookError, Metadata};

mod blocks;
#[cfg(test)]
pub(in crate::import) mod tests;
mod tokens;

use blocks::{Around, blocks};
use tokens::Tokens;

/// What a file of ours says that it is.
pub(super) const FORMAT: &str = "presswork-book-export";

/// What the first pass found.
#[derive(Default)]
struct Survey {
    metadata: Metadata,
    titles: Vec<String>,
    /// Pictures by the names that they have in the file.
    pictures: HashMap<String, Option<String>>,
}

/// Imports a JSON export.
pub(super) fn import(source: &SourceFile, sink: &mut dyn BookSink) -> Result<Imported, BookError> {
    let survey = survey(source, sink)?;
    let mut chapters = Chapters::new(sink, Report::new(SourceFormat::Json), &source.name);
    let files: Vec<String> =
        survey.titles.iter().enumerate().map(|(index, title)| file_name(index, title)).collect();
    let mut tokens = open(source)?;
    let mut index = 0;
    tokens.object(&mut |tokens, key| match key {
        "chapters" => tokens.array(&mut |tokens| {
            let title = survey.titles.get(index).map(String::as_str).unwrap_or_default();
            chapters.begin(index, title)?;
            let around = Around { chapters: &files, index, pictures: &survey.pictures };
            tokens.object(&mut |tokens, key| match key {
                "blocks" => blocks(tokens, &around, &mut chapters),
                _ => tokens.skip(),
            })?;
            index += 1;
            chapters.end()
        }),
        _ => tokens.skip(),
    })?;
    let mut metadata = survey.metadata;
    metadata.title = one_line(&metadata.title, HELD_TITLE);
    if let Some(cover) = metadata.cover.take() {
        metadata.cover = survey.pictures.get(&cover).cloned().flatten();
        if metadata.cover.is_none() {
            chapters.report.warn(format!("the cover {cover:?} was not found or is no picture"));
            chapters.losses().add("cover that was not found");
        }
    }
    Ok(Imported { metadata, report: chapters.finish()? })
}

fn open(source: &SourceFile) -> Result<Tokens<SourceReader>, BookError> {
    let file = source.open().map_err(read_error(&source.name))?;
    Ok(Tokens::new(file, &source.name))
}

fn survey(source: &SourceFile, sink: &mut dyn BookSink) -> Result<Survey, BookError> {
    let mut tokens = open(source)?;
    let mut survey = Survey::default();
    let mut pictures = Pictures::default();
    let mut is_ours = false;
    tokens.object(&mut |tokens, key| {
        match key {
            "format" => is_ours = tokens.string()? == FORMAT,
            "version" => {
                let version = tokens.number()?;
                if version != 1 {
                    let problem = format!(
                        "it is of version {version}, which this Presswork does not know: use a newer one"
                    );
                    return Err(tokens.wrong(problem));
                }
            }
            "metadata" => {
                let raw = tokens.raw()?;
                survey.metadata = serde_json::from_slice(&raw)
                    .map_err(|error| tokens.wrong(format!("the metadata is wrong: {error}")))?;
            }
            "chapters" => tokens.array(&mut |tokens| {
                let mut title = String::new();
                tokens.object(&mut |tokens, key| match key {
                    "title" => {
                        title = tokens.string()?;
                        Ok(())
                    }
                    "blocks" => tokens.skip(),
                    key => Err(tokens.wrong(format!("{key:?} has no place in a chapter"))),
                })?;
                if survey.titles.len() >= MOST_CHAPTERS {
                    return Err(tokens.wrong("the book has more than 50,000 chapters"));
                }
                // As it will be called; a longer one would be held for nothing.
                survey.titles.push(one_line(&title, HELD_TITLE));
                Ok(())
            })?,
            "assets" => {
                tokens.array(&mut |tokens| asset(tokens, &mut pictures, &mut survey.pictures, sink))?
            }
            key => return Err(tokens.wrong(format!("{key:?} has no place in a book"))),
        }
        Ok(())
    })?;
    tokens.finish()?;
    if !is_ours {
        let problem =
            "it is JSON, but no book that Presswork exported: save it as EPUB, DOCX, Markdown or plain text";
        return Err(BookError::input(&source.name, problem));
    }
    Ok(survey)
}

fn asset(
    tokens: &mut Tokens<SourceReader>,
    pictures: &mut Pictures,
    known: &mut HashMap<String, Option<String>>,
    sink: &mut dyn BookSink,
) -> Result<(), BookError> {
    let mut name = None;
    tokens.object(&mut |tokens, key| match key {
        "name" => {
            name = Some(tokens.string()?);
            Ok(())
        }
        "media_type" => tokens.skip(),
        "data" => {
            let Some(name) = name.take() else {
                return Err(tokens.wrong("a picture's \"name\" must come before its \"data\""));
            };
            if known.contains_key(&name) {
                return Err(tokens.wrong(format!("there are two pictures called {name:?}")));
            }
            let brought = tokens.data(|data| pictures.add(&name, &name, data, sink))?;
            known.insert(name, brought);
            Ok(())
        }
        key => Err(tokens.wrong(format!("{key:?} has no place in a picture"))),
    })
}
