//! The end of an import, where a book is published or is not.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory,
    path::Path, prefix::PrefixStore,
};
use presswork::{domain::Failure, testing::Inline};
use serde_json::json;

use super::Import;
use crate::book::project::ProjectReader;

/// What becomes of the next time that `book.json` is written.
#[derive(Debug, PartialEq)]
enum Next {
    IsWrittenAndTheAnswerLost,
    Fails,
}

#[derive(Debug)]
struct Stumbling(InMemory, Mutex<Option<Next>>);

impl std::fmt::Display for Stumbling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Stumbling {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_book = key.filename() == Some("book.json");
        let next = if is_book { self.1.lock().unwrap().take() } else { None };
        if next != Some(Next::Fails) {
            let put = self.0.put_opts(key, payload, options).await;
            if next.is_none() {
                return put;
            }
            put?;
        }
        Err(Error::Generic { store: "test", source: "the connection was cut".into() })
    }
    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(key, options).await
    }
    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(key, options).await
    }
    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(key, ranges).await
    }
    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(keys)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// The failure of an import of this text, and the storage after it.
async fn import(text: &'static str, next: Next) -> (Failure, Arc<dyn ObjectStore>) {
    let storage: Arc<dyn ObjectStore> = Arc::new(Stumbling(InMemory::new(), Mutex::new(Some(next))));
    storage.put(&"test/files/a.md".into(), PutPayload::from_static(text.as_bytes())).await.unwrap();
    let payload: Import = serde_json::from_value(json!({
        "project": "p", "source": [{ "name": "a.md", "key": "files/a.md" }],
    }))
    .unwrap();
    let ran = Inline::new(payload).on_storage(storage.clone()).run().await.unwrap();
    (ran.result.unwrap_err(), storage)
}

async fn files(storage: &Arc<dyn ObjectStore>) -> usize {
    let below = storage.list(Some(&"test/projects/p".into()));
    below.try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn a_book_whose_publishing_was_not_answered_is_whole_where_it_was_published() {
    let (failure, storage) = import("# One\n\nText.\n", Next::IsWrittenAndTheAnswerLost).await;
    assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    let reader = ProjectReader::open(Arc::new(PrefixStore::new(storage, "test/projects/p"))).await.unwrap();
    assert_eq!(reader.chapter(reader.book().chapters.get(0).unwrap()).await.unwrap(), "# One\n\nText.\n");
}

#[tokio::test]
async fn what_was_brought_stays_where_nobody_knows_and_goes_where_it_is_no_book() {
    let (failure, storage) = import("# One\n\nText.\n", Next::Fails).await;
    assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    assert_eq!(files(&storage).await, 1);
    let (failure, storage) = import("---\ncover: none.png\n---\n", Next::Fails).await;
    assert!(matches!(failure, Failure::Fatal { .. }), "{failure}");
    assert_eq!(files(&storage).await, 0);
}
