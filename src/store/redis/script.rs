//! A Lua script and its sending: by digest, and whole where the server has forgotten it.

use redis::{Cmd, cmd};

/// A piece of source that gives `read(key)`: a string that somebody may have put something else in the place of.
#[cfg(feature = "server")]
pub const READ: &str = include_str!("lua/read.lua");

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

    /// The command that runs it by its digest, for servers that know it.
    pub(super) fn by_digest(&self, key: &[u8], arguments: &[Vec<u8>], in_cluster: bool) -> Cmd {
        call("EVALSHA", self.script.get_hash(), key, arguments, in_cluster)
    }

    /// The command that runs it and makes the server know it.
    pub(super) fn whole(&self, key: &[u8], arguments: &[Vec<u8>], in_cluster: bool) -> Cmd {
        call("EVAL", &self.source, key, arguments, in_cluster)
    }
}

/// On a Cluster a second key of the slot is declared, `<key>:`, which never exists, as the first doesn't: a node that
/// has only some of a moving slot's keys then refuses the script with TRYAGAIN, before it has changed anything.
fn call(command: &str, script: &str, key: &[u8], arguments: &[Vec<u8>], in_cluster: bool) -> Cmd {
    let mut call = cmd(command);
    if in_cluster {
        call.arg(script).arg(2).arg(key).arg([key, b":"].concat());
    } else {
        call.arg(script).arg(1).arg(key);
    }
    call.arg(arguments);
    call
}
