//! Waiting for an element of a list.

use std::time::Duration;

use super::*;
use crate::servers::{shared_cluster, shared_redis};

async fn push(redis: &Redis, list: &[u8], element: &str) {
    redis.command(cmd("RPUSH").arg(list).arg(element)).await.unwrap();
}

/// How many clients wait for something on the server.
fn waiting(server: &RedisServer) -> bool {
    !server.command("INFO clients").contains("blocked_clients:0")
}

#[tokio::test]
async fn an_element_is_handed_to_the_one_who_waits() {
    for redis in [shared_redis().await, shared_cluster().await] {
        for number in 0..4 {
            let list = format!("{{{}:{number}}}:wake", redis.namespace()).into_bytes();
            let (popped, ()) = tokio::join!(redis.pop_blocking(&list, 30.0), push(&redis, &list, "x"));
            assert_eq!(popped.unwrap().unwrap(), b"x");
            assert_eq!(redis.pop_blocking(&list, 0.01).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn an_element_that_comes_when_nobody_waits_any_more_is_there_for_the_next() {
    let server = RedisServer::start();
    let redis = redis(&server).await;
    for round in 0..50 {
        let pop = redis.pop_blocking(b"list", 30.0);
        let given_up = tokio::time::timeout(Duration::from_millis(round % 5), pop).await;
        let element = round.to_string();
        push(&redis, b"list", &element).await;
        if let Ok(popped) = given_up {
            panic!("{popped:?} came from nowhere");
        }
        let popped = redis.pop_blocking(b"list", 30.0).await.unwrap().unwrap();
        assert_eq!(popped, element.as_bytes());
    }
    assert!(crate::servers::process::comes_true(|| !waiting(&server)), "somebody still waits on the server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_of_an_outage_and_waits_again_after_it() {
    let mut server = RedisServer::start();
    let redis = redis(&server).await;
    let pop = tokio::spawn({
        let redis = redis.clone();
        async move { redis.pop_blocking(b"list", 30.0).await }
    });
    assert!(crate::servers::process::comes_true(|| waiting(&server)), "nobody waits on the server");
    server.restart();
    assert!(pop.await.unwrap().is_err());
    until_it_works(|| async { redis.command(cmd("RPUSH").arg("list").arg("x")).await }).await;
    assert_eq!(redis.pop_blocking(b"list", 30.0).await.unwrap().unwrap(), b"x");
}
