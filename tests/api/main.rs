//! The HTTP API over real sockets, on a real engine.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

#[path = "../servers/mod.rs"]
mod servers;

mod hardening;
mod jobs;
mod layers;
mod limits;
mod raw;
mod tls;
mod world;
