//! When to go down: the signals by which a process is asked to.

use std::io;

/// Listens for SIGTERM and SIGINT (ctrl-c) from now on; the future ends with the first of them.
///
/// # Errors
/// Where the process can't listen for signals.
#[cfg(unix)]
pub fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: going down"),
            _ = interrupt.recv() => tracing::info!("SIGINT: going down"),
        }
    })
}

/// Listens for ctrl-c; the future ends with the first.
///
/// # Errors
/// None on this platform; other platforms can fail.
#[cfg(not(unix))]
pub fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can tell us: only killing the process is left.
            std::future::pending::<()>().await;
        }
    })
}
