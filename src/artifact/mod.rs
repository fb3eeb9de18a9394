//! The artifact pipeline: chunks → compression in frames → parts → multipart upload, and back.
//!
//! Owns: storage keys below `<tenant>/artifacts/`, the manifest, the bytes' way in and out. Must not know: the
//! queue, what the bytes mean, or what kind of storage it is.
//!
//! ```text
//! handler ──chunks──▶ bounded window ──▶ stage (a blocking thread): SHA-256, compress, seal, SHA-256, fill a part
//!                                           ├─ at most two parts ──▶ multipart upload ──▶ manifest, last
//!                                           └─ which parts are stored ──▶ the job's checkpoint
//! ```
//!
//! Nothing is published here: a manifest that no completed job points to is an orphan, and [`sweep`](mod@sweep)
//! removes it. The queue publishes the pointer in the step that settles the job, under the epoch check, so that
//! readers see all of an artifact or nothing, and a zombie's work is never seen.
//!
//! The way back is the same the other way round: [`ArtifactStore::read`] all of it, [`ArtifactStore::read_range`] the
//! frames and segments that a range needs and no more. A seal is opened and a checksum compared before anybody believes a
//! byte, as far as each can be.
//!
//! Memory a writer needs: the chunk, the window ([`WINDOW_BYTES`]), one frame's encoder, three parts of [`PART_BYTES`]
//! (of 64 MiB behind the first 39 GiB; to a disk of this machine two pieces of 512 KiB, once the first part is full), 8 bytes a
//! frame and some 60 a part, whatever the artifact's size.

mod address;
mod begin;
mod codec;
mod cut;
mod decoding;
mod error;
mod key;
mod keys;
mod local;
mod loose;
mod manifest;
mod opening;
mod pieces;
mod place;
mod places;
mod plain;
mod published;
mod range;
mod reader;
mod span;
mod stage;
mod state;
mod storage;
mod store;
mod stored;
pub mod sweep;
mod tags;
mod tail;
mod tracker;
mod upload;
mod writer;

pub use begin::Maker;
pub use error::ArtifactError;
pub(crate) use key::folder_names;
pub use key::key;
pub use keys::{Keys, sealed_object};
pub use local::sweep_staging;
pub use loose::{LooseUpload, read_loose};
pub use manifest::Manifest;
pub use published::{PlainBytes, Verified};
pub use range::{ByteRange, ByteRangeError};
pub use state::{Ledger, UploadState};
pub use storage::{
    CREDENTIALS, Storage, StorageError, StorageUrl, StorageUrlError, StoredPart, Unfinished, advice,
};
pub use store::{ArtifactOptions, ArtifactStore};
pub use writer::ArtifactWriter;

/// Bytes of a part of a multipart upload: the least that S3 takes for all but the last.
pub const PART_BYTES: usize = 5 << 20;
/// Plain bytes of a frame: each is compressed on its own, so that a range can be read without what is before it.
pub const FRAME_BYTES: usize = 1 << 20;
/// Plain bytes that may wait between the handler and the stage.
pub const WINDOW_BYTES: usize = 256 << 10;
/// Default of [`ArtifactOptions::chunk_bytes`].
pub const CHUNK_BYTES: usize = 8 << 10;
