//! The baseline: bare axum routes that read and enqueue, or tell many of an event, and nothing else.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::stream;
use presswork::{
    cli::CliError,
    domain::{JobId, KindName, TenantId},
    engine::Engine,
    worker::Registry,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::door::listen;

/// As many as a feed of ours holds for those who are slow.
const MOST_HELD: usize = 64;

#[derive(Clone)]
struct Bare {
    engine: Engine,
    registry: Arc<Registry>,
    owner: TenantId,
    events: broadcast::Sender<Bytes>,
}

/// What a job is, to the bare route.
#[derive(Deserialize)]
struct Job {
    kind: KindName,
    payload: Box<RawValue>,
}

/// Reads and enqueues.
async fn create(State(state): State<Bare>, Json(body): Json<Job>) -> StatusCode {
    let id = JobId::new(state.engine.clock.now(), &*state.engine.random);
    let payload = Bytes::from(body.payload.get().to_owned());
    let Ok(job) = state.registry.new_job(id, state.owner, &body.kind, payload) else {
        return StatusCode::UNPROCESSABLE_ENTITY;
    };
    match state.engine.queue.enqueue(vec![job]).await {
        Ok(answers) if answers.iter().all(Result::is_ok) => StatusCode::CREATED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Tells all who follow what the body says.
async fn tell(State(state): State<Bare>, body: Bytes) -> StatusCode {
    let event = [b"event: progress\ndata: ", &body[..], b"\n\n"].concat();
    // Nobody follows: nobody is told.
    let _ = state.events.send(event.into());
    StatusCode::NO_CONTENT
}

async fn follow(State(state): State<Bare>) -> Response {
    let events = stream::unfold(state.events.subscribe(), async |mut events| {
        let event = events.recv().await.ok()?;
        Some((Ok::<_, Infallible>(event), events))
    });
    // Else no head would be sent before the first event.
    let hello = stream::iter([Ok(Bytes::from_static(b":\n\n"))]);
    let body = Body::from_stream(futures_util::StreamExt::chain(hello, events));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Serves them on a port of their own.
pub(super) async fn start(
    engine: &Engine,
    registry: Arc<Registry>,
    owner: TenantId,
    stopping: CancellationToken,
) -> Result<SocketAddr, CliError> {
    let (events, _) = broadcast::channel(MOST_HELD);
    let state = Bare { engine: engine.clone(), registry, owner, events };
    let router = Router::new().route("/jobs", post(create)).route("/tell", post(tell));
    let router = router.route("/events", get(follow)).with_state(state);
    let (listener, address) = listen().await?;
    tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await
    });
    Ok(address)
}
