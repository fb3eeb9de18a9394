//! The scripts in `deploy/` against the Rust client: what another language's producer enqueues and reads is what a Rust one
//! does, on one server and on a Cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod enqueue;
mod refusals;
mod replay;
#[path = "../servers/mod.rs"]
mod servers;
mod way;
