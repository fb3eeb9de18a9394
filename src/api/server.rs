//! Serves a router over HTTP, with or without TLS: bounds on connections, headers and time, and a graceful end. Must not know:
//! any route.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::ServiceExt as _;

use super::{
    descriptors::allow_files,
    socket::{Socket, Turns, hold},
    tls::Tls,
};
use crate::config::ApiSettings;

/// Requests' heads of more bytes than this are refused.
const MOST_HEAD_BYTES: usize = 32 << 10;
/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 256;
/// Requests' heads of more headers than this are refused.
const MOST_HEADERS: usize = 100;

/// Serves until `stopping` fires, and then until the requests that have begun have ended, as long as `drain` at most. Where the
/// settings name a certificate, over TLS only.
///
/// # Errors
/// Where the listener can't accept any more, or the certificate can't be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ApiSettings,
    stopping: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let own = settings.clone();
    let tls = tokio::task::spawn_blocking(move || Tls::open(&own)).await.map_err(io::Error::other)?;
    let tls = tls.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    if let Err(problem) = allow_files(settings.most_connections as u64 + OTHER_FILES) {
        tracing::warn!(%problem, "fewer connections than `most_connections` may fit");
    }
    let (connections, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(settings.most_connections)));
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch(stopping.clone()));
    }
    let server = Arc::new(Server { router, settings: settings.clone(), tls, stopping: stopping.clone() });
    let places = Places::default();
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
        let Some(place) = places.take(address.ip(), settings) else {
            tracing::debug!(%address, "a connection was refused: its address has too many");
            continue;
        };
        let (server, held) = (server.clone(), (slot, place, connections.token()));
        tokio::spawn(async move { server.connected(stream, address, held).await });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("requests were cut off: they took longer than the drain time");
    }
    Ok(())
}

struct Server {
    router: Router,
    settings: ApiSettings,
    tls: Option<Tls>,
    stopping: CancellationToken,
}

impl Server {
    /// A connection from its beginning to its end, or until something else than HTTP is spoken on it.
    async fn connected(&self, stream: TcpStream, address: SocketAddr, held: Held) {
        let ended = match &self.tls {
            None => self.converse(stream, address, held).await,
            Some(tls) => {
                let shaken = tokio::select! {
                    shaken = tls.accept(stream) => shaken,
                    () = self.stopping.cancelled() => return,
                };
                match shaken {
                    Ok(stream) => self.converse(stream, address, held).await,
                    Err(error) => {
                        tracing::debug!(%error, %address, "a handshake failed");
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %address, "a connection broke");
        }
    }

    async fn converse<S>(&self, stream: S, address: SocketAddr, held: Held) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.settings.header_timeout);
        http.max_headers(MOST_HEADERS).max_buf_size(MOST_HEAD_BYTES);
        let turns = Arc::new(Turns::default());
        let (router, begun) = (self.router.clone(), turns.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let turn = begun.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            let answering = router.clone().oneshot(request);
            async move {
                let Ok(response) = answering.await;
                Ok::<_, Infallible>(hold(response, turn))
            }
        });
        let (patience, is_secure) = (self.settings.idle_timeout, self.tls.is_some());
        let socket = TokioIo::new(Socket::new(stream, patience, is_secure, turns, held));
        let mut connection = pin!(http.serve_connection(socket, service).with_upgrades());
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}

/// What a connection has for as long as its socket is open, also where that is a WebSocket's: room among all connections and
/// among those of its address, and that the server waits for it.
type Held = (OwnedSemaphorePermit, Place, TaskTrackerToken);

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The next connection, once there is room for it: those that wait, wait in the system's own queue.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<Accepted> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    // Who has gone already is noticed by whoever reads.
    let _ = stream.set_nodelay(true);
    Ok((stream, address, slot))
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
struct Place {
    places: Places,
    /// None for a proxy: its connections are many people's.
    address: Option<IpAddr>,
}

impl Places {
    fn take(&self, address: IpAddr, settings: &ApiSettings) -> Option<Place> {
        let address = address.to_canonical();
        if settings.trusted_proxies.iter().any(|network| network.contains(address)) {
            return Some(Place { places: self.clone(), address: None });
        }
        let address = subscriber(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= settings.connections_per_address() {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), address: Some(address) })
    }
}

/// What stands for all addresses of a subscriber: of version 6 the first 64 bits.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut all = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&address);
            }
        }
    }
}
