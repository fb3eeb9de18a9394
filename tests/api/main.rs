//! The HTTP API over real sockets, on a real engine.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

#[path = "../servers/mod.rs"]
mod servers;

mod artifacts;
mod audit;
mod files;
mod jobs;
mod keys;
mod oidc;
mod outgoing;
mod secrets;
mod sessions;
mod walk;
mod world;
