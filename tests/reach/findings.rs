//! What stands out about a server.

use presswork::store::redis::Severity;

use super::*;
use crate::servers::{redis::RedisOptions, shared_cluster};

async fn found(options: RedisOptions) -> Vec<(Severity, String)> {
    let server = RedisServer::start_with(options);
    let findings = redis(&server).await.check().await.unwrap();
    findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

fn settings(lines: &[&str]) -> RedisOptions {
    RedisOptions { settings: lines.iter().map(ToString::to_string).collect(), ..RedisOptions::default() }
}

#[tokio::test]
async fn a_server_that_keeps_everything_is_fine() {
    assert_eq!(found(RedisOptions { append_only: true, ..RedisOptions::default() }).await, []);
}

#[tokio::test]
async fn a_server_that_evicts_keys_is_an_error() {
    let found = found(settings(&["appendonly yes", "maxmemory 100mb", "maxmemory-policy allkeys-lru"])).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == Severity::Error && found[0].1.contains("allkeys-lru"), "{found:?}");
}

#[tokio::test]
async fn a_server_that_keeps_nothing_or_only_snapshots_is_warned_of() {
    for (lines, what) in [
        (settings(&[]), "nothing is kept"),
        (settings(&["save 60 1"]), "snapshots"),
        (settings(&["appendonly yes", "appendfsync no"]), "appendfsync"),
    ] {
        let found = found(lines).await;
        assert!(
            found.len() == 1 && found[0].0 == Severity::Warning && found[0].1.contains(what),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn a_replica_is_an_error() {
    let found = found(settings(&["appendonly yes", "replicaof 127.0.0.1 1"])).await;
    assert!(
        found.iter().any(|(severity, what)| *severity == Severity::Error && what.contains("replica")),
        "{found:?}"
    );
}

#[tokio::test]
async fn what_the_user_may_not_ask_is_said_to_be_unknown() {
    let server = RedisServer::start_with(RedisOptions {
        users: vec![
            "user default off".to_owned(),
            "user press on >secret ~* &* +@all -config -info".to_owned(),
        ],
        login: Some("press:secret".to_owned()),
        ..RedisOptions::default()
    });
    let findings = redis(&server).await.check().await.unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Unknown), "{findings:?}");
}

#[tokio::test]
async fn each_node_of_a_cluster_is_looked_at() {
    let findings = shared_cluster().await.check().await.unwrap();
    let servers: std::collections::BTreeSet<_> = findings.iter().map(|finding| &finding.server).collect();
    assert_eq!(servers.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.what.contains("nothing is kept")), "{findings:?}");
}
