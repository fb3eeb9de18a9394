//! What a line of Markdown is, without parsing blocks: enough to split a text where the parser would agree. Knows
//! fences, headings of both styles and definitions; what is inside lists and quotations is left alone.

use crate::book::markdown::{TitleText, heading_text};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Part of the front matter.
    Front,
    Blank,
    /// A heading at the top level, 1 to 6. An underline makes the lines before it one.
    Heading(u8),
    /// Begins or goes on with the definition of a link or a footnote.
    Definition,
    Other,
}

/// Reads lines one after the other.
#[derive(Debug)]
pub(super) struct Scanner {
    front: u64,
    /// The character and length of the open fence.
    fence: Option<(u8, usize)>,
    /// The line that began the last one at the top level.
    fence_line: String,
    /// Whether that began on an item's or quotation's own line, so that its end is set in or quoted.
    fence_is_inside: bool,
    /// The lines of the paragraph that is open at the top level.
    paragraph: Vec<String>,
    /// Whether the block that is open may hold indented lines: a list, a quotation.
    container: bool,
    /// Whether the line before was blank, a heading or a definition: one may begin here.
    clear: bool,
    /// The definition that goes on: whether it is a footnote's, and its label's line.
    definition: Option<Open>,
    setext: bool,
    html: bool,
}

/// A definition that may go on.
#[derive(Clone, Debug)]
struct Open {
    footnote: bool,
    /// How many in a row; the first line begins one.
    lines: usize,
    blanks: usize,
}

/// A footnote's text or a title longer than this is left where it stands.
const MOST_PARAGRAPH_LINES: usize = 64;

impl Scanner {
    /// After `front` lines of front matter.
    pub(super) fn new(front: u64) -> Self {
        Self {
            front,
            fence: None,
            fence_line: String::new(),
            fence_is_inside: false,
            paragraph: Vec::new(),
            container: false,
            clear: true,
            definition: None,
            setext: false,
            html: false,
        }
    }

    /// Whether the last heading was an underlined one.
    pub(super) fn is_setext(&self) -> bool {
        self.setext
    }

    /// Whether a text could be cut after the last line.
    pub(super) fn is_top_level(&self) -> bool {
        self.fence.is_none() && !self.container && self.definition.is_none() && !self.html
    }

    /// Whether a fence is open at the top level.
    pub(super) fn is_in_fence(&self) -> bool {
        self.fence.is_some() && !self.fence_is_inside
    }

    /// The line that began that fence, and one that ends it.
    pub(super) fn fence(&self) -> Option<(&str, String)> {
        let (mark, length) = self.fence.filter(|_| !self.fence_is_inside)?;
        Some((&self.fence_line, char::from(mark).to_string().repeat(length)))
    }

    /// Whether the last line is inside something that would be something else if it were cut there.
    pub(super) fn is_inside(&self) -> bool {
        self.container || self.fence_is_inside || self.definition.is_some()
    }

    /// Whether the last line, which was this one, begins an item of the outermost list.
    pub(super) fn is_item(&self, line: &str) -> bool {
        let is_outermost = !line.starts_with([' ', '\t', '>']) && self.definition.is_none();
        is_outermost && is_container(line)
    }

    /// Whether the last line began a definition.
    pub(super) fn begins_definition(&self) -> bool {
        self.definition.as_ref().is_some_and(|open| open.lines == 1 && open.blanks == 0)
    }

    /// What the next line is.
    pub(super) fn line(&mut self, line: &str) -> Line {
        if std::mem::take(&mut self.setext) {
            self.paragraph.clear();
        }
        if self.front > 0 {
            self.front -= 1;
            return Line::Front;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let text = line.trim();
        // What begins at the margin is behind the item or quotation that the fence stood in.
        if self.fence_is_inside && indent == 0 && !text.is_empty() && !text.starts_with('>') {
            self.fence = None;
        }
        if self.fence.is_none() {
            self.fence_is_inside = false;
        }
        if let Some((mark, length)) = self.fence {
            let bare = if self.fence_is_inside { text.trim_start_matches(['>', ' ']) } else { text };
            let run = bare.bytes().take_while(|byte| *byte == mark).count();
            if run >= length && run == bare.len() && (indent < 4 || self.fence_is_inside) {
                self.fence = None;
                self.clear = true;
            }
            return Line::Other;
        }
        if text.is_empty() {
            self.paragraph.clear();
            (self.clear, self.html) = (true, false);
            if let Some(open) = &mut self.definition {
                open.blanks += 1;
                // Kept with a footnote, which an indented line may follow; nobody misses it elsewhere.
                return if open.footnote { Line::Definition } else { Line::Blank };
            }
            return Line::Blank;
        }
        if self.goes_on(indent, text) {
            return Line::Definition;
        }
        self.definition = None;
        if indent >= 4 || line.starts_with('\t') {
            self.paragraph.clear();
            self.clear = false;
            return Line::Other;
        }
        self.block(line, text)
    }

    /// Whether the line belongs to the open definition.
    fn goes_on(&mut self, indent: usize, text: &str) -> bool {
        let Some(open) = &mut self.definition else { return false };
        let goes_on = if open.footnote {
            indent >= 4 || (open.blanks == 0 && self.paragraph.is_empty() && is_plain(text))
        } else {
            open.lines == 1 && open.blanks == 0 && indent > 0 && text.starts_with(['"', '\'', '('])
        };
        if goes_on {
            (open.lines, open.blanks) = (open.lines + 1, 0);
        }
        goes_on
    }

    fn block(&mut self, line: &str, text: &str) -> Line {
        let clear = std::mem::take(&mut self.clear);
        if let Some(mark) = text.bytes().next().filter(|mark| matches!(mark, b'`' | b'~')) {
            let run = text.bytes().take_while(|byte| *byte == mark).count();
            if run >= 3 && (mark == b'~' || !text[run..].contains('`')) {
                self.paragraph.clear();
                self.container = false;
                self.fence = Some((mark, run));
                line.clone_into(&mut self.fence_line);
                return Line::Other;
            }
        }
        if let Some(level) = atx_level(text) {
            self.paragraph.clear();
            (self.container, self.clear) = (false, true);
            return Line::Heading(level);
        }
        if !self.paragraph.is_empty() && !self.container {
            let underline = |mark: u8| text.bytes().all(|byte| byte == mark);
            let level = if underline(b'=') { Some(1) } else { underline(b'-').then_some(2) };
            if let Some(level) = level {
                (self.setext, self.clear) = (true, true);
                return Line::Heading(level);
            }
        }
        if clear && let Some(footnote) = definition_begins(text) {
            self.paragraph.clear();
            self.container = false;
            // Another may follow on the next line.
            self.clear = true;
            self.definition = Some(Open { footnote, lines: 1, blanks: 0 });
            return Line::Definition;
        }
        if is_container(text) {
            self.paragraph.clear();
            self.container = true;
            let mut inside = text;
            while let Some(rest) = inside_container(inside) {
                inside = rest;
            }
            if let Some(mark) = inside.bytes().next().filter(|mark| matches!(mark, b'`' | b'~')) {
                let run = inside.bytes().take_while(|byte| *byte == mark).count();
                if run >= 3 && (mark == b'~' || !inside[run..].contains('`')) {
                    (self.fence, self.fence_is_inside) = (Some((mark, run)), true);
                }
            }
            return Line::Other;
        }
        if clear {
            self.container = false;
            self.html = text.starts_with('<');
        }
        if !self.container
            && self.paragraph.len() < MOST_PARAGRAPH_LINES
            && !self.html
            && !text.starts_with('|')
        {
            self.paragraph.push(line.to_owned());
        }
        Line::Other
    }

    /// The title that the last heading has, as plain text.
    pub(super) fn title(&self, line: &str) -> TitleText {
        if !self.setext {
            return heading_text(line);
        }
        let joined: Vec<&str> = self.paragraph.iter().map(|line| line.trim()).collect();
        heading_text(&format!("# {}", joined.join(" ")))
    }

    /// The anchor that the last heading says it has.
    pub(super) fn anchor(&self, line: &str) -> Option<String> {
        let line = if self.setext { self.paragraph.last()? } else { line };
        let (_, attributes) = line.trim_end().strip_suffix('}')?.rsplit_once('{')?;
        let id = attributes.split_whitespace().find_map(|word| word.strip_prefix('#'))?;
        Some(id.to_owned())
    }

    /// How many lines before the underline are part of the heading.
    pub(super) fn paragraph_lines(&self) -> usize {
        self.paragraph.len()
    }

    /// Takes the lines of an underlined heading back off the text; nothing for the other style.
    pub(super) fn take_back(&mut self, text: &mut String) {
        let bytes: usize = self.paragraph.iter().map(|line| line.len() + 1).sum();
        text.truncate(text.len().saturating_sub(bytes));
        self.paragraph.clear();
    }
}

/// `## Title` is 2.
fn atx_level(text: &str) -> Option<u8> {
    let level = text.bytes().take_while(|byte| *byte == b'#').count();
    let after = text.as_bytes().get(level);
    (matches!(level, 1..=6) && after.is_none_or(|byte| matches!(byte, b' ' | b'\t'))).then_some(level as u8)
}

/// Whether a definition begins: `Some(true)` for a footnote's.
fn definition_begins(text: &str) -> Option<bool> {
    let label = label(text)?;
    let footnote = label.starts_with('^');
    let rest = text[label.len() + 3..].trim();
    // A link's definition is taken only where it is whole on its line, as the parser would have it.
    let whole = || {
        let alone = format!("{text}\n");
        pulldown_cmark::Parser::new(&alone).reference_definitions().iter().next().is_some()
    };
    let is_data = rest.starts_with("data:") && !rest.contains(char::is_whitespace);
    (footnote || is_data || (!rest.is_empty() && text.len() < 4096 && whole())).then_some(footnote)
}

/// The label of `[label]: …`, as it is written.
pub(super) fn label(text: &str) -> Option<&str> {
    let rest = text.trim_start().strip_prefix('[')?;
    let end = rest.find("]:")?;
    let label = &rest[..end];
    let inside = label.strip_prefix('^').unwrap_or(label);
    let legal = !inside.trim().is_empty() && label.len() <= 999 && !label.contains(['[', ']']);
    legal.then_some(label)
}

/// Whether the line begins a list item or a quotation.
fn is_container(text: &str) -> bool {
    inside_container(text).is_some()
}

/// What stands in the list item or quotation that the line begins.
fn inside_container(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('>') {
        return Some(rest.trim_start());
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let bullet = match digits {
        0 => text.strip_prefix(['-', '*', '+']),
        1..=9 => text[digits..].strip_prefix(['.', ')']),
        _ => None,
    };
    bullet.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])).map(str::trim_start)
}

/// Whether the line can only be a paragraph's.
fn is_plain(text: &str) -> bool {
    atx_level(text).is_none()
        && !is_container(text)
        && !text.starts_with("```")
        && !text.starts_with("~~~")
        && label(text).is_none()
}
