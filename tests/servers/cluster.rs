//! A Redis Cluster of masters. Owns: its slots and their moves.

use super::{
    process::comes_true,
    redis::{RedisOptions, RedisServer},
};

const SLOTS: usize = 16_384;

/// A cluster of masters, each with its share of the slots.
#[derive(Debug)]
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// A cluster of so many masters that agree on who serves what.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &RedisOptions::default())
    }

    /// The same, its nodes set up as asked.
    pub(crate) fn start_with(count: usize, options: &RedisOptions) -> Self {
        let options = RedisOptions { cluster: true, ..options.clone() };
        let nodes: Vec<_> = (0..count).map(|_| RedisServer::start_with(options.clone())).collect();
        for (number, node) in nodes.iter().enumerate() {
            let (first, last) = (number * SLOTS / count, (number + 1) * SLOTS / count - 1);
            node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            node.command(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            if number > 0 {
                nodes[0].command(&format!("CLUSTER MEET 127.0.0.1 {} {}", node.port(), node.bus_port()));
            }
        }
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// Waits until all nodes know each other and all slots are served.
    pub(crate) fn wait_until_whole(&self) {
        let known = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
        for node in &self.nodes {
            let is_whole = || {
                let state = node.ask("CLUSTER INFO").unwrap_or_default();
                state.contains("cluster_state:ok")
                    && state.contains("cluster_slots_ok:16384")
                    && state.contains(&known)
            };
            assert!(comes_true(is_whole), "the cluster does not get whole:\n{}", node.log());
        }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        let ports: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", ports.join(","))
    }

    /// Which node serves a slot.
    pub(crate) fn owner(&self, slot: u16) -> usize {
        let owns = |node: &RedisServer| {
            let me = node.command("CLUSTER MYID");
            let nodes = node.command("CLUSTER NODES");
            let line = nodes.lines().find(|line| line.starts_with(me.trim())).unwrap();
            line.split(' ').skip(8).filter(|range| !range.starts_with('[')).any(|range| {
                let (first, last) = range.trim().split_once('-').unwrap_or((range.trim(), range.trim()));
                (first.parse().unwrap()..=last.parse().unwrap()).contains(&slot)
            })
        };
        self.nodes.iter().position(owns).unwrap()
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        self.nodes[0].command(&format!("CLUSTER KEYSLOT {key}")).trim_start_matches(':').parse().unwrap()
    }

    /// Begins to move a slot: both nodes know of it, and no key has moved yet.
    pub(crate) fn begin_move(&self, slot: u16, to: usize) {
        let (from, to) = (&self.nodes[self.owner(slot)], &self.nodes[to]);
        let id = |node: &RedisServer| node.command("CLUSTER MYID");
        to.command(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
        from.command(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
    }

    /// Moves the keys of a slot whose move has begun, at most so many; how many there were left to move.
    pub(crate) fn move_keys(&self, slot: u16, to: usize, most: usize) -> usize {
        let from = &self.nodes[self.owner(slot)];
        let mut moved = 0;
        while moved < most {
            // The first line says how many keys follow, the third is the first of them.
            let script = "EVAL \"local k = redis.call('CLUSTER', 'GETKEYSINSLOT', ARGV[1], 1)[1] if not k then return 0 end \
                redis.call('MIGRATE', '127.0.0.1', ARGV[2], k, 0, 10000) return 1\" 0";
            let answer = from.command(&format!("{script} {slot} {}", self.nodes[to].port()));
            if answer == ":0" {
                break;
            }
            moved += 1;
        }
        moved
    }

    /// Ends the move of a slot.
    pub(crate) fn end_move(&self, slot: u16, to: usize) {
        let id = self.nodes[to].command("CLUSTER MYID");
        self.nodes[to].command(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
        for node in &self.nodes {
            node.command(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
        }
    }
}
