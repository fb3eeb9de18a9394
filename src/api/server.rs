//! Serves a router over HTTP: bounds on connections, headers and time, and a graceful end. Must not know: any route.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::config::ApiSettings;

/// Requests' heads of more bytes than this are refused.
const MOST_HEAD_BYTES: usize = 32 << 10;
/// Requests' heads of more headers than this are refused.
const MOST_HEADERS: usize = 100;

/// Serves until `stopping` fires, and then until the requests that have begun have ended, as long as `drain` at most.
///
/// # Errors
/// Where the listener can't accept any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ApiSettings,
    stopping: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let (connections, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(settings.most_connections)));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stopping.cancelled() => break,
        };
        let (stream, address, slot) = match accepted {
            Ok(accepted) => accepted,
            // One connection's own trouble, or no file handle for it: the next one may do.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(settings.header_timeout);
        server.max_headers(MOST_HEADERS).max_buf_size(MOST_HEAD_BYTES);
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            router.clone().oneshot(request)
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %address, "a connection broke");
            }
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("requests were cut off: they took longer than the drain time");
    }
    Ok(())
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for it: those that wait, wait in the system's own queue.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<Accepted> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, address, slot))
}
