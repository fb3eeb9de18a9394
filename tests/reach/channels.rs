//! Channels to listen to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use presswork::store::redis::channels::{Listener, News};
use tokio::sync::mpsc;

use super::*;
use crate::servers::{RedisCluster, shared_cluster, shared_redis};

/// Passes on what is heard; `None` for what was missed, which follows a loss.
fn listener() -> (Listener, mpsc::UnboundedReceiver<Option<String>>) {
    let (sender, heard) = mpsc::unbounded_channel();
    let is_lost = AtomicBool::new(false);
    let listener = move |news: News<'_>| {
        let _ = match news {
            News::Message(message) => sender.send(Some(String::from_utf8(message.to_vec()).unwrap())),
            News::Lost => {
                is_lost.store(true, SeqCst);
                Ok(())
            }
            News::Missed if is_lost.swap(false, SeqCst) => sender.send(None),
            News::Missed => sender.send(Some("missed something without a loss".to_owned())),
        };
    };
    (Arc::new(listener), heard)
}

async fn say(redis: &Redis, channel: &str, text: &str) -> i64 {
    match redis.command(cmd("SPUBLISH").arg(channel).arg(text)).await.unwrap() {
        Value::Int(heard_by) => heard_by,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_said_after_listening_has_begun_is_heard_by_all_who_listen() {
    for redis in [shared_redis().await, shared_cluster().await] {
        for shard in 0..6 {
            let channel = format!("{}:news:{{{shard}}}", redis.namespace());
            let ((one, mut by_one), (two, mut by_two)) = (listener(), listener());
            let first = redis.channels().listen(channel.as_bytes(), one).await.unwrap();
            let second = redis.channels().listen(channel.as_bytes(), two).await.unwrap();
            assert_eq!(say(&redis, &channel, "a").await, 1, "two listeners, one subscription");
            assert_eq!(
                (by_one.recv().await, by_two.recv().await),
                (Some(Some("a".into())), Some(Some("a".into())))
            );
            drop(first);
            assert_eq!(say(&redis, &channel, "b").await, 1);
            assert_eq!((by_one.recv().await, by_two.recv().await), (None, Some(Some("b".into()))));
            drop(second);
            until_it_works(|| async {
                if say(&redis, &channel, "c").await == 0 {
                    Ok(())
                } else {
                    Err(RedisError::from(std::io::Error::other("heard")))
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_one_listens_again_and_is_told_what_was_missed() {
    let mut server = RedisServer::start();
    let redis = redis(&server).await;
    let (listener, mut heard) = listener();
    let _ear = redis.channels().listen(b"news", listener).await.unwrap();
    for _ in 0..2 {
        server.restart();
        assert_eq!(heard.recv().await, Some(None), "somebody who missed something is told");
        until_it_works(|| async { redis.command(cmd("SPUBLISH").arg("news").arg("again")).await }).await;
        assert_eq!(heard.recv().await, Some(Some("again".into())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_followed_to_another_node() {
    let cluster = RedisCluster::start(3);
    let redis = Redis::connect_with(&cluster.url(), "t", 1).await.unwrap();
    let channel = "t:news:{t:0}";
    let (listener, mut heard) = listener();
    let _ear = redis.channels().listen(channel.as_bytes(), listener).await.unwrap();
    let slot = cluster.slot(channel);
    let to = (cluster.owner(slot) + 1) % 3;
    cluster.begin_move(slot, to);
    cluster.end_move(slot, to);
    assert_eq!(heard.recv().await, Some(None));
    // Where the nodes are slow to hear of the move from each other, one is sent back and forth, and misses twice.
    loop {
        assert!(say(&redis, channel, "here").await <= 1);
        match heard.recv().await {
            Some(None) => {}
            said => break assert_eq!(said, Some(Some("here".into()))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_has_moved_before_anybody_listened_is_found() {
    let cluster = RedisCluster::start(3);
    let redis = Redis::connect_with(&cluster.url(), "t", 1).await.unwrap();
    let ((one, _), (two, mut heard)) = (listener(), listener());
    // From now on this process knows who serves what.
    let _ear = redis.channels().listen(b"t:news:{t:0}", one).await.unwrap();
    let channel = "t:news:{t:1}";
    let slot = cluster.slot(channel);
    let to = (cluster.owner(slot) + 1) % 3;
    cluster.begin_move(slot, to);
    cluster.end_move(slot, to);
    let _other = redis.channels().listen(channel.as_bytes(), two).await.unwrap();
    assert_eq!(say(&redis, channel, "here").await, 1);
    assert_eq!(heard.recv().await, Some(Some("here".into())));
}
