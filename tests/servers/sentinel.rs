//! A master, a replica, and sentinels that look after them.

use super::{
    process::comes_true,
    redis::{RedisOptions, RedisServer, SENTINELS_MASTER},
};

/// A master, a replica, and three sentinels.
#[derive(Debug)]
pub(crate) struct RedisSentinel {
    /// The first one was the master at the beginning.
    pub(crate) servers: Vec<RedisServer>,
    pub(crate) sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// All of them, knowing each other.
    pub(crate) fn start() -> Self {
        let options =
            |settings: Vec<String>| RedisOptions { append_only: true, settings, ..RedisOptions::default() };
        let master = RedisServer::start_with(options(vec![]));
        let replica =
            RedisServer::start_with(options(vec![format!("replicaof 127.0.0.1 {}", master.port())]));
        let up = || replica.ask("INFO replication").is_ok_and(|text| text.contains("master_link_status:up"));
        assert!(comes_true(up), "the replica does not get up:\n{}", replica.log());
        let of_master = RedisOptions { sentinel_of: Some(master.port()), ..RedisOptions::default() };
        let sentinels: Vec<_> = (0..3).map(|_| RedisServer::start_with(of_master.clone())).collect();
        for sentinel in &sentinels {
            let knows =
                || sentinel.ask("INFO sentinel").is_ok_and(|text| text.contains("slaves=1,sentinels=3"));
            assert!(comes_true(knows), "the sentinels do not find each other:\n{}", sentinel.log());
        }
        Self { servers: vec![master, replica], sentinels }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        let ports: Vec<_> = self.sentinels.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+sentinel://{}/{SENTINELS_MASTER}", ports.join(","))
    }

    /// Which of the servers is the master, as the first sentinel says.
    pub(crate) fn master(&self) -> usize {
        let text = self.sentinels[0].command("INFO sentinel");
        self.servers
            .iter()
            .position(|server| text.contains(&format!("address=127.0.0.1:{},", server.port())))
            .unwrap()
    }

    /// Kills the master with -9 and waits until the sentinels have made the replica the master.
    pub(crate) fn fail_over(&mut self) {
        let old = self.master();
        self.servers[old].kill();
        assert!(comes_true(|| self.master() != old), "no fail-over:\n{}", self.sentinels[0].log());
    }
}
