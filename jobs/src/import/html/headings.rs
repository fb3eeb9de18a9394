//! The headings of an HTML file. One that says nothing and shows nothing is none.

/// A heading.
#[derive(Debug, Default)]
pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) text: String,
    /// Whether a chapter may begin there: inside of a quotation or table none may.
    pub(super) is_free: bool,
    /// Whether text or a picture stands between it and the next one.
    pub(super) has_text: bool,
    /// By what links find it.
    pub(super) anchor: Option<Box<str>>,
}

/// A heading that is being read.
#[derive(Debug)]
pub(super) struct OpenHeading {
    pub(super) depth: usize,
    /// Which element it is, counted from 1.
    pub(super) place: usize,
    /// Whether it holds what can be seen and is no text: a picture, a note's mark.
    pub(super) holds: bool,
    /// The places inside of it.
    pub(super) ids: Vec<String>,
}
