//! Answers that are read while they come. Must not know: what is in them.

use std::{fmt, time::Duration};

use bytes::Bytes;
use reqwest::{Response, StatusCode, header::HeaderMap};
use tokio::time::timeout;

use super::{OutgoingError, OutgoingRequest, TOO_LARGE, failed, told};

/// An answer that is still coming. Dropped before its end, its connection is closed at once.
pub struct OutgoingStream {
    /// The status; a redirect only where those were asked for.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    response: Response,
    most_bytes: usize,
}

impl fmt::Debug for OutgoingStream {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingStream({})", self.status)
    }
}

impl OutgoingRequest {
    /// Makes the call, under all checks of [`send`](Self::send), and gives the answer while it comes; its head is waited for
    /// this long. [`within`](Self::within) and [`at_most`](Self::at_most) hold from the name to the last byte here as well.
    ///
    /// # Errors
    /// [`OutgoingError`]. An answer of whatever status is none, except a redirect that was not asked for.
    pub async fn stream(self, head_within: Duration) -> Result<OutgoingStream, OutgoingError> {
        let most_bytes = self.most_bytes;
        let begun = timeout(head_within, self.begin(cut)).await;
        let mut response = begun.map_err(|_| silent(head_within))??;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(OutgoingStream { status, headers, response, most_bytes })
    }
}

impl OutgoingStream {
    /// The next bytes, waited for this long; `None` at the end. Loses nothing where it is given up.
    ///
    /// # Errors
    /// [`OutgoingError::Cut`], or [`OutgoingError::Answer`] where there is too much of it.
    pub async fn chunk(&mut self, within: Duration) -> Result<Option<Bytes>, OutgoingError> {
        let chunk = timeout(within, self.response.chunk()).await.map_err(|_| silent(within))?;
        let Some(chunk) = chunk.map_err(cut)? else { return Ok(None) };
        self.most_bytes = self.most_bytes.checked_sub(chunk.len()).ok_or(TOO_LARGE)?;
        Ok(Some(chunk))
    }
}

fn silent(within: Duration) -> OutgoingError {
    OutgoingError::Cut(format!("nothing came for {within:?}"))
}

/// What it means that a call failed which may have been begun.
fn cut(error: reqwest::Error) -> OutgoingError {
    match failed(&error) {
        OutgoingError::Unavailable(_) if !error.is_connect() => OutgoingError::Cut(told(&error)),
        failed => failed,
    }
}
