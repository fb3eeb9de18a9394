//! The shapes of things in JSON, the same over HTTP and on the command line. Must not know: routes, commands.

mod job;

pub(crate) use job::{ArtifactDocument, JobDocument, UniqueDocument, sealed};
