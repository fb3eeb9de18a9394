//! The house's own rules, read off its files: which module may know which, what a file looks like, which
//! features are proved, that the documents show the code as it is, and that a name a person chose never leaves its folder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod client;
mod documents;
mod features;
mod files;
mod imports;
mod names;
mod own_kind;
mod source;
