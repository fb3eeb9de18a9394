//! Reads a project: its description, its chapters, its pictures.

use std::{
    collections::BTreeSet,
    io::{self, BufReader},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use tokio::runtime::Handle;

use super::{DESCRIPTION, MOST_CHAPTER_BYTES, check, checked_path, fence::Seen, pieces::Pieces};
use crate::book::{
    chapter_list::ListedChapter,
    description::{Asset, Book},
    error::BookError,
};

/// How many bytes `book.json` has at most.
const MOST_DESCRIPTION_BYTES: u64 = 64 << 20;

/// Reads a description and checks it: as it comes, since that of many chapters is large. Blocks.
fn described(json: impl io::Read) -> Result<Book, BookError> {
    let book: Book = serde_json::from_reader(json).map_err(|error| {
        if error.is_io() {
            return BookError::storage("reading book.json", error);
        }
        let place = format!("line {} column {}", error.line(), error.column());
        BookError::at(DESCRIPTION, place, format!("is no description of a book: {error}"))
    })?;
    check(&book)?;
    Ok(book)
}

/// A project's book as it is now, and which version of its description that is.
pub(super) struct Look {
    pub(super) described: Described,
    pub(super) seen: Seen,
}

/// What a project says of its book.
pub(super) enum Described {
    /// It has none.
    Nothing,
    Book(Arc<Book>),
    /// Nobody can read it.
    Unreadable(BookError),
}

impl Look {
    /// Looks at the project at the root of `storage`.
    ///
    /// # Errors
    /// `Storage` where that fails.
    pub(super) async fn at(storage: &dyn ObjectStore) -> Result<Self, BookError> {
        let doing = "reading book.json";
        let got = match storage.get(&Path::from(DESCRIPTION)).await {
            Err(Error::NotFound { .. }) => {
                return Ok(Self { described: Described::Nothing, seen: Seen::NOTHING });
            }
            other => other.map_err(|error| BookError::storage(doing, error))?,
        };
        let seen = Seen::of(&got.meta);
        if got.meta.size > MOST_DESCRIPTION_BYTES {
            let problem = BookError::input(DESCRIPTION, "is larger than 64 MiB");
            return Ok(Self { described: Described::Unreadable(problem), seen });
        }
        let pieces = got.into_stream().map_err(io::Error::other).boxed();
        let pieces = BufReader::with_capacity(64 << 10, Pieces::new(pieces, Handle::current()));
        let described = tokio::task::spawn_blocking(move || described(pieces)).await;
        let described = match described.map_err(|error| BookError::storage(doing, error))? {
            Ok(book) => Described::Book(Arc::new(book)),
            Err(problem @ BookError::Input { .. }) => Described::Unreadable(problem),
            Err(error) => return Err(error),
        };
        Ok(Self { described, seen })
    }

    /// The book, where the project has one.
    ///
    /// # Errors
    /// `Input` where nobody can read it.
    pub(super) fn book(self) -> Result<(Option<Arc<Book>>, Seen), BookError> {
        match self.described {
            Described::Nothing => Ok((None, self.seen)),
            Described::Book(book) => Ok((Some(book), self.seen)),
            Described::Unreadable(problem) => Err(problem),
        }
    }
}

/// A chapter's file that was found, and has not come yet.
pub(crate) struct Found {
    got: object_store::GetResult,
    file: String,
    place: String,
}

impl Found {
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.got.meta.size).unwrap_or(usize::MAX)
    }

    /// Its Markdown.
    ///
    /// # Errors
    /// As [`ProjectReader::chapter`].
    pub(crate) async fn text(self) -> Result<String, BookError> {
        let Self { got, file, place } = self;
        let bytes =
            got.bytes().await.map_err(|error| BookError::storage(format!("reading {file}"), error))?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
            BookError::at(
                &file,
                format!("{place}, line {line}, byte {valid}"),
                "the text is not UTF-8: save it in UTF-8",
            )
        })
    }
}

/// Reads a project.
#[derive(Debug)]
pub struct ProjectReader {
    storage: Arc<dyn ObjectStore>,
    pub(super) book: Arc<Book>,
}

impl ProjectReader {
    /// Reads and checks `book.json`: format, version, names, uniqueness.
    ///
    /// # Errors
    /// `Input` where there is no book or it can't be used, `Storage` where storage fails.
    pub async fn open(storage: Arc<dyn ObjectStore>) -> Result<Self, BookError> {
        let problem = "the project has no book yet: import a manuscript first";
        let (book, _) = Look::at(&*storage).await?.book()?;
        let book = book.ok_or_else(|| BookError::input(DESCRIPTION, problem))?;
        Ok(Self { storage, book })
    }

    /// What the project says of its book, shared: a book of many chapters is large.
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// The Markdown of a chapter.
    ///
    /// # Errors
    /// `Input` where the file is missing, above [`MOST_CHAPTER_BYTES`] or no UTF-8 (the place of the first bad byte is
    /// named), `Storage` where storage fails.
    pub async fn chapter<'a>(&self, entry: impl Into<ListedChapter<'a>>) -> Result<String, BookError> {
        self.find(entry.into()).await?.text().await
    }

    /// A chapter's file, of which no more than the size is known to be there: the text may be large.
    ///
    /// # Errors
    /// As [`ProjectReader::chapter`].
    pub(crate) async fn find(&self, entry: ListedChapter<'_>) -> Result<Found, BookError> {
        let place = format!("chapter {:?}", entry.title);
        let missing = |file: &str| {
            BookError::at(file, place.clone(), "the file is missing: put it back or import the book again")
        };
        let file = entry.file();
        let got = self.get(&file, missing).await?;
        if got.meta.size > MOST_CHAPTER_BYTES as u64 {
            let problem = format!("the chapter has {} bytes, more than 4 MiB: split it", got.meta.size);
            return Err(BookError::at(&file, place, problem));
        }
        Ok(Found { got, file, place })
    }

    /// How many bytes the files have, all together, of the folders that a book's chapters lie in: its text or more.
    ///
    /// # Errors
    /// `Storage` where storage fails.
    pub(crate) async fn text_bytes(&self, book: &Book) -> Result<u64, BookError> {
        let folders: BTreeSet<&str> = book.chapters.iter().filter_map(|chapter| chapter.folder()).collect();
        let mut bytes = 0;
        for folder in folders {
            let mut files = self.storage.list(Some(&checked_path(folder)?));
            while let Some(file) = files.next().await {
                bytes += file.map_err(|error| BookError::storage("listing the chapters", error))?.size;
            }
        }
        Ok(bytes)
    }

    /// The bytes of a picture, as they come.
    ///
    /// # Errors
    /// `Input` where the file is missing, `Storage` where storage fails, also later in the stream.
    pub async fn asset(
        &self,
        asset: &Asset,
    ) -> Result<BoxStream<'static, Result<Bytes, BookError>>, BookError> {
        let missing = |file: &str| BookError::input(file, format!("the picture {:?} is missing", asset.name));
        let got = self.get(&asset.file, missing).await?;
        let doing = format!("reading {}", asset.file);
        Ok(got.into_stream().map_err(move |error| BookError::storage(doing.clone(), error)).boxed())
    }

    async fn get(
        &self,
        file: &str,
        missing: impl FnOnce(&str) -> BookError,
    ) -> Result<object_store::GetResult, BookError> {
        match self.storage.get(&checked_path(file)?).await {
            Ok(got) => Ok(got),
            // An import removes the files of the book that it replaces, after it has put its own in place.
            Err(Error::NotFound { .. }) => match Self::open(self.storage.clone()).await {
                Ok(now) if now.book != self.book => Err(BookError::storage(
                    format!("reading {file}"),
                    "an import has put another book in its place meanwhile",
                )),
                _ => Err(missing(file)),
            },
            Err(error) => Err(BookError::storage(format!("reading {file}"), error)),
        }
    }
}
