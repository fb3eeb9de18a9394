//! Reads one chapter's Markdown as events: CommonMark with tables, footnotes, strikethrough, raised and lowered text
//! and heading anchors (`## Title {#anchor}`).
//!
//! Knows nothing of storage. Where images and links lead is asked of a `Resolve`, so that a project's chapter
//! ([`read_chapter`]) and a foreign manuscript (the importer) share one reader.

use std::{borrow::Cow, collections::HashSet};

use pulldown_cmark::{CowStr, Event as Read, LinkType, Options, Tag as From, TagEnd};

use super::{
    error::BookError,
    event::{EndTag, Event, EventSink, Losses, Tag},
    loss,
    markdown_html::{Inline, caption, inline},
    markdown_labels::Labels,
    markdown_scripts::Scripts,
    markdown_tags::{end_tag, tag},
    markdown_text::{Pending, push_plain},
    names::UniqueAnchors,
};

pub(crate) use super::markdown_text::{TitleText, heading_text, plain_text};

/// Where images and links of a text lead, and what its headings are.
pub(crate) trait Resolve {
    /// The asset's name or the URL for an image's source; `None` where there is no such picture.
    fn image(&mut self, source: &str, losses: &mut Losses) -> Result<Option<String>, BookError>;
    /// A link's target in the book; `None` where only its text is to be kept.
    fn link<'a>(&mut self, target: &'a str, losses: &mut Losses) -> Option<Cow<'a, str>>;
    /// The label of a footnote, the same for its mark and its text.
    fn label<'a>(&self, label: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(label)
    }
    /// The level and anchor of a heading whose plain text is `text`.
    fn heading(&mut self, level: u8, anchor: Option<&str>, text: &str) -> (u8, Option<String>);
}

/// What is read beyond CommonMark.
pub(crate) fn dialect() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_SUPERSCRIPT
        | Options::ENABLE_SUBSCRIPT
}

/// Reads chapter `index` of a project from its file's text. A level 1 heading that comes first is the chapter's title;
/// headings after it begin at level 2, and their anchors are made unique. Raw HTML is dropped and counted, but for a
/// few plain inline forms (`<br>`, `<em>`, `<sup>`, …). Images are `../images/NAME` or an `http(s)` URL.
///
/// The caller wraps its sink in [`Checked`](super::Checked), which bounds texts and depth.
///
/// # Errors
/// What the sink answers; the text itself is always readable.
pub fn read_chapter(
    source: &str,
    file: &str,
    index: usize,
    sink: &mut dyn EventSink,
    losses: &mut Losses,
) -> Result<(), BookError> {
    let mut events = Scripts::new(source).peekable();
    let mut title = String::new();
    if matches!(events.peek(), Some(Read::Start(From::Heading { level, .. })) if *level as u8 == 1) {
        for event in events.by_ref() {
            match event {
                Read::End(TagEnd::Heading(_)) => break,
                other => push_plain(&mut title, &other),
            }
        }
    }
    sink.event(Event::ChapterStart { index, title: title.trim().into() })?;
    let mut project = InProject { file, anchors: UniqueAnchors::default(), labels: Labels::of(source) };
    Reader::new(sink, &mut project, losses).read(events)?;
    sink.event(Event::ChapterEnd)
}

/// Reads a text's blocks, without `ChapterStart` and `ChapterEnd`; headings are whatever `resolve` makes of them.
pub(crate) fn read_blocks(
    source: &str,
    resolve: &mut dyn Resolve,
    sink: &mut dyn EventSink,
    losses: &mut Losses,
) -> Result<(), BookError> {
    Reader::new(sink, resolve, losses).read(Scripts::new(source))
}

/// Decodes `%20` and its like; bytes that are no UTF-8 then are replaced.
pub(crate) fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%')
            .then(|| after.get(..2).and_then(|two| std::str::from_utf8(two).ok()))
            .flatten()
            .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match code {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Whether it is an `http` or `https` URL.
pub(crate) fn is_web(target: &str) -> bool {
    let head = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    head.starts_with("http://") || head.starts_with("https://")
}

/// A project's own chapter: images by name, links as they are.
struct InProject<'a> {
    file: &'a str,
    anchors: UniqueAnchors,
    labels: Labels,
}

impl Resolve for InProject<'_> {
    fn image(&mut self, source: &str, losses: &mut Losses) -> Result<Option<String>, BookError> {
        if is_web(source) {
            return Ok(Some(source.to_owned()));
        }
        let name = source.strip_prefix("../").unwrap_or(source).strip_prefix("images/");
        match name.map(percent_decode) {
            Some(name) if !name.is_empty() && !name.contains(['/', '\\']) => Ok(Some(name.into_owned())),
            _ => {
                tracing::debug!(file = self.file, "an image is neither in images/ nor on the web");
                losses.add("image from outside the project");
                Ok(None)
            }
        }
    }

    fn link<'a>(&mut self, target: &'a str, _losses: &mut Losses) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(target))
    }

    fn label<'a>(&self, label: &'a str) -> Cow<'a, str> {
        self.labels.defined(label)
    }

    fn heading(&mut self, level: u8, anchor: Option<&str>, _text: &str) -> (u8, Option<String>) {
        (level.max(2), anchor.and_then(|anchor| self.anchors.add(anchor)))
    }
}

/// Turns the parser's events into ours.
struct Reader<'a> {
    sink: &'a mut dyn EventSink,
    resolve: &'a mut dyn Resolve,
    losses: &'a mut Losses,
    /// What is open, innermost last; `true` where a piece of inline HTML opened it.
    open: Vec<(EndTag, bool)>,
    /// One for each open link: whether it is a link for the sink too.
    links: Vec<bool>,
    footnotes: HashSet<String>,
    /// An image that was read: source, alternative text, caption. A comment behind it may have the caption.
    image: Option<(String, String, String)>,
}

impl<'a> Reader<'a> {
    fn new(sink: &'a mut dyn EventSink, resolve: &'a mut dyn Resolve, losses: &'a mut Losses) -> Self {
        let (open, links, footnotes) = (Vec::new(), Vec::new(), HashSet::new());
        Self { sink, resolve, losses, open, links, footnotes, image: None }
    }

    fn read<'s>(&mut self, mut events: impl Iterator<Item = Read<'s>>) -> Result<(), BookError> {
        let mut text = Pending::default();
        while let Some(event) = events.next() {
            if let Some(mut image) = self.image.take() {
                let own = if let Read::InlineHtml(html) = &event { caption(html) } else { None };
                let is_caption = own.is_some();
                image.2 = own.unwrap_or(image.2);
                self.send_image(image)?;
                if is_caption {
                    continue;
                }
            }
            if let Read::Text(piece) = event {
                if let Some(ready) = text.push(piece) {
                    self.text(ready)?;
                }
                continue;
            }
            if let Some(ready) = text.take() {
                self.text(ready)?;
            }
            match event {
                Read::Start(From::Heading { level, id, .. }) => {
                    self.heading(level as u8, id.as_deref(), &mut events)?;
                }
                Read::Start(From::Image { dest_url, title, .. }) => {
                    self.image(&dest_url, &title, &mut events)?;
                }
                Read::Start(From::FootnoteDefinition(label))
                    if !self.footnotes.insert(self.resolve.label(&label).into_owned()) =>
                {
                    self.losses.add(loss::REPEATED_NOTE);
                    let mut depth = 1_usize;
                    while depth > 0 {
                        match events.next() {
                            Some(Read::Start(From::FootnoteDefinition(_))) => depth += 1,
                            Some(Read::End(TagEnd::FootnoteDefinition)) => depth -= 1,
                            Some(_) => {}
                            None => return Ok(()),
                        }
                    }
                }
                other => self.event(other)?,
            }
        }
        self.image.take().map_or(Ok(()), |image| self.send_image(image))?;
        text.take().map_or(Ok(()), |ready| self.text(ready))
    }

    /// The heading's text decides over its anchor, so it is read before it is handed on.
    fn heading<'s>(
        &mut self,
        level: u8,
        anchor: Option<&str>,
        events: &mut impl Iterator<Item = Read<'s>>,
    ) -> Result<(), BookError> {
        let mut inside = Vec::new();
        for event in events.by_ref() {
            if matches!(event, Read::End(TagEnd::Heading(_))) {
                break;
            }
            inside.push(event);
        }
        let mut text = String::new();
        inside.iter().for_each(|event| push_plain(&mut text, event));
        let (level, anchor) = self.resolve.heading(level, anchor, text.trim());
        self.start(Tag::Heading { level, anchor: anchor.map(Cow::Owned) }, false)?;
        // Boxed: a heading holds no heading, so this goes one deep.
        let inside: Box<dyn Iterator<Item = Read<'s>>> = Box::new(inside.into_iter());
        self.read_inside(inside)?;
        self.end(EndTag::Heading(level))
    }

    fn read_inside<'s>(&mut self, events: Box<dyn Iterator<Item = Read<'s>> + '_>) -> Result<(), BookError> {
        self.read(events)
    }

    fn image<'s>(
        &mut self,
        source: &str,
        title: &str,
        events: &mut impl Iterator<Item = Read<'s>>,
    ) -> Result<(), BookError> {
        let (mut alt, mut depth) = (String::new(), 1_usize);
        for event in events.by_ref() {
            match event {
                Read::Start(From::Image { .. }) => depth += 1,
                Read::End(TagEnd::Image) => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                other => push_plain(&mut alt, &other),
            }
        }
        match self.resolve.image(source, self.losses)? {
            Some(name) => {
                self.image = Some((name, alt, title.to_owned()));
                Ok(())
            }
            None if alt.is_empty() => Ok(()),
            None => self.sink.event(Event::Text(alt.into())),
        }
    }

    fn send_image(&mut self, (source, alt, title): (String, String, String)) -> Result<(), BookError> {
        self.sink.event(Event::Image { source: source.into(), alt: alt.into(), title: title.into() })
    }

    fn text(&mut self, text: CowStr<'_>) -> Result<(), BookError> {
        self.sink.event(Event::Text(Cow::Borrowed(&text)))
    }

    fn start(&mut self, tag: Tag<'_>, by_html: bool) -> Result<(), BookError> {
        self.open.push((tag.end(), by_html));
        self.sink.event(Event::Start(tag))
    }

    /// Ends a block or run, and before it whatever inline HTML left open inside.
    fn end(&mut self, end: EndTag) -> Result<(), BookError> {
        while let Some((top, by_html)) = self.open.pop() {
            self.sink.event(Event::End(top))?;
            if !by_html && top == end {
                break;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Read<'_>) -> Result<(), BookError> {
        match event {
            Read::Start(From::Link { link_type, dest_url, title, .. }) => {
                let target = match link_type {
                    LinkType::Email => Some(Cow::Owned(format!("mailto:{dest_url}"))),
                    _ => self.resolve.link(&dest_url, self.losses),
                };
                self.links.push(target.is_some());
                target.map_or(Ok(()), |target| {
                    self.start(Tag::Link { target, title: title.as_ref().into() }, false)
                })
            }
            Read::End(TagEnd::Link) => match self.links.pop() {
                Some(true) => self.end(EndTag::Link),
                _ => Ok(()),
            },
            Read::Start(From::FootnoteDefinition(label)) => {
                let label = self.resolve.label(&label).into_owned();
                self.start(Tag::Footnote { label: label.into() }, false)
            }
            Read::Start(from) => match tag(from) {
                Some(tag) => self.start(tag, false),
                None => Ok(()),
            },
            Read::End(from) => end_tag(from).map_or(Ok(()), |end| self.end(end)),
            Read::Code(code) => self.sink.event(Event::Code(Cow::Borrowed(&code))),
            Read::InlineHtml(html) => self.inline_html(&html),
            Read::Html(html) => {
                if !html.trim_start().starts_with("<!--") {
                    self.losses.add("raw HTML");
                }
                Ok(())
            }
            Read::FootnoteReference(label) => {
                let label = self.resolve.label(&label);
                self.sink.event(Event::FootnoteReference(label))
            }
            Read::SoftBreak => self.sink.event(Event::SoftBreak),
            Read::HardBreak => self.sink.event(Event::HardBreak),
            Read::Rule => self.sink.event(Event::Rule),
            // Told apart only where their options are on, which they aren't.
            Read::Text(text) | Read::InlineMath(text) | Read::DisplayMath(text) => self.text(text),
            Read::TaskListMarker(_) => Ok(()),
        }
    }

    fn inline_html(&mut self, html: &str) -> Result<(), BookError> {
        match inline(html) {
            Inline::Break => self.sink.event(Event::HardBreak),
            Inline::Nothing => Ok(()),
            Inline::Start(tag) => self.start(tag, true),
            Inline::End(end) if self.open.last() == Some(&(end, true)) => {
                self.open.pop();
                self.sink.event(Event::End(end))
            }
            Inline::End(_) | Inline::Other => {
                self.losses.add("raw HTML");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
