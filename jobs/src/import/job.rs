//! The job kind `import`: fetches a manuscript, uploaded or from the web, to a scratch folder, reads it, and puts its chapters and
//! pictures into a project. The book that was there stays whole and in use until the new one takes its place in one
//! step; an import that fails leaves nothing that anybody sees.

use std::{io::Read, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::ObjectStore;
use presswork::{
    domain::{Failure, KindName, ProjectId, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{
    BookSink, ChapterMark, Handed, Imported, MOST_TITLE, Report, Source, SourceFile, SourceFormat, detect,
    import_marked,
    unpack::{format_of, unpack},
};
use crate::{
    book::{
        BookError, Metadata,
        project::{Guard, ProjectWriter, discard},
        said::{language, line_of},
    },
    scratch::Scratch,
};

/// Brings a manuscript into a project; what the project held before is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Which project; made where there is none.
    pub project: ProjectId,
    /// The manuscript: one file, or a folder's files.
    pub source: Vec<Handed>,
    /// Whether the files are a folder of chapters, however many there are.
    #[serde(default)]
    pub folder: bool,
    /// What it is; told by its content where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// Where chapters begin: `h1` to `h6`, `numbers`, `capitals`, or patterns such as `Chapter *`. Where nothing is said the
    /// manuscript itself does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chapters: Vec<ChapterMark>,
    /// A title in place of the manuscript's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Authors in place of the manuscript's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// A language (BCP 47) in place of the manuscript's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// What an import tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The project.
    pub project: ProjectId,
    /// The book's title.
    pub title: String,
    /// What was read, kept and dropped.
    #[serde(flatten)]
    pub report: Report,
}

/// How many bytes a manuscript has at most, all files together.
pub(super) const MOST_BYTES: u64 = 4 << 30;
/// How many files a folder has at most: their names must fit the payload, too.
const MOST_FILES: usize = 2_000;
/// How many marks of chapters may be said.
const MOST_MARKS: usize = 20;
/// How many authors may be named.
const MOST_AUTHORS: usize = 100;
/// How many characters the name of one has at most.
const MOST_AUTHOR: usize = 200;
/// How many bytes a picture has at most; it is held in memory while it is stored.
const MOST_PICTURE_BYTES: u64 = 32 << 20;

impl Kind for Import {
    const NAME: KindName = KindName::literal("import");
    const RETRY: RetryPolicy =
        RetryPolicy::attempts(5).backoff(Duration::from_secs(2), Duration::from_secs(600));
    type Output = Brought;

    fn check(&self) -> Result<(), String> {
        match self.source.len() {
            0 => return Err("no file was given".to_owned()),
            1 => {}
            2.. if !self.folder => return Err("several files are imported as a folder only".to_owned()),
            files if files > MOST_FILES => {
                return Err(format!("a folder of {files} files: at most {MOST_FILES} are imported at once"));
            }
            _ => {}
        }
        if self.chapters.len() > MOST_MARKS {
            return Err(format!("at most {MOST_MARKS} marks of chapters can be said"));
        }
        if self.folder && self.source.iter().any(|file| file.name.is_none()) {
            return Err("each file of a folder needs a name".to_owned());
        }
        self.check_said()?;
        self.source.iter().try_for_each(Handed::check)
    }

    async fn run(self, context: Context) -> Result<Brought, Failure> {
        let folder = context.scratch().await?;
        let scratch = Scratch::within(folder.path(), context.random());
        let source = self.fetch(&context, &scratch).await?;
        let storage = context.project(&self.project);
        // A revision of its own for each attempt.
        let revision = format!("{}-{}", context.job().id, context.job().epoch);
        let project = self.project.clone();
        let (writer, imported) =
            match self.bring(&context, (source, scratch), storage.clone(), &revision).await {
                Ok(brought) => brought,
                Err(failure) => {
                    discard(&*storage, &revision).await;
                    return Err(failure);
                }
            };
        match writer.publish(imported.metadata).await {
            Ok(book) => Ok(Brought { project, title: book.metadata.title, report: imported.report }),
            Err(error) => {
                // Where storage failed, it may be published all the same: then a later import removes what nobody names.
                if matches!(error, BookError::Input { .. }) {
                    discard(&*storage, &revision).await;
                }
                Err(error.into())
            }
        }
    }
}

impl Import {
    /// Fetches the manuscript to where it can be sought in.
    async fn fetch(&self, context: &Context, scratch: &Scratch) -> Result<Source, Failure> {
        let (mut left, mut files) = (MOST_BYTES, Vec::new());
        for handed in &self.source {
            let too_large = "a manuscript may have 4 GiB at most";
            let (file, rest) = handed.fetch(context, scratch, left, too_large).await?;
            left = rest;
            files.push(file);
        }
        match files.pop() {
            Some(file) if !self.folder => Ok(Source::File(file)),
            last => {
                files.extend(last);
                Ok(Source::Folder(files))
            }
        }
    }

    /// Reads the manuscript into a new revision, which is not published.
    async fn bring(
        self,
        context: &Context,
        (source, scratch): (Source, Scratch),
        storage: Arc<dyn ObjectStore>,
        revision: &str,
    ) -> Result<(ProjectWriter, Imported), Failure> {
        let writer = ProjectWriter::begin(storage, revision)?.guarded(Guard::of(context));
        let (runtime, reading) = (Handle::current(), context.clone());
        let read = tokio::task::spawn_blocking(move || self.read(source, &scratch, writer, runtime, reading));
        let read = read.await.map_err(Failure::retry)??;
        // A last look at the lease: whoever has lost it must not put its book in the place of a newer one.
        context.save(&()).await?;
        Ok(read)
    }

    /// The blocking side.
    fn read(
        self,
        source: Source,
        scratch: &Scratch,
        writer: ProjectWriter,
        runtime: Handle,
        context: Context,
    ) -> Result<(ProjectWriter, Imported), BookError> {
        let (format, source) = told(self.format, source, scratch)?;
        let mut sink = Desk { writer, runtime, context, chapters: 0 };
        let mut imported = import_marked(format, &source, &self.chapters, &mut sink)?;
        self.replace(&mut imported.metadata);
        Ok((sink.writer, imported))
    }

    /// Whether a title page can say what is said in place of the manuscript's own.
    fn check_said(&self) -> Result<(), String> {
        if let Some(title) = &self.title {
            named("the title", title, MOST_TITLE)?;
        }
        if self.authors.len() > MOST_AUTHORS {
            return Err(format!("at most {MOST_AUTHORS} authors can be named"));
        }
        self.authors.iter().try_for_each(|author| named("an author's name", author, MOST_AUTHOR))?;
        self.language.as_deref().map_or(Ok(()), language)
    }

    /// What the one who imports says goes before what the manuscript says.
    fn replace(self, metadata: &mut Metadata) {
        if let Some(title) = self.title {
            metadata.title = title;
        }
        if !self.authors.is_empty() {
            metadata.authors = self.authors;
        }
        if let Some(language) = self.language {
            metadata.language = language;
        }
    }
}

fn named(what: &str, given: &str, most: usize) -> Result<(), String> {
    if given.trim().is_empty() {
        Err(format!("{what} is empty: leave it out"))
    } else {
        line_of(what, given, most)
    }
}

/// Reads files of this machine as a job reads what was fetched; `scratch` is for what is in archives. Blocking.
///
/// # Errors
/// As [`import`](super::import).
pub(crate) fn read_any(
    mut files: Vec<SourceFile>,
    is_folder: bool,
    scratch: &Scratch,
    sink: &mut dyn BookSink,
) -> Result<Imported, BookError> {
    let source = match files.pop() {
        Some(file) if !is_folder => Source::File(file),
        last => {
            files.extend(last);
            Source::Folder(files)
        }
    };
    let (format, source) = told(None, source, scratch)?;
    import_marked(format, &source, &[], sink)
}

/// What a manuscript is, as is said or by its content; an archive of chapters is a folder from here on.
fn told(
    said: Option<SourceFormat>,
    source: Source,
    scratch: &Scratch,
) -> Result<(SourceFormat, Source), BookError> {
    let file = match source {
        Source::Folder(files) => return folder(said, files, "the folder"),
        Source::File(file) => file,
    };
    let mut head = Vec::new();
    let opened = file.open();
    let read = opened.and_then(|opened| opened.take(detect::HEAD_BYTES as u64).read_to_end(&mut head));
    read.map_err(|error| BookError::storage(format!("reading {}", file.name), error))?;
    let may_be_folder = said.is_none_or(|format| format.is_of_folders());
    if may_be_folder && detect::is_archive(&head, &file.name) {
        return folder(said, unpack(&file, scratch)?, &file.name);
    }
    let format = match said {
        Some(format) => format,
        None => detect::detect(&head, &file.name)?,
    };
    Ok((format, Source::File(file)))
}

fn folder(
    said: Option<SourceFormat>,
    files: Vec<SourceFile>,
    name: &str,
) -> Result<(SourceFormat, Source), BookError> {
    let format = match said {
        Some(format) => format,
        None => format_of(&files, name)?,
    };
    Ok((format, Source::Folder(files)))
}

/// Where chapters and pictures are handed in.
struct Desk {
    writer: ProjectWriter,
    runtime: Handle,
    context: Context,
    chapters: u64,
}

impl Desk {
    fn goes_on(&self) -> Result<(), BookError> {
        if self.context.is_cancelled() { Err(BookError::Stopped(Failure::Cancelled)) } else { Ok(()) }
    }
}

impl BookSink for Desk {
    fn chapter(&mut self, name: &str, title: &str, markdown: String) -> Result<(), BookError> {
        self.goes_on()?;
        self.runtime.block_on(self.writer.chapter(name, title, markdown))?;
        self.chapters += 1;
        self.context.progress(self.chapters, 0, title);
        Ok(())
    }

    fn asset(&mut self, name: &str, media_type: &str, data: &mut dyn Read) -> Result<(), BookError> {
        self.goes_on()?;
        let mut bytes = Vec::new();
        data.take(MOST_PICTURE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_PICTURE_BYTES {
            return Err(BookError::input(name, "a picture may have 32 MiB at most"));
        }
        let pieces = stream::iter([Ok(Bytes::from(bytes))]).boxed();
        self.runtime.block_on(self.writer.asset(name, media_type, pieces)).map(drop)
    }
}

#[cfg(test)]
mod tests;
