//! The grammar of addresses.

use super::*;

fn read(text: &str) -> RedisUrl {
    text.parse().unwrap()
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}

#[test]
fn one_server_is_read_with_all_its_parts() {
    let url = read(
        "rediss://press:p%40ss%3A%2F%25@redis.example:7000/3?namespace=books&shards=16&ca=/etc/ca%20x.pem",
    );
    assert_eq!(url.topology, Topology::Single);
    assert_eq!(url.addresses, [address("redis.example", 7000)]);
    let login = url.login.clone().unwrap();
    assert_eq!((login.user.as_deref(), login.password.as_str()), (Some("press"), "p@ss:/%"));
    assert_eq!((url.tls, url.database, url.namespace.as_str(), url.shards), (true, 3, "books", 16));
    assert_eq!(url.authority, Some("/etc/ca x.pem".into()));
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let url = read("redis://localhost");
    assert_eq!(url.addresses, [address("localhost", 6379)]);
    assert_eq!((url.tls, url.database, url.namespace.as_str(), url.shards), (false, 0, "pw", 1));
    assert!(url.login.is_none() && url.authority.is_none());
    assert_eq!(read("redis://:secret@h").login.unwrap(), Login { user: None, password: "secret".to_owned() });
    assert_eq!(read("redis://[::1]:7/").addresses, [address("::1", 7)]);
    assert_eq!(read("redis://[fe80::1]").addresses, [address("fe80::1", 6379)]);
}

#[test]
fn sentinels_and_clusters_have_several_hosts() {
    let url = read("redis+sentinel://u:p@a:1,b,[::2]:3/main/2?sentinel_user=s&sentinel_password=q%26");
    assert_eq!(url.addresses, [address("a", 1), address("b", 26_379), address("::2", 3)]);
    assert_eq!((url.topology.clone(), url.database), (Topology::Sentinel { master: "main".to_owned() }, 2));
    assert_eq!(url.sentinel_login.unwrap().password, "q&");
    let url = read("rediss+cluster://a,b:7/?shards=1024");
    assert_eq!(url.addresses, [address("a", 6379), address("b", 7)]);
    assert_eq!((url.topology, url.tls, url.shards), (Topology::Cluster, true, 1_024));
}

#[test]
fn what_is_no_address_is_refused_without_its_secrets() {
    for wrong in [
        "hunter2",
        "http://hunter2",
        "redis://",
        "redis://u:hunter2@",
        "redis://u:hunter2/x@host",
        "redis://u:hunter2#@host",
        "redis://u:hunter2?@host",
        "redis://hunter2@host",
        "redis://u:hunter2%@host",
        "redis://u:hunter2%ff@host",
        "redis://host:hunter2",
        "redis://host:0",
        "redis://host:65536",
        "redis://::1",
        "redis://[::1",
        "redis://a,b",
        "redis://host/hunter2",
        "redis://host/-1",
        "redis://host?namespace=Hunter2",
        "redis://host?namespace=a:b",
        "redis://host?shards=0",
        "redis://host?shards=1025",
        "redis://host?hunter2=1",
        "redis://host?ca=/x",
        "rediss://host?ca=",
        "redis://host?sentinel_password=hunter2",
        "redis+sentinel://host",
        "redis+sentinel://host/?sentinel_password=hunter2",
        "redis+sentinel://host/main?sentinel_user=hunter2",
        "redis+cluster://host/1",
    ] {
        let error = wrong.parse::<RedisUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").to_lowercase().contains("hunter2"), "{wrong}: {error}");
    }
}

#[test]
fn an_address_is_shown_without_its_secrets() {
    let url =
        read("redis+sentinel://hunter1:hunter2@a:1,[::1]:2/main/2?sentinel_password=hunter3&namespace=x");
    assert_eq!(url.to_string(), "redis+sentinel://a:1,[::1]:2/main/2 (namespace x, 1 shard)");
    let shown = format!("{url:?} {:?}", url.login);
    assert!(!shown.contains("hunter"), "{shown}");
}
