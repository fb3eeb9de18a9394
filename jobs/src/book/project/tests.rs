//! A project on storage: written whole or not at all, read back as it was written.

use futures_util::stream;
use object_store::memory::InMemory;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use super::*;
use crate::book::Metadata;

fn titled(title: &str) -> Metadata {
    Metadata { title: title.into(), language: "en".into(), ..Metadata::default() }
}

async fn files(storage: &Arc<dyn ObjectStore>) -> Vec<String> {
    let mut files: Vec<String> =
        storage.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
    files.sort();
    files
}

async fn revision(storage: &Arc<dyn ObjectStore>, name: &str) -> ProjectWriter {
    let mut writer = ProjectWriter::begin(storage.clone(), name).unwrap();
    writer.chapter("0001-a.md", "A", "# A\n\ntext\n".into()).await.unwrap();
    let data = || stream::iter([Ok(Bytes::from_static(b"p")), Ok(Bytes::from_static(b"q"))]).boxed();
    assert_eq!(writer.asset("x.png", "image/png", data()).await.unwrap(), "x.png");
    assert_eq!(writer.asset("X.png", "image/png", data()).await.unwrap(), "X-2.png");
    writer
}

#[tokio::test]
async fn a_book_is_read_back_as_it_was_published_and_older_files_are_gone() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    revision(&storage, "r1").await.publish(titled("One")).await.unwrap();
    let book = revision(&storage, "r2").await.publish(titled("Two")).await.unwrap();
    let reader = ProjectReader::open(storage.clone()).await.unwrap();
    assert_eq!(**reader.book(), book);
    assert_eq!(reader.chapter(book.chapters.get(0).unwrap()).await.unwrap(), "# A\n\ntext\n");
    let pieces: Vec<Bytes> = reader.asset(&book.assets[0]).await.unwrap().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"pq");
    assert_eq!(
        files(&storage).await,
        ["book.json", "r2/chapters/0001-a.md", "r2/images/X-2.png", "r2/images/x.png"]
    );
}

#[tokio::test]
async fn an_import_that_crashes_leaves_the_old_book_whole() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let before = revision(&storage, "r1").await.publish(titled("One")).await.unwrap();
    drop(revision(&storage, "r2").await);
    let reader = ProjectReader::open(storage.clone()).await.unwrap();
    assert_eq!(**reader.book(), before);
    assert!(reader.chapter(before.chapters.get(0).unwrap()).await.is_ok());
}

#[tokio::test]
async fn the_last_of_two_imports_at_once_wins_with_all_its_files() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let slow = revision(&storage, "r1").await;
    revision(&storage, "r2").await.publish(titled("Fast")).await.unwrap();
    let book = slow.publish(titled("Slow")).await.unwrap();
    let reader = ProjectReader::open(storage.clone()).await.unwrap();
    assert_eq!(**reader.book(), book);
    assert!(reader.chapter(book.chapters.get(0).unwrap()).await.is_ok());
    assert!(files(&storage).await.iter().all(|file| !file.starts_with("r2/")));
}

#[tokio::test]
async fn what_a_dead_import_left_behind_goes_once_it_is_old() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let dead = key(["dead", "chapters", "0001-a.md"]);
    storage.put(&dead, PutPayload::from_static(b"# A")).await.unwrap();
    let own = revision(&storage, "own").await;
    own.clear(None, writer::LEFT_BEHIND).await;
    assert!(files(&storage).await.contains(&dead.to_string()));
    own.clear(None, Duration::ZERO).await;
    assert!(files(&storage).await.iter().all(|file| file.starts_with("own/")));
}

#[tokio::test]
async fn an_import_that_is_given_up_leaves_nothing() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let kept = revision(&storage, "r1").await.publish(titled("One")).await.unwrap();
    drop(revision(&storage, "r2").await);
    discard(&*storage, "r2").await;
    assert!(files(&storage).await.iter().all(|file| !file.starts_with("r2/")));
    assert_eq!(ProjectReader::open(storage.clone()).await.unwrap().book().as_ref(), &kept);
}

#[tokio::test]
async fn a_book_that_is_replaced_while_it_is_read_is_a_reason_to_try_again() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let book = revision(&storage, "r1").await.publish(titled("One")).await.unwrap();
    let reader = ProjectReader::open(storage.clone()).await.unwrap();
    revision(&storage, "r2").await.publish(titled("Two")).await.unwrap();
    let error = reader.chapter(book.chapters.get(0).unwrap()).await.unwrap_err();
    assert!(matches!(error, BookError::Storage { .. }), "{error}");
}

#[tokio::test]
async fn missing_and_broken_chapters_are_named() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let book = revision(&storage, "r1").await.publish(titled("One")).await.unwrap();
    let reader = ProjectReader::open(storage.clone()).await.unwrap();
    let place = Path::from("r1/chapters/0001-a.md");
    storage.put(&place, PutPayload::from_static(b"good\n\xff")).await.unwrap();
    let error = reader.chapter(book.chapters.get(0).unwrap()).await.unwrap_err().to_string();
    assert!(error.starts_with("r1/chapters/0001-a.md, chapter \"A\", line 2, byte 5"), "{error}");
    storage.put(&place, PutPayload::from(vec![b'x'; MOST_CHAPTER_BYTES + 1])).await.unwrap();
    assert!(
        reader.chapter(book.chapters.get(0).unwrap()).await.unwrap_err().to_string().contains("split it")
    );
    storage.delete(&place).await.unwrap();
    assert!(reader.chapter(book.chapters.get(0).unwrap()).await.unwrap_err().to_string().contains("missing"));
}

#[tokio::test]
async fn a_description_that_can_not_be_used_is_refused() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let open = async |json: &str| {
        storage.put(&Path::from(DESCRIPTION), PutPayload::from(json.to_owned())).await.unwrap();
        ProjectReader::open(storage.clone()).await.unwrap_err().to_string()
    };
    let book = |chapters: &str, rest: &str| {
        format!(
            r#"{{"format":"presswork-book","version":1,"metadata":{{"title":"x"}},"chapters":[{chapters}]{rest}}}"#
        )
    };
    let chapter = |file: &str| format!(r#"{{"file":"{file}","title":"t"}}"#);
    assert!(open("{").await.contains("line 1"));
    assert!(open(&book("", "").replace(":1", ":2")).await.contains("update Presswork"));
    assert!(open(&book("", "").replace("-book", "-x")).await.contains("format"));
    assert!(open(&book("", "")).await.contains("no chapters"));
    for bad in ["../x.md", "/etc/passwd", "r1//x.md", "r1/nul", "r1\\\\x", "r1/x.md/"] {
        assert!(open(&book(&chapter(bad), "")).await.contains("book.json, file"), "{bad}");
    }
    let twice = [chapter("r1/a.md"), chapter("r2/A.md")].join(",");
    assert!(open(&book(&twice, "")).await.contains("two chapters"));
    let asset = r#","assets":[{"name":"../x","file":"r1/x","media_type":"image/png","bytes":1}]"#;
    assert!(open(&book(&chapter("r1/a.md"), asset)).await.contains("picture name"));
    let asset = r#","assets":[{"name":"x","file":"r1/x","media_type":"text/html","bytes":1}]"#;
    assert!(open(&book(&chapter("r1/a.md"), asset)).await.contains("media type"));
}

#[tokio::test]
async fn large_pictures_go_up_in_parts_and_a_failing_stream_is_told() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut writer = revision(&storage, "r1").await;
    let piece = Bytes::from(vec![7_u8; 3 << 20]);
    let data = stream::iter(vec![Ok(piece.clone()), Ok(piece.clone()), Ok(piece.clone())]).boxed();
    let name = writer.asset("big.png", "image/png", data).await.unwrap();
    let failing = vec![Ok(piece.clone()), Ok(piece), Err(BookError::input("x", "cut"))];
    assert!(writer.asset("bad.png", "image/png", stream::iter(failing).boxed()).await.is_err());
    let book = writer.publish(titled("Big")).await.unwrap();
    assert_eq!(book.asset(&name).unwrap().bytes, 9 << 20);
    assert!(book.asset("bad.png").is_none());
}
