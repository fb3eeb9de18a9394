//! The HTTP API over real sockets, on a real engine.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

#[path = "../servers/mod.rs"]
mod servers;

mod artifacts;
mod files;
mod jobs;
mod walk;
mod oidc;
mod outgoing;
mod sessions;
mod keys;
mod secrets;
mod world;
