//! Servers that die, come back, hang, forget, and hand over to another.

use super::*;
use crate::servers::{RedisSentinel, shared_redis};

#[tokio::test]
async fn after_a_restart_everything_goes_on_by_itself_and_nothing_answered_is_lost() {
    let mut server = RedisServer::start_durable();
    let (redis, script) = (redis(&server).await, counting());
    assert_eq!(redis.run(&script, b"{pw:0}", &[]).await.unwrap(), Value::Int(1));
    server.kill();
    assert!(redis.run(&script, b"{pw:0}", &[]).await.is_err());
    server.restart();
    // The server has forgotten the script, too.
    let counted = until_it_works(|| redis.run(&script, b"{pw:0}", &[])).await;
    assert_eq!(counted, Value::Int(2));
}

#[tokio::test]
async fn a_script_that_was_flushed_is_sent_again() {
    let (redis, script) = (shared_redis().await, counting());
    let key = format!("{{{}:0}}", redis.namespace());
    for count in 1..4 {
        assert_eq!(redis.run(&script, key.as_bytes(), &[]).await.unwrap(), Value::Int(count));
        redis.command(cmd("SCRIPT").arg("FLUSH")).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_and_used_again_when_it_goes_on() {
    let server = RedisServer::start();
    let redis = redis(&server).await;
    set(&redis, "k", "v").await.unwrap();
    server.freeze();
    let error = set(&redis, "k", "w").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    server.thaw();
    until_it_works(|| set(&redis, "k", "x")).await;
    assert_eq!(get(&redis, "k").await, "x");
}

#[tokio::test]
async fn when_sentinels_name_another_master_it_is_found() {
    let mut world = RedisSentinel::start();
    let redis = Redis::connect_with(&world.url(), "t", 1).await.unwrap();
    set(&redis, "before", "1").await.unwrap();
    // On the replica, too, before the master dies.
    redis.command(cmd("WAIT").arg(1).arg(10_000)).await.unwrap();
    world.fail_over();
    until_it_works(|| set(&redis, "after", "2")).await;
    assert_eq!((get(&redis, "before").await, get(&redis, "after").await), ("1".to_owned(), "2".to_owned()));
    assert_eq!(world.servers[world.master()].command("GET after"), "2");
    assert!(redis.check().await.unwrap().iter().all(|finding| !finding.what.contains("replica")));
}
