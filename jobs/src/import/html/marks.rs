//! What an element's attributes say that both passes ask for: a picture's source, the note that a link marks.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::import::epub::xml::Element;

/// A picture's source, with its content replaced by what tells it from others.
pub(super) fn short(source: &str) -> String {
    if !source.starts_with("data:") {
        return source.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    format!("data:{}:{:x}", source.len(), hasher.finish())
}

/// The id of the note that a link marks.
pub(super) fn marked(element: &Element, open: &[String]) -> Option<String> {
    if element.name != "a" {
        return None;
    }
    let id = element.get("href")?.strip_prefix('#').filter(|id| !id.is_empty())?;
    let classes = ["footnote-ref", "noteref", "footnote", "footnote-reference"];
    let is_mark = element.has_word("role", "doc-noteref")
        || element.has_word("epub:type", "noteref")
        || classes.iter().any(|class| element.has_word("class", class))
        || open.iter().any(|name| name == "sup");
    is_mark.then(|| id.to_owned())
}
