//! A Lua script and its sending: by digest, and whole where the server has forgotten it.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value, aio::ConnectionLike, cmd};

/// A Lua script, known by its SHA-1.
#[derive(Debug)]
pub struct Script {
    /// Its name, for errors and statistics.
    pub name: &'static str,
    script: redis::Script,
    source: String,
}

impl Script {
    /// The script that these pieces of source make, one after the other.
    pub fn new(name: &'static str, pieces: &[&str]) -> Self {
        let source = pieces.join("\n");
        Self { name, script: redis::Script::new(&source), source }
    }

    pub(super) async fn run<C: ConnectionLike + Send>(
        &self,
        connection: &mut C,
        key: &[u8],
        arguments: &[Vec<u8>],
    ) -> Result<Value, RedisError> {
        let call = |command: &str, script: &str| {
            let mut call = cmd(command);
            call.arg(script).arg(1).arg(key).arg(arguments);
            call
        };
        match call("EVALSHA", self.script.get_hash()).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", &self.source).query_async(connection).await
            }
            answer => answer,
        }
    }
}
