//! Real servers for tests, on free ports of the loopback, each in a folder of its own.
//!
//! A server is killed by its id when its value is dropped, and by the kernel where the test process dies first
//! (`setpriv --pdeathsig`), so that no run leaves one behind. Nothing here sleeps for a guess: a server is ready when it
//! answers.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub(crate) mod azure;
pub(crate) mod cluster;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod s3;
pub(crate) mod sentinel;

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use presswork::store::redis::Redis;

pub(crate) use self::{
    azure::AzureServer, cluster::RedisCluster, redis::RedisServer, s3::S3Server, sentinel::RedisSentinel,
};

/// How long a server may take to be ready, on a machine busy with other tests.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

static SHARED: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
static SHARED_CLUSTER: LazyLock<RedisCluster> = LazyLock::new(|| RedisCluster::start(3));
static NAMESPACES: AtomicU64 = AtomicU64::new(0);

/// The one server of this test process that keeps nothing on disk, for all tests that don't harm it.
pub(crate) fn shared_server() -> &'static RedisServer {
    &SHARED
}

/// A namespace that no other test of this process has.
pub(crate) fn fresh_namespace() -> String {
    format!("t{}", NAMESPACES.fetch_add(1, Ordering::Relaxed))
}

/// The shared server under a namespace of its own, with one shard. For the runtime that calls: connections live on it.
pub(crate) async fn shared_redis() -> Redis {
    Redis::connect_with(&SHARED.url(), &fresh_namespace(), 1).await.unwrap()
}

/// The one cluster of three masters of this test process, for all tests that don't harm it.
pub(crate) fn shared_cluster_server() -> &'static RedisCluster {
    &SHARED_CLUSTER
}

/// The shared cluster under a namespace of its own, with as many shards as nodes.
pub(crate) async fn shared_cluster() -> Redis {
    Redis::connect_with(&SHARED_CLUSTER.url(), &fresh_namespace(), 3).await.unwrap()
}
