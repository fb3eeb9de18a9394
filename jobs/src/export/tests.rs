//! Every format, over a book that has everything, hostile texts included.

mod author;
mod every_format;
mod markdown;
pub(super) mod sample;
