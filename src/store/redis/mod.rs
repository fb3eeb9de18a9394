//! The way to Redis (or Valkey): one server, Sentinel or Cluster behind one type, and scripts that survive a server which
//! has forgotten them.
//!
//! Owns: addresses, connections, the sending of scripts, the naming of shards. Must not know: what scripts do, nor any
//! key but the hash tag that leads to a shard.

mod channel;
mod script;

use redis::{Client, Cmd, RedisError, Value, aio::ConnectionManager};

pub use channel::Channel;
pub use script::Script;

/// A Redis. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    client: Client,
    namespace: String,
    shards: u16,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the address: it may hold a password.
        write!(f, "Redis({}, {} shards)", self.namespace, self.shards)
    }
}

impl Redis {
    /// Connects to the server that a URL names.
    ///
    /// # Errors
    /// Where it can't be reached.
    pub async fn connect(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let connection = client.get_connection_manager().await?;
        Ok(Self { connection, client, namespace: "pw".to_owned(), shards: 1 })
    }

    /// Connects to the server that a URL names, with this namespace and so many shards, whatever the URL says of them.
    ///
    /// # Errors
    /// Where it can't be reached.
    pub async fn connect_with(url: &str, namespace: &str, shards: u16) -> Result<Self, RedisError> {
        Ok(Self { namespace: namespace.to_owned(), shards, ..Self::connect(url).await? })
    }

    /// The first part of every key: `pw`, unless the URL names another.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Into how many shards the keys are split.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Runs a script on the node that holds `key`, its only declared key: the others share its hash tag.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn run(&self, script: &Script, key: &[u8], arguments: &[Vec<u8>]) -> Result<Value, RedisError> {
        let mut connection = self.connection.clone();
        script.run(&mut connection, key, arguments).await
    }

    /// Sends a command to the node that holds its first key.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn command(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// Waits for an element of a list on a connection that nobody else uses; nothing where `seconds` have passed.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn pop_blocking(&self, list: &[u8], seconds: f64) -> Result<Option<Vec<u8>>, RedisError> {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let popped: Option<(Vec<u8>, Vec<u8>)> =
            redis::cmd("BLPOP").arg(list).arg(seconds).query_async(&mut connection).await?;
        Ok(popped.map(|(_, element)| element))
    }
}
