//! What a block of lines is: a paragraph whose lines are joined, verse whose lines are kept, a scene break.

use super::super::chapters::Chapters;
use crate::book::{BookError, EndTag, Event, EventSink as _, Tag};

/// How many bytes a block may gather before it is written as it is.
const MOST_BLOCK_BYTES: usize = 256 << 10;

/// How paragraphs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// By blank lines; lines are wrapped at about this many characters.
    Blank {
        /// In characters.
        width: usize,
    },
    /// By the indentation of their first line.
    Indented,
    /// Each line is one.
    Lines,
}

/// Gathers lines and writes blocks.
#[derive(Debug)]
pub(super) struct Paragraphs {
    layout: Layout,
    block: Vec<String>,
    bytes: usize,
    /// A break is written only before another block.
    pending_break: bool,
    begun: bool,
}

impl Paragraphs {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, block: Vec::new(), bytes: 0, pending_break: false, begun: false }
    }

    /// Takes the next line of the chapter.
    pub(super) fn line(&mut self, line: &str, out: &mut Chapters<'_>) -> Result<(), BookError> {
        if line.trim().is_empty() {
            return self.flush(out);
        }
        if is_break(line.trim()) {
            self.flush(out)?;
            self.pending_break = self.begun;
            return Ok(());
        }
        let indented = line.starts_with([' ', '\t', '\u{3000}']);
        let new = match self.layout {
            Layout::Blank { .. } => self.bytes + line.len() > MOST_BLOCK_BYTES,
            Layout::Indented => indented || self.bytes + line.len() > MOST_BLOCK_BYTES,
            Layout::Lines => true,
        };
        if new {
            self.flush(out)?;
        }
        self.bytes += line.len();
        self.block.push(line.trim_end().to_owned());
        Ok(())
    }

    /// Ends the chapter.
    pub(super) fn finish(&mut self, out: &mut Chapters<'_>) -> Result<(), BookError> {
        self.flush(out)?;
        (self.pending_break, self.begun) = (false, false);
        Ok(())
    }

    fn flush(&mut self, out: &mut Chapters<'_>) -> Result<(), BookError> {
        let block = std::mem::take(&mut self.block);
        self.bytes = 0;
        if block.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.pending_break) {
            out.event(Event::Rule)?;
        }
        self.begun = true;
        let quoted = self.is_indented_verse(&block);
        if quoted {
            out.event(Event::Start(Tag::Quote))?;
        }
        let verse = quoted || self.is_short_verse(&block);
        out.event(Event::Start(Tag::Paragraph))?;
        if verse {
            for (place, line) in block.iter().enumerate() {
                if place > 0 {
                    out.event(Event::HardBreak)?;
                }
                runs(line.trim(), out)?;
            }
        } else {
            runs(&joined(&block), out)?;
        }
        out.event(Event::End(EndTag::Paragraph))?;
        if quoted {
            out.event(Event::End(EndTag::Quote))?;
        }
        Ok(())
    }

    /// Several lines, all of them set in.
    fn is_indented_verse(&self, block: &[String]) -> bool {
        let Layout::Blank { .. } = self.layout else { return false };
        block.len() > 1 && block.iter().all(|line| line.starts_with("  ") || line.starts_with('\t'))
    }

    /// Several lines that all end well before the others do.
    fn is_short_verse(&self, block: &[String]) -> bool {
        let Layout::Blank { width } = self.layout else { return false };
        let most = block.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        width >= 55 && block.len() >= 3 && most * 4 <= width * 3
    }
}

/// `* * *`, `---`, `⁂`, `#`.
fn is_break(line: &str) -> bool {
    let marks = line.chars().filter(|c| !c.is_whitespace()).count();
    let all = line.chars().all(|c| c.is_whitespace() || "*·•#~-—–_=+⁂◇◆○●☆★".contains(c));
    all && (marks >= 3 || line == "⁂" || line == "#" || line == "*") && line.chars().count() <= 80
}

/// Lines as one text; between characters of scripts without spaces none is put.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = line.trim();
        if let (Some(before), Some(after)) = (text.chars().last(), line.chars().next())
            && !(is_wide(before) && is_wide(after))
        {
            text.push(' ');
        }
        text.push_str(line);
    }
    text
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}' | '\u{20000}'..='\u{3ffff}')
}

/// Text with Project Gutenberg's `_emphasis_`.
fn runs(text: &str, out: &mut Chapters<'_>) -> Result<(), BookError> {
    let mut rest = text;
    while let Some((before, inside, after)) = emphasis(rest) {
        if !before.is_empty() {
            out.event(Event::Text(before.into()))?;
        }
        out.event(Event::Start(Tag::Emphasis))?;
        out.event(Event::Text(inside.into()))?;
        out.event(Event::End(EndTag::Emphasis))?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { out.event(Event::Text(rest.into())) }
}

/// The text before, in and after the first `_emphasis_`.
fn emphasis(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find('_') {
        let open = from + found;
        // Two underscores are part of a name: `__init__`.
        let opens = !text[..open].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
            && text[open + 1..].chars().next().is_some_and(|c| !c.is_whitespace() && c != '_');
        from = open + 1;
        if !opens {
            continue;
        }
        // One search for the end: where there is none, there is none for a later begin either.
        let mut ends = text[open + 1..].match_indices('_').map(|(place, _)| open + 1 + place);
        let close = ends.find(|close| {
            !text[..*close].chars().next_back().is_some_and(|c| c.is_whitespace() || c == '_')
                && !text[close + 1..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
        })?;
        return Some((&text[..open], &text[open + 1..close], &text[close + 1..]));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_mark_emphasis_at_the_edges_of_words() {
        assert_eq!(emphasis("a _b c_, d"), Some(("a ", "b c", ", d")));
        assert_eq!(emphasis("snake_case_name"), None);
        assert_eq!(emphasis("_ a_"), None);
        for name in ["__init__", "(__main__)", "___x___", "_x__ y"] {
            assert_eq!(emphasis(name), None, "{name}");
        }
        assert_eq!(emphasis("“_Was_ it?”"), Some(("“", "Was", " it?”")));
    }

    #[test]
    fn scene_breaks_are_lines_of_marks() {
        for line in ["* * *", "---", "⁂", "#", "*", "~ ~ ~ ~"] {
            assert!(is_break(line), "{line}");
        }
        for line in ["--", "* a *", ""] {
            assert!(!is_break(line), "{line}");
        }
    }
}
