//! What attributes of XHTML say beside the elements.

use crate::{book::Alignment, import::epub::xml::Element};

/// The language that a class tells: `language-rust`.
pub(super) fn language(element: &Element) -> String {
    let class = element.get("class").unwrap_or_default();
    class.split_whitespace().find_map(|one| one.strip_prefix("language-")).unwrap_or_default().to_owned()
}

/// How a cell is set, by one of the ways that books say it in.
pub(super) fn alignment(element: &Element) -> Alignment {
    let style = element.get("style").unwrap_or_default().to_ascii_lowercase();
    let of_style =
        style.split(';').find_map(|rule| rule.trim().strip_prefix("text-align")?.trim().strip_prefix(':'));
    let side = of_style.or_else(|| element.get("align")).map(str::trim).unwrap_or_default();
    let is =
        |name: &str| side.eq_ignore_ascii_case(name) || (side.is_empty() && element.has_word("class", name));
    match () {
        () if is("left") => Alignment::Left,
        () if is("center") => Alignment::Center,
        () if is("right") => Alignment::Right,
        () => Alignment::None,
    }
}

/// A footnote's label from its id: of letters and digits, so that Markdown can name it.
pub(in crate::import) fn note_label(id: &str) -> String {
    id.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).take(100).collect()
}

/// Whether a chapter begins with its title, where our own export has written the element and says so.
pub(in crate::import) fn is_titled(element: &Element) -> Option<bool> {
    match element.get("data-chapter")? {
        "titled" => Some(true),
        "untitled" => Some(false),
        _ => None,
    }
}

/// Whether it says that it is a note.
pub(in crate::import) fn is_note(element: &Element) -> bool {
    ["footnote", "endnote", "rearnote"].iter().any(|kind| element.has_word("epub:type", kind))
        || element.has_word("role", "doc-footnote")
        || element.has_word("role", "doc-endnote")
}

/// Whether it holds notes and nothing else.
pub(super) fn is_of_notes(element: &Element) -> bool {
    matches!(element.name.as_str(), "section" | "div" | "aside" | "footer")
        && (["footnotes", "endnotes", "rearnotes"].iter().any(|kind| element.has_word("epub:type", kind))
            || element.has_word("role", "doc-endnotes")
            || element.has_word("class", "footnotes"))
}

/// Whether what it holds stands at the same place as itself.
pub(super) fn leads_on(name: &str) -> bool {
    matches!(name, "section" | "div" | "hr" | "a" | "span")
}

/// The id of the note in the same file that a link marks by its class, as books do that know no better way (EPUB 2).
pub(in crate::import) fn marked_by_class(element: &Element) -> Option<&str> {
    let classes = ["footnote-ref", "noteref", "footnote-reference"];
    let is_mark = element.name == "a" && classes.iter().any(|class| element.has_word("class", class));
    element.get("href").filter(|_| is_mark)?.strip_prefix('#').filter(|id| !id.is_empty())
}

/// Whether it can be a note that such a link marks.
pub(in crate::import) fn may_be_note(element: &Element) -> bool {
    matches!(element.name.as_str(), "li" | "aside" | "div" | "p" | "section" | "dd")
}
