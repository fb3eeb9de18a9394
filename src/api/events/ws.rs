//! The same events by WebSocket (RFC 6455).

use std::time::Duration;

use axum::{
    extract::{
        FromRequestParts, State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{HeaderMap, request::Parts},
    response::Response,
};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::{AfterQuery, BEAT, Ending, Step, Stream};
use crate::{
    api::{
        caller::Caller,
        documents::EventDocument,
        extract::{Path, Query},
        jobs,
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    domain::JobId,
};

/// The most bytes of a client's message: it has nothing to say.
const MOST_FROM_CLIENT: usize = 1 << 10;
/// How often a client may say something, pings and pongs among it, between two beats.
const MOST_WORDS: u32 = 100;
/// What is read ahead of a client, and written at once.
const BUFFER: usize = 4 << 10;
/// The most that is held for a client that reads slowly: an event, whatever its text.
const MOST_HELD: usize = 64 << 10;
/// How long one message may take to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the other side has to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A request that asks for a WebSocket.
pub(super) struct Upgrade(WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        upgrade.map(Self).map_err(|error| {
            Problem::new(
                ProblemType::Invalid,
                format_args!("open this with a WebSocket: {}", error.body_text()),
            )
        })
    }
}

/// Follow a job by WebSocket
///
/// Each message is an `Event` as JSON text: all kept ones above `after`, then new ones as they come. The server closes with 1000
/// after the job's last event, with 1001 when it stops or does not hear of the client, with 1008 when the credential holds no
/// more or has to be shown anew (after 15 minutes at the latest), with 1013 where events can't be read now. Whatever the client
/// says is ignored; more than 1 KiB at once closes with 1009, more than 100 messages in 15 seconds with 1008.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/events/ws",
    tag = "events",
    params(("job" = String, Path, description = "The job"), AfterQuery),
    responses(
        (status = SWITCHING_PROTOCOLS, description = "A WebSocket, whose messages are events", body = EventDocument),
    ),
    extensions(("x-permission" = json!("jobs:read")), ("x-timeout" = json!("none")))
)]
pub(super) async fn follow(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Problem> {
    // Also where it has ended: the socket tells so.
    jobs::find(&state, caller.tenant(), job).await?;
    let stream = Stream::open(&state, &caller, &headers, job, query.after.unwrap_or(0)).await?;
    let upgrade = upgrade.max_message_size(MOST_FROM_CLIENT).max_frame_size(MOST_FROM_CLIENT);
    let upgrade = upgrade.read_buffer_size(BUFFER).write_buffer_size(0).max_write_buffer_size(MOST_HELD);
    Ok(upgrade.on_upgrade(move |socket| tell(socket, stream)))
}

async fn tell(mut socket: WebSocket, stream: Option<Stream>) {
    let close = match stream {
        Some(stream) => events(&mut socket, stream).await,
        None => Some(ended(Ending::Over)),
    };
    let Some((code, reason)) = close else { return };
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    if timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await.is_ok_and(|sent| sent.is_ok()) {
        let goodbye = async { while let Some(Ok(_)) = socket.recv().await {} };
        // Whether the other side says goodbye or not: it was told.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// Tells events until the end; with which code and reason to close, or `None` where nobody is there to be told.
async fn events(socket: &mut WebSocket, mut stream: Stream) -> Option<(u16, &'static str)> {
    let (mut heard, mut words, mut counted_from) = (Instant::now(), 0, Instant::now());
    loop {
        let message = tokio::select! {
            step = stream.next() => match step {
                Step::Event(frame) => Message::Text(Utf8Bytes::try_from(frame.json()).unwrap_or_default()),
                Step::Beat if heard.elapsed() > BEAT * 3 => return Some((close_code::AWAY, "nothing was heard of the client")),
                Step::Beat => Message::Ping(Bytes::new()),
                Step::End(ending) => return Some(ended(ending)),
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_))) | None => return None,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    if heard - counted_from > BEAT {
                        (words, counted_from) = (0, heard);
                    }
                    words += 1;
                    if words > MOST_WORDS {
                        return Some((close_code::POLICY, "a client of this has nothing to say"));
                    }
                    continue;
                }
                Some(Err(_)) => return Some((close_code::SIZE, "at most 1 KiB at once, by the protocol")),
            },
        };
        match timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

fn ended(ending: Ending) -> (u16, &'static str) {
    match ending {
        Ending::Over => (close_code::NORMAL, "the job has ended"),
        Ending::Stopping => (close_code::AWAY, "the server stops: come again, after the last event"),
        Ending::Credential => (close_code::POLICY, "show the credential anew, after the last event"),
        Ending::Failed => (close_code::AGAIN, "events can't be read now: come again, after the last event"),
    }
}
