//! Stub for compile.
use super::{BookSink, Imported, SourceFile};
use crate::book::BookError;
pub(super) fn import(_source: &SourceFile, _sink: &mut dyn BookSink) -> Result<Imported, BookError> {
    Err(BookError::input("", "later"))
}
