//! Files on their way to a caller and from one: in constant memory, with back-pressure, and never for longer than somebody is
//! at the other end. Must not know: any resource, any storage.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    problem::{Problem, ProblemType},
    room::{Place, Room},
};
use crate::artifact::PlainBytes;

/// Files that are sent at one time: decoding one takes a thread for as long as it lasts.
pub(super) static SENDING: Room = Room::new("downloads", 256, 128);
/// Files that are taken at one time: each may hold two parts in memory.
pub(super) static TAKING: Room = Room::new("uploads", 32, 16);
/// A sender who sends less than this within the idle time is taken for gone.
const LEAST_BYTES: u64 = 16 << 10;

/// Bytes that are read of a request that is refused, so that its caller reads the answer.
const PASSED_OVER: usize = 16 << 20;
/// For how long.
const PASS_OVER: Duration = Duration::from_secs(5);

/// So many bytes as a body. Where they end early, or in an error, or nobody takes any for so long, the connection breaks: who
/// has read to the end has what was promised. The last piece is held back until it is known that nothing is wrong with those
/// before it.
pub(super) fn body(mut bytes: PlainBytes, promised: u64, idle: Duration, place: Place) -> Body {
    let (to_caller, pieces) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        let _place = place;
        let mut held: Option<Bytes> = None;
        loop {
            let next = match bytes.next().await {
                Some(Ok(piece)) => Some(piece),
                Some(Err(error)) => {
                    tracing::error!(%error, "a file could not be sent to its end");
                    return;
                }
                None => None,
            };
            let is_last = next.is_none();
            if let Some(before) = std::mem::replace(&mut held, next)
                && to_caller.send_timeout(before, idle).await.is_err()
            {
                return; // Nobody is there any more.
            }
            if is_last {
                return;
            }
        }
    });
    let stream = stream::unfold((pieces, promised), |(mut pieces, left)| async move {
        match pieces.recv().await {
            Some(piece) => {
                let left = left.saturating_sub(piece.len() as u64);
                Some((Ok(piece), (pieces, left)))
            }
            None if left == 0 => None,
            None => {
                let cut = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file ended early");
                Some((Err(cut), (pieces, 0)))
            }
        }
    });
    Body::from_stream(stream)
}

/// A body that is taken piece by piece.
pub(super) struct Incoming {
    body: Body,
    idle: Duration,
    left: u64,
    most: u64,
    deadline: Instant,
    /// Bytes since the deadline was set.
    since: u64,
}

impl Incoming {
    /// A body of at most so many bytes, whose sender may be idle for so long.
    pub(super) fn new(body: Body, most: u64, idle: Duration) -> Self {
        Self { body, idle, left: most, most, deadline: Instant::now() + idle, since: 0 }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Problem`] where the body is too large, comes too slowly, or ends before its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await.map_err(|_| {
                let idle = self.idle.as_secs();
                let text = format!("less than {LEAST_BYTES} bytes came within {idle} s: send it again");
                Problem::new(ProblemType::TimedOut, text)
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let cut = |_| Problem::new(ProblemType::Invalid, "the body ended before its end");
            let Ok(bytes) = frame.map_err(cut)?.into_data() else { continue };
            let count = bytes.len() as u64;
            self.left = self.left.checked_sub(count).ok_or_else(|| too_large(self.most))?;
            self.since += count;
            if self.since >= LEAST_BYTES {
                self.go_on();
            }
            return Ok(Some(bytes));
        }
    }

    /// The time until now was not the sender's.
    pub(super) fn go_on(&mut self) {
        (self.deadline, self.since) = (Instant::now() + self.idle, 0);
    }
}

/// Reads some of the body of a request that is refused: a caller who is still sending would else find the connection broken
/// before he has read why. Who asks first whether to send has sent nothing.
pub(super) async fn pass_over(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let read = async {
        let mut left = PASSED_OVER;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Who sends so slowly has not sent much.
    let _ = tokio::time::timeout(PASS_OVER, read).await;
}

/// The problem of a body that is too large.
pub(super) fn too_large(most: u64) -> Problem {
    Problem::new(ProblemType::TooLarge, format_args!("a file may have {most} bytes at most"))
}
