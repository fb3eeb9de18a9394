//! A storage in memory, for tests that watch what is read and written of it, and break it. Must not know: what is stored.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It was read; a look at its head is none.
    Read,
    /// It is about to be written whole.
    Write,
}

/// How that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Well,
    /// What was to be written is not.
    Fails,
    /// It is done, and nobody hears of it.
    Unheard,
}

type Watch = dyn Fn(Touch, &str) -> Ends + Send + Sync;

/// A storage that asks its watch how each touch of an object ends.
pub(crate) struct Watched {
    objects: InMemory,
    watch: Box<Watch>,
}

impl Watched {
    pub(crate) fn by(watch: impl Fn(Touch, &str) -> Ends + Send + Sync + 'static) -> Self {
        Self { objects: InMemory::new(), watch: Box::new(watch) }
    }
}

fn cut() -> Error {
    Error::Generic { store: "test", source: "the connection was cut".into() }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let ends = (self.watch)(Touch::Write, key.as_ref());
        if ends == Ends::Fails {
            return Err(cut());
        }
        let put = self.objects.put_opts(key, payload, options).await?;
        if ends == Ends::Well { Ok(put) } else { Err(cut()) }
    }
    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(key, options).await
    }
    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let is_read = !options.head;
        let got = self.objects.get_opts(key, options).await;
        if is_read && (self.watch)(Touch::Read, key.as_ref()) != Ends::Well {
            return Err(cut());
        }
        got
    }
    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.objects.get_ranges(key, ranges).await
    }
    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(keys)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
