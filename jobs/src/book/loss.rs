//! Names of losses, the same in every format, so that users can add them up.

/// A link to an unknown chapter, a relative path or a scheme that readers should not be sent to.
pub(crate) const LINK: &str = "link that leads nowhere";
/// A link to a chapter that the exported part does not have.
pub(crate) const OUTSIDE: &str = "link to a chapter outside of the part";
/// A link inside another; the outer one stays.
pub(crate) const NESTED_LINK: &str = "link inside a link";
/// A link to a place that does not exist in a chapter that does.
pub(crate) const ANCHOR: &str = "link to a place that is not there";
/// A picture that is not part of the book.
pub(crate) const MISSING_IMAGE: &str = "missing image";
/// A picture on the web, where the format asks for it inside.
pub(crate) const REMOTE_IMAGE: &str = "remote image";
/// A picture in a format without pictures.
pub(crate) const IMAGE: &str = "image";
/// A link's target in a format without links.
pub(crate) const LINK_TARGET: &str = "link target";
/// A picture's caption.
pub(crate) const CAPTION: &str = "image caption";
/// A mark for a note that the chapter does not have.
pub(crate) const FOOTNOTE: &str = "footnote without a text";
/// A line break where the format has single lines.
pub(crate) const LINE_BREAK: &str = "line break in a heading or table cell";
/// Cells beyond the table's columns.
pub(crate) const CELL: &str = "table cell beyond the last column";
/// Marks (bold, raised…) that the format can't nest or join in this way.
pub(crate) const MARK: &str = "mark that can't be combined";
