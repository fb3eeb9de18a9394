//! What every request passes before it reaches a handler, and every answer on its way out. Owns: the order of it, from outside:
//! who calls and in which request ([`origin`], [`trace`]), the line in the log, headers that browsers heed, the host's name,
//! pages of other origins, bodies that dawdle, time. Must not know: any resource, who may do what.
//!
//! What a route needs otherwise its operation says in the OpenAPI document: `x-timeout = "none"` where a request may take
//! longer than others (an upload), `x-limit = "none"` where nobody is counted (a probe).

mod body;
mod cors;
mod headers;
mod hosts;
mod limits;
mod operations;
mod origin;
mod trace;

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

pub(super) use headers::protect;
pub(crate) use limits::Limits;
pub(crate) use operations::Operations;
pub(crate) use trace::Trace;

use super::{
    caller::Origin,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    config::ApiSettings,
    domain::{Clock, SeededRandom},
    telemetry::ACCESS,
};

/// What the layers work with.
pub(super) struct Layers {
    state: ApiState,
    operations: Arc<Operations>,
    /// For ids of requests, which need not be hard to guess but many.
    ids: SeededRandom,
}

impl Layers {
    /// For the operations of this API.
    pub(super) fn new(state: ApiState, operations: Arc<Operations>) -> Self {
        let ids = SeededRandom::of(&*state.engine().random);
        Self { state, operations, ids }
    }

    fn settings(&self) -> &ApiSettings {
        self.state.settings()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.state.engine().clock
    }

    /// A router with all layers around it.
    pub(super) fn around(self, router: Router) -> Router {
        let cors = cors::layer(&self.settings().cors_origins);
        let layers = Arc::new(self);
        match cors {
            // Each layer costs each request some allocations: where nothing has to stand between the halves they are one.
            None => router.layer(middleware::from_fn_with_state(layers, whole)),
            Some(cors) => router.layer((
                middleware::from_fn_with_state(layers.clone(), outer),
                cors,
                middleware::from_fn_with_state(layers, inner),
            )),
        }
    }
}

async fn whole(State(layers): State<Arc<Layers>>, request: Request, next: Next) -> Response {
    told(&layers, request, |request| bounded(&layers, request, next)).await
}

async fn outer(State(layers): State<Arc<Layers>>, request: Request, next: Next) -> Response {
    told(&layers, request, |request| next.run(request)).await
}

async fn inner(State(layers): State<Arc<Layers>>, request: Request, next: Next) -> Response {
    bounded(&layers, request, next).await
}

/// The outer half: who calls, in which request, what the answer tells, and what is counted of both.
async fn told<F>(layers: &Layers, mut request: Request, answer: impl FnOnce(Request) -> F + Send) -> Response
where
    F: Future<Output = Response> + Send,
{
    let (settings, random) = (layers.settings(), &layers.ids);
    let begun = layers.clock().elapsed();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let way = origin::way(settings, peer, request.headers());
    let id = origin::request_id(request.headers(), random);
    let trace = Trace::of(request.headers(), random);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_probe = layers.operations.is_uncounted(&method, route.as_ref().map(MatchedPath::as_str));
    let span = tracing::info_span!("request", id, trace = %trace.id());
    request.extensions_mut().insert(Origin { address: way.address, request: Some(id.clone()) });
    request.extensions_mut().insert(trace.clone());
    let hosted = if is_probe { Ok(()) } else { hosts::check(&settings.hosts, &request) };
    let mut response = async {
        match hosted {
            Ok(()) => caught(answer(request)).await,
            Err(problem) => problem.into_response(),
        }
    }
    .instrument(span)
    .await;
    let answered = Answered {
        method: origin::known(&method),
        route: route.as_ref().map(MatchedPath::as_str),
        status: response.status().as_u16(),
        took: layers.clock().elapsed().saturating_sub(begun),
        address: way.address,
        id: &id,
        trace: &trace,
    };
    layers.state.requests().count(&method, answered.route, answered.status, answered.took);
    answered.line(is_probe);
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    // Else it would grow, and be built anew, twice.
    headers.reserve(MOST_ADDED);
    headers::protect(headers, settings.has_tls() || way.is_secure);
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("x-request-id", id);
    }
    trace.tell(headers);
    if layers.state.stopping().is_cancelled() && !is_upgrade {
        // Who keeps the connection would find it closed.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How many headers an answer is given beside its own.
const MOST_ADDED: usize = 20;

/// What a request's line in the log tells: its route, for a path may hold what is nobody else's business.
struct Answered<'a> {
    method: &'static str,
    route: Option<&'a str>,
    status: u16,
    took: Duration,
    address: Option<std::net::IpAddr>,
    id: &'a str,
    trace: &'a Trace,
}

impl Answered<'_> {
    /// Writes the line. Outside of the request's span, whose fields each line within it repeats at some cost.
    fn line(&self, is_probe: bool) {
        let Self { method, status, id, .. } = *self;
        let (route, ms) = (self.route.unwrap_or("-"), self.took.as_secs_f64() * 1_000.0);
        let (from, trace) = (self.address.map(tracing::field::display), self.trace.id());
        if is_probe {
            tracing::debug!(target: ACCESS, method, route, status, ms, from, id, trace, "answered");
        } else {
            tracing::info!(target: ACCESS, method, route, status, ms, from, id, trace, "answered");
        }
    }
}

/// The inner half: bounds on what a request may cost before its handler has answered.
async fn bounded(layers: &Layers, request: Request, next: Next) -> Response {
    if let Some(coding) = request.headers().get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let problem = Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body as it is: compressed ones are not taken",
        );
        let identity = HeaderValue::from_static("identity");
        return problem.header(header::ACCEPT_ENCODING, identity).into_response();
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let (is_known, has_time) = (path.is_some(), layers.operations.is_untimed(request.method(), path));
    if !is_known {
        // Nobody else counts who looks for what is not there.
        let origin = Origin::of(&request);
        if let Err(problem) = Box::pin(layers.state.limits().anonymous(&origin)).await {
            return problem.into_response();
        }
    }
    let (request, seen) = body::watched(request, layers.settings().idle_timeout);
    let answering = caught(next.run(request));
    let response = if has_time {
        answering.await
    } else {
        match tokio::time::timeout(layers.settings().request_timeout, answering).await {
            Ok(response) => response,
            Err(_) if seen.is_whole() => return too_long().into_response(),
            Err(_) => return too_slow().into_response(),
        }
    };
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && seen.has_stalled() { too_slow().into_response() } else { response }
}

fn too_slow() -> Problem {
    Problem::new(ProblemType::TimedOut, "the body did not come in time: send it again, and faster")
        .header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn too_long() -> Problem {
    let detail = "the operation took too long and was given up; what it may have done is done: look before you repeat it";
    Problem::new(ProblemType::Unavailable, detail).after(Duration::from_secs(5))
}

/// An answer, also where whoever was to give it panics.
async fn caught(answering: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(response) => response,
        // The panic's own message is in the log already, and may hold what callers must not see.
        Err(_) => Problem::internal("a handler panicked").into_response(),
    }
}

/// A header's text, where it is there once and is one.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
