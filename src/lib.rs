//! Presswork: a multi-tenant background job engine for apps that write, import and publish books.
//!
//! The house, from the bottom up; imports go one way (a test in `tests/house/` reads them):
//!
//! 1. [`domain`]: the words and their rules, pure.
//! 2. [`store`], [`queue`], [`limits`], [`cache`], [`progress`], [`artifact`]: the seams and their engines.
//! 3. [`worker`]: claims jobs and runs them through apalis.
//! 4. [`config`], [`telemetry`], [`engine`]: settings, logs, and what a process holds, opened from settings.
//! 5. [`cli`]: the command line. An app's `main.rs` registers its kinds with [`Cli`] and runs it.

pub mod artifact;
pub mod cache;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod limits;
pub mod progress;
pub mod queue;
pub mod store;
pub mod telemetry;
pub mod worker;

pub use cli::Cli;
