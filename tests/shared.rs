//! What processes share beside the queue: what `Limiter` and the cache promise, on every engine, and what happens while the
//! fleet's are away.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the helpers of this file's modules"
)]

mod cache;
mod limits;
mod servers;
mod spending;
