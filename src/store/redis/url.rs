//! The address of a Redis, as people write it. Owns: its grammar. Must not know: connections.
//!
//! ```text
//! redis://[user:password@]host[:port][/database]                    one server
//! redis+sentinel://[user:password@]host[:port],…/master[/database]  the hosts are sentinels
//! redis+cluster://[user:password@]host[:port],…                     some nodes of a cluster
//! rediss://…, rediss+sentinel://…, rediss+cluster://…               the same with TLS
//! ```
//!
//! Parameters: `namespace=` (`pw`), the first part of every key; `shards=` (1), 1 to 1024, into how many the keys are
//! split, the same in every process and for ever; `ca=`, a file with the certificates (PEM) of a private authority;
//! `sentinel_user=` and `sentinel_password=` where the sentinels ask for them. User, password and parameters are
//! percent-decoded.

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, str::FromStr};

use crate::domain::TenantId;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address, one of version 6 without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the servers stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// The addresses are sentinels, which know where the master is.
    Sentinel {
        /// What they call it.
        master: String,
    },
    /// The addresses are some nodes of a cluster.
    Cluster,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; none for the default one.
    pub user: Option<String>,
    /// Its password.
    pub password: String,
}

/// The address of a Redis. Shown without its passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// How the servers stand together.
    pub topology: Topology,
    /// Where they listen: at least one.
    pub addresses: Vec<Address>,
    /// Whether the way to them is encrypted.
    pub tls: bool,
    /// Who we are to the servers.
    pub login: Option<Login>,
    /// Who we are to the sentinels.
    pub sentinel_login: Option<Login>,
    /// The number of the database.
    pub database: i64,
    /// The first part of every key.
    pub namespace: String,
    /// Into how many shards the keys are split.
    pub shards: u16,
    /// The certificates to trust instead of the system's.
    pub authority: Option<PathBuf>,
}

/// The text is not the address of a Redis. Says what is wrong with it and never what it holds, for that may be a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Redis URL {0}")]
pub struct RedisUrlError(pub(super) &'static str);

/// The most shards: each costs a claim of every worker a script.
pub const MOST_SHARDS: u16 = 1_024;

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(RedisUrlError(SCHEMES))?;
        let (tls, kind, port) = match scheme {
            "redis" | "valkey" => (false, Kind::Single, 6379),
            "rediss" | "valkeys" => (true, Kind::Single, 6379),
            "redis+sentinel" => (false, Kind::Sentinel, 26_379),
            "rediss+sentinel" => (true, Kind::Sentinel, 26_379),
            "redis+cluster" => (false, Kind::Cluster, 6379),
            "rediss+cluster" => (true, Kind::Cluster, 6379),
            _ => return Err(RedisUrlError(SCHEMES)),
        };
        if rest.contains('#') {
            return Err(RedisUrlError("has a `#`: write it as %23 in a password; there are no fragments"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(read_login(login)?), hosts),
            None => (None, authority),
        };
        let addresses: Vec<Address> =
            hosts.split(',').map(|host| read_address(host, port)).collect::<Result<_, _>>()?;
        let (topology, database) = read_path(kind, path, addresses.len())?;
        let mut url = Self {
            topology,
            addresses,
            tls,
            login,
            sentinel_login: None,
            database,
            namespace: "pw".to_owned(),
            shards: 1,
            authority: None,
        };
        url.read_query(query)?;
        Ok(url)
    }
}

const SCHEMES: &str = "must begin with redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or \
    rediss+cluster://";

enum Kind {
    Single,
    Sentinel,
    Cluster,
}

impl RedisUrl {
    fn read_query(&mut self, query: &str) -> Result<(), RedisUrlError> {
        let (mut user, mut password) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "namespace" => {
                    let name = value.parse::<TenantId>();
                    self.namespace = name.map_err(|_| RedisUrlError(NAMESPACE))?.as_str().to_owned();
                }
                "shards" => {
                    let shards = value.parse().ok().filter(|shards| (1..=MOST_SHARDS).contains(shards));
                    self.shards = shards.ok_or(RedisUrlError("has a `shards=` that is not 1 to 1024"))?;
                }
                "ca" if self.tls && !value.is_empty() => self.authority = Some(value.into()),
                "ca" => {
                    return Err(RedisUrlError(
                        "has a `ca=`, which needs a file and a scheme with TLS (rediss)",
                    ));
                }
                "sentinel_user" if self.is_sentinel() => user = Some(value),
                "sentinel_password" if self.is_sentinel() => password = Some(value),
                _ => return Err(RedisUrlError(PARAMETERS)),
            }
        }
        self.sentinel_login = match (user, password) {
            (user, Some(password)) => Some(Login { user, password }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(RedisUrlError("has a `sentinel_user=` without `sentinel_password=`"));
            }
        };
        Ok(())
    }

    fn is_sentinel(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }
}

const NAMESPACE: &str =
    "has a `namespace=` that is none: 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit";
const PARAMETERS: &str = "has an unknown parameter: there are namespace=, shards=, ca=, and for sentinels sentinel_user= and \
    sentinel_password=";
const DATABASE: &str = "has a database that is not a number";

fn read_login(text: &str) -> Result<Login, RedisUrlError> {
    let (user, password) = text.split_once(':').ok_or(RedisUrlError("has a user without a password"))?;
    let user = decoded(user)?;
    Ok(Login { user: (!user.is_empty()).then_some(user), password: decoded(password)? })
}

fn read_address(text: &str, default_port: u16) -> Result<Address, RedisUrlError> {
    let wrong =
        RedisUrlError("has a host that is not host:port; special characters in a password are written %40");
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(wrong)?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(wrong)?) };
        (host, port)
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let known = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    if host.is_empty() || !host.chars().all(known) || (host.contains(':') && !text.starts_with('[')) {
        return Err(wrong);
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(wrong)?,
        None => default_port,
    };
    Ok(Address { host: host.to_owned(), port })
}

fn read_path(kind: Kind, path: &str, hosts: usize) -> Result<(Topology, i64), RedisUrlError> {
    let number = |text: &str| match text {
        "" => Ok(0),
        text => text.parse::<u16>().map(i64::from).map_err(|_| RedisUrlError(DATABASE)),
    };
    match kind {
        Kind::Single if hosts > 1 => {
            Err(RedisUrlError("names several hosts: that needs redis+sentinel:// or redis+cluster://"))
        }
        Kind::Single => Ok((Topology::Single, number(path)?)),
        Kind::Sentinel => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master = decoded(master)?;
            if master.is_empty() {
                return Err(RedisUrlError("lacks what the sentinels call the master: …/mymaster"));
            }
            Ok((Topology::Sentinel { master }, number(database)?))
        }
        Kind::Cluster if number(path)? != 0 => Err(RedisUrlError("has a database: a cluster has only 0")),
        Kind::Cluster => Ok((Topology::Cluster, 0)),
    }
}

fn decoded(text: &str) -> Result<String, RedisUrlError> {
    let wrong =
        RedisUrlError("has a `%` that is not followed by two hexadecimal digits of UTF-8: write % as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(wrong);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| wrong)?);
    }
    String::from_utf8(bytes).map_err(|_| wrong)
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.topology {
            Topology::Single => "",
            Topology::Sentinel { .. } => "+sentinel",
            Topology::Cluster => "+cluster",
        };
        write!(f, "redis{}{kind}://", if self.tls { "s" } else { "" })?;
        for (place, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if place > 0 { "," } else { "" })?;
        }
        match &self.topology {
            Topology::Sentinel { master } => write!(f, "/{master}/{}", self.database)?,
            Topology::Single if self.database != 0 => write!(f, "/{}", self.database)?,
            Topology::Single | Topology::Cluster => {}
        }
        let plural = if self.shards == 1 { "" } else { "s" };
        write!(f, " (namespace {}, {} shard{plural})", self.namespace, self.shards)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
