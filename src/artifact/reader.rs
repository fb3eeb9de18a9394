//! The way back: the stored bytes of a span are fetched, opened, decoded and handed on, with bounded memory.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use object_store::{Error, GetOptions, GetRange, ObjectStore, path::Path};
use tokio::sync::{mpsc, oneshot};

use super::{
    decoding::{Decoding, Item},
    error::ArtifactError,
    manifest::Manifest,
    opening::Sealed,
    span::Span,
};

/// Plain bytes as they come, and the SHA-256 of the stored ones once all have been read, where all are.
pub(super) struct Reading {
    pub(super) plain: BoxStream<'static, Item>,
    pub(super) stored_sha256: oneshot::Receiver<Option<String>>,
}

/// What one request asks for: it is answered within a client's patience, which is for a whole request, on a slow line too.
/// A reader who takes his time holds up to three of them, and there may be hundreds of readers.
const FETCHED_BYTES: u64 = 1 << 20;
/// Stored bytes are decoded in pieces of this.
const TAKEN_BYTES: usize = 64 << 10;

/// Stored bytes as they come, and how many the object has.
pub(super) struct Fetched {
    pub(super) size: u64,
    pub(super) bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

/// Fetches a range of an object by requests of a bounded size, each read at once and whole: whoever takes the bytes may take
/// all the time they want. Of an object that ends before the range does, `size` says so, and the bytes are worth nothing.
/// `if_match` is the tag of the one object that is meant, where that is known.
pub(super) async fn fetch(
    storage: Arc<dyn ObjectStore>,
    key: Path,
    range: Range<u64>,
    if_match: Option<String>,
) -> object_store::Result<Fetched> {
    let first = range.start..range.end.min(range.start.saturating_add(FETCHED_BYTES));
    // Nothing has no range.
    let first_range = (!range.is_empty()).then_some(GetRange::Bounded(first.clone()));
    let asked = GetOptions { range: first_range, if_match, ..GetOptions::default() };
    let got = match storage.get_opts(&key, asked).await {
        // It may be shorter than where the range begins.
        Err(error) if !range.is_empty() && !matches!(error, Error::NotFound { .. }) => {
            let now = storage.get_opts(&key, GetOptions { head: true, ..GetOptions::default() }).await;
            return match now {
                Ok(now) if now.meta.size < range.end => {
                    Ok(Fetched { size: now.meta.size, bytes: stream::empty().boxed() })
                }
                _ => Err(error),
            };
        }
        got => got?,
    };
    let (size, tag) = (got.meta.size, got.meta.e_tag.clone());
    if range.is_empty() || size < range.end {
        return Ok(Fetched { size, bytes: stream::empty().boxed() });
    }
    let begun = got.bytes().await?;
    let rest = stream::try_unfold((storage, key, first.end), move |(storage, key, from)| {
        let (tag, end) = (tag.clone(), range.end);
        async move {
            if from >= end {
                return Ok(None);
            }
            let to = end.min(from.saturating_add(FETCHED_BYTES));
            // All of them of the same object.
            let range = Some(GetRange::Bounded(from..to));
            let asked = GetOptions { range, if_match: tag, ..GetOptions::default() };
            let bytes = storage.get_opts(&key, asked).await?.bytes().await?;
            Ok(Some((bytes, (storage, key, to))))
        }
    });
    Ok(Fetched { size, bytes: stream::iter([Ok(begun)]).chain(rest).boxed() })
}

pub(super) async fn read(
    storage: Arc<dyn ObjectStore>,
    manifest: Manifest,
    sealed: Option<Sealed>,
    span: Span,
) -> Result<Reading, ArtifactError> {
    let failed = |error| ArtifactError::reading("read an artifact", error);
    let damaged = |problem: String| ArtifactError::Damaged { key: manifest.object.clone(), problem };
    let key = Path::parse(&manifest.object).map_err(|error| damaged(error.to_string()))?;
    let Fetched { size, bytes: mut stored } =
        fetch(storage, key, span.stored.clone(), None).await.map_err(failed)?;
    // Of a range nobody would notice otherwise that the object was cut or has grown.
    if size != manifest.stored_bytes {
        return Err(damaged(wrong_length(size, &manifest)));
    }

    // One is fetched and one waits while one is decoded.
    let (to_decoder, mut pieces) = mpsc::channel::<Item>(1);
    tokio::spawn(async move {
        while let Some(piece) = stored.next().await {
            if to_decoder.send(piece.map_err(failed)).await.is_err() {
                return; // Nobody reads any more.
            }
        }
    });
    let (plain, mut out) = mpsc::channel::<Item>(4);
    let (tell, stored_sha256) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let work = || {
            let mut decoding = Decoding::new(manifest, sealed.as_ref(), span, plain.clone())?;
            while let Some(piece) = pieces.blocking_recv() {
                piece?.chunks(TAKEN_BYTES).try_for_each(|bytes| decoding.take(bytes))?;
            }
            decoding.end()
        };
        // The reader may have gone; then there is nobody to tell.
        match work() {
            Ok(digest) => drop(tell.send(digest)),
            Err(error) => drop(plain.blocking_send(Err(error))),
        }
    });
    let plain = futures_util::stream::poll_fn(move |task| out.poll_recv(task)).boxed();
    Ok(Reading { plain, stored_sha256 })
}

fn wrong_length(bytes: u64, manifest: &Manifest) -> String {
    format!("it has {bytes} bytes on storage, not the {} that its manifest says", manifest.stored_bytes)
}
