//! The few plain forms of inline HTML that a Markdown text may use and that the stream has a word for.

use super::event::{EndTag, Tag};

const CAPTION_BEGIN: &str = "<!-- caption: ";
const CAPTION_END: &str = " -->";

/// A caption behind an image whose definition has another one: nobody sees a comment, and the importer reads it.
pub(crate) fn caption_comment(caption: &str) -> String {
    let mut out = CAPTION_BEGIN.to_owned();
    // As JSON, without what could end a comment, a cell or a line.
    for c in serde_json::Value::from(caption).to_string().chars() {
        match c {
            '-' | '<' | '>' | '|' | '`' | '[' | ']' | '*' | '_' | '~' | '^' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push_str(CAPTION_END);
    out
}

/// The caption in such a comment.
pub(super) fn caption(html: &str) -> Option<String> {
    let inside = html.strip_prefix(CAPTION_BEGIN)?.strip_suffix(CAPTION_END)?;
    serde_json::from_str(inside).ok()
}

/// What a piece of inline HTML means.
pub(super) enum Inline {
    /// A line end that the author wants.
    Break,
    /// A comment.
    Nothing,
    /// A run begins.
    Start(Tag<'static>),
    /// A run ends.
    End(EndTag),
    /// Anything else.
    Other,
}

/// What a tag means: `<br>`, `<br />`, `<em>`, `</sup>`. With attributes it is foreign, but for a line break.
pub(super) fn inline(html: &str) -> Inline {
    if html.starts_with("<!--") {
        return Inline::Nothing;
    }
    let inside = html.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/').trim();
    let (name, ends) = inside.strip_prefix('/').map_or((inside, false), |name| (name, true));
    let tag = match name.to_ascii_lowercase().as_str() {
        "br" => return Inline::Break,
        "em" | "i" | "cite" => Tag::Emphasis,
        "strong" | "b" => Tag::Strong,
        "sub" => Tag::Subscript,
        "sup" => Tag::Superscript,
        "del" | "s" | "strike" => Tag::Strikethrough,
        _ => return Inline::Other,
    };
    if ends { Inline::End(tag.end()) } else { Inline::Start(tag) }
}
