//! The queue on Redis: the engine of a fleet.
//!
//! Every transition is one Lua script, so that it is atomic; `lua/` has one a file, `keys.rs` names every key and says
//! what is in it. What a script must not know stands here: shards, connections, the types of the domain.
//!
//! Owns: the queue's keys. Must not know: handlers, artifacts, other engines.

pub mod keys;
