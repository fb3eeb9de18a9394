//! One chapter of a book takes another's place, or is added behind the last one; the rest stays as it is.

use std::sync::Arc;

use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use presswork::domain::FileName;

use super::{DESCRIPTION, MOST_CHAPTER_BYTES, ProjectReader, growing::describe, writer::put};
use crate::book::{
    chapter_list::ChapterEntry,
    characters::FOLDER,
    description::{Book, Metadata},
    error::BookError,
    names::{UniqueNames, chapter_name},
};

/// Where a chapter goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the place of this one, whose file name it gets.
    At(ChapterEntry),
    /// Behind the last one; where there is no book, into a new one that says this of itself.
    End(Box<Metadata>),
}

/// Puts a chapter into a project's book; its file lies in the folder `revision`, whose name is new in the project. The book as it
/// is now, and the chapter's index.
///
/// # Errors
/// `Input` where the chapter that is to be replaced is no longer there, or name or size are not allowed; `Storage` where storage
/// fails.
pub async fn put_chapter(
    storage: Arc<dyn ObjectStore>,
    revision: &str,
    place: Place,
    title: &str,
    text: String,
) -> Result<(Book, usize), BookError> {
    if text.len() > MOST_CHAPTER_BYTES {
        return Err(BookError::input(title, "the chapter is larger than 4 MiB: split it"));
    }
    let folder: FileName =
        revision.parse().map_err(|error| BookError::input(revision, format!("{error}")))?;
    if folder.as_str().eq_ignore_ascii_case(FOLDER) {
        return Err(BookError::input(revision, "is the folder of the project's characters"));
    }
    let (name, metadata) = match place {
        Place::At(entry) => (Name::Of(entry), None),
        Place::End(metadata) => (Name::New, Some(*metadata)),
    };
    // As late as can be before it is written: others may change the book, too.
    let mut book = match book(&storage).await? {
        Some(book) => book,
        None => Book::new(metadata.unwrap_or_default()),
    };
    let mut chapters = book.chapters.to_vec();
    let (index, file_name) = match &name {
        Name::Of(entry) => {
            let index = chapters.iter().position(|chapter| chapter.file == entry.file);
            let gone = "the chapter has been changed or removed meanwhile: ask again";
            (index.ok_or_else(|| BookError::input(&entry.file, gone))?, entry.name().to_owned())
        }
        Name::New => {
            let mut names = UniqueNames::default();
            for chapter in &chapters {
                names.add(chapter.name());
            }
            (chapters.len(), names.add(&chapter_name(chapters.len(), title)))
        }
    };
    let file = format!("{folder}/chapters/{file_name}");
    put(&*storage, &file, text.into()).await?;
    let entry = ChapterEntry { file, title: title.to_owned() };
    match chapters.get_mut(index) {
        // Its file stays until the book is replaced: who changes another chapter at the same time may name it again.
        Some(chapter) => *chapter = entry,
        None => chapters.push(entry),
    }
    book.chapters = chapters.into_iter().collect();
    describe(&*storage, &book).await?;
    Ok((book, index))
}

/// Sets what a book's title page says it is about.
///
/// # Errors
/// `Input` where the project has no book, `Storage` where storage fails.
pub async fn describe_book(storage: Arc<dyn ObjectStore>, description: String) -> Result<Book, BookError> {
    let reader = ProjectReader::open(storage.clone()).await?;
    let mut book = Book::clone(reader.book());
    book.metadata.description = description;
    describe(&*storage, &book).await?;
    Ok(book)
}

enum Name {
    Of(ChapterEntry),
    New,
}

/// The project's book, if it has one.
async fn book(storage: &Arc<dyn ObjectStore>) -> Result<Option<Book>, BookError> {
    match storage.head(&Path::from(DESCRIPTION)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        head => {
            head.map_err(|error| BookError::storage("looking for book.json", error))?;
            let reader = ProjectReader::open(storage.clone()).await?;
            Ok(Some(Book::clone(reader.book())))
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_chapter_takes_anothers_place_under_its_name_and_the_others_file_stays_for_who_may_name_it() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let metadata = Metadata { title: "T".into(), language: "en".into(), ..Metadata::default() };
        let put = |revision: &'static str, place, title: &'static str| {
            put_chapter(storage.clone(), revision, place, title, format!("# {title}\n"))
        };
        let (book, index) = put("r1", Place::End(Box::new(metadata.clone())), "A").await.unwrap();
        assert_eq!((index, book.chapters.len(), &*book.metadata.title), (0, 1, "T"));
        let old = book.chapters.get(0).unwrap().entry();
        let (book, index) = put("r2", Place::At(old.clone()), "B").await.unwrap();
        assert_eq!((index, &*book.chapters.get(0).unwrap().file()), (0, "r2/chapters/0001-a.md"));
        let reader = ProjectReader::open(storage.clone()).await.unwrap();
        assert_eq!(reader.chapter(book.chapters.get(0).unwrap()).await.unwrap(), "# B\n");
        assert!(storage.head(&Path::from("r1/chapters/0001-a.md")).await.is_ok());
        // Two that replace the same one: the second is told.
        let late = put("r3", Place::At(old), "C").await.unwrap_err();
        assert!(late.to_string().contains("ask again"), "{late}");
        let (book, index) = put("r3", Place::End(Box::new(metadata)), "A").await.unwrap();
        assert_eq!((index, &*book.chapters.get(1).unwrap().file()), (1, "r3/chapters/0002-a.md"));
        assert!(put(FOLDER, Place::End(Box::default()), "A").await.is_err());
    }
}
