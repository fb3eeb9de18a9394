//! What a job puts down on the disk of its worker: sealed, whoever's it is, under a key that dies with the attempt. Importers
//! and exporters alike.
//!
//! - `sealed`: [`Scratch`], the key and the folder, and segments without an end in a file without a name.
//! - `spool`: bytes put aside until a file's end, a little of them in memory.
//! - `file`: whole files that can be sought in.

mod file;
mod sealed;
mod spool;

pub(crate) use file::{SealedFile, SealedReader, SealedWriter};
pub use sealed::Scratch;
pub(crate) use spool::{Shelves, Spool};
