//! The slots of shards move from node to node, with their keys, under load.

use super::{load::Load, nothing_is_left};
use crate::servers::{RedisCluster, fresh_namespace};

const SHARDS: u16 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_with_their_keys_under_load_lose_nothing_and_run_nothing_twice() {
    let (cluster, namespace) = (RedisCluster::start(3), fresh_namespace());
    let load = Load::start(&cluster.url(), &namespace, SHARDS, 2).await;
    for _ in 0..4 {
        for shard in [0, 3] {
            load.answered(200).await;
            let slot = cluster.slot(&format!("{{{namespace}:{shard}}}"));
            let to = (cluster.owner(slot) + 1) % cluster.nodes.len();
            // Scripts wait while a slot is half here and half there; the keys go one by one.
            tokio::task::block_in_place(|| {
                cluster.begin_move(slot, to);
                while cluster.move_keys(slot, to, 1) > 0 {}
                cluster.end_move(slot, to);
            });
        }
    }
    load.answered(100).await;
    let book = load.finish().await;
    let queue = load.queue().await;
    book.holds(&queue).await;
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port()).collect();
    nothing_is_left(&queue, &ports, &namespace).await;
}
