//! The one file that names apalis. Its worker runs our attempts behind tower layers for concurrency, tracing and panic
//! capture; its monitor owns start and shutdown. Must not know: how claims, leases and verdicts travel to the queue.
//!
//! What apalis 1.0 asks for, found by trying it: `poll_next` must never fail (it would end the worker and drop what
//! runs); the monitor polls a worker in one task, so attempts are spawned; a shutdown timeout of the monitor would drop
//! attempts without closing the backend, so draining is ours; the backend is not polled while attempts drain, so the
//! buffer is handed back by the fetcher.

use std::{
    any::Any,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis::{
    layers::{WorkerBuilderExt as _, catch_panic::CatchPanicLayer, tracing::TraceLayer},
    prelude::{Backend, Monitor, ParallelizeExt as _, Task, TaskBuilder, WorkerBuilder, WorkerContext},
};
use apalis_core::backend::{BackendConfig, finalize::Ephemeral};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};
use tower::{Layer, Service};

use super::{
    attempt::{Attempt, Workshop},
    fetch::Buffer,
    settle::Settlements,
};
use crate::{domain::Failure, queue::BoxError};

/// What the backend works on: the buffer in front, the settler behind.
pub(crate) struct Line {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) settlements: Settlements,
    pub(crate) workshop: Arc<Workshop>,
    /// Cancelled once the fetcher has ended and handed back the buffer.
    pub(crate) fetched: CancellationToken,
    /// How long closing may wait for the store: after that all leases have lapsed anyway.
    pub(crate) patience: Duration,
}

/// Runs attempts in `slots` slots until the signal, then those that run to their end. The token is cancelled when
/// apalis lets go of the backend, so that the caller can notice an end nobody asked for.
///
/// # Errors
/// What ended the worker, where it was not the signal.
pub(crate) async fn run(
    name: &str,
    slots: usize,
    line: Line,
    gone: &CancellationToken,
    signal: impl Future<Output = ()> + Send,
) -> Result<(), BoxError> {
    let (name, line, gone) = (name.to_owned(), Arc::new(line), gone.clone());
    let monitor = Monitor::new().register(move |_restart| {
        let backend = QueueBackend { line: line.clone(), closing: None, _gone: gone.clone().drop_guard() };
        WorkerBuilder::new(name.clone())
            .backend(backend)
            .parallelize(|attempt| AbortOnDropHandle::new(tokio::spawn(attempt)))
            .concurrency(slots)
            .layer(
                TraceLayer::new()
                    .make_span_with(|task: &Task<Arc<Attempt>>| task.args.span().clone())
                    .on_request(|_: &Task<Arc<Attempt>>, _: &tracing::Span| {})
                    .on_response(())
                    .on_failure(()),
            )
            .layer(CatchPanicLayer::with_panic_handler(panicked))
            .build(|attempt: Arc<Attempt>| async move { attempt.run().await })
    });
    let signal = async {
        signal.await;
        Ok(())
    };
    monitor.run_with_signal(signal).await.map_err(Into::into)
}

/// A panic is a failed attempt with the panic's message.
fn panicked(panic: &Box<dyn Any + Send>) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::retry(format_args!("the handler panicked: {}", text.unwrap_or("without a message")))
}

/// The queue as apalis sees it.
struct QueueBackend {
    line: Arc<Line>,
    closing: Option<BoxFuture<'static, ()>>,
    _gone: DropGuard,
}

impl Backend for QueueBackend {
    type Task = Task<Arc<Attempt>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let Some(claimed) = self.line.buffer.take(cx) else { return Poll::Pending };
        let attempt = Attempt::new(claimed, &self.line.workshop);
        Poll::Ready(Some(Ok(TaskBuilder::new(attempt).build())))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let line = &self.line;
        let closing = self.closing.get_or_insert_with(|| Box::pin(close(line.clone())));
        Pin::new(closing).poll(cx).map(Ok)
    }
}

async fn close(line: Arc<Line>) {
    let settled = async {
        line.fetched.cancelled().await;
        line.settlements.flush().await;
    };
    if tokio::time::timeout(line.patience, settled).await.is_err() {
        tracing::warn!("the store is away: what could not be settled goes on when its lease has lapsed");
    }
}

impl BackendConfig for QueueBackend {
    type Args = Arc<Attempt>;
    type Id = u64;
    /// Hands the task over as it is; with `Durable` a payload that doesn't decode would end the worker.
    type Kind = Ephemeral;
    type Config = ();
    type Layer = ConcludeLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> ConcludeLayer {
        ConcludeLayer(self.line.clone())
    }
}

/// The outermost layer: sees how an attempt ended, whatever happened in the layers inside.
#[derive(Clone)]
struct ConcludeLayer(Arc<Line>);

struct Conclude<S> {
    inner: S,
    line: Arc<Line>,
}

impl<S> Layer<S> for ConcludeLayer {
    type Service = Conclude<S>;

    fn layer(&self, inner: S) -> Conclude<S> {
        Conclude { inner, line: self.0.clone() }
    }
}

impl<S> Service<Task<Arc<Attempt>>> for Conclude<S>
where
    S: Service<Task<Arc<Attempt>>, Response = Value>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Arc<Attempt>>) -> Self::Future {
        let attempt = task.args.clone();
        let outcome = self.inner.call(task);
        let line = self.line.clone();
        Box::pin(async move {
            let outcome = outcome.await.map_err(|error| failure(error.into()));
            let verdict = attempt.conclude(outcome).await;
            line.settlements.send(attempt, verdict);
            line.buffer.ended();
            Ok(())
        })
    }
}

/// What an attempt or one of the layers failed with.
fn failure(error: BoxError) -> Failure {
    error.downcast::<Failure>().map_or_else(Failure::retry, |failure| *failure)
}
