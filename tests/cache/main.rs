//! The cache over real servers: one load for many, invalidation everywhere, tenants apart, outages.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

mod fleet;
mod loading;
mod outage;
#[path = "../servers/mod.rs"]
mod servers;
mod world;
