//! Holds the stream's invariants between a producer and a consumer: exporters may rely on them, whatever a manuscript
//! does. Small faults are mended (illegal characters dropped, long texts split), grave ones are errors.

use std::borrow::Cow;

use super::{
    error::BookError,
    event::{EndTag, Event, EventSink, Losses, Tag},
};

/// How many bytes a text event has at most.
pub const MOST_TEXT_BYTES: usize = 16 << 10;
/// How deep blocks and runs may be nested.
pub const MOST_DEPTH: usize = 64;
/// How many bytes an attribute (a link's target, an anchor, an image's alternative text) has at most.
pub const MOST_ATTRIBUTE_BYTES: usize = 8 << 10;

/// Passes a stream on with its invariants held: balanced, at most [`MOST_DEPTH`] deep, texts bounded and of
/// characters that XML 1.0 (<https://www.w3.org/TR/xml/#charsets>) and HTML allow ([`is_legal`]), chapters numbered in order.
#[derive(Debug)]
pub struct Checked<S> {
    inner: S,
    file: String,
    open: Vec<EndTag>,
    chapter: Option<usize>,
    next_chapter: usize,
    losses: Losses,
}

impl<S: EventSink> Checked<S> {
    /// Checks what is sent to `inner`; errors name `file`.
    pub fn new(inner: S, file: impl Into<String>) -> Self {
        let (open, losses) = (Vec::new(), Losses::default());
        Self { inner, file: file.into(), open, chapter: None, next_chapter: 0, losses }
    }

    /// What was mended, and the consumer.
    pub fn into_parts(self) -> (S, Losses) {
        (self.inner, self.losses)
    }

    /// The consumer.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    fn wrong(&self, problem: impl Into<String>) -> BookError {
        let place = self.chapter.map(|index| format!("chapter {}", index + 1));
        BookError::Input { file: self.file.clone(), place, problem: problem.into() }
    }

    fn legal<'a>(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        if text.chars().all(is_legal) {
            return text;
        }
        self.losses.add("illegal control character");
        Cow::Owned(text.chars().filter(|c| is_legal(*c)).collect())
    }

    fn attribute<'a>(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        let text = self.legal(text);
        if text.len() <= MOST_ATTRIBUTE_BYTES {
            return text;
        }
        self.losses.add("over-long attribute, cut");
        Cow::Owned(text[..text.floor_char_boundary(MOST_ATTRIBUTE_BYTES)].to_owned())
    }

    fn text(&mut self, text: Cow<'_, str>) -> Result<(), BookError> {
        let text = self.legal(text);
        let mut rest = text.as_ref();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.floor_char_boundary(MOST_TEXT_BYTES));
            self.inner.event(Event::Text(Cow::Borrowed(piece)))?;
            rest = left;
        }
        Ok(())
    }

    fn start<'a>(&mut self, tag: Tag<'a>) -> Result<Tag<'a>, BookError> {
        if self.chapter.is_none() {
            return Err(self.wrong("text outside of any chapter"));
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(self.wrong(format!(
                "nested more than {MOST_DEPTH} deep (a list and its item count as two): simplify the lists or quotations there"
            )));
        }
        self.open.push(tag.end());
        Ok(match tag {
            Tag::Link { target, title } => {
                Tag::Link { target: self.attribute(target), title: self.attribute(title) }
            }
            Tag::Heading { level, anchor } => {
                Tag::Heading { level, anchor: anchor.map(|a| self.attribute(a)) }
            }
            Tag::CodeBlock { language } => Tag::CodeBlock { language: self.attribute(language) },
            Tag::Footnote { label } => Tag::Footnote { label: self.attribute(label) },
            plain => plain,
        })
    }
}

/// Whether XML 1.0 and HTML both allow the character: no control but white space (HTML forbids U+007F to U+009F, which
/// XML merely discourages), and none of those that never are characters (<https://www.unicode.org/faq/private_use.html>).
pub fn is_legal(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let is_none = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    !is_control && !is_none
}

impl<S: EventSink> EventSink for Checked<S> {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        let event = match event {
            Event::Text(text) => return self.text(text),
            Event::Start(tag) => Event::Start(self.start(tag)?),
            Event::End(end) => {
                if self.open.pop() != Some(end) {
                    return Err(self.wrong(format!("{end:?} ends where it is not open")));
                }
                Event::End(end)
            }
            Event::Code(code) => {
                let code = self.legal(code);
                let cut = code.floor_char_boundary(MOST_TEXT_BYTES);
                if cut < code.len() {
                    self.losses.add("over-long inline code, cut");
                }
                return self.inner.event(Event::Code(Cow::Borrowed(&code[..cut])));
            }
            Event::Image { source, alt, title } => Event::Image {
                source: self.attribute(source),
                alt: self.attribute(alt),
                title: self.attribute(title),
            },
            Event::FootnoteReference(label) => Event::FootnoteReference(self.attribute(label)),
            Event::ChapterStart { index, title } => {
                if self.chapter.is_some() || index != self.next_chapter {
                    return Err(self.wrong(format!("chapter {} begins out of order", index + 1)));
                }
                (self.chapter, self.next_chapter) = (Some(index), index + 1);
                Event::ChapterStart { index, title: self.attribute(title) }
            }
            Event::ChapterEnd | Event::BookEnd if !self.open.is_empty() => {
                return Err(self.wrong("a block is still open at the chapter's end"));
            }
            Event::ChapterEnd => {
                self.chapter = None;
                Event::ChapterEnd
            }
            plain @ (Event::BookStart
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::BookEnd) => plain,
        };
        self.inner.event(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<String>);

    impl EventSink for Kept {
        fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
            if let Event::Text(text) = event {
                self.0.push(text.into_owned());
            }
            Ok(())
        }
    }

    fn begun() -> Checked<Kept> {
        let mut checked = Checked::new(Kept::default(), "x.md");
        checked.event(Event::ChapterStart { index: 0, title: "".into() }).unwrap();
        checked.event(Event::Start(Tag::Paragraph)).unwrap();
        checked
    }

    #[test]
    fn long_texts_are_split_and_illegal_characters_dropped() {
        let mut checked = begun();
        checked.event(Event::Text("é".repeat(20_000).into())).unwrap();
        checked.event(Event::Text("a\u{0}b\u{ffff}\u{85}\u{7f}\u{fdd0}".into())).unwrap();
        let (kept, losses) = checked.into_parts();
        assert_eq!(kept.0.iter().map(String::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232, 2]);
        assert_eq!(losses.iter().collect::<Vec<_>>(), [("illegal control character", 1)]);
    }

    #[test]
    fn imbalance_depth_and_disorder_are_errors() {
        assert!(begun().event(Event::End(EndTag::Quote)).is_err());
        assert!(begun().event(Event::ChapterEnd).is_err());
        assert!(begun().event(Event::ChapterStart { index: 1, title: "".into() }).is_err());
        let mut checked = begun();
        let refused = (0..100).find_map(|_| checked.event(Event::Start(Tag::Quote)).err()).unwrap();
        assert!(refused.to_string().contains("x.md, chapter 1: nested more than 64 deep"), "{refused}");
    }
}
