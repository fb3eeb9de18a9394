//! The way to Redis (or Valkey): one server, Sentinel or Cluster behind one type, and scripts that survive a server which
//! has forgotten them.
//!
//! Nothing is sent twice behind the caller's back, but what a server has said that it did not run: a script it doesn't
//! know, a key of another node. An error may therefore mean that a command was run and its answer lost. The callers know
//! what that means for them: the queue's scripts are written so that they may be repeated (enqueue by job id, renew
//! and settle by lease), and a claim whose answer is lost lapses. After an error the connection is opened anew with the
//! next command, so that after an outage everything goes on by itself; a server that has become a replica is left for
//! the master.
//!
//! Owns: addresses, connections, the sending of scripts, the naming of shards. Must not know: what scripts do, nor any
//! key but the hash tag that leads to a shard.

pub mod channels;
mod check;
mod cluster;
mod link;
mod pops;
mod records;
mod script;
mod servers;
mod shards;
mod slots;
mod url;

use std::{sync::Arc, time::Duration};

use redis::{Arg, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::domain::TenantId;

#[cfg(feature = "server")]
pub use self::script::READ;
use self::{
    channels::Channels,
    cluster::Cluster,
    link::{Link, Target},
    pops::Pops,
    servers::Servers,
};
pub use self::{
    check::{Finding, Severity},
    link::is_of_no_use as is_lost,
    records::RedisRecords,
    script::Script,
    shards::{shard_of, tag},
    url::{Address, Login, MOST_SHARDS, RedisUrl, RedisUrlError, Topology},
};

/// A Redis. Cheap to clone; clones share their connections, which live on the runtime that first used them.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    servers: Arc<Servers>,
    way: Way,
    pops: Pops,
    channels: Channels,
}

enum Way {
    Link(Box<Link>),
    Cluster(Cluster),
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL shows no password.
        write!(f, "Redis({})", self.shared.servers.url)
    }
}

impl Redis {
    /// The Redis that a URL names; nothing is sent to it yet.
    ///
    /// # Errors
    /// Where the file of its `ca=` can't be read.
    pub fn new(url: RedisUrl) -> Result<Self, RedisError> {
        let servers = Arc::new(Servers::new(url)?);
        let way = if servers.is_cluster() {
            Way::Cluster(Cluster::new(servers.clone()))
        } else {
            Way::Link(Box::new(Link::new(servers.clone(), Target::Master)))
        };
        let channels = Channels::new(servers.clone());
        Ok(Self { shared: Arc::new(Shared { servers, way, pops: Pops::default(), channels }) })
    }

    /// Connects to the Redis that a URL names ([`RedisUrl`]).
    ///
    /// # Errors
    /// Where it can't be reached, or the text is no URL; never with the password in it.
    pub async fn connect(url: &str) -> Result<Self, RedisError> {
        Self::reach(read(url)?).await
    }

    /// Connects to the server that a URL names, with this namespace and so many shards, whatever the URL says of them.
    ///
    /// # Errors
    /// Where it can't be reached.
    pub async fn connect_with(url: &str, namespace: &str, shards: u16) -> Result<Self, RedisError> {
        Self::reach(RedisUrl { namespace: namespace.to_owned(), shards, ..read(url)? }).await
    }

    /// Connects to the Redis that a URL names.
    ///
    /// # Errors
    /// Where it can't be reached, or the file of its `ca=` can't be read.
    pub async fn reach(url: RedisUrl) -> Result<Self, RedisError> {
        let redis = Self::new(url)?;
        match &redis.shared.way {
            Way::Link(link) => drop(link.live().await?),
            Way::Cluster(cluster) => cluster.ask_for_slots().await?,
        }
        Ok(redis)
    }

    /// The first part of every key: `pw`, unless the URL names another.
    pub fn namespace(&self) -> &str {
        &self.shared.servers.url.namespace
    }

    /// Into how many shards the keys are split.
    pub fn shards(&self) -> u16 {
        self.shared.servers.url.shards
    }

    /// The shard on which a tenant lives.
    pub fn shard(&self, tenant: &TenantId) -> u16 {
        shard_of(tenant, self.shards())
    }

    /// The hash tag of a shard.
    pub fn tag(&self, shard: u16) -> String {
        tag(self.namespace(), shard)
    }

    /// Whether it is a Cluster.
    pub fn is_cluster(&self) -> bool {
        self.shared.servers.is_cluster()
    }

    /// Channels to listen to, on few connections.
    pub fn channels(&self) -> &Channels {
        &self.shared.channels
    }

    /// Runs a script on the node that holds `key`, its declared key, which never exists: the others share its hash tag.
    /// On a Cluster the script has a second key (`KEYS[2]`).
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn run(&self, script: &Script, key: &[u8], arguments: &[Vec<u8>]) -> Result<Value, RedisError> {
        let in_cluster = self.is_cluster();
        match self.send(key, &script.by_digest(key, arguments, in_cluster)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(key, &script.whole(key, arguments, in_cluster)).await
            }
            answer => answer,
        }
    }

    /// Sends a command to the node that holds its key, which must be its first argument; one without a key to any node.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn command(&self, command: &Cmd) -> Result<Value, RedisError> {
        let key = match command.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key.to_vec(),
            _ => Vec::new(),
        };
        self.send(&key, command).await
    }

    /// Waits for the first element of a list on a connection that nobody else uses; nothing where `seconds` have passed.
    /// Where the future is dropped, no element is lost.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn pop_blocking(&self, list: &[u8], seconds: f64) -> Result<Option<Vec<u8>>, RedisError> {
        let patience = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        pops::pop(self, list, patience.min(MOST_PATIENCE)).await
    }

    async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, RedisError> {
        match &self.shared.way {
            Way::Link(link) => link.send(link.live().await?, command).await,
            Way::Cluster(cluster) => cluster.send(slots::slot(key), command).await,
        }
    }

    fn servers(&self) -> &Servers {
        &self.shared.servers
    }

    fn pops(&self) -> &Pops {
        &self.shared.pops
    }

    /// The server that holds a key.
    async fn node(&self, key: &[u8]) -> Result<Address, RedisError> {
        match &self.shared.way {
            Way::Link(link) => Ok(link.live().await?.address),
            Way::Cluster(cluster) => cluster.node(slots::slot(key)).await,
        }
    }

    /// Every server that takes what is written.
    async fn nodes(&self) -> Result<Vec<Address>, RedisError> {
        match &self.shared.way {
            Way::Link(link) => Ok(vec![link.live().await?.address]),
            Way::Cluster(cluster) => cluster.nodes().await,
        }
    }

    async fn look_for_slots(&self) -> Result<(), RedisError> {
        match &self.shared.way {
            Way::Link(_) => Ok(()),
            Way::Cluster(cluster) => cluster.ask_for_slots().await,
        }
    }

    /// Sends a command to one server, where it is still one of ours.
    async fn send_to(&self, address: &Address, command: &Cmd) -> Result<Value, RedisError> {
        match &self.shared.way {
            Way::Link(link) => {
                let live = link.live().await?;
                if live.address != *address {
                    return Err(servers::away("another server is the master now"));
                }
                link.send(live, command).await
            }
            Way::Cluster(cluster) => {
                let link = cluster.link(address);
                link.send(link.live().await?, command).await
            }
        }
    }
}

/// The longest that one waits for a list at once.
const MOST_PATIENCE: Duration = Duration::from_secs(3_600);

fn read(url: &str) -> Result<RedisUrl, RedisError> {
    let read = url.parse::<RedisUrl>();
    read.map_err(|RedisUrlError(wrong)| {
        RedisError::from((ErrorKind::InvalidClientConfig, "the Redis URL", wrong.to_owned()))
    })
}
