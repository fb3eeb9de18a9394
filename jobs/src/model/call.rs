//! One call of a server: from the request to the end of what it streams. Owns: the patience with it. Must not know: what a
//! protocol's events mean.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use presswork::{
    domain::Clock,
    security::outgoing::{OutgoingError, OutgoingRequest, OutgoingStream},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Event, Finish, ModelError, Patience,
    lines::{Lines, TooLarge},
    refusal,
    sse::Sse,
    wait::retry_after,
};

/// How large an event of a stream may be: a few tokens have a few hundred bytes.
const MOST_EVENT_BYTES: usize = 1 << 20;
/// How many bytes a stream may have, before and around all text that is bounded elsewhere.
const MOST_BYTES: usize = 1 << 30;
/// How much of an error's body is read, and for how long.
const MOST_ERROR_BYTES: usize = 16 << 10;
const ERROR_WITHIN: Duration = Duration::from_secs(5);
/// How long is waited for the usage behind a text that is whole.
const USAGE_WITHIN: Duration = Duration::from_secs(5);
/// How long is waited for the end of the body behind the end of the stream, so that the connection can be used again.
const END_WITHIN: Duration = Duration::from_millis(250);

/// What a protocol's events are read into.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) events: VecDeque<Event>,
    /// The protocol says that nothing more will come.
    pub(super) is_over: bool,
    /// The model has begun to write, or to think where that is shown.
    is_alive: bool,
    /// Why the text ended has been told.
    is_finished: bool,
    /// The reason was that the model or its filter did not want to, which no other reason replaces.
    is_refused: bool,
}

impl Read {
    pub(super) fn push(&mut self, event: Event) {
        match &event {
            Event::Text(text) if text.is_empty() => return,
            Event::Text(_) => self.is_alive = true,
            Event::Thoughts(bytes) => self.is_alive |= *bytes > 0,
            Event::Finished(_) if self.is_refused => return,
            Event::Finished(finish) => {
                self.is_finished = true;
                self.is_refused = *finish == Finish::Refused;
            }
            Event::Used(_) => {}
        }
        self.events.push_back(event);
    }
}

/// Reads the data of one event. The key is never to be repeated.
pub(super) type Reader = fn(&[u8], Option<&str>, &mut Read) -> Result<(), ModelError>;

/// An event's data, which is an object; an array would pass for the fields of one.
pub(super) fn object<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, ModelError> {
    let is_object = data.trim_ascii_start().starts_with(b"{");
    let told = if is_object { serde_json::from_slice(data).ok() } else { None };
    told.ok_or_else(|| ModelError::broken("an event of it can't be read"))
}

/// How events are told apart.
#[derive(Debug)]
pub(super) enum Framing {
    Sse(Sse),
    Lines(Lines),
}

impl Framing {
    pub(super) fn sse() -> Self {
        Self::Sse(Sse::new(MOST_EVENT_BYTES))
    }

    pub(super) fn lines() -> Self {
        Self::Lines(Lines::new(MOST_EVENT_BYTES))
    }

    /// Whether a body of this type can be such a stream: a server that does not stream answers with JSON as a whole, one that
    /// is something else mostly with a page.
    fn fits(&self, content_type: &str) -> bool {
        let is = |kind: &str| content_type.trim_start().to_ascii_lowercase().starts_with(kind);
        match self {
            Self::Sse(_) => !is("application/json") && !is("text/html"),
            Self::Lines(_) => !is("text/html"),
        }
    }

    /// `None` for the end.
    fn feed(&mut self, bytes: Option<&[u8]>, ready: &mut VecDeque<Vec<u8>>) -> Result<(), TooLarge> {
        match (self, bytes) {
            (Self::Sse(sse), Some(bytes)) => sse.feed(bytes, ready),
            (Self::Sse(sse), None) => sse.end(ready),
            (Self::Lines(lines), bytes) => {
                let mut keep = |line: &[u8]| {
                    if !line.trim_ascii().is_empty() {
                        ready.push_back(line.to_vec());
                    }
                    Ok(())
                };
                match bytes {
                    Some(bytes) => lines.feed(bytes, keep),
                    None => keep(&lines.rest()),
                }
            }
        }
    }
}

enum Stage {
    Fresh(OutgoingRequest),
    Reading { stream: OutgoingStream, first_token_by: Instant },
    Ended,
}

/// One call.
pub(super) struct Call {
    stage: Stage,
    framing: Framing,
    reader: Reader,
    read: Read,
    /// What failed, behind what was read before it.
    failed: Option<ModelError>,
    patience: Patience,
    key: Option<SecretString>,
    clock: Arc<dyn Clock>,
}

/// What comes of a call, which is made when the first is waited for and ends when this is dropped.
pub(super) fn events(call: Call) -> impl Stream<Item = Result<Event, ModelError>> + Send {
    stream::unfold(Some(Box::new(call)), |call| async move {
        let mut call = call?;
        match call.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(call))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Call {
    pub(super) fn new(
        request: OutgoingRequest,
        framing: Framing,
        reader: Reader,
        patience: Patience,
        key: Option<SecretString>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let stage = Stage::Fresh(request.within(patience.whole).at_most(MOST_BYTES));
        Self { stage, framing, reader, read: Read::default(), failed: None, patience, key, clock }
    }

    async fn next(&mut self) -> Result<Option<Event>, ModelError> {
        loop {
            if let Some(event) = self.read.events.pop_front() {
                return Ok(Some(event));
            }
            // A text that is whole is not lost to what goes wrong behind it.
            if let Some(error) = self.failed.take().filter(|_| !self.read.is_finished) {
                return Err(error);
            }
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Ended => return Ok(None),
                Stage::Fresh(request) => self.stage = self.begin(request).await?,
                Stage::Reading { mut stream, first_token_by } => {
                    if self.go_on(&mut stream, first_token_by).await {
                        self.stage = Stage::Reading { stream, first_token_by };
                    }
                }
            }
        }
    }

    async fn begin(&self, request: OutgoingRequest) -> Result<Stage, ModelError> {
        let first_token_by = Instant::now() + self.patience.first_token;
        let mut stream = request.stream(self.patience.first_token).await.map_err(called)?;
        let status = stream.status.as_u16();
        let content_type =
            stream.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if stream.status.is_success() && self.framing.fits(content_type) {
            return Ok(Stage::Reading { stream, first_token_by });
        }
        let is_success = stream.status.is_success();
        let body = bounded(&mut stream).await;
        let key = self.key.as_ref().map(ExposeSecret::expose_secret);
        if is_success {
            let value = serde_json::from_slice(&body).ok();
            let error = value.filter(|value: &serde_json::Value| value.get("error").is_some());
            return Err(error.map_or_else(
                || ModelError::settings("its base_url leads to something that does not stream answers"),
                |error| refusal::within(&error, key),
            ));
        }
        Err(refusal::answered(status, &body, retry_after(&stream.headers, self.clock.now()), key))
    }

    /// Reads what comes next; whether there may be more.
    async fn go_on(&mut self, stream: &mut OutgoingStream, first_token_by: Instant) -> bool {
        if self.read.is_over {
            // Whatever it is, it is not ours.
            let _ = stream.chunk(END_WITHIN).await;
            return false;
        }
        let within = match (self.read.is_finished, self.read.is_alive) {
            (true, _) => USAGE_WITHIN.min(self.patience.idle),
            (false, true) => self.patience.idle,
            (false, false) => first_token_by.saturating_duration_since(Instant::now()),
        };
        let mut ready = VecDeque::new();
        let (fed, is_end) = match stream.chunk(within).await {
            Ok(bytes) => (self.framing.feed(bytes.as_deref(), &mut ready), bytes.is_none()),
            Err(_) if !self.read.is_alive && Instant::now() >= first_token_by => {
                let patience = self.patience.first_token;
                self.failed = Some(ModelError::broken(format_args!("no text came for {patience:?}")));
                return false;
            }
            Err(error) => {
                self.failed = Some(called(error));
                return false;
            }
        };
        let key = self.key.as_ref().map(ExposeSecret::expose_secret);
        for data in ready {
            if self.read.is_over {
                break;
            }
            if let Err(error) = (self.reader)(&data, key, &mut self.read) {
                self.failed = Some(error);
                return false;
            }
        }
        if let Err(error) = fed {
            self.failed = Some(ModelError::broken(error));
        }
        self.failed.is_none() && !is_end
    }
}

/// What it means that a call could not be made, or not to its end.
fn called(error: OutgoingError) -> ModelError {
    match error {
        OutgoingError::Unavailable(_) => ModelError::retry(error),
        OutgoingError::Cut(reason) => ModelError::broken(reason),
        OutgoingError::Refused(_) | OutgoingError::Answer(_) | OutgoingError::Broken(_) => {
            ModelError::settings(error)
        }
    }
}

/// The beginning of a body, whatever it is.
async fn bounded(stream: &mut OutgoingStream) -> Vec<u8> {
    let (mut body, by) = (Vec::new(), Instant::now() + ERROR_WITHIN);
    while body.len() < MOST_ERROR_BYTES
        && let Ok(Some(bytes)) = stream.chunk(by.saturating_duration_since(Instant::now())).await
    {
        body.extend_from_slice(&bytes[..bytes.len().min(MOST_ERROR_BYTES - body.len())]);
    }
    body
}
