//! Presswork: a multi-tenant background job engine for apps that write, import and publish books.
//!
//! The house, from the bottom up; imports go one way (a test in `tests/house/` reads them):
//!
//! 1. [`domain`]: the words and their rules, pure.
//! 2. [`store`], [`queue`], [`limits`], [`spending`], [`cache`], [`progress`], [`artifact`], [`security`]: the seams and their engines.
//! 3. [`worker`]: claims jobs and runs them through apalis; [`schedule`]: makes jobs at their times.
//! 4. [`config`], [`telemetry`], [`engine`]: settings, logs, and what a process holds, opened from settings.
//! 5. [`api`]: the same over HTTP; [`cli`]: the command line. An app's `main.rs` registers its kinds with [`Cli`] and runs it.
//!    Beside it [`testing`]: what an app tests its kinds with.

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod artifact;
#[cfg(feature = "server")]
pub mod cache;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
pub mod domain;
#[cfg(feature = "server")]
pub mod engine;
#[cfg(feature = "server")]
pub mod limits;
pub mod progress;
pub mod queue;
#[cfg(feature = "server")]
pub mod schedule;
#[cfg(feature = "client")]
pub mod security;
#[cfg(feature = "server")]
pub mod spending;
pub mod store;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod testing;
#[cfg(feature = "server")]
pub mod worker;

#[cfg(feature = "server")]
pub use cli::Cli;
