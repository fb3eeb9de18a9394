//! TLS in process. Owns: the certificate and its key, read from two files and read again when they change. Must not know: HTTP.
//!
//! TLS 1.2 and 1.3 by rustls with ring; HTTP/1.1 is what is spoken inside (ALPN).

use std::{
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::MissedTickBehavior,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::config::ApiSettings;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is looked whether the files have changed.
const LOOKED_AT: Duration = Duration::from_secs(10);

/// The certificate can't be used, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Set the other one, too.
    #[error("`tls_cert` and `tls_key` belong together: only one of them is set")]
    Half,
    /// Mend the file's path, its permissions or what is in it.
    #[error("{} can't be used: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: pem::Error,
    },
    /// Give the key that belongs to the certificate.
    #[error("the certificate {} and its key can't be used: {cause}", path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: rustls::Error,
    },
}

/// A certificate with its key, as of its files. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.current.files).finish()
    }
}

#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What is shown to whoever connects now.
struct Current {
    files: Files,
    pair: RwLock<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.files.fmt(f)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Files {
    fn of(settings: &ApiSettings) -> Result<Option<Self>, TlsError> {
        match (&settings.tls_cert, &settings.tls_key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(Self { cert: cert.clone(), key: key.clone() })),
            _ => Err(TlsError::Half),
        }
    }

    /// Blocks for the time of reading two small files.
    fn read(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let wrong = |path: &PathBuf| {
            let path = path.clone();
            move |cause| TlsError::File { path, cause }
        };
        let chain = CertificateDer::pem_file_iter(&self.cert).map_err(wrong(&self.cert))?;
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(wrong(&self.cert))?;
        if chain.is_empty() {
            return Err(wrong(&self.cert)(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(wrong(&self.key))?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
        pair.map(Arc::new).map_err(|cause| TlsError::Pair { path: self.cert.clone(), cause })
    }

    /// When each was changed last, to tell whether it has been since. A link counts as what it leads to.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.cert, &self.key].map(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
    }
}

impl Tls {
    /// The certificate that the settings name; nothing where they name none. Blocks for the time of reading two small files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(settings: &ApiSettings) -> Result<Option<Self>, TlsError> {
        let Some(files) = Files::of(settings)? else { return Ok(None) };
        let pair = RwLock::new(files.read()?);
        let current = Arc::new(Current { files, pair });
        let unusable = |cause| TlsError::Pair { path: current.files.cert.clone(), cause };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?;
        let mut config = config.with_no_client_auth().with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(config)), current }))
    }

    /// Shakes hands with whoever has connected.
    ///
    /// # Errors
    /// Where he does not, or takes too long.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await?
    }

    /// Reads the files again; where they can't be used the pair before stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub async fn reload(&self) -> Result<(), TlsError> {
        let files = self.current.files.clone();
        let read = tokio::task::spawn_blocking(move || files.read()).await;
        let pair = read.map_err(|error| TlsError::Pair {
            path: self.current.files.cert.clone(),
            cause: rustls::Error::General(error.to_string()),
        })??;
        *self.current.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// Reads the files again on SIGHUP and when they have changed, until `stopping` fires.
    pub(super) fn watch(self, stopping: CancellationToken) -> impl Future<Output = ()> + Send {
        // From now on, so that a signal that comes early is not lost.
        let hangup = Hangup::listen();
        self.watch_for(hangup, stopping)
    }

    async fn watch_for(self, mut hangup: Hangup, stopping: CancellationToken) {
        let mut looks = tokio::time::interval(LOOKED_AT);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = self.changed().await;
        loop {
            let is_asked = tokio::select! {
                () = stopping.cancelled() => return,
                () = hangup.heard() => true,
                _ = looks.tick() => false,
            };
            let now = self.changed().await;
            if !is_asked && now == known {
                continue;
            }
            known = now;
            match self.reload().await {
                Ok(()) => {
                    tracing::info!(cert = %self.current.files.cert.display(), "read the certificate again")
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate could not be read again: the one before stays")
                }
            }
        }
    }

    async fn changed(&self) -> [Option<SystemTime>; 2] {
        let files = self.current.files.clone();
        tokio::task::spawn_blocking(move || files.changed()).await.unwrap_or_default()
    }
}

/// SIGHUP, where there is such a thing.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = signal(SignalKind::hangup());
        let signal = signal.inspect_err(|error| tracing::warn!(%error, "SIGHUP can't be listened for"));
        Self { signal: signal.ok() }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    async fn heard(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
