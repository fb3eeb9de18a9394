//! A connection below HTTP: nobody holds one by not taking what he is sent, and what hyper answers by itself to a head that it
//! can't read becomes a problem as all other errors are. Must not know: routes, TLS.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use bytes::{Buf as _, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{
    layers::protect,
    problem::{Problem, ProblemType},
};

/// Whether hyper is between two requests: what it writes then is its own.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Requests whose answer has not been handed over whole.
    under_way: AtomicUsize,
    /// A request has been handed to the router since everything was written.
    begun: AtomicBool,
    /// What is spoken is no HTTP any more.
    upgraded: AtomicBool,
    /// The last request was refused, perhaps before all of it had come.
    refused: AtomicBool,
}

impl Turns {
    /// A request is handed to the router; its turn ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.begun.store(true, Ordering::Release);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Turn(self.clone())
    }

    /// All that hyper had to write is written.
    fn flushed(&self) {
        if self.under_way.load(Ordering::Acquire) == 0 {
            self.begun.store(false, Ordering::Release);
        }
    }

    fn is_between(&self) -> bool {
        !self.begun.load(Ordering::Acquire) && !self.upgraded.load(Ordering::Acquire)
    }
}

/// A request's turn.
pub(super) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer's body, for as long as which the turn is its request's.
pub(super) struct Held {
    body: Body,
    turn: Option<Turn>,
}

/// Keeps the turn until the answer's body has ended.
pub(super) fn hold(response: Response<Body>, turn: Turn) -> Response<Held> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        turn.0.upgraded.store(true, Ordering::Release);
    }
    turn.0.refused.store(response.status().is_client_error(), Ordering::Release);
    response.map(|body| Held { body, turn: Some(turn) })
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() {
            drop(self.turn.take());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose other end may not dawdle with what it is sent.
pub(super) struct Socket<S> {
    stream: S,
    patience: Duration,
    is_secure: bool,
    waiting: Option<Pin<Box<Sleep>>>,
    turns: Arc<Turns>,
    /// Ours instead of what hyper has said by itself; not all of it is written yet.
    instead: Bytes,
    lingering: Option<Lingering>,
    _held: Box<dyn Send>,
}

/// What may still come from who has been refused: where it is not read, the system resets the connection, and he never
/// sees why.
struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

/// How long what still comes is read over.
const LINGERS: Duration = Duration::from_secs(2);
/// And how much of it.
const MOST_LINGERING_BYTES: usize = 1 << 20;

impl<S> Socket<S> {
    /// `held` is dropped with the socket.
    pub(super) fn new(
        stream: S,
        patience: Duration,
        is_secure: bool,
        turns: Arc<Turns>,
        held: impl Send + 'static,
    ) -> Self {
        Self {
            stream,
            patience,
            is_secure,
            waiting: None,
            turns,
            instead: Bytes::new(),
            lingering: None,
            _held: Box::new(held),
        }
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// A write's outcome, or an error where its time is up.
    fn patient<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing any more")))
    }

    fn write_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.instead);
            match ready!(self.patient(context, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.instead.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Socket<S> {
    /// Reads over what still comes, until it ends or is enough.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            until: Box::pin(tokio::time::sleep(LINGERS)),
            bytes: MOST_LINGERING_BYTES,
        });
        let mut room = [0; 4_096];
        while lingering.bytes > 0 && lingering.until.as_mut().poll(context).is_pending() {
            let mut read = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {
                    lingering.bytes = lingering.bytes.saturating_sub(read.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

/// What to say instead of what hyper says by itself, where it does.
fn instead_of(bytes: &[u8], is_secure: bool) -> Option<Bytes> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let problem = match status {
        b"431" | b"414" => Problem::new(
            ProblemType::HeadersTooLarge,
            "the request's line and headers have more bytes, or are more, than are taken",
        ),
        b"400" => Problem::new(ProblemType::Invalid, "what came can't be read as an HTTP request"),
        _ => return None,
    };
    let body = serde_json::to_vec(&problem.to_body()).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    protect(&mut headers, is_secure);
    let mut answer = format!("HTTP/1.1 {}\r\n", problem.kind().status()).into_bytes();
    for (name, value) in &headers {
        answer.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    Some([&answer, &b"\r\n"[..], &body].concat().into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.write_instead(context))?;
        if self.turns.is_between()
            && let Some(instead) = instead_of(bytes, self.is_secure)
        {
            self.instead = instead;
            self.turns.refused.store(true, Ordering::Release);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patient(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.turns.is_between() || !self.instead.is_empty() {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            return self.poll_write(context, first.map_or(&[], |buffer| &**buffer));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.patient(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_instead(context))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.patient(context, flushed))?;
        self.turns.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(self.write_instead(context))?;
            let down = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.patient(context, down))?;
        }
        if self.turns.refused.load(Ordering::Acquire) {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}
