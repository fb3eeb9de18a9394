//! One chapter of a book takes another's place, or is added behind the last one; the rest stays as it is, also what others change
//! at the same time.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt as _};

use super::{
    DESCRIPTION, MOST_CHAPTER_BYTES, checked_path,
    fence::{Guard, Hand, MOST_TRIES, busy},
    growing::describe,
    reader::Look,
    writer::put,
};
use crate::book::{
    chapter_list::{ChapterEntry, ChapterList},
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
    /// The same where it is the chapter of this index then, counted from 0.
    Next(usize, Box<Metadata>),
}

/// Puts a chapter into a project's book, once: where the same hand has done so in an earlier attempt, that stays. Its file lies in
/// the hand's folder. The book as it is now, and the chapter's index.
///
/// # Errors
/// `Input` where the chapter that is to be replaced is no longer there, another one stands where it is to be, or name or size are
/// not allowed; `Storage` where storage fails; what the hand's guard says.
pub async fn put_chapter(
    storage: Arc<dyn ObjectStore>,
    hand: &Hand,
    place: Place,
    title: &str,
    text: String,
) -> Result<(Book, usize), BookError> {
    if text.len() > MOST_CHAPTER_BYTES {
        return Err(BookError::input(title, "the chapter is larger than 4 MiB: split it"));
    }
    let mut stored: Option<String> = None;
    for _ in 0..MOST_TRIES {
        // As late as can be before it is written: others may change the book, too.
        let (found, seen) = Look::at(&*storage).await?.book()?;
        // Nobody else has it: it is large, and not copied.
        let found = found.map(Arc::unwrap_or_clone);
        let placed = found.as_ref().and_then(|book| book.placed_by(&hand.by));
        let mut book = match (found, placed, &place) {
            (Some(book), Some(index), _) => return Ok((book, index)),
            (Some(book), None, _) => book,
            (None, _, Place::End(metadata) | Place::Next(_, metadata)) => Book::new((**metadata).clone()),
            (None, _, Place::At(_)) => Book::new(Metadata::default()),
        };
        let (index, name) = slot(&book.chapters, &place, title)?;
        let file = format!("{}/chapters/{name}", hand.folder);
        if stored.as_ref() != Some(&file) {
            // Under another name than before: somebody has taken that one.
            if let Some(before) = stored.replace(file.clone()) {
                storage.delete(&checked_path(&before)?).await.unwrap_or_else(|error| {
                    tracing::warn!(file = before, %error, "a file that nobody needs was left behind");
                });
            }
            put(&*storage, &file, text.clone().into()).await?;
        }
        if index < book.chapters.len() {
            // Its file stays until the book is replaced: who changes another chapter at the same time may name it again.
            book.chapters.replace(index, &file, title);
        } else {
            book.chapters.push(&file, title);
        }
        book.note(&hand.by, &name);
        if describe(&*storage, &book, &seen, &hand.guard).await? {
            return Ok((book, index));
        }
    }
    Err(busy(DESCRIPTION))
}

/// The index and the file name of a chapter that goes there.
fn slot(chapters: &ChapterList, place: &Place, title: &str) -> Result<(usize, String), BookError> {
    let end = chapters.len();
    match place {
        Place::At(entry) => {
            let index = chapters.iter().position(|chapter| chapter.is_in(&entry.file));
            let gone = "the chapter has been changed or removed meanwhile: ask again";
            return Ok((index.ok_or_else(|| BookError::input(&entry.file, gone))?, entry.name().to_owned()));
        }
        Place::Next(index, _) if *index != end => {
            let (number, last) = (index + 1, end);
            let problem = format!(
                "it was to be chapter {number}, and the book has {last} by now: say replace, or leave its number out"
            );
            return Err(BookError::input(title, problem));
        }
        Place::Next(..) | Place::End(_) => {}
    }
    let wanted = chapter_name(end, title);
    // Of the names that are taken, those that it could come to have.
    let stem = wanted.trim_end_matches(".md").to_lowercase();
    let mut names = UniqueNames::default();
    for chapter in chapters.iter().filter(|chapter| chapter.name().to_lowercase().starts_with(&stem)) {
        names.add(&chapter.name());
    }
    Ok((end, names.add(&wanted)))
}

/// Sets what a book's title page says it is about.
///
/// # Errors
/// `Input` where the project has no book, `Storage` where storage fails; what the guard says.
pub async fn describe_book(
    storage: Arc<dyn ObjectStore>,
    guard: &Guard,
    description: &str,
) -> Result<Book, BookError> {
    for _ in 0..MOST_TRIES {
        let (found, seen) = Look::at(&*storage).await?.book()?;
        let gone = || BookError::input(DESCRIPTION, "the project has no book any more");
        let mut book = Arc::unwrap_or_clone(found.ok_or_else(gone)?);
        description.clone_into(&mut book.metadata.description);
        if describe(&*storage, &book, &seen, guard).await? {
            return Ok(book);
        }
    }
    Err(busy(DESCRIPTION))
}

#[cfg(test)]
mod tests {
    use object_store::{memory::InMemory, path::Path};
    use presswork::{artifact::Storage, domain::Failure};

    use super::*;
    use crate::book::{Metadata, ProjectReader, characters::FOLDER, project::ProjectWriter};

    fn titled() -> Box<Metadata> {
        Box::new(Metadata { title: "T".into(), language: "en".into(), ..Metadata::default() })
    }

    #[tokio::test]
    async fn a_chapter_takes_anothers_place_under_its_name_and_the_others_file_stays_for_who_may_name_it() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let put = |by: &'static str, place, title: &'static str| {
            let (storage, hand) = (storage.clone(), Hand::of(by, 1).unwrap());
            async move { put_chapter(storage, &hand, place, title, format!("# {title}\n")).await }
        };
        let (book, index) = put("r1", Place::End(titled()), "A").await.unwrap();
        assert_eq!((index, book.chapters.len(), &*book.metadata.title), (0, 1, "T"));
        let old = book.chapters.get(0).unwrap().entry();
        let (book, index) = put("r2", Place::At(old.clone()), "B").await.unwrap();
        assert_eq!((index, &*book.chapters.get(0).unwrap().file()), (0, "r2-1/chapters/0001-a.md"));
        let reader = ProjectReader::open(storage.clone()).await.unwrap();
        assert_eq!(reader.chapter(book.chapters.get(0).unwrap()).await.unwrap(), "# B\n");
        assert!(storage.head(&Path::from("r1-1/chapters/0001-a.md")).await.is_ok());
        // Two that replace the same one: the second is told.
        let late = put("r3", Place::At(old), "C").await.unwrap_err();
        assert!(late.to_string().contains("ask again"), "{late}");
        let (book, index) = put("r3", Place::End(titled()), "A").await.unwrap();
        assert_eq!((index, &*book.chapters.get(1).unwrap().file()), (1, "r3-1/chapters/0002-a.md"));
        let late = put("r4", Place::Next(1, titled()), "D").await.unwrap_err();
        assert!(late.to_string().contains("the book has 2 by now"), "{late}");
        assert!(Hand::of(FOLDER, 1).is_ok() && Hand::of("../x", 1).is_err());
    }

    #[tokio::test]
    async fn a_hand_puts_one_chapter_into_a_book_whatever_becomes_of_that_one() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let put = |by: &'static str, epoch, place, title: &'static str| {
            let (storage, hand) = (storage.clone(), Hand::of(by, epoch).unwrap());
            async move { put_chapter(storage, &hand, place, title, format!("# {title}\n")).await.unwrap() }
        };
        put("job", 1, Place::End(titled()), "A").await;
        let (book, _) = put("other", 1, Place::End(titled()), "A").await;
        // Its attempt crashed before anybody was told; somebody has rewritten the chapter meanwhile.
        put("edit", 1, Place::At(book.chapters.get(0).unwrap().entry()), "A").await;
        let (book, index) = put("job", 2, Place::End(titled()), "A").await;
        let files: Vec<String> = book.chapters.iter().map(|chapter| chapter.file()).collect();
        assert_eq!(
            (index, files),
            (0, vec!["edit-1/chapters/0001-a.md".to_owned(), "other-1/chapters/0002-a.md".to_owned()])
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_who_change_a_book_at_once_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Storage::folder(folder.path().to_owned()).unwrap().objects().clone();
        for storage in [Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, disk] {
            let add = |number: usize| {
                let storage = storage.clone();
                tokio::spawn(async move {
                    let hand = Hand::of(&format!("job{number}"), 1).unwrap();
                    put_chapter(storage, &hand, Place::End(titled()), "A", format!("# A\n\n{number}\n")).await
                })
            };
            let describing = tokio::spawn({
                let storage = storage.clone();
                async move {
                    let hand = Hand::of("first", 1).unwrap();
                    put_chapter(storage.clone(), &hand, Place::End(titled()), "A", "# A\n".into()).await?;
                    describe_book(storage, &Guard::open(), "Of many.").await
                }
            });
            for task in (0..12).map(add).collect::<Vec<_>>() {
                task.await.unwrap().unwrap();
            }
            describing.await.unwrap().unwrap();
            let reader = ProjectReader::open(storage.clone()).await.unwrap();
            let mut texts = Vec::new();
            for chapter in reader.book().chapters.iter() {
                texts.push(reader.chapter(chapter).await.unwrap());
            }
            texts.sort();
            texts.dedup();
            assert_eq!((texts.len(), &*reader.book().metadata.description), (13, "Of many."), "{storage}");
        }
    }

    #[tokio::test]
    async fn who_has_lost_the_lease_changes_nothing() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let lost = || Guard::asking(|| Err(Failure::LeaseLost));
        let stopped = |error: &BookError| matches!(error, BookError::Stopped(Failure::LeaseLost));
        let hand = Hand::of("job", 1).unwrap();
        let (before, _) =
            put_chapter(storage.clone(), &hand, Place::End(titled()), "A", "# A\n".into()).await.unwrap();
        let stale = Hand::of("stale", 1).unwrap().guarded(lost());
        let put = put_chapter(storage.clone(), &stale, Place::End(titled()), "B", "# B\n".into()).await;
        assert!(stopped(&put.unwrap_err()));
        assert!(stopped(&describe_book(storage.clone(), &lost(), "x").await.unwrap_err()));
        let mut writer = ProjectWriter::begin(storage.clone(), "r1").unwrap().guarded(lost());
        writer.chapter("0001-a.md", "A", "# A\n".into()).await.unwrap();
        assert!(stopped(&writer.publish(*titled()).await.unwrap_err()));
        assert_eq!(**ProjectReader::open(storage).await.unwrap().book(), before);
    }
}
