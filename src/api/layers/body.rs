//! A request's body, watched: whether all of it came, and whether its sender dawdles. Must not know: what is in it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

/// What has been seen of a body.
#[derive(Debug, Default)]
pub(super) struct Seen {
    whole: AtomicBool,
    stalled: AtomicBool,
}

impl Seen {
    /// Whether all of it came.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Whether its sender let too much time pass without a byte.
    pub(super) fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }
}

/// The request with its body watched: who waits for a byte of it longer than `patience` is told that it has failed.
pub(super) fn watched(request: Request, patience: Duration) -> (Request, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    if request.body().is_end_stream() {
        seen.whole.store(true, Ordering::Release);
        return (request, seen);
    }
    let watched = seen.clone();
    (request.map(|body| Body::new(Watched { body, patience, waiting: None, seen: watched })), seen)
}

struct Watched {
    body: Body,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    seen: Arc<Seen>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            if frame.is_none() || self.body.is_end_stream() {
                self.seen.whole.store(true, Ordering::Release);
            }
            return Poll::Ready(frame);
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.seen.stalled.store(true, Ordering::Release);
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
