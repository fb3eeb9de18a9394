//! What an element says that both passes ask for: a picture's source, the note that a link marks, whether chapters may begin there.

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

/// Whether a chapter may begin among these.
pub(super) fn is_free(open: &[String]) -> bool {
    let free =
        ["html", "body", "div", "section", "article", "main", "header", "hgroup", "center", "font", "span"];
    open.iter().all(|name| free.contains(&name.as_str()))
}

/// What a pass leaves out with all that is in it.
pub(super) fn is_left_out(name: &str) -> bool {
    matches!(name, "nav" | "style" | "script" | "template")
}

/// Whether it may hold what a title page says.
pub(super) fn is_header(element: &Element, path: &[String]) -> bool {
    (element.name == "header" || element.get("id") == Some("title-block-header")) && is_free(path)
}
