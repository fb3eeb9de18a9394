//! Every format, over a book that has everything, hostile texts included.

mod author;
mod docx;
mod docx_text;
mod every_format;
mod markdown;
mod sample;
