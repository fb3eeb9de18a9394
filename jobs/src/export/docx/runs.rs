//! Runs: text with its properties, parted where the direction of writing changes.

use crate::export::escape::{push_escaped, runs_right_to_left};

/// A mark that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Emphasis,
    Strong,
    Strikethrough,
    Superscript,
    Subscript,
}

/// What a run is beside its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Plain,
    Code,
    Link,
    Note,
}

/// A run's properties, in the order that the schema wants.
pub(super) fn properties(sort: Sort, marks: &[Mark], right_to_left: bool) -> String {
    let has = |mark: Mark| marks.contains(&mark);
    let outermost = marks.iter().find(|mark| matches!(mark, Mark::Emphasis | Mark::Strong));
    let style = match (sort, outermost) {
        (Sort::Code, _) => "CodeChar",
        (Sort::Link, _) => "Hyperlink",
        (Sort::Note, _) => "FootnoteReference",
        (Sort::Plain, Some(Mark::Emphasis)) => "Emphasis",
        (Sort::Plain, Some(_)) => "Strong",
        (Sort::Plain, None) => "",
    };
    let mut out = String::new();
    if !style.is_empty() {
        out.push_str(&format!("<w:rStyle w:val=\"{style}\"/>"));
    }
    if has(Mark::Strong) && style != "Strong" {
        out.push_str("<w:b/><w:bCs/>");
    }
    if has(Mark::Emphasis) && style != "Emphasis" {
        out.push_str("<w:i/><w:iCs/>");
    }
    if has(Mark::Strikethrough) {
        out.push_str("<w:strike/>");
    }
    // A note's mark is raised by its style, wherever it stands.
    let is_moved = |mark: &&Mark| sort != Sort::Note && matches!(mark, Mark::Superscript | Mark::Subscript);
    match marks.iter().rfind(is_moved) {
        Some(Mark::Superscript) => out.push_str("<w:vertAlign w:val=\"superscript\"/>"),
        Some(_) => out.push_str("<w:vertAlign w:val=\"subscript\"/>"),
        None => {}
    }
    if right_to_left {
        out.push_str("<w:rtl/>");
    }
    if out.is_empty() { out } else { format!("<w:rPr>{out}</w:rPr>") }
}

/// Writes text as runs; `base` is the paragraph's direction. A line feed means no more than a space.
pub(super) fn push_text(out: &mut String, text: &str, sort: Sort, marks: &[Mark], base: bool) {
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, right_to_left) = stretch(rest, base);
        rest = &rest[piece.len()..];
        out.push_str("<w:r>");
        out.push_str(&properties(sort, marks, right_to_left));
        push_characters(out, piece);
        out.push_str("</w:r>");
    }
}

/// What stands inside of a run: text, and elements for what text can't say.
fn push_characters(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let element = match c {
            '\t' => "<w:tab/>",
            '\u{ad}' => "<w:softHyphen/>",
            _ => {
                let end = rest.find(['\t', '\u{ad}']).unwrap_or(rest.len());
                out.push_str("<w:t xml:space=\"preserve\">");
                for (at, line) in rest[..end].split(['\n', '\r']).enumerate() {
                    if at > 0 {
                        out.push(' ');
                    }
                    push_escaped(out, line);
                }
                out.push_str("</w:t>");
                rest = &rest[end..];
                continue;
            }
        };
        out.push_str(element);
        rest = &rest[c.len_utf8()..];
    }
}

/// The longest beginning of `text` that runs one way, and which; what has no direction goes with what is before it, or
/// with the paragraph.
fn stretch(text: &str, base: bool) -> (&str, bool) {
    // Below U+0590 nothing runs from right to left: one look at the bytes tells for nearly every text.
    if !base && text.bytes().all(|byte| byte < 0xd6) {
        return (text, false);
    }
    let mut way = None;
    for (at, c) in text.char_indices() {
        let Some(own) = runs_right_to_left(c.encode_utf8(&mut [0; 4])) else { continue };
        match way {
            Some(way) if way != own => return (&text[..at], way),
            // Leading quotes and the like are the paragraph's, where it runs the other way.
            None if at > 0 && own != base => return (&text[..at], base),
            _ => way = Some(own),
        }
    }
    (text, way.unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, base: bool) -> String {
        let mut out = String::new();
        push_text(&mut out, text, Sort::Plain, &[], base);
        out.replace(" xml:space=\"preserve\"", "")
    }

    #[test]
    fn of_two_marks_the_outermost_is_the_style() {
        let strong_first = properties(Sort::Plain, &[Mark::Strong, Mark::Emphasis], false);
        assert_eq!(strong_first, "<w:rPr><w:rStyle w:val=\"Strong\"/><w:i/><w:iCs/></w:rPr>");
        let in_link = properties(Sort::Link, &[Mark::Emphasis, Mark::Strong, Mark::Subscript], true);
        assert!(in_link.contains("\"Hyperlink\"/><w:b/><w:bCs/><w:i/><w:iCs/><w:vertAlign"), "{in_link}");
        assert!(in_link.ends_with("<w:rtl/></w:rPr>"));
        assert_eq!(properties(Sort::Plain, &[], false), "");
    }

    #[test]
    fn a_run_has_one_direction() {
        let rtl = |text: &str| format!("<w:r><w:rPr><w:rtl/></w:rPr><w:t>{text}</w:t></w:r>");
        let ltr = |text: &str| format!("<w:r><w:t>{text}</w:t></w:r>");
        assert_eq!(written("abc שלום 12 def", false), ltr("abc ") + &rtl("שלום 12 ") + &ltr("def"));
        assert_eq!(written("«שלום abc", true), rtl("«שלום ") + &ltr("abc"));
        assert_eq!(written("«abc", true), rtl("«") + &ltr("abc"));
        assert_eq!(written("12 %", true), rtl("12 %"));
    }

    #[test]
    fn what_text_cannot_say_is_an_element() {
        assert_eq!(
            written("a\tb\u{ad}c\nd <\u{7}", false),
            "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:softHyphen/><w:t>c d &lt;</w:t></w:r>"
        );
    }
}
