//! Names of losses, the same in every format, so that users can add them up.

/// A link to an unknown chapter, a relative path or a scheme that readers should not be sent to.
pub(crate) const LINK: &str = "link that leads nowhere";
/// A link whose address is longer than programs of the format take.
pub(crate) const LONG_LINK: &str = "link with an over-long address";
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
/// A mark for a note that the chapter does not have.
pub(crate) const FOOTNOTE: &str = "footnote without a text";
/// A picture in the book's own title.
pub(crate) const TITLE_IMAGE: &str = "image in a title";
/// A title with emphasis, code, links or their kin, whose text stays.
pub(crate) const TITLE_MARK: &str = "mark in a title";
/// A note under a label that its chapter has given another; the first counts.
pub(crate) const REPEATED_NOTE: &str = "repeated footnote";
/// A paragraph or code that is longer than a block may be.
pub(crate) const SPLIT: &str = "over-long paragraph, split";
/// A line break where the format has single lines.
pub(crate) const LINE_BREAK: &str = "line break in a heading or table cell";
/// Cells beyond the table's columns.
pub(crate) const CELL: &str = "table cell beyond the last column";
/// Marks (bold, raised…) that the format can't nest or join in this way.
pub(crate) const MARK: &str = "mark that can't be combined";
/// A note's mark inside of another note, where the format has none.
pub(crate) const NESTED_NOTE: &str = "mark of a note inside a note";
/// A drawing (SVG) where only newer programs show it.
pub(crate) const DRAWING: &str = "drawing that older programs can't show";
/// A picture whose file does not tell its size.
pub(crate) const PICTURE_SIZE: &str = "image of unknown size";
/// A list's first number, where the format has none so large, or no more lists with numbers.
pub(crate) const LIST_NUMBER: &str = "first number of a list";
/// A code block's language whose name is too long for the format.
pub(crate) const CODE_LANGUAGE: &str = "language of a code block";
/// Quotes and lists inside one another in more ways than the format has styles.
pub(crate) const NESTING: &str = "nesting of quotes and lists";
/// A table with more columns than the page has room for words of: they are parted anywhere.
pub(crate) const WIDE_TABLE: &str = "table wider than the page, words parted";
/// A title that is longer than titles are kept.
pub(crate) const TITLE: &str = "over-long title, cut";
/// What a book says of itself, where the format holds less.
pub(crate) const METADATA: &str = "over-long metadata, cut";
/// A note that the format has no room for at the foot of its page; it stands at its chapter's end.
pub(crate) const NOTE_PLACE: &str = "note at the chapter's end instead of the page's";
/// Text that its document hides.
pub(crate) const HIDDEN: &str = "hidden text";
