//! The way back: the stored bytes of a span are fetched, opened, decoded and handed on, with bounded memory.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStore, path::Path};
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

pub(super) async fn read(
    storage: Arc<dyn ObjectStore>,
    manifest: Manifest,
    sealed: Option<Sealed>,
    span: Span,
) -> Result<Reading, ArtifactError> {
    let failed = |error| ArtifactError::reading("read an artifact", error);
    let damaged = |problem: String| ArtifactError::Damaged { key: manifest.object.clone(), problem };
    let key = Path::parse(&manifest.object).map_err(|error| damaged(error.to_string()))?;
    // All of it is asked for as a whole: an empty object has no range.
    let range = (!span.is_whole).then(|| GetRange::Bounded(span.stored.clone()));
    let got = match storage.get_opts(&key, GetOptions { range, ..GetOptions::default() }).await {
        // An object that is shorter than where the range begins.
        Err(error) if !span.is_whole && !matches!(error, object_store::Error::NotFound { .. }) => {
            return Err(match storage.get_opts(&key, GetOptions { head: true, ..<_>::default() }).await {
                Ok(now) if now.meta.size != manifest.stored_bytes => {
                    damaged(wrong_length(now.meta.size, &manifest))
                }
                _ => failed(error),
            });
        }
        got => got.map_err(failed)?,
    };
    // Of a range nobody would notice otherwise that the object was cut or has grown.
    if got.meta.size != manifest.stored_bytes {
        return Err(damaged(wrong_length(got.meta.size, &manifest)));
    }
    let mut stored = got.into_stream();

    let (to_decoder, mut pieces) = mpsc::channel::<Item>(4);
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
            std::iter::from_fn(|| pieces.blocking_recv()).try_for_each(|piece| decoding.take(&piece?))?;
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
