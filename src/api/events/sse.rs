//! Server-sent events (the WHATWG's `text/event-stream`).

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;

use super::{AfterQuery, Ending, Step, Stream, place};
use crate::{
    api::{
        caller::Caller,
        documents::EventDocument,
        extract::{Path, Query},
        problem::Problem,
        state::ApiState,
    },
    domain::JobId,
};

/// How long a browser waits before it comes again, in milliseconds.
const COME_AGAIN: u64 = 2_000;
/// When the server stops they come again within so many more, not all at once.
const SPREAD: u64 = 3_000;

/// Follow a job by server-sent events
///
/// All kept events above `Last-Event-ID` (or `after`), then new ones as they come. An event's `id` is its sequence number, its
/// name is its `type` (`state`, `progress`, `text`), its data is an `Event`. The stream ends after the job's last event: whoever
/// comes again with that one's id is answered with 204, at which a browser stops. It ends also with the credential's time
/// or, within seconds, when that is revoked or its user may follow no more, after 15 minutes, and when the server stops, each time with a `retry:` hint: come again with the last id.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/events",
    tag = "events",
    params(
        ("job" = String, Path, description = "The job"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen"),
        AfterQuery,
    ),
    responses(
        (status = OK, description = "The events", body = EventDocument, content_type = "text/event-stream"),
        (status = NO_CONTENT, description = "The job has ended and nothing is left to tell"),
    ),
    extensions(("x-permission" = json!("jobs:read")), ("x-timeout" = json!("none")))
)]
pub(super) async fn follow(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<JobId>,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = place(&headers, &query)?;
    let Some(stream) = Stream::open(&state, &caller, &headers, job, after).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let later = COME_AGAIN + state.engine().random.below(SPREAD);
    let first = Bytes::from(format!("retry: {COME_AGAIN}\n\n"));
    let events = stream::unfold((Some(stream), Some(first)), move |(open, first)| async move {
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(first), (open, None)));
        }
        let mut open = open?;
        Some(match open.next().await {
            Step::Event(frame) => (Ok(frame.sse()), (Some(open), None)),
            Step::Beat => (Ok(Bytes::from_static(b":\n\n")), (Some(open), None)),
            Step::End(Ending::Over) => return None,
            Step::End(_) => (Ok(Bytes::from(format!("retry: {later}\n\n"))), (None, None)),
        })
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of nginx's kind would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
