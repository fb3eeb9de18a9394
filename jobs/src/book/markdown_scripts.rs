//! Raised and lowered text right behind a letter (`x^2^`, `H~2~O`): the parser takes the signs there for text, people
//! write them so. What the writer means as text it escapes, and a sign that was escaped stays one.

use std::{collections::VecDeque, ops::Range};

use pulldown_cmark::{CowStr, Event, LinkType, OffsetIter, Parser, Tag, TagEnd};

use super::markdown::dialect;

/// How many characters may be raised or lowered in this way.
const MOST_CHARACTERS: usize = 100;
/// How many bytes of texts side by side are looked at together.
const MOST_BYTES: usize = 16 << 10;

/// A parser's events, with the raised and lowered text that it did not see.
pub(super) struct Scripts<'s> {
    source: &'s str,
    events: OffsetIter<'s>,
    /// Texts side by side, and where they stand.
    texts: Vec<(CowStr<'s>, Range<usize>)>,
    bytes: usize,
    ready: VecDeque<Event<'s>>,
    /// How many tags are open in which signs are text, or raised already.
    closed: usize,
    /// Whether an address that stands for itself is open.
    is_address: bool,
}

impl<'s> Scripts<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        let events = Parser::new_ext(source, dialect()).into_offset_iter();
        Self {
            source,
            events,
            texts: Vec::new(),
            bytes: 0,
            ready: VecDeque::new(),
            closed: 0,
            is_address: false,
        }
    }

    /// Hands on the texts that were gathered.
    fn flush(&mut self) {
        self.bytes = 0;
        let texts = std::mem::take(&mut self.texts);
        if self.closed > 0 || !texts.iter().any(|(text, _)| text.contains(['^', '~'])) {
            self.ready.extend(texts.into_iter().map(|(text, _)| Event::Text(text)));
            return;
        }
        let mut line: Vec<(char, bool)> = Vec::new();
        for (text, range) in &texts {
            let written = self.source.get(range.clone()) == Some(text.as_ref());
            let escaped = text.starts_with(['^', '~']) && is_escaped(self.source, range.start);
            line.extend(text.chars().enumerate().map(|(at, c)| (c, written && !(at == 0 && escaped))));
        }
        self.split(&line);
    }

    /// Hands on characters, each with whether it may be a sign.
    fn split(&mut self, line: &[(char, bool)]) {
        let (mut from, mut at) = (0, 0);
        while at < line.len() {
            let Some(end) = end(line, at) else {
                at += 1;
                continue;
            };
            self.text(&line[from..at]);
            let (start, stop) = match line[at].0 {
                '^' => (Tag::Superscript, TagEnd::Superscript),
                _ => (Tag::Subscript, TagEnd::Subscript),
            };
            self.ready.push_back(Event::Start(start));
            self.text(&line[at + 1..end]);
            self.ready.push_back(Event::End(stop));
            (from, at) = (end + 1, end + 1);
        }
        self.text(&line[from..]);
    }

    fn text(&mut self, part: &[(char, bool)]) {
        if !part.is_empty() {
            let text: String = part.iter().map(|(c, _)| c).collect();
            self.ready.push_back(Event::Text(text.into()));
        }
    }
}

/// Whether an odd number of backslashes stands before a place.
fn is_escaped(source: &str, place: usize) -> bool {
    let before = source.as_bytes().get(..place).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Where the text ends that the sign at `begin` raises or lowers; `None` where it does not.
fn end(line: &[(char, bool)], begin: usize) -> Option<usize> {
    let (sign, true) = line[begin] else { return None };
    let is_sign = |at: usize| line.get(at) == Some(&(sign, true));
    // `[^` is what a footnote without a text leaves, and two signs are no pair.
    let stands_alone = |at: usize| !is_sign(at + 1) && (at == 0 || !is_sign(at - 1));
    if !matches!(sign, '^' | '~') || !stands_alone(begin) || (begin > 0 && line[begin - 1].0 == '[') {
        return None;
    }
    for (at, (c, may_be_sign)) in line.iter().enumerate().skip(begin + 1).take(1 + MOST_CHARACTERS) {
        match (*c, may_be_sign) {
            (c, true) if c == sign => {
                let inside = &line[begin + 1..at];
                // Between two letters only numbers stand: `H~2~O`.
                let ends = line.get(at + 1).is_none_or(|(next, _)| !next.is_alphanumeric())
                    || inside.iter().all(|(c, _)| c.is_ascii_digit());
                return (!inside.is_empty() && ends && stands_alone(at)).then_some(at);
            }
            (c, _) if c.is_whitespace() => return None,
            ('[' | ']' | '^' | '~', true) => return None,
            // Paths, addresses and formulas: `~/bin:~/lib`, `x^2+y^2=z^2`; but `Ca^2+^`.
            ('/' | '\\' | ':' | '=' | '@', _) => return None,
            ('+', _) if line.get(at + 1).is_none_or(|(next, _)| *next != sign) => return None,
            _ => {}
        }
    }
    None
}

impl<'s> Iterator for Scripts<'s> {
    type Item = Event<'s>;

    fn next(&mut self) -> Option<Event<'s>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.events.next() {
                Some((Event::Text(text), range)) => {
                    self.bytes += text.len();
                    self.texts.push((text, range));
                    if self.bytes > MOST_BYTES || self.closed > 0 {
                        self.flush();
                    }
                }
                Some((event, _)) => {
                    self.flush();
                    match &event {
                        Event::Start(Tag::Link {
                            link_type: LinkType::Autolink | LinkType::Email, ..
                        }) => {
                            self.closed += 1;
                            self.is_address = true;
                        }
                        Event::End(TagEnd::Link) if self.is_address => {
                            self.closed = self.closed.saturating_sub(1);
                            self.is_address = false;
                        }
                        Event::Start(tag) if is_closed(tag.to_end()) => self.closed += 1,
                        Event::End(tag) if is_closed(*tag) => self.closed = self.closed.saturating_sub(1),
                        _ => {}
                    }
                    self.ready.push_back(event);
                }
                None if self.texts.is_empty() => return None,
                None => self.flush(),
            }
        }
    }
}

/// Whether signs inside of it are text, or would raise what is raised.
fn is_closed(tag: TagEnd) -> bool {
    matches!(tag, TagEnd::CodeBlock | TagEnd::Image | TagEnd::Superscript | TagEnd::Subscript)
}
