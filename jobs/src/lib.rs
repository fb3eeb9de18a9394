//! Presswork's own job kinds: `import` brings a manuscript into a project, `generate` and its steps have models write one, `export`
//! turns a project into a file.
//!
//! [`book`] is where they meet: a stream of blocks that importers produce and exporters consume, and the form that a
//! project has on storage. Nothing here knows queues, leases or Redis; handlers see only the engine's `Context`.

// The futures of kinds that ask models go deep.
#![recursion_limit = "256"]

pub mod api;
pub mod asking;
mod bench;
pub mod book;
mod characters;
mod demo;
pub mod export;
pub mod generation;
pub mod handbook;
pub mod import;
mod in_process;
mod memory;
pub mod model;
#[cfg(test)]
mod round_trip;
mod scratch;
#[cfg(test)]
mod watched;

pub use bench::Bench;
pub use characters::CharactersCommand;
pub use demo::Demo;
