//! How a server is reached, and which one: the master that the sentinels name, the nodes of a cluster. Owns: logins,
//! TLS, timeouts. Must not know: what is sent.

use std::{fs, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates, Value, aio::MultiplexedConnection, cmd,
};
use tokio::time::timeout;

use super::{
    slots::Slots,
    url::{Address, Login, RedisUrl, Topology},
};

/// A server that has not answered by then hangs: whoever waits is told, and the connection is given up.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A server that has not let one in by then is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// All that is needed to reach the servers of a URL.
pub(super) struct Servers {
    pub(super) url: RedisUrl,
    certificates: Option<TlsCertificates>,
}

impl Servers {
    /// Reads the certificates that the URL names.
    pub(super) fn new(url: RedisUrl) -> Result<Self, RedisError> {
        let mut certificates = None;
        if url.tls {
            // The one provider of this program; that somebody has named it before is as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            if let Some(path) = &url.authority {
                let pem = fs::read(path).map_err(|error| {
                    let what = format!("{}: {error}", path.display());
                    RedisError::from((ErrorKind::InvalidClientConfig, "cannot read the file of `ca=`", what))
                })?;
                certificates = Some(TlsCertificates { client_tls: None, root_cert: Some(pem) });
            }
        }
        Ok(Self { url, certificates })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.url.topology == Topology::Cluster
    }

    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self.url.topology, Topology::Sentinel { .. })
    }

    /// A connection to a server; with `config` one may listen to what it pushes.
    pub(super) async fn connect(
        &self,
        address: &Address,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let settings = settings(self.url.login.as_ref()).set_db(self.url.database).set_protocol(protocol);
        self.enter(address, settings, config).await
    }

    /// A connection for ordinary commands.
    pub(super) async fn connect_plainly(
        &self,
        address: &Address,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
        self.connect(address, ProtocolVersion::RESP2, config).await
    }

    async fn enter(
        &self,
        address: &Address,
        settings: RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let Address { host, port } = address.clone();
        let addr = if self.url.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = addr.into_connection_info()?.set_redis_settings(settings);
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone())?,
            None => Client::open(info)?,
        };
        let config = config.set_connection_timeout(Some(CONNECT_WITHIN));
        let entered = client.get_multiplexed_async_connection_with_config(&config);
        timeout(CONNECT_WITHIN, entered).await.unwrap_or_else(|_| Err(away("does not let us in")))
    }

    /// The server that takes what is written: of the sentinels' it is asked for anew at each call.
    pub(super) async fn master(&self) -> Result<Address, RedisError> {
        let Topology::Sentinel { master } = &self.url.topology else {
            return Ok(self.url.addresses[0].clone());
        };
        let mut last = away("no sentinel answers");
        for sentinel in &self.url.addresses {
            match self.ask_sentinel(sentinel, master).await {
                Ok(address) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, sentinel: &Address, master: &str) -> Result<Address, RedisError> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(CONNECT_WITHIN));
        let mut connection = self.enter(sentinel, settings(self.url.sentinel_login.as_ref()), config).await?;
        let found: Option<(String, u16)> =
            cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).query_async(&mut connection).await?;
        let (host, port) = found.ok_or_else(|| {
            RedisError::from((
                ErrorKind::MasterNameNotFoundBySentinel,
                "the sentinels know no master of that name",
            ))
        })?;
        let address = Address { host, port };
        // In a fail-over a sentinel may still name the old one, which may have come back as a replica.
        let role: Vec<Value> = cmd("ROLE").query_async(&mut self.connect_plainly(&address).await?).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(address),
            _ => Err(away("the sentinels name a server that is no master (yet)")),
        }
    }

    /// Who serves which slots, as the first node says that answers; `known` are asked before those of the URL.
    pub(super) async fn slots(&self, known: &[Address]) -> Result<Slots, RedisError> {
        let mut last = away("no node of the cluster answers");
        for address in known.iter().chain(&self.url.addresses) {
            let asked = async {
                let mut connection = self.connect_plainly(address).await?;
                cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await
            };
            match asked.await {
                Ok(answer) => return Ok(Slots::read(&answer, address)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn settings(login: Option<&Login>) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default();
    if let Some(Login { user, password }) = login {
        settings = settings.set_password(password);
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
    }
    settings
}

/// An error of the way there: nothing was sent.
pub(super) fn away(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, what))
}
