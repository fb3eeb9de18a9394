//! PDF: set pages. [`text`] turns runs of text into lines of glyphs, and writes the fonts at the end.

#[allow(dead_code, reason = "the pages that use it come next")]
pub(super) mod text;
