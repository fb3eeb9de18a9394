//! The shapes of things in JSON, the same over HTTP and on the command line. Must not know: routes, commands.

mod event;
mod job;
mod names;
mod schedule;
mod why;

pub(crate) use event::EventDocument;
pub(crate) use job::{ArtifactDocument, JobDocument, UniqueDocument, sealed};
pub(crate) use names::{CatchUpName, PriorityName, StateName};
pub(crate) use schedule::ScheduleDocument;
pub(crate) use why::{ScopeDocument, WhyDocument};
