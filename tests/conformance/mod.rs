//! One function a law, written against the seams alone; an engine's file opens worlds on it.

pub(crate) mod jobs;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod records;
pub(crate) mod records_redis;
pub(crate) mod redis;
pub(crate) mod schedules;
pub(crate) mod sqlite;
pub(crate) mod suites;
