//! Writes a project's next revision, and puts it in the place of the one before.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, path::Path};
use presswork::{artifact::key, domain::FileName};
use tokio::task::JoinSet;

use super::{
    DESCRIPTION, MEDIA_TYPES, MOST_CHAPTER_BYTES, check, checked_path,
    fence::{Guard, MOST_TRIES, busy},
    growing::describe,
    reader::{Described, Look},
};
use crate::book::{
    chapter_list::ChapterList,
    characters::FOLDER,
    description::{Asset, Book, Metadata},
    error::BookError,
    names::UniqueNames,
};

/// Up to here an asset goes up in one request; above in parts of this size.
const PART_BYTES: usize = 5 << 20;
/// After what time a file that no book names is taken for one that a dead import left behind.
pub(super) const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// Writes a project's next revision beside the one in use, then puts it in its place in one step. Dropped before
/// [`publish`](Self::publish), it leaves the old book whole. One import a project at a time is the caller's affair;
/// a second one costs the slower its files, and it then says so instead of publishing.
#[derive(Debug)]
pub struct ProjectWriter {
    storage: Arc<dyn ObjectStore>,
    revision: FileName,
    names: UniqueNames,
    pictures: UniqueNames,
    chapters: ChapterList,
    assets: Vec<Asset>,
    /// Chapters on their way to storage; each answers its size.
    under_way: JoinSet<Result<usize, BookError>>,
    bytes_under_way: usize,
    guard: Guard,
}

/// So many chapters are on their way at once at most: storage answers slowly, and takes many at a time.
const MOST_UNDER_WAY: usize = 16;
/// And so many bytes of them, but for one chapter that is larger.
const MOST_BYTES_UNDER_WAY: usize = 4 << 20;

impl ProjectWriter {
    /// Begins a revision, whose name is new in this project.
    ///
    /// # Errors
    /// `Input` where the name can't be a folder's.
    pub fn begin(storage: Arc<dyn ObjectStore>, revision: &str) -> Result<Self, BookError> {
        let name: FileName =
            revision.parse().map_err(|error| BookError::input(revision, format!("{error}")))?;
        if name.as_str().eq_ignore_ascii_case(FOLDER) {
            return Err(BookError::input(revision, "is the folder of the project's characters"));
        }
        let revision = name;
        let (names, pictures) = (UniqueNames::default(), UniqueNames::default());
        Ok(Self {
            storage,
            revision,
            names,
            pictures,
            chapters: ChapterList::default(),
            assets: Vec::new(),
            under_way: JoinSet::new(),
            bytes_under_way: 0,
            guard: Guard::open(),
        })
    }

    /// The same, which asks before it publishes.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// Waits for one chapter that is under way, if any is.
    async fn landed(&mut self) -> Result<(), BookError> {
        let Some(landed) = self.under_way.join_next().await else { return Ok(()) };
        self.bytes_under_way -= landed.map_err(|error| BookError::storage("writing a chapter", error))??;
        Ok(())
    }

    /// Adds the next chapter: its file name (see [`chapter_name`](crate::book::names::chapter_name); numbered where it is
    /// taken), its title and its whole text, `# Title` included.
    ///
    /// # Errors
    /// `Input` where the name or the size is not allowed, `Storage` where storage fails: for this chapter or one of
    /// those before it, which are stored side by side.
    pub async fn chapter(&mut self, name: &str, title: &str, text: String) -> Result<(), BookError> {
        if text.len() > MOST_CHAPTER_BYTES {
            return Err(BookError::input(name, "the chapter is larger than 4 MiB: split it"));
        }
        let name = self.names.add(name);
        let file = format!("{}/chapters/{name}", self.revision);
        while self.under_way.len() >= MOST_UNDER_WAY
            || (self.bytes_under_way + text.len() > MOST_BYTES_UNDER_WAY && !self.under_way.is_empty())
        {
            self.landed().await?;
        }
        self.bytes_under_way += text.len();
        let (storage, path, bytes) = (self.storage.clone(), file.clone(), text.len());
        self.under_way.spawn(async move { put(&*storage, &path, text.into()).await.map(|()| bytes) });
        self.chapters.push(&file, title);
        Ok(())
    }

    /// Adds a picture. Answers its name, which is numbered where the given one is taken.
    ///
    /// # Errors
    /// `Input` where the name or the media type is not allowed, `Storage` where storage fails, and what the stream
    /// answers.
    pub async fn asset(
        &mut self,
        name: &str,
        media_type: &str,
        mut data: BoxStream<'_, Result<Bytes, BookError>>,
    ) -> Result<String, BookError> {
        if !MEDIA_TYPES.contains(&media_type) {
            return Err(BookError::input(name, format!("{media_type:?} is no picture that a book can hold")));
        }
        let name = self.pictures.add(name);
        let file = format!("{}/images/{name}", self.revision);
        let mut first = Vec::new();
        while first.len() <= PART_BYTES {
            match data.next().await {
                Some(piece) => first.extend_from_slice(&piece?),
                None => {
                    let bytes = first.len() as u64;
                    put(&*self.storage, &file, first.into()).await?;
                    return Ok(self.named(name, file, media_type, bytes));
                }
            }
        }
        let doing = format!("writing {file}");
        let failed = |error| BookError::storage(doing.clone(), error);
        let upload = self.storage.put_multipart(&checked_path(&file)?).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut bytes = first.len() as u64;
        upload.put(first.into());
        while let Some(piece) = data.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    // The stream's error is the one to tell; parts left behind are the store's to expire.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            };
            bytes += piece.len() as u64;
            upload.wait_for_capacity(2).await.map_err(failed)?;
            upload.put(piece);
        }
        upload.finish().await.map_err(failed)?;
        Ok(self.named(name, file, media_type, bytes))
    }

    fn named(&mut self, name: String, file: String, media_type: &str, bytes: u64) -> String {
        let media_type = media_type.to_owned();
        self.assets.push(Asset { name: name.clone(), file, media_type, bytes });
        name
    }

    /// Makes this revision the project's book: `book.json` is written last, in one step. The files of the book before
    /// are removed then, as far as that succeeds. Where several imports run, the last one to get here wins, whole; one that has
    /// lost its lease does not get here.
    ///
    /// # Errors
    /// `Input` where the book is not whole (no chapter, an unknown cover), `Storage` where storage fails or files of
    /// this revision have gone.
    pub async fn publish(mut self, metadata: Metadata) -> Result<Book, BookError> {
        while !self.under_way.is_empty() {
            self.landed().await?;
        }
        let mut book = Book::new(metadata);
        (book.chapters, book.assets) = (std::mem::take(&mut self.chapters), std::mem::take(&mut self.assets));
        check(&book)?;
        let own = key([self.revision.as_str()]);
        let there: HashSet<Path> = self
            .storage
            .list(Some(&own))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|error| BookError::storage("listing the new revision", error))?;
        let files = book.chapters.iter().map(|c| c.file()).chain(book.assets.iter().map(|a| a.file.clone()));
        for file in files {
            if !there.contains(&checked_path(&file)?) {
                return Err(BookError::storage(
                    format!("looking for {file}"),
                    "it has gone: another import of this project has run meanwhile",
                ));
            }
        }
        for _ in 0..MOST_TRIES {
            let Look { described, seen } = Look::at(&*self.storage).await?;
            if describe(&*self.storage, &book, &seen, &self.guard).await? {
                let before = if let Described::Book(before) = described { Some(before) } else { None };
                self.clear(before.as_deref(), LEFT_BEHIND).await;
                return Ok(book);
            }
        }
        Err(busy(DESCRIPTION))
    }

    /// Removes the revisions of the book `before` this one; see [`clear`].
    pub(in crate::book) async fn clear(&self, before: Option<&Book>, left_behind: Duration) {
        clear(&*self.storage, before, left_behind, |revision| revision == self.revision.as_str()).await;
    }
}

/// The folder of a file of a project that is in one.
pub(super) fn revision_of(file: &str) -> Option<&str> {
    file.split_once('/').map(|(revision, _)| revision)
}

/// Removes the revisions of the book `before` this one, and what no one has written to for the time `left_behind`; never what
/// `is_own`. All else may be the work of an import that runs now, which would publish a book without files; and the characters
/// are no part of the book.
pub(super) async fn clear(
    storage: &dyn ObjectStore,
    before: Option<&Book>,
    left_behind: Duration,
    is_own: impl Fn(&str) -> bool,
) {
    let files = |book: &Book| {
        let chapters = book.chapters.iter().filter_map(|chapter| chapter.revision().map(str::to_owned));
        let pictures = book.assets.iter().filter_map(|asset| revision_of(&asset.file).map(str::to_owned));
        chapters.chain(pictures).collect()
    };
    let replaced: HashSet<String> = before.map(files).unwrap_or_default();
    let Ok(listed) = storage.list(None).try_collect::<Vec<_>>().await else { return };
    // Storage's own time, as the machines' may differ.
    let newest = listed.iter().map(|object| object.last_modified).max();
    for object in listed {
        let of = revision_of(object.location.as_ref());
        let is_old = newest.is_some_and(|newest| object.last_modified + left_behind <= newest);
        let goes = of.is_some_and(|of| replaced.contains(of)) || is_old;
        if of.is_some_and(|of| of != FOLDER && !is_own(of))
            && goes
            && let Err(error) = storage.delete(&object.location).await
        {
            tracing::warn!(file = %object.location, %error, "a file of an older revision was left behind");
        }
    }
}

pub(super) async fn put(storage: &dyn ObjectStore, file: &str, bytes: Bytes) -> Result<(), BookError> {
    let put = storage.put(&checked_path(file)?, bytes.into()).await;
    put.map(drop).map_err(|error| BookError::storage(format!("writing {file}"), error))
}

/// Removes what an import that came to nothing has stored of its revision, as far as that succeeds.
pub async fn discard(storage: &dyn ObjectStore, revision: &str) {
    let keys = storage.list(Some(&key([revision]))).map_ok(|object| object.location).boxed();
    if let Err(error) = storage.delete_stream(keys).try_for_each(|_| std::future::ready(Ok(()))).await {
        tracing::warn!(revision, %error, "an import's files were left behind");
    }
}
