//! Users, passwords, certificates.

use presswork::store::redis::Redis;

use super::*;
use crate::servers::redis::RedisOptions;

#[tokio::test]
async fn a_user_with_a_difficult_password_gets_in() {
    let server = RedisServer::start_with(RedisOptions {
        users: vec!["user default off".to_owned(), "user press on >p@ss/w:rd% ~* &* +@all".to_owned()],
        login: Some("press:p%40ss%2Fw%3Ard%25".to_owned()),
        ..RedisOptions::default()
    });
    let connected = redis(&server).await;
    set(&connected, "k", "v").await.unwrap();
    assert_eq!(get(&connected, "k").await, "v");
    assert!(!format!("{connected:?}").contains("p@ss"), "{connected:?}");

    let wrong = server.url().replace("p%40ss", "hunter2");
    let error = Redis::connect(&wrong).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_server_with_tls_is_reached_by_its_authority_and_not_without() {
    let server = RedisServer::start_with(RedisOptions { tls: true, ..RedisOptions::default() });
    let connected = redis(&server).await;
    set(&connected, "k", "v").await.unwrap();
    assert_eq!(get(&connected, "k").await, "v");
    assert_eq!(connected.pop_blocking(b"none", 0.01).await.unwrap(), None);

    let without = server.url().split('?').next().unwrap().to_owned();
    assert!(Redis::connect(&without).await.is_err(), "a certificate that nobody vouches for was taken");
}
