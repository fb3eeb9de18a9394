//! The HTTP API over real sockets, on a real engine.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

#[path = "../servers/mod.rs"]
mod servers;

mod artifacts;
mod audit;
mod batches;
mod events;
mod files;
mod hardening;
mod headers;
mod identity;
mod jobs;
mod keys;
mod layers;
mod limits;
mod oidc;
mod outage;
mod outgoing;
mod raw;
mod schedules;
mod secrets;
mod sessions;
mod spending;
mod status;
mod tenants;
mod tls;
mod token_attacks;
mod users;
mod walk;
mod work;
mod world;
