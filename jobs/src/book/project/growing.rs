//! A book that is written chapter by chapter over hours, by a job whose attempts may crash. Each attempt has a folder of its own,
//! `<owner>-<epoch>`, so that none writes over what another has written; the book names files of several of them.
//!
//! Where the project holds no book, or this one as far as it goes, readers see each chapter as soon as it is
//! [shown](Growing::show). Where it holds another book, that stays whole and in use until this one is [finished](Growing::finish),
//! which puts it in its place in one step.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use presswork::domain::FileName;

use super::{
    DESCRIPTION, MOST_CHAPTER_BYTES, check, checked_path,
    fence::{Guard, MOST_TRIES, Seen, busy, put_where},
    reader::{Described, Look},
    writer::{LEFT_BEHIND, clear, put, revision_of},
};
use crate::book::{
    chapter_list::{ChapterEntry, ListedChapter},
    description::{Book, Metadata},
    error::BookError,
};

/// A book that is being written.
#[derive(Clone, Debug)]
pub struct Growing {
    storage: Arc<dyn ObjectStore>,
    owner: String,
    folder: FileName,
    guard: Guard,
}

impl Growing {
    /// What an attempt writes of a book that is `owner`'s: a job's id. The number tells attempts apart.
    ///
    /// # Errors
    /// `Input` where that can't be a folder's name.
    pub fn begin(storage: Arc<dyn ObjectStore>, owner: &str, epoch: u64) -> Result<Self, BookError> {
        let folder = format!("{owner}-{epoch}");
        let folder = folder.parse().map_err(|error| BookError::input(folder, format!("{error}")))?;
        Ok(Self { storage, owner: owner.to_owned(), folder, guard: Guard::open() })
    }

    /// The same, which asks before it writes what readers see.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// Whether a file, from the project's root, is one of this book's.
    fn is_own(&self, file: &str) -> bool {
        revision_of(file).is_some_and(|folder| self.is_own_folder(folder))
    }

    fn is_own_chapter(&self, chapter: ListedChapter<'_>) -> bool {
        chapter.revision().is_some_and(|folder| self.is_own_folder(folder))
    }

    /// Whether a book is this one, even where others have edited all of its chapters until now.
    fn is_own_book(&self, book: &Book) -> bool {
        book.growing.as_ref() == Some(&self.owner)
            || book.chapters.iter().any(|chapter| self.is_own_chapter(chapter))
    }

    fn is_own_folder(&self, folder: &str) -> bool {
        let number = folder.strip_prefix(&self.owner).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Stores a chapter of this attempt under its file name; answers its file. Nobody sees it until it is shown.
    ///
    /// # Errors
    /// `Input` where name or size are not allowed, `Storage` where storage fails.
    pub async fn chapter(&self, name: &str, text: String) -> Result<String, BookError> {
        if text.len() > MOST_CHAPTER_BYTES {
            return Err(BookError::input(name, "the chapter is larger than 4 MiB: split it"));
        }
        self.put(&format!("chapters/{name}"), text.into()).await
    }

    /// Stores a file of this attempt that is no part of the book; answers its file.
    ///
    /// # Errors
    /// As [`chapter`](Self::chapter).
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<String, BookError> {
        let file = format!("{}/{name}", self.folder);
        put(&*self.storage, &file, bytes).await?;
        Ok(file)
    }

    /// A file of any attempt; `None` where it has gone.
    ///
    /// # Errors
    /// `Storage` where storage fails.
    pub async fn get(&self, file: &str) -> Result<Option<Bytes>, BookError> {
        let failed = |error| BookError::storage(format!("reading {file}"), error);
        match self.storage.get(&checked_path(file)?).await {
            Err(Error::NotFound { .. }) => Ok(None),
            got => got.map_err(failed)?.bytes().await.map(Some).map_err(failed),
        }
    }

    /// Removes a file that is no longer needed, as far as that succeeds.
    pub async fn remove(&self, file: &str) {
        let Ok(path) = checked_path(file) else { return };
        if let Err(error) = self.storage.delete(&path).await {
            tracing::warn!(file, %error, "a file that nobody needs was left behind");
        }
    }

    /// Lets readers see the book as far as it goes, unless the project holds another one; whether they do.
    ///
    /// # Errors
    /// `Input` where there is no chapter, `Storage` where storage fails.
    pub async fn show(&self, metadata: &Metadata, chapters: &[ChapterEntry]) -> Result<bool, BookError> {
        for _ in 0..MOST_TRIES {
            let (current, seen) = self.current().await?;
            let before = match current {
                Current::Foreign(_) => return Ok(false),
                Current::None => None,
                Current::Own(book) => Some(book),
            };
            let book = self.merged(before.as_deref(), metadata, chapters);
            let book = Book { growing: Some(self.owner.clone()), ..book };
            if describe(&*self.storage, &book, &seen, &self.guard).await? {
                return Ok(true);
            }
        }
        Err(busy(DESCRIPTION))
    }

    /// Whether the chapters are all there: before more is spent on those behind them.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub async fn holds(&self, metadata: &Metadata, chapters: &[ChapterEntry]) -> Result<(), BookError> {
        let own = match self.current().await?.0 {
            Current::Own(book) => Some(book),
            Current::None | Current::Foreign(_) => None,
        };
        self.check_files(&self.merged(own.as_deref(), metadata, chapters)).await
    }

    async fn check_files(&self, book: &Book) -> Result<(), BookError> {
        let there: HashSet<Path> = self.objects().await?.into_iter().collect();
        for file in book.chapters.iter().map(|chapter| chapter.file()) {
            if !there.contains(&checked_path(&file)?) {
                let problem =
                    "it has gone: another book has been put into the project meanwhile, and removed it";
                return Err(BookError::input(&file, problem));
            }
        }
        Ok(())
    }

    /// Makes the whole book the project's, whatever that has held; the files of the book before are removed then. Files of this
    /// one that are no part of it stay until they are [swept](Self::sweep).
    ///
    /// # Errors
    /// `Input` where there is no chapter or one has gone, `Storage` where storage fails.
    pub async fn finish(&self, metadata: &Metadata, chapters: &[ChapterEntry]) -> Result<Book, BookError> {
        for _ in 0..MOST_TRIES {
            let (current, seen) = self.current().await?;
            let (own, foreign) = match current {
                Current::None => (None, None),
                Current::Own(book) => (Some(book), None),
                Current::Foreign(book) => (None, book),
            };
            let book = self.merged(own.as_deref(), metadata, chapters);
            self.check_files(&book).await?;
            if !describe(&*self.storage, &book, &seen, &self.guard).await? {
                continue;
            }
            clear(&*self.storage, foreign.as_deref(), LEFT_BEHIND, |folder| {
                // A chapter that was edited meanwhile lies in the folder of that job.
                self.is_own_folder(folder)
                    || book.chapters.iter().any(|chapter| chapter.revision() == Some(folder))
            })
            .await;
            return Ok(book);
        }
        Err(busy(DESCRIPTION))
    }

    /// Removes what this book's attempts have stored and the project's book does not name, as far as that succeeds: for when
    /// nothing more comes.
    pub async fn sweep(&self) {
        let Ok((current, _)) = self.current().await else { return };
        let book = match current {
            Current::Own(book) => Some(book),
            // Nobody can read it: it may name any of them.
            Current::Foreign(None) => return,
            Current::None | Current::Foreign(Some(_)) => None,
        };
        let named: HashSet<String> =
            book.iter().flat_map(|book| book.chapters.iter()).map(|chapter| chapter.file()).collect();
        let Ok(objects) = self.objects().await else { return };
        for object in objects {
            if self.is_own(object.as_ref()) && !named.contains(object.as_ref()) {
                self.remove(object.as_ref()).await;
            }
        }
    }

    async fn objects(&self) -> Result<Vec<Path>, BookError> {
        let listed = self.storage.list(None).map_ok(|object| object.location).try_collect().await;
        listed.map_err(|error| BookError::storage("listing the project", error))
    }

    /// What the project holds now.
    async fn current(&self) -> Result<(Current, Seen), BookError> {
        let Look { described, seen } = Look::at(&*self.storage).await?;
        let current = match described {
            Described::Nothing => Current::None,
            Described::Book(book) if self.is_own_book(&book) => Current::Own(book),
            Described::Book(book) => Current::Foreign(Some(book)),
            // Somebody else's.
            Described::Unreadable(_) => Current::Foreign(None),
        };
        Ok((current, seen))
    }

    /// The book with these chapters. Of one that is there already, what others have changed meanwhile is kept: chapters by their
    /// file names, what was added behind them, pictures, what the title page says.
    fn merged(&self, before: Option<&Book>, metadata: &Metadata, chapters: &[ChapterEntry]) -> Book {
        let mut book = Book::new(metadata.clone());
        let Some(before) = before else {
            book.chapters = chapters.iter().cloned().collect();
            return book;
        };
        book.metadata = before.metadata.clone();
        book.assets.clone_from(&before.assets);
        book.placed.clone_from(&before.placed);
        let edited = |name: &str| {
            before.chapters.iter().find(|chapter| !self.is_own_chapter(*chapter) && chapter.name() == name)
        };
        let ours = chapters.iter().map(|chapter| match edited(chapter.name()) {
            Some(edited) => edited.entry(),
            None => chapter.clone(),
        });
        let names: HashSet<&str> = chapters.iter().map(ChapterEntry::name).collect();
        let added = before
            .chapters
            .iter()
            .filter(|chapter| !self.is_own_chapter(*chapter) && !names.contains(&*chapter.name()));
        book.chapters = ours.chain(added.map(|chapter| chapter.entry())).collect();
        book
    }
}

/// Makes a book that was checked the project's, in one step, where what was seen is still there and the guard lets it; whether
/// it was.
pub(super) async fn describe(
    storage: &dyn ObjectStore,
    book: &Book,
    seen: &Seen,
    guard: &Guard,
) -> Result<bool, BookError> {
    check(book)?;
    let json =
        serde_json::to_vec_pretty(book).map_err(|error| BookError::storage("describing the book", error))?;
    guard.check()?;
    let put = put_where(storage, &Path::from(DESCRIPTION), json, seen).await;
    put.map_err(|error| BookError::storage("writing book.json", error))
}

enum Current {
    None,
    Own(Arc<Book>),
    /// Without its description where that can't be read.
    Foreign(Option<Arc<Book>>),
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::book::project::{Hand, Place, ProjectReader, ProjectWriter, put_chapter};

    fn titled(title: &str) -> Metadata {
        Metadata { title: title.into(), language: "en".into(), ..Metadata::default() }
    }

    async fn written(growing: &Growing, number: usize) -> ChapterEntry {
        let (name, text) = (format!("000{number}-c.md"), format!("# C\n\n{number}\n"));
        ChapterEntry { file: growing.chapter(&name, text).await.unwrap(), title: "C".into() }
    }

    async fn files(storage: &Arc<dyn ObjectStore>) -> Vec<String> {
        let mut files: Vec<String> =
            storage.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        files.sort();
        files
    }

    #[tokio::test]
    async fn a_book_is_seen_as_far_as_it_goes_over_attempts() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let first = Growing::begin(storage.clone(), "job", 1).unwrap();
        let one = written(&first, 1).await;
        assert!(first.show(&titled("T"), std::slice::from_ref(&one)).await.unwrap());
        let _lost = written(&first, 2).await;
        let state = first.put("state.json", Bytes::from_static(b"{}")).await.unwrap();
        // It crashed; what it has written stays as it is.
        let second = Growing::begin(storage.clone(), "job", 2).unwrap();
        assert_eq!(second.get(&state).await.unwrap().unwrap(), "{}");
        let chapters = [one, written(&second, 2).await];
        assert!(second.show(&titled("T"), &chapters).await.unwrap());
        let reader = ProjectReader::open(storage.clone()).await.unwrap();
        assert_eq!(reader.chapter(reader.book().chapters.get(1).unwrap()).await.unwrap(), "# C\n\n2\n");
        second.finish(&titled("T"), &chapters).await.unwrap();
        second.sweep().await;
        assert_eq!(
            files(&storage).await,
            ["book.json", "job-1/chapters/0001-c.md", "job-2/chapters/0002-c.md"]
        );
    }

    #[tokio::test]
    async fn another_book_stays_whole_until_this_one_is() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut writer = ProjectWriter::begin(storage.clone(), "job-x").unwrap();
        writer.chapter("0001-a.md", "A", "# A\n".into()).await.unwrap();
        let before = writer.publish(titled("Before")).await.unwrap();
        let growing = Growing::begin(storage.clone(), "job", 7).unwrap();
        let chapters = [written(&growing, 1).await];
        assert!(!growing.show(&titled("T"), &chapters).await.unwrap());
        let reader = ProjectReader::open(storage.clone()).await.unwrap();
        assert_eq!(**reader.book(), before);
        assert!(reader.chapter(before.chapters.get(0).unwrap()).await.is_ok());
        growing.holds(&titled("T"), &chapters).await.unwrap();
        growing.finish(&titled("T"), &chapters).await.unwrap();
        assert_eq!(files(&storage).await, ["book.json", "job-7/chapters/0001-c.md"]);
        // Its files go with the book that takes its place; it says so then.
        let mut writer = ProjectWriter::begin(storage.clone(), "r").unwrap();
        writer.chapter("0001-a.md", "A", "# A\n".into()).await.unwrap();
        writer.publish(titled("Later")).await.unwrap();
        let gone = growing.holds(&titled("T"), &chapters).await.unwrap_err();
        assert!(gone.to_string().contains("it has gone"), "{gone}");
        let gone = growing.finish(&titled("T"), &chapters).await.unwrap_err();
        assert!(gone.to_string().contains("it has gone"), "{gone}");
        assert_eq!(ProjectReader::open(storage).await.unwrap().book().metadata.title, "Later");
    }

    #[tokio::test]
    async fn what_others_change_meanwhile_is_kept() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let growing = Growing::begin(storage.clone(), "job", 1).unwrap();
        let mut chapters = vec![written(&growing, 1).await];
        growing.show(&titled("T"), &chapters).await.unwrap();
        let place = Place::At(chapters[0].clone());
        let (edit, other) = (Hand::of("edit", 1).unwrap(), Hand::of("other", 1).unwrap());
        put_chapter(storage.clone(), &edit, place, "Mended", "# Mended\n".into()).await.unwrap();
        let place = Place::End(Box::new(titled("T")));
        put_chapter(storage.clone(), &other, place, "Added", "# Added\n".into()).await.unwrap();
        chapters.push(ChapterEntry {
            title: "C".into(),
            file: growing.chapter("0003-c.md", "# C\n".into()).await.unwrap(),
        });
        let book = growing.finish(&titled("T"), &chapters).await.unwrap();
        growing.sweep().await;
        let titles: Vec<&str> = book.chapters.iter().map(|chapter| chapter.title).collect();
        assert_eq!(titles, ["Mended", "C", "Added"]);
        let reader = ProjectReader::open(storage).await.unwrap();
        for chapter in book.chapters.iter() {
            assert!(reader.chapter(chapter).await.is_ok(), "{chapter:?}");
        }
    }
}
