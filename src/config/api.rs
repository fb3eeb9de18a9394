//! `[api]` of `presswork.toml`, and its variables: how the HTTP API is served.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    ConfigError, CorsOrigin, HostPattern, Network, ProxyHeader, Variables, parse,
    quantity::{ByteSize, TimeSpan},
};

/// How the HTTP API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Where it listens; nothing where there is none.
    pub listen: Option<SocketAddr>,
    /// The names under which it may be called; where none is given, `localhost` and IP addresses.
    pub hosts: Vec<HostPattern>,
    /// Which web pages may call it from a browser. Default: those of its own origin.
    pub cors_origins: Vec<CorsOrigin>,
    /// Whose word is taken for a caller's address. Default: nobody's.
    pub trusted_proxies: Vec<Network>,
    /// Where they say it. Default `x-forwarded-for`.
    pub proxy_header: ProxyHeader,
    /// The certificate and those that vouch for it, a file of PEM; with it the API speaks TLS only.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, a file of PEM.
    pub tls_key: Option<PathBuf>,
    /// The most bytes of a body that is not a file. Default 1 MiB.
    pub most_body_bytes: usize,
    /// The most connections at one time. Default 4,096.
    pub most_connections: usize,
    /// The most of them from one address that is no trusted proxy's. Default: an eighth of [`most_connections`](Self::most_connections),
    /// as [`connections_per_address`](Self::connections_per_address) says.
    pub most_connections_per_address: Option<usize>,
    /// How long a request's head may take, counted from the connection or from the answer before it. Default 10 s.
    pub header_timeout: Duration,
    /// How long a caller may neither send nor take a byte in the middle of a request or an answer. Default 30 s.
    pub idle_timeout: Duration,
    /// How long an operation may take before it answers; streams and files are not bound by it. Default 30 s.
    pub request_timeout: Duration,
    /// The most bytes of a file that is uploaded. Default 10 GiB.
    pub most_upload_bytes: u64,
    /// The most files of a tenant. Default 10,000.
    pub most_files: usize,
    /// The most bytes of all its files together. Default 100 GiB.
    pub most_bytes_of_files: u64,
    /// How long a file's sender or receiver may leave the line idle. Default 60 s.
    pub transfer_idle_timeout: Duration,
    /// The most event streams of one tenant at one time, in one process. Default 1,000.
    pub most_streams: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: None,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            tls_cert: None,
            tls_key: None,
            most_body_bytes: 1 << 20,
            most_connections: 4_096,
            most_connections_per_address: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            most_upload_bytes: 10 << 30,
            most_files: 10_000,
            most_bytes_of_files: 100 << 30,
            transfer_idle_timeout: Duration::from_secs(60),
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
    /// [`ApiSettings::hosts`].
    pub hosts: Option<Vec<HostPattern>>,
    /// [`ApiSettings::cors_origins`].
    pub cors_origins: Option<Vec<CorsOrigin>>,
    /// [`ApiSettings::trusted_proxies`].
    pub trusted_proxies: Option<Vec<Network>>,
    /// [`ApiSettings::proxy_header`].
    pub proxy_header: Option<ProxyHeader>,
    /// [`ApiSettings::tls_cert`].
    pub tls_cert: Option<PathBuf>,
    /// [`ApiSettings::tls_key`].
    pub tls_key: Option<PathBuf>,
    /// [`ApiSettings::most_body_bytes`].
    pub most_body_bytes: Option<ByteSize>,
    /// [`ApiSettings::most_connections`].
    pub most_connections: Option<usize>,
    /// [`ApiSettings::most_connections_per_address`].
    pub most_connections_per_address: Option<usize>,
    /// [`ApiSettings::header_timeout`].
    pub header_timeout: Option<TimeSpan>,
    /// [`ApiSettings::idle_timeout`].
    pub idle_timeout: Option<TimeSpan>,
    /// [`ApiSettings::request_timeout`].
    pub request_timeout: Option<TimeSpan>,
    /// [`ApiSettings::most_upload_bytes`].
    pub most_upload_bytes: Option<ByteSize>,
    /// [`ApiSettings::most_files`].
    pub most_files: Option<usize>,
    /// [`ApiSettings::most_bytes_of_files`].
    pub most_bytes_of_files: Option<ByteSize>,
    /// [`ApiSettings::transfer_idle_timeout`].
    pub transfer_idle_timeout: Option<TimeSpan>,
    /// [`ApiSettings::most_streams`].
    pub most_streams: Option<usize>,
}

impl ApiLayer {
    /// What the environment says; lists are separated by commas.
    pub(super) fn from_environment(variable: &Variables<'_>) -> Result<Self, ConfigError> {
        let path = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            listen: parse(variable, "PRESSWORK_LISTEN")?,
            hosts: parse(variable, "PRESSWORK_HOSTS")?.map(|List(all)| all),
            cors_origins: parse(variable, "PRESSWORK_CORS_ORIGINS")?.map(|List(all)| all),
            trusted_proxies: parse(variable, "PRESSWORK_TRUSTED_PROXIES")?.map(|List(all)| all),
            proxy_header: parse(variable, "PRESSWORK_PROXY_HEADER")?,
            tls_cert: path("PRESSWORK_TLS_CERT"),
            tls_key: path("PRESSWORK_TLS_KEY"),
            ..Self::default()
        })
    }
}

/// A list as a variable holds it.
struct List<T>(Vec<T>);

impl<T: std::str::FromStr> std::str::FromStr for List<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl ApiSettings {
    /// These settings, with what a layer says put over them.
    pub fn under(self, layer: ApiLayer) -> Self {
        let span = |span: Option<TimeSpan>, otherwise| span.map_or(otherwise, |span| span.0);
        Self {
            listen: layer.listen.or(self.listen),
            hosts: layer.hosts.unwrap_or(self.hosts),
            cors_origins: layer.cors_origins.unwrap_or(self.cors_origins),
            trusted_proxies: layer.trusted_proxies.unwrap_or(self.trusted_proxies),
            proxy_header: layer.proxy_header.unwrap_or(self.proxy_header),
            tls_cert: layer.tls_cert.or(self.tls_cert),
            tls_key: layer.tls_key.or(self.tls_key),
            most_body_bytes: layer
                .most_body_bytes
                .map_or(self.most_body_bytes, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
            most_connections: layer.most_connections.unwrap_or(self.most_connections),
            most_connections_per_address: layer
                .most_connections_per_address
                .or(self.most_connections_per_address),
            header_timeout: span(layer.header_timeout, self.header_timeout),
            idle_timeout: span(layer.idle_timeout, self.idle_timeout),
            request_timeout: span(layer.request_timeout, self.request_timeout),
            most_upload_bytes: layer.most_upload_bytes.map_or(self.most_upload_bytes, |size| size.0),
            most_files: layer.most_files.unwrap_or(self.most_files),
            most_bytes_of_files: layer.most_bytes_of_files.map_or(self.most_bytes_of_files, |size| size.0),
            transfer_idle_timeout: span(layer.transfer_idle_timeout, self.transfer_idle_timeout),
            most_streams: layer.most_streams.unwrap_or(self.most_streams),
        }
    }

    /// The most connections from one address: as it is set, else an eighth of all; one at least.
    pub fn connections_per_address(&self) -> usize {
        self.most_connections_per_address.unwrap_or_else(|| self.eighth_of_connections()).max(1)
    }

    /// More from one address, and a few of them may take all.
    pub fn eighth_of_connections(&self) -> usize {
        (self.most_connections / 8).max(1)
    }

    /// Whether the API speaks TLS itself.
    pub fn has_tls(&self) -> bool {
        self.tls_cert.is_some() || self.tls_key.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Layer, Settings};

    #[test]
    fn the_door_is_set_in_the_file_and_by_variables_with_lists() {
        let text = "environment = \"production\"\n[api]\nlisten = \"0.0.0.0:8080\"\nhosts = [\"api.books.io\"]\n\
            cors_origins = [\"https://app.books.io\"]\ntrusted_proxies = [\"10.0.0.0/8\"]\nproxy_header = \"forwarded\"\n\
            idle_timeout = \"5s\"\nmost_connections_per_address = 7\nmost_files = 9\nmost_bytes_of_files = \"2MiB\"";
        let layer: Layer = toml::from_str(text).unwrap();
        let settings = Settings::default().under(layer).unwrap();
        assert_eq!((settings.environment, settings.api.hosts.len()), (Environment::Production, 1));
        assert_eq!(settings.api.connections_per_address(), 7);
        assert_eq!((settings.api.most_files, settings.api.most_bytes_of_files), (9, 2 << 20));
        assert_eq!(settings.api.proxy_header, ProxyHeader::Forwarded);
        let variable = |name: &str| match name {
            "PRESSWORK_HOSTS" => Some("a.books.io, *.b.io".into()),
            "PRESSWORK_TRUSTED_PROXIES" => Some("10.0.0.0/8,::1".into()),
            "PRESSWORK_ENV" => Some("production".into()),
            _ => None,
        };
        let settings = Settings::load(Layer::default(), None, &variable).unwrap();
        assert_eq!((settings.api.hosts.len(), settings.api.trusted_proxies.len()), (2, 2));
        assert_eq!(settings.environment, Environment::Production);
        for (name, bad) in
            [("PRESSWORK_CORS_ORIGINS", "null"), ("PRESSWORK_HOSTS", "*"), ("PRESSWORK_ENV", "prod")]
        {
            let variable = |asked: &str| (asked == name).then(|| bad.into());
            let error = Settings::load(Layer::default(), None, &variable).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn one_address_has_an_eighth_of_all_connections_unless_it_is_set() {
        let set = |text: &str| {
            let layer: Layer = toml::from_str(&format!("[api]\n{text}")).unwrap();
            Settings::default().under(layer).unwrap().api.connections_per_address()
        };
        assert_eq!(set(""), 512);
        assert_eq!(set("most_connections = 800"), 100);
        assert_eq!(set("most_connections = 800\nmost_connections_per_address = 9"), 9);
        assert_eq!(set("most_connections = 3"), 1);
    }
}
