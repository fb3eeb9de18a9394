//! What an engine on Redis shares with the others beside its jobs, and what it says of it.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use presswork::{
    config::Settings,
    domain::TenantId,
    engine::{Engine, SharedHealth},
    limits::{Bucket, Health, LimitRules},
};

use super::worlds::rate;
use crate::servers::{
    RedisServer, fresh_namespace,
    redis::RedisOptions,
    {shared_cluster_server, shared_server},
};

const LONG: Duration = Duration::from_secs(3_600);

async fn open(folder: &Path, url: &str) -> Engine {
    let settings = Settings {
        data_dir: folder.to_owned(),
        redis_url: Some(url.parse().unwrap()),
        ..Settings::default()
    };
    Engine::connect(&settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_share_limits_rules_and_the_cache() {
    let acme: TenantId = "acme".parse().unwrap();
    let (bucket, key) = (Bucket::new(&acme, &LimitRules::EXPORT), "k".parse().unwrap());
    for url in [shared_server().url(), shared_cluster_server().url()] {
        let (folder, url) = (tempfile::tempdir().unwrap(), format!("{url}?namespace={}", fresh_namespace()));
        let (here, there) = (open(folder.path(), &url).await, open(folder.path(), &url).await);
        here.rules.set(&acme, &LimitRules::EXPORT, Some(rate("2/d:2"))).await.unwrap();
        for (engine, passes) in [(&here, true), (&there, true), (&here, false), (&there, false)] {
            let rate = engine.rules.rate(&acme, &LimitRules::EXPORT).await.unwrap().unwrap();
            assert_eq!(engine.limiter.take(&bucket, rate, 1).await.unwrap().allowed, passes);
        }
        here.cache.tenant(&acme).put(&key, &Bytes::from_static(b"value"), LONG).await;
        assert_eq!(there.cache.tenant(&acme).get(&key).await.unwrap(), "value");
        let well = SharedHealth { limits: Health::Well, cache: Health::Well, hears: true };
        assert_eq!(there.check_shared().await.unwrap(), well);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_says_what_of_it_is_away() {
    let (mut server, folder) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let engine = open(folder.path(), &server.url()).await;
    assert_eq!(engine.check_shared().await.unwrap().limits, Health::Well);
    server.kill();
    let SharedHealth { limits, cache, .. } = engine.check_shared().await.unwrap();
    assert!(matches!((&limits, &cache), (Health::Away { .. }, Health::Away { .. })), "{limits:?} {cache:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_user_may_not_listen_says_so_and_its_cache_is_right_all_the_same() {
    let options = RedisOptions {
        users: vec!["user app on >secret ~* resetchannels +@all".to_owned()],
        login: Some("app:secret".to_owned()),
        ..RedisOptions::default()
    };
    let (server, folder) = (RedisServer::start_with(options), tempfile::tempdir().unwrap());
    let (here, there) = (open(folder.path(), &server.url()).await, open(folder.path(), &server.url()).await);
    assert!(!here.check_shared().await.unwrap().hears);
    let (acme, key) = ("acme".parse().unwrap(), "k".parse().unwrap());
    let (mine, theirs) = (here.cache.tenant(&acme), there.cache.tenant(&acme));
    for value in ["old", "new"] {
        mine.put(&key, &Bytes::from_static(value.as_bytes()), LONG).await;
        assert_eq!(theirs.get(&key).await.unwrap(), value);
    }
}
