//! The job kind `export`: reads a project chapter by chapter, turns it into one file, streams that to an artifact. Or its
//! characters, one after the other.
//!
//! Two lanes: chapters are fetched ahead by a task, a few megabytes of them; a blocking thread parses and writes, and
//! waits wherever storage is slower. Memory is bounded by those chapters, the exporter's open one and the pipeline.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    artifact::{ArtifactError, ArtifactOptions, CHUNK_BYTES},
    domain::{Encoding, Failure, FileName, Hex, KindName, ProjectId, RetryPolicy},
    worker::{Context, ContextArtifact, Kind},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    AssetSource, Chapters, Exporter, Format, Means, PageOptions, Scratch, What, docx, exporter,
    part::{Boundary, Part},
    sheets::Sheets,
};
use crate::book::{
    Asset, Book, BookError, Characters, Checked, Event, EventSink, ListedChapter, Losses,
    markdown::read_chapter,
    project::{Found, MOST_CHAPTER_BYTES, ProjectReader, pieces::Pieces},
};

/// Turns a project's book into one file, an artifact of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Which project.
    pub project: ProjectId,
    /// Into what.
    pub format: Format,
    /// What of the project: its book where nothing is said.
    #[serde(default, skip_serializing_if = "What::is_book")]
    pub what: What,
    /// Which chapters, as `3`, `2-5` or `2-`; the whole book where nothing is said. Links to other chapters become plain
    /// text, and the cover stays with the whole book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chapters: Option<Chapters>,
    /// How the artifact is stored; what suits the format where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Encoding>,
    /// In what pieces it is streamed, in bytes; 8 KiB where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<usize>,
    /// What the pages look like, in a format that has pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageOptions>,
}

/// What an export tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The format.
    pub format: Format,
    /// The artifact's name.
    pub file: FileName,
    /// How many chapters went out.
    pub chapters: usize,
    /// How many characters went out, where it was them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
    /// What could not be carried over, counted.
    pub dropped: Losses,
}

impl Kind for Export {
    const NAME: KindName = KindName::literal("export");
    const RETRY: RetryPolicy =
        RetryPolicy::attempts(5).backoff(Duration::from_secs(2), Duration::from_secs(600));
    type Output = Exported;

    fn check(&self) -> Result<(), String> {
        let (what, format, formats) = (self.what, self.format, self.what.formats());
        if !formats.contains(&format) {
            let names = formats.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
            return Err(format!("{what} can't go out to {format}: choose one of {names}"));
        }
        if what == What::Characters && self.chapters.is_some() {
            return Err("chapters are parts of the book: leave them out where characters go out".to_owned());
        }
        match self.chunk_bytes {
            Some(bytes) if !(256..=128 << 10).contains(&bytes) => {
                Err(format!("a chunk size of {bytes} bytes: choose 256 bytes to 128 KiB"))
            }
            _ => {
                if let Some(page) = &self.page {
                    if self.format != Format::Pdf {
                        return Err(format!("{} has no pages: leave out what they look like", self.format));
                    }
                    page.check()?;
                }
                self.file().map(drop)
            }
        }
    }

    async fn run(self, context: Context) -> Result<Exported, Failure> {
        match self.what {
            What::Book => self.export_book(context).await,
            What::Characters => self.export_characters(context).await,
        }
    }
}

impl Export {
    async fn export_book(self, context: Context) -> Result<Exported, Failure> {
        let file = self.file().map_err(Failure::fatal)?;
        let reader = Arc::new(ProjectReader::open(context.project(&self.project)).await?);
        let options = ArtifactOptions { source: Some(self.source(reader.book())?), ..self.options() };
        let part = Part::of(reader.book(), self.chapters)?;
        let out = Out::new(context.artifact(&file, options).await?, context.clone());
        let chapters = fetch_ahead(reader.clone(), part.book().clone());
        let scratch = context.scratch().await?;
        let means = Means {
            most_bytes: most_bytes(self.format, &reader, part.book()).await?,
            assets: Box::new(StoredAssets { reader, runtime: Handle::current() }),
            scratch: Scratch::within(scratch.path(), context.random()),
        };
        let (format, page) = (self.format, self.page.unwrap_or_default());
        let writing =
            tokio::task::spawn_blocking(move || write_book(format, &page, &part, means, chapters, out));
        let (artifact, dropped, chapters) = writing.await.map_err(Failure::retry)??;
        drop(scratch);
        artifact.finish().await?;
        Ok(Exported { format, file, chapters, characters: None, dropped })
    }

    async fn export_characters(self, context: Context) -> Result<Exported, Failure> {
        let file = self.file().map_err(Failure::fatal)?;
        let characters = Characters::of(context.project(&self.project));
        if characters.ids().next().await.transpose()?.is_none() {
            let project = &self.project;
            let how = format_args!("project {project} has no characters: put some in with `characters add`");
            return Err(Failure::fatal(how));
        }
        let mut sheets = Sheets::new(self.format, &characters)?;
        let mut artifact = context.artifact(&file, self.options()).await?;
        let mut piece = Vec::new();
        while sheets.fill(&mut piece).await? {
            if context.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            artifact.write(&piece).await?;
            piece.clear();
            context.progress(sheets.count(), 0, "characters");
        }
        let (count, dropped) = (sheets.count(), sheets.losses().clone());
        artifact.finish().await?;
        let format = self.format;
        Ok(Exported { format, file, chapters: 0, characters: Some(count), dropped })
    }

    fn options(&self) -> ArtifactOptions {
        ArtifactOptions {
            content_type: self.format.media_type().to_owned(),
            encoding: self.compression.unwrap_or(self.format.encoding()),
            chunk_bytes: self.chunk_bytes.unwrap_or(CHUNK_BYTES),
            source: None,
        }
    }

    /// What the file is made from: what was asked for, of which book, by which program. A book's chapters lie in a folder
    /// that is another one for each revision. As a digest, since what is said of many chapters is long.
    fn source(&self, book: &Book) -> Result<String, Failure> {
        let mut digest = Digest(Sha256::new());
        match serde_json::to_writer(&mut digest, &(env!("CARGO_PKG_VERSION"), self, book)) {
            Ok(()) => Ok(Hex::<32>(digest.0.finalize().into()).to_string()),
            Err(error) => Err(Failure::fatal(format_args!("the book can't be described: {error}"))),
        }
    }

    /// `novel.epub` for the project `novel`, `novel-chapters-2-5.epub` for a part of it, `novel-characters.csv`.
    fn file(&self) -> Result<FileName, String> {
        let part = match self.what {
            What::Book => self.chapters.map(|chapters| format!("-{}", chapters.label())).unwrap_or_default(),
            What::Characters => "-characters".to_owned(),
        };
        let name = format!("{}{part}.{}", self.project, self.format.extension());
        name.parse().map_err(|error| format!("{error}"))
    }
}

/// What is written to it is digested and gone.
struct Digest(Sha256);

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many bytes of Markdown a book has at most, where the format wants to know. Few chapters are no large book, and
/// nobody is asked.
async fn most_bytes(format: Format, reader: &ProjectReader, book: &Book) -> Result<u64, BookError> {
    let most = book.chapters.len() as u64 * MOST_CHAPTER_BYTES as u64;
    match format {
        Format::Docx if most >= docx::LARGE_BYTES => Ok(most.min(reader.text_bytes(book).await?)),
        _ => Ok(0),
    }
}

/// A chapter's text, and its share of the memory that chapters may take while they wait.
type Fetched = Result<(String, OwnedSemaphorePermit), BookError>;

/// Chapters are fetched ahead up to so many bytes together.
const AHEAD_BYTES: u32 = 1 << 20;
/// And so many are asked for side by side: storage answers slowly, and takes many questions at a time.
const SIDE_BY_SIDE: usize = 4;

/// Fetches the chapters ahead of whoever reads them, in order; ends early once nobody does.
fn fetch_ahead(reader: Arc<ProjectReader>, book: Arc<Book>) -> mpsc::Receiver<Fetched> {
    let (ahead, chapters) = mpsc::channel(64);
    let room = Arc::new(Semaphore::new(AHEAD_BYTES as usize));
    tokio::spawn(async move {
        let find = async |entry: ListedChapter<'_>| reader.find(entry).await;
        let mut found = std::pin::pin!(stream::iter(book.chapters.iter()).map(find).buffered(SIDE_BY_SIDE));
        while let Some(chapter) = found.next().await {
            let chapter = match chapter {
                Ok(chapter) => with_room(chapter, &room).await,
                Err(error) => Err(error),
            };
            let failed = chapter.is_err();
            if ahead.send(chapter).await.is_err() || failed {
                return;
            }
        }
    });
    chapters
}

/// Waits until there is room for a chapter, then for its text; one that is larger than all of it has all of it.
async fn with_room(chapter: Found, room: &Arc<Semaphore>) -> Fetched {
    let bytes = u32::try_from(chapter.bytes()).unwrap_or(u32::MAX).min(AHEAD_BYTES);
    let share = room.clone().acquire_many_owned(bytes).await;
    let share = share.map_err(|error| BookError::storage("fetching a chapter", error))?;
    Ok((chapter.text().await?, share))
}

/// The blocking side: parses each chapter and sends it through the exporter.
fn write_book(
    format: Format,
    page: &PageOptions,
    part: &Part,
    means: Means,
    mut chapters: mpsc::Receiver<Fetched>,
    out: Out,
) -> Result<(ContextArtifact, Losses, usize), BookError> {
    let book = part.book();
    let context = out.context.clone();
    let exporter = exporter(format, book.clone(), means, page)?;
    let sink = Sink { exporter, boundary: part.boundary(), out };
    let (mut stream, mut losses) = (Checked::new(sink, "the project's book"), Losses::default());
    let total = book.chapters.len() as u64;
    stream.event(Event::BookStart)?;
    for (index, entry) in book.chapters.iter().enumerate() {
        let gone = || BookError::storage("reading the project", "the reader has stopped");
        let (source, _share) = chapters.blocking_recv().ok_or_else(gone)??;
        read_chapter(&source, &entry.file(), index, &mut stream, &mut losses)?;
        context.progress(index as u64 + 1, total, entry.title);
    }
    stream.event(Event::BookEnd)?;
    let (sink, mended) = stream.into_parts();
    losses.merge(&mended);
    losses.merge(sink.exporter.losses());
    losses.merge(sink.boundary.as_ref().map_or(&Losses::default(), Boundary::losses));
    Ok((sink.out.into_artifact()?, losses, book.chapters.len()))
}

/// The end of the stream: the exporter, writing to the artifact.
struct Sink {
    exporter: Box<dyn Exporter>,
    /// Where a part ends, if it is one.
    boundary: Option<Boundary>,
    out: Out,
}

impl EventSink for Sink {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        if self.boundary.as_mut().is_some_and(|boundary| boundary.hides(&event)) {
            return Ok(());
        }
        self.exporter.event(event, &mut self.out)
    }
}

/// Collects an exporter's many small writes, and is where an export hears that it is to stop.
struct Out {
    artifact: ContextArtifact,
    context: Context,
    collected: Vec<u8>,
}

/// How many bytes are collected before they are handed on.
const COLLECTED_BYTES: usize = 32 << 10;

impl Out {
    fn new(artifact: ContextArtifact, context: Context) -> Self {
        Self { artifact, context, collected: Vec::with_capacity(COLLECTED_BYTES) }
    }

    fn into_artifact(mut self) -> Result<ContextArtifact, BookError> {
        self.flush()?;
        Ok(self.artifact)
    }

    fn hand_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.context.is_cancelled() {
            return Err(BookError::Stopped(Failure::Cancelled).into());
        }
        let stored = self.artifact.write_blocking(bytes);
        stored.map_err(|error: ArtifactError| BookError::Stopped(Failure::from(error)).into())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.collected.len() + bytes.len() > COLLECTED_BYTES {
            self.flush()?;
        }
        if bytes.len() >= COLLECTED_BYTES {
            self.hand_on(bytes)?;
        } else {
            self.collected.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let collected = std::mem::take(&mut self.collected);
        let handed_on = if collected.is_empty() { Ok(()) } else { self.hand_on(&collected) };
        self.collected = collected;
        self.collected.clear();
        handed_on
    }
}

/// The project's pictures, for a thread that may block.
struct StoredAssets {
    reader: Arc<ProjectReader>,
    runtime: Handle,
}

impl AssetSource for StoredAssets {
    fn open(&mut self, asset: &Asset) -> Result<Box<dyn Read + '_>, BookError> {
        let pieces = self.runtime.block_on(self.reader.asset(asset))?;
        let pieces = pieces.map_err(io::Error::from).boxed();
        Ok(Box::new(Pieces::new(pieces, self.runtime.clone())))
    }
}
