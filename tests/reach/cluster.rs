//! Slots that move while scripts run.

use super::*;
use crate::servers::{RedisCluster, shared_cluster};

#[tokio::test]
async fn each_shard_is_served_by_its_node() {
    let (redis, script) = (shared_cluster().await, counting());
    for shard in 0..redis.shards() {
        let tag = redis.tag(shard);
        for count in 1..3 {
            assert_eq!(redis.run(&script, tag.as_bytes(), &[]).await.unwrap(), Value::Int(count));
        }
        assert_eq!(get(&redis, &format!("{tag}:count")).await, "2");
    }
}

/// Adds one to each of twenty keys; they must always be the same.
const TWENTY: &str =
    "local all = {} for n = 1, 20 do all[n] = redis.call('INCR', KEYS[1] .. ':' .. n) end return all";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_never_runs_on_half_of_a_moving_slot() {
    let cluster = RedisCluster::start(3);
    let redis = Redis::connect_with(&cluster.url(), "t", 1).await.unwrap();
    let tag = redis.tag(0);
    let script = std::sync::Arc::new(Script::new("twenty", &[TWENTY]));
    let slot = cluster.slot(&tag);
    redis.run(&script, tag.as_bytes(), &[]).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let load = tokio::spawn({
        let (redis, script, tag, stop) = (redis.clone(), script.clone(), tag.clone(), stop.clone());
        async move {
            let mut runs = 1;
            while !stop.is_cancelled() {
                let answer = redis.run(&script, tag.as_bytes(), &[]).await.unwrap();
                runs += 1;
                assert_eq!(answer, Value::Array(vec![Value::Int(runs); 20]));
            }
            runs
        }
    });
    let mover = tokio::task::spawn_blocking(move || {
        for _ in 0..4 {
            let to = (cluster.owner(slot) + 1) % 3;
            cluster.begin_move(slot, to);
            // A part only, then the rest.
            assert_eq!(cluster.move_keys(slot, to, 7), 7);
            assert_eq!(cluster.move_keys(slot, to, usize::MAX), 13);
            cluster.end_move(slot, to);
        }
        cluster
    });
    let cluster = mover.await.unwrap();
    let answer = redis.run(&counting(), tag.as_bytes(), &[]).await.unwrap();
    assert_eq!(answer, Value::Int(1));
    stop.cancel();
    assert!(load.await.unwrap() > 1);
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_that_restarts_does_not_stop_the_others() {
    let mut cluster = RedisCluster::start(3);
    let redis = Redis::connect_with(&cluster.url(), "t", 16).await.unwrap();
    let script = counting();
    let victim = cluster.owner(cluster.slot(&redis.tag(0)));
    let other = (1..16).find(|shard| cluster.owner(cluster.slot(&redis.tag(*shard))) != victim).unwrap();
    redis.run(&script, redis.tag(other).as_bytes(), &[]).await.unwrap();
    cluster.nodes[victim].kill();
    assert_eq!(redis.run(&script, redis.tag(other).as_bytes(), &[]).await.unwrap(), Value::Int(2));
    cluster.nodes[victim].restart();
    let tag = redis.tag(0);
    until_it_works(|| redis.run(&script, tag.as_bytes(), &[])).await;
}
