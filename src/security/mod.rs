//! Secrets and what they protect. Owns: [`seal`] (the format of what is sealed). Must not know: jobs' handlers, the command
//! line, any engine of queue or store.

pub mod seal;
mod text;
