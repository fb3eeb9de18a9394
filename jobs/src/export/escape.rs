//! Text made safe for XML and HTML, in content and in attributes alike.

use std::borrow::Cow;

use crate::book::check::is_legal;

/// Appends `text` so that XML and HTML parsers read it back as text, in content or in a double-quoted attribute.
/// Characters that XML 1.0 or HTML forbids are dropped; a carriage return, which parsers would change, becomes a line feed.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let instead = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\r' => {
                if text[at..].starts_with("\r\n") {
                    ""
                } else {
                    "\n"
                }
            }
            // The stream has none, but metadata may.
            c if !is_legal(c) => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(instead);
        plain = at + c.len_utf8();
    }
    out.push_str(&text[plain..]);
}

/// `text`, escaped as [`push_escaped`] does.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let harmless =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'.' | b',' | b'_');
    if text.bytes().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    push_escaped(&mut out, text);
    Cow::Owned(out)
}

/// Whether the first letter with a direction runs from right to left. `None` where no letter has one.
pub(super) fn runs_right_to_left(text: &str) -> Option<bool> {
    text.chars().find(|c| c.is_alphabetic()).map(|c| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_what_xml_forbids_is_dropped() {
        assert_eq!(escaped("<script>\"&\"]]>"), "&lt;script&gt;&quot;&amp;&quot;]]&gt;");
        assert_eq!(escaped("a\u{0}b\u{fffe}c\u{1ffff}d\u{85}e\r\nf\rg"), "abcde\nf\ng");
        assert_eq!(escaped("plain text"), "plain text");
    }

    #[test]
    fn the_first_letter_tells_the_direction() {
        assert_eq!(runs_right_to_left("1. שלום"), Some(true));
        assert_eq!(runs_right_to_left("(abc) שלום"), Some(false));
        assert_eq!(runs_right_to_left("12 %"), None);
    }
}
