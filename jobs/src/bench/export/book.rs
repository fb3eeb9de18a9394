//! The book that is exported: the handbook, chapter by chapter in other words, chapters of a novel's length. As a project, and
//! as one Markdown file for other people's programs. Must not know: what is measured.

use std::{
    fs,
    io::{self, Read, Write as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::ObjectStore;
use presswork::{cli::CliError, domain::SeededRandom};

use super::prose::Words;
use crate::{
    book::{BookError, Metadata, names::chapter_name, project::ProjectWriter},
    handbook,
    import::{BookSink, Source, SourceFile, SourceFormat, import},
};

/// The handbook's chapters and pictures.
#[derive(Default)]
struct Collected {
    chapters: Vec<(String, String)>,
    assets: Vec<(String, String, Vec<u8>)>,
}

impl BookSink for Collected {
    fn chapter(&mut self, _: &str, title: &str, markdown: String) -> Result<(), BookError> {
        self.chapters.push((title.to_owned(), markdown));
        Ok(())
    }

    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        self.assets.push((name.to_owned(), media_type.to_owned(), bytes));
        Ok(())
    }
}

/// The handbook as it is imported.
pub(in crate::bench) struct TheBook {
    chapters: Vec<(String, String)>,
    assets: Vec<(String, String, Vec<u8>)>,
    metadata: Metadata,
    words: Words,
}

impl TheBook {
    /// Reads it, by way of a folder in `scratch`.
    pub(in crate::bench) async fn read(scratch: &Path) -> Result<Self, CliError> {
        let folder = scratch.join("handbook");
        let read = tokio::task::spawn_blocking(move || read_handbook(&folder)).await;
        let (book, metadata) = read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let words = Words::of(book.chapters.iter().map(|(_, text)| text.as_str()));
        let chapters = book.chapters.into_iter().map(of_a_novels_length).collect();
        Ok(Self { chapters, assets: book.assets, metadata, words })
    }

    /// Its chapters, again and again with other words, until they have so many bytes; the same ones each time. Pictures stand
    /// in the first copy only: else the HTML, which holds each picture where it stands, would be pictures for the most part.
    fn repeated(&self, size: u64) -> impl Iterator<Item = (usize, &str, String)> {
        let (mut bytes, random) = (0, SeededRandom::new(1));
        let all = self.chapters.iter().cycle().enumerate().map(move |(index, (title, markdown))| {
            let is_first = index < self.chapters.len();
            let text = if is_first { markdown.clone() } else { without_pictures(markdown) };
            (index, title.as_str(), self.words.exchanged(&text, &random))
        });
        // The last round is whole, so that a book ends as it should.
        let round = self.chapters.len();
        all.take_while(move |(index, _, text)| {
            let goes_on = bytes < size || index % round != 0;
            bytes += text.len() as u64;
            goes_on
        })
    }

    /// Makes it a project of at least so many bytes of Markdown; answers how many they are.
    pub(in crate::bench) async fn write_project(
        &self,
        storage: Arc<dyn ObjectStore>,
        size: u64,
    ) -> Result<u64, CliError> {
        let mut writer = ProjectWriter::begin(storage, "bench").map_err(|error| failed(&error))?;
        for (name, media_type, bytes) in &self.assets {
            let pieces = stream::iter([Ok(Bytes::from(bytes.clone()))]).boxed();
            writer.asset(name, media_type, pieces).await.map_err(|error| failed(&error))?;
        }
        let mut bytes = 0;
        for (index, title, text) in self.repeated(size) {
            bytes += text.len() as u64;
            let name = chapter_name(index, title);
            writer.chapter(&name, title, text).await.map_err(|error| failed(&error))?;
        }
        writer.publish(self.metadata.clone()).await.map_err(|error| failed(&error))?;
        Ok(bytes)
    }

    /// The same as one Markdown file in a folder, its pictures where the text says: in `images` beside the folder. Blocks.
    pub(super) fn write_file(&self, folder: &Path, size: u64) -> io::Result<()> {
        let images = folder.with_file_name("images");
        fs::create_dir_all(folder)?;
        fs::create_dir_all(&images)?;
        for (name, _, bytes) in &self.assets {
            fs::write(images.join(name), bytes)?;
        }
        let mut file = io::BufWriter::new(fs::File::create(folder.join(FILE))?);
        writeln!(file, "---\ntitle: {}\nlang: en\n---\n", self.metadata.title)?;
        for (_, _, text) in self.repeated(size) {
            writeln!(file, "{text}\n")?;
        }
        file.flush()
    }
}

/// The Markdown file's name.
pub(super) const FILE: &str = "book.md";

fn failed(error: &dyn std::fmt::Display) -> CliError {
    CliError::unavailable(format_args!("the book can't be made: {error}"))
}

/// The handbook's chapters are short. Each is repeated until it is as long as a novel's, without its pictures and,
/// as a chapter has one title, with its further ones a level down.
fn of_a_novels_length((title, first): (String, String)) -> (String, String) {
    const BYTES: usize = 24 << 10;
    let again = without_pictures(&first).replacen("# ", "## ", 1);
    let times = BYTES.saturating_sub(first.len()).div_ceil(again.len().max(1));
    let whole = std::iter::once(first.as_str()).chain(std::iter::repeat_n(again.as_str(), times));
    (title, whole.collect::<Vec<_>>().join("\n\n"))
}

fn without_pictures(markdown: &str) -> String {
    markdown.lines().filter(|line| !line.starts_with("![")).flat_map(|line| [line, "\n"]).collect()
}

/// Blocking.
fn read_handbook(folder: &Path) -> Result<(Collected, Metadata), BookError> {
    handbook::write(folder)?;
    let file = |(name, _): &handbook::File| SourceFile::new(*name, folder.join(name));
    let files = handbook::FILES.iter().map(file).collect();
    let mut book = Collected::default();
    let imported = import(SourceFormat::Markdown, &Source::Folder(files), &mut book)?;
    Ok((book, imported.metadata))
}
