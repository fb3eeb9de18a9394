//! The crate feature `client` stays what it is for: a producer's view, without a server's weight.

use std::{collections::BTreeSet, process::Command};

use crate::source::root;

/// The crates behind a feature of the library, however deep.
fn crates_of(feature: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--offline",
        "-p",
        "presswork",
        "--no-default-features",
        "--features",
        feature,
    ]);
    tree.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]).current_dir(root());
    let output = tree.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// What only a server needs.
const HEAVY: [&str; 8] =
    ["rusqlite", "apalis", "apalis-core", "clap", "object_store", "async-compression", "notify", "indicatif"];

#[test]
fn a_client_brings_no_server_along() {
    let client = crates_of("client");
    assert!(client.contains("redis") && client.len() < 130, "{} crates: {client:?}", client.len());
    let found: Vec<_> = HEAVY.into_iter().filter(|name| client.contains(*name)).collect();
    assert!(found.is_empty(), "the feature `client` depends on {found:?}");
    let server = crates_of("server");
    assert!(HEAVY.into_iter().all(|name| server.contains(name)), "the list above names what nobody uses");
}
