//! `[api]` of `presswork.toml`, and its variables: how the HTTP API is served.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::quantity::{ByteSize, TimeSpan};

/// How the HTTP API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Where it listens; nothing where there is none.
    pub listen: Option<SocketAddr>,
    /// The most bytes of a body that is not a file. Default 1 MiB.
    pub most_body_bytes: usize,
    /// The most connections at one time. Default 4,096.
    pub most_connections: usize,
    /// How long a request's head may take. Default 10 s.
    pub header_timeout: Duration,
    /// How long an operation may take before it answers; streams and files are not bound by it. Default 30 s.
    pub request_timeout: Duration,
    /// The most event streams of one tenant at one time, in one process. Default 1,000.
    pub most_streams: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: None,
            most_body_bytes: 1 << 20,
            most_connections: 4_096,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            most_streams: 1_000,
        }
    }
}

/// What one place says of the API. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiLayer {
    /// [`ApiSettings::listen`].
    pub listen: Option<SocketAddr>,
    /// [`ApiSettings::most_body_bytes`].
    pub most_body_bytes: Option<ByteSize>,
    /// [`ApiSettings::most_connections`].
    pub most_connections: Option<usize>,
    /// [`ApiSettings::header_timeout`].
    pub header_timeout: Option<TimeSpan>,
    /// [`ApiSettings::request_timeout`].
    pub request_timeout: Option<TimeSpan>,
    /// [`ApiSettings::most_streams`].
    pub most_streams: Option<usize>,
}

impl ApiSettings {
    /// These settings, with what a layer says put over them.
    pub fn under(self, layer: ApiLayer) -> Self {
        Self {
            listen: layer.listen.or(self.listen),
            most_body_bytes: layer
                .most_body_bytes
                .map_or(self.most_body_bytes, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
            most_connections: layer.most_connections.unwrap_or(self.most_connections),
            header_timeout: layer.header_timeout.map_or(self.header_timeout, |span| span.0),
            request_timeout: layer.request_timeout.map_or(self.request_timeout, |span| span.0),
            most_streams: layer.most_streams.unwrap_or(self.most_streams),
        }
    }
}
