//! One function a law, written against the seams alone.

pub(crate) mod queue;
pub(crate) mod sqlite;
