//! A model's text as a chapter. It is text of strangers: it goes through the book's own reader, check and writer, so that what a
//! project holds is always a chapter's Markdown. Pictures and links that the project does not have already become plain text; raw
//! HTML, control characters and a heading that repeats the title are dropped. Must not know: jobs, models, storage.

use std::{borrow::Cow, collections::HashSet};

use pulldown_cmark::{Event as Read, Parser, Tag as From};

use crate::book::{
    BookError, Checked, EndTag, Event, EventSink, Losses, Tag,
    check::is_legal,
    markdown::{Resolve, dialect, is_web, percent_decode, read_blocks},
    names::UniqueAnchors,
    words::WordCount,
    writer::{MarkdownWriter, ProjectNames},
};

/// How many bytes of a model's text a chapter takes; its Markdown may be a little longer.
pub(super) const MOST_TEXT_BYTES: usize = 1 << 20;

/// A chapter that came of a model's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cleaned {
    /// A chapter's file: `# Title` and the text.
    pub(super) markdown: String,
    /// How many words the text has.
    pub(super) words: u64,
    /// What was dropped.
    pub(super) losses: Losses,
}

/// Which pictures and links a text may have: those of the chapter that it was made from.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pictures: HashSet<String>,
    links: HashSet<String>,
}

impl Kept {
    /// Those of a chapter of a project.
    pub(super) fn of(chapter: &str) -> Self {
        let mut kept = Self::default();
        for event in Parser::new_ext(chapter, dialect()) {
            match event {
                Read::Start(From::Image { dest_url, .. }) => kept.pictures.insert(dest_url.into_string()),
                Read::Start(From::Link { dest_url, .. }) => kept.links.insert(dest_url.into_string()),
                _ => continue,
            };
        }
        kept
    }
}

/// A piece of text as subscribers may see it: without what would steer their terminal.
pub(super) fn shown(piece: &str) -> Cow<'_, str> {
    if piece.chars().all(is_legal) {
        Cow::Borrowed(piece)
    } else {
        piece.chars().filter(|c| is_legal(*c)).collect()
    }
}

/// The text without what models put around it: thoughts that are told, a code fence around all of it.
pub(super) fn unwrapped(answer: &str) -> &str {
    let mut text = answer.trim();
    for (begin, end) in [("<think>", "</think>"), ("<thinking>", "</thinking>")] {
        if let Some(thoughts) = text.strip_prefix(begin) {
            text = thoughts.split_once(end).map_or("", |(_, behind)| behind.trim());
        }
    }
    let fenced = text.strip_prefix("```").and_then(|inside| inside.strip_suffix("```"));
    match fenced.and_then(|inside| inside.split_once('\n')) {
        Some((language, inside)) if !inside.contains("\n```") && language.trim().len() <= 20 => inside.trim(),
        _ => text,
    }
}

/// How much of an answer has to have a word in it.
const MOST_WORDLESS: usize = 64 << 10;

/// Whether anything is left of an answer once it is a chapter: not of one that is a heading alone, markup, or nothing.
pub(super) fn is_text(answer: &str) -> bool {
    let text = unwrapped(answer);
    let text = &text[..text.floor_char_boundary(MOST_WORDLESS)];
    chapter(text, "", &Kept::default()).is_ok_and(|chapter| chapter.words > 0)
}

/// A chapter of this title out of a model's text.
///
/// # Errors
/// `Input` where even plain text can't be made of it.
pub(super) fn chapter(answer: &str, title: &str, kept: &Kept) -> Result<Cleaned, BookError> {
    let text = unwrapped(answer);
    let text = &text[..text.floor_char_boundary(MOST_TEXT_BYTES)];
    match read(text, title, kept) {
        // Nested too deep, say: then it is no Markdown, but paragraphs.
        Err(BookError::Input { .. }) => plain(text, title),
        read => read,
    }
}

fn read(text: &str, title: &str, kept: &Kept) -> Result<Cleaned, BookError> {
    let mut sink = begun(title)?;
    let mut losses = Losses::default();
    let mut resolve = Strangers { kept, anchors: UniqueAnchors::default() };
    // Reading builds no tree, and the check bounds how deep it goes.
    read_blocks(text, &mut resolve, &mut Body { inner: &mut sink, state: At::Start }, &mut losses)?;
    ended(sink, losses)
}

fn plain(text: &str, title: &str) -> Result<Cleaned, BookError> {
    let mut sink = begun(title)?;
    let mut losses = Losses::default();
    losses.add("markup nested too deep");
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        sink.event(Event::Start(Tag::Paragraph))?;
        sink.event(Event::Text(paragraph.split_whitespace().collect::<Vec<_>>().join(" ").into()))?;
        sink.event(Event::End(EndTag::Paragraph))?;
    }
    ended(sink, losses)
}

fn begun(title: &str) -> Result<Checked<Text>, BookError> {
    let text = Text { writer: MarkdownWriter::for_project(), words: WordCount::default() };
    let mut sink = Checked::new(text, "the model's text");
    sink.event(Event::ChapterStart { index: 0, title: title.into() })?;
    Ok(sink)
}

fn ended(mut sink: Checked<Text>, mut losses: Losses) -> Result<Cleaned, BookError> {
    sink.event(Event::ChapterEnd)?;
    let (mut text, mended) = sink.into_parts();
    losses.merge(&mended);
    losses.merge(text.writer.losses());
    Ok(Cleaned { markdown: std::mem::take(text.writer.buffer()), words: text.words.words(), losses })
}

/// Writes the chapter and counts its words.
struct Text {
    writer: MarkdownWriter<ProjectNames>,
    words: WordCount,
}

impl EventSink for Text {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        match &event {
            Event::Text(text) | Event::Code(text) => self.words.add(text),
            Event::Start(
                Tag::Paragraph | Tag::Heading { .. } | Tag::Item | Tag::TableCell | Tag::CodeBlock { .. },
            )
            | Event::SoftBreak
            | Event::HardBreak => self.words.part(),
            _ => {}
        }
        self.writer.event(&event);
        Ok(())
    }
}

/// Where a text has got to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// In a heading that stands first: the chapter has its title already.
    Title,
    /// Behind it.
    Titled,
    Text,
}

/// Leaves out a heading that stands first, and a rule beside it.
struct Body<'a> {
    inner: &'a mut Checked<Text>,
    state: At,
}

impl EventSink for Body<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        match (self.state, &event) {
            (At::Start, Event::Start(Tag::Heading { .. })) => self.state = At::Title,
            (At::Start | At::Titled, Event::Rule) => {}
            (At::Title, Event::End(EndTag::Heading(_))) => self.state = At::Titled,
            (At::Title, _) => {}
            (At::Start | At::Titled | At::Text, _) => {
                self.state = At::Text;
                return self.inner.event(event);
            }
        }
        Ok(())
    }
}

/// What a model may refer to.
struct Strangers<'a> {
    kept: &'a Kept,
    anchors: UniqueAnchors,
}

impl Resolve for Strangers<'_> {
    fn image(&mut self, source: &str, losses: &mut Losses) -> Result<Option<String>, BookError> {
        if !self.kept.pictures.contains(source) {
            losses.add("picture that the project does not have");
            return Ok(None);
        }
        if is_web(source) {
            return Ok(Some(source.to_owned()));
        }
        let name = source.strip_prefix("../").unwrap_or(source).strip_prefix("images/").map(percent_decode);
        Ok(name.filter(|name| !name.is_empty() && !name.contains(['/', '\\'])).map(Cow::into_owned))
    }

    fn link<'a>(&mut self, target: &'a str, losses: &mut Losses) -> Option<Cow<'a, str>> {
        if self.kept.links.contains(target) {
            return Some(Cow::Borrowed(target));
        }
        losses.add("link");
        None
    }

    fn heading(&mut self, level: u8, anchor: Option<&str>, _text: &str) -> (u8, Option<String>) {
        (level.max(2), anchor.and_then(|anchor| self.anchors.add(anchor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(answer: &str) -> String {
        chapter(answer, "The *Start*", &Kept::default()).unwrap().markdown
    }

    #[test]
    fn a_models_text_becomes_a_chapter_under_its_own_title() {
        let answer = "```markdown\n# Chapter 1: The Start\n\n---\n\nIt was *late*. She\nleft.\n\n# Later\n\nNo one.\n```";
        let cleaned = chapter(answer, "The Start", &Kept::default()).unwrap();
        assert!(cleaned.markdown.starts_with("# The Start\n\nIt was *late*."), "{}", cleaned.markdown);
        assert!(cleaned.markdown.contains("\n\n## Later\n\nNo one."), "{}", cleaned.markdown);
        assert_eq!(cleaned.words, 8, "{}", cleaned.markdown);
        assert!(cleaned.losses.is_empty());
        assert_eq!(unwrapped("<think>hmm\n</think>\n\nYes."), "Yes.");
        assert_eq!(unwrapped("<think>hmm"), "");
        let code = "```\na\n```\n\ntext\n\n```\nb\n```";
        assert_eq!(unwrapped(code), code);
    }

    #[test]
    fn what_is_hostile_is_dropped_or_plain_text() {
        let hostile = "<script>alert(1)</script>\n\nA <img src=x onerror=alert(1)> B ![track](https://evil.example/x.png) \
                       [go](javascript:alert(1)) [out](https://evil.example) \u{1b}[31mred\u{0}\u{202e}\n\n\
                       [ref]\n\n[ref]: file:///etc/passwd\n\n![x](../images/none.png)\n";
        let markdown = cleaned(hostile);
        for gone in ["<script", "<img", "javascript:", "evil.example", "\u{1b}", "\u{0}", "passwd", "images/"]
        {
            assert!(!markdown.contains(gone), "{gone}: {markdown}");
        }
        assert!(markdown.starts_with("# The \\*Start\\*\n"), "{markdown}");
        for kept in ["track", "go", "out", "red"] {
            assert!(markdown.contains(kept), "{kept}: {markdown}");
        }
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a[2Jb\n");
    }

    #[test]
    fn however_deep_or_long_it_is_a_chapter_comes_of_it() {
        let deep = format!("{}deep\n\nnext", "> ".repeat(500));
        let cleaned = chapter(&deep, "T", &Kept::default()).unwrap();
        assert!(cleaned.markdown.contains("deep") && cleaned.markdown.contains("next"));
        let long = chapter(&"word ".repeat(2 << 20), "T", &Kept::default()).unwrap();
        assert!(long.markdown.len() <= MOST_TEXT_BYTES + 1_000, "{}", long.markdown.len());
        let nothing = chapter("<think>…", "T", &Kept::default()).unwrap();
        assert_eq!(nothing.words, 0);
    }

    #[test]
    fn what_a_chapter_had_it_may_keep() {
        let before = "# T\n\n![M](../images/map.png) and [there](0002-b.md#x).\n";
        let cleaned = chapter(
            "See ![M](../images/map.png), ![N](../images/n.png) and [there](0002-b.md#x).",
            "T",
            &Kept::of(before),
        )
        .unwrap();
        assert!(
            cleaned.markdown.contains("![M](../images/map.png), N and [there](0002-b.md#x)"),
            "{}",
            cleaned.markdown
        );
    }
}
