//! When two books are the same. Two events are, if they are equal; two links, if they lead to the same place under the
//! same title, whatever the chapter's file is called on the way. What a format can't say by its nature is evened out on
//! both sides, and only for that format:
//!
//! | | Markdown | EPUB | DOCX |
//! |---|---|---|---|
//! | where a note's definition stands: at its chapter's end, in the order of the marks | × | × | × |
//! | line ends in the source that mean nothing (`SoftBreak`) are blanks | | × | × |
//! | addresses on the web are spelt as the URL standard has it | | × | × |
//! | the label of a note is no more than its number | | | × |
//! | which mark stands around which, where they stand around the same runs | | | × |
//! | marks around a line end are those of its neighbours: of nothing they can't be seen | | | × |
//! | a note's mark is raised by itself: no raised or lowered text goes on around it | | | × |
//! | lists begin with 32,767 at most (Word knows no more) | | | × |
//!
//! JSON evens out nothing. Pictures that no chapter shows and that are no cover are no part of a book.

use std::collections::{BTreeMap, HashMap};

use super::Held;
use crate::{
    book::{Book, BookError, EndTag, Event, EventSink, LinkTarget, Tag},
    export::Format,
};

/// A book, evened out as the format needs it, as lines that can be compared and read.
pub(super) fn lines(held: &Held, format: Format) -> Vec<String> {
    let book = held.book();
    let kept = held.send(Kept::default()).0;
    let mut lines = vec![format!("{:#?}", book.metadata)];
    let mut shown = BTreeMap::new();
    let mut chapter: Vec<Event<'static>> = Vec::new();
    let mut index = 0;
    for event in kept {
        match event {
            Event::ChapterStart { index: at, title } => {
                index = at;
                let entry = book.chapters.get(at).unwrap();
                lines.push(format!("chapter {at} {title:?} {:?} {:?}", entry.title, entry.name()));
            }
            Event::ChapterEnd => {
                let events = evened(std::mem::take(&mut chapter), &book, index, format);
                lines.extend(events.iter().map(|event| format!("{event:?}")));
                for event in events {
                    if let Event::Image { source, .. } = event {
                        shown.insert(source.into_owned(), ());
                    }
                }
            }
            Event::BookStart | Event::BookEnd => {}
            other => chapter.push(other),
        }
    }
    if let Some(cover) = &book.metadata.cover {
        shown.insert(cover.clone(), ());
    }
    let mut assets: Vec<_> = held.assets.iter().filter(|(name, ..)| shown.contains_key(name)).collect();
    assets.sort();
    lines.extend(assets.into_iter().map(|(name, media_type, bytes)| {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        format!("picture {name:?} {media_type} {} bytes {hash:x}", bytes.len())
    }));
    lines
}

/// Where two books differ.
pub(super) fn difference(before: &Held, after: &Held, format: Format) -> Option<String> {
    let (before, after) = (lines(before, format), lines(after, format));
    if before == after {
        return None;
    }
    let at = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let chapter = before[..at].iter().rfind(|line| line.starts_with("chapter ")).cloned().unwrap_or_default();
    let around = |lines: &[String]| lines[at.saturating_sub(6)..(at + 8).min(lines.len())].join("\n  ");
    Some(format!(
        "line {at} of {} and {}, in {chapter}\n before:\n  {}\n after:\n  {}",
        before.len(),
        after.len(),
        around(&before),
        around(&after)
    ))
}

#[derive(Default)]
struct Kept(Vec<Event<'static>>);

impl EventSink for Kept {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        let event = owned(event);
        match (self.0.last_mut(), event) {
            (Some(Event::Text(before)), Event::Text(text)) => before.to_mut().push_str(&text),
            (_, event) => self.0.push(event),
        }
        Ok(())
    }
}

fn evened(events: Vec<Event<'static>>, book: &Book, index: usize, format: Format) -> Vec<Event<'static>> {
    let mut events: Vec<Event<'static>> =
        events.into_iter().map(|event| placed(event, book, index, format)).collect();
    if format != Format::Json {
        events = with_notes_last(events);
    }
    if matches!(format, Format::Epub | Format::Docx) {
        events = without_soft_breaks(events);
    }
    if format == Format::Docx {
        events = super::marks::evened(with_numbered_notes(events));
        for event in &mut events {
            if let Event::Start(Tag::List { first: Some(first) }) = event {
                *first = (*first).min(32_767);
            }
        }
    }
    events
}

/// A link as the place that it leads to.
fn placed(event: Event<'static>, book: &Book, index: usize, format: Format) -> Event<'static> {
    let Event::Start(Tag::Link { target, title }) = event else { return event };
    let find = |name: &str| book.chapters.iter().position(|chapter| chapter.name() == name);
    let place = match Book::link(find, index, &target) {
        LinkTarget::External(url) if (matches!(format, Format::Epub | Format::Docx)) => {
            crate::export::valid_url(url).unwrap_or_default()
        }
        LinkTarget::External(url) => url.to_owned(),
        LinkTarget::Chapter { index, anchor } => format!("chapter {index} # {anchor}"),
        LinkTarget::Nowhere => format!("nowhere {target}"),
    };
    Event::Start(Tag::Link { target: place.into(), title })
}

/// Definitions at the end, in the order in which they are mentioned; those that nothing mentions as they come.
fn with_notes_last(events: Vec<Event<'static>>) -> Vec<Event<'static>> {
    let mut text = Vec::new();
    let mut notes: Vec<(String, Vec<Event<'static>>)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for event in events {
        if let Event::Start(Tag::Footnote { label }) = &event {
            open.push(notes.len());
            notes.push((label.to_string(), Vec::new()));
        }
        let ends = event == Event::End(EndTag::Footnote);
        match open.last() {
            Some(at) => notes[*at].1.push(event),
            None => text.push(event),
        }
        if ends {
            open.pop();
        }
    }
    let mut done = 0;
    loop {
        let mentioned = text[done..].iter().find_map(|event| match event {
            Event::FootnoteReference(label) => {
                notes.iter().position(|(own, _)| own.as_str() == label.as_ref())
            }
            _ => None,
        });
        // Step by step, as a note may mention others.
        match (mentioned, text.get(done)) {
            (_, Some(Event::FootnoteReference(label))) => {
                let at = notes.iter().position(|(own, _)| own.as_str() == label.as_ref());
                done += 1;
                if let Some(at) = at {
                    let (_, note) = notes.remove(at);
                    text.extend(note);
                }
            }
            (_, Some(_)) => done += 1,
            (_, None) if notes.is_empty() => return text,
            (_, None) => {
                let (_, note) = notes.remove(0);
                text.extend(note);
            }
        }
    }
}

fn with_numbered_notes(mut events: Vec<Event<'static>>) -> Vec<Event<'static>> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for event in &mut events {
        if let Event::FootnoteReference(label) | Event::Start(Tag::Footnote { label }) = event {
            let next = numbers.len() + 1;
            *label = numbers.entry(label.to_string()).or_insert(next).to_string().into();
        }
    }
    events
}

fn without_soft_breaks(events: Vec<Event<'static>>) -> Vec<Event<'static>> {
    let mut out = Kept::default();
    for event in events {
        let event = if event == Event::SoftBreak { Event::Text(" ".into()) } else { event };
        out.event(event).unwrap();
    }
    out.0
}

/// An event that outlives what it was read from.
pub(super) fn owned(event: Event<'_>) -> Event<'static> {
    use std::borrow::Cow;
    let own = |text: Cow<'_, str>| -> Cow<'static, str> { Cow::Owned(text.into_owned()) };
    match event {
        Event::BookStart => Event::BookStart,
        Event::ChapterStart { index, title } => Event::ChapterStart { index, title: own(title) },
        Event::End(end) => Event::End(end),
        Event::Text(text) => Event::Text(own(text)),
        Event::Code(text) => Event::Code(own(text)),
        Event::Image { source, alt, title } => {
            Event::Image { source: own(source), alt: own(alt), title: own(title) }
        }
        Event::SoftBreak => Event::SoftBreak,
        Event::HardBreak => Event::HardBreak,
        Event::Rule => Event::Rule,
        Event::FootnoteReference(label) => Event::FootnoteReference(own(label)),
        Event::ChapterEnd => Event::ChapterEnd,
        Event::BookEnd => Event::BookEnd,
        Event::Start(tag) => Event::Start(match tag {
            Tag::Paragraph => Tag::Paragraph,
            Tag::Heading { level, anchor } => Tag::Heading { level, anchor: anchor.map(own) },
            Tag::Quote => Tag::Quote,
            Tag::List { first } => Tag::List { first },
            Tag::Item => Tag::Item,
            Tag::CodeBlock { language } => Tag::CodeBlock { language: own(language) },
            Tag::Table { columns } => Tag::Table { columns },
            Tag::TableHead => Tag::TableHead,
            Tag::TableRow => Tag::TableRow,
            Tag::TableCell => Tag::TableCell,
            Tag::Footnote { label } => Tag::Footnote { label: own(label) },
            Tag::Emphasis => Tag::Emphasis,
            Tag::Strong => Tag::Strong,
            Tag::Strikethrough => Tag::Strikethrough,
            Tag::Superscript => Tag::Superscript,
            Tag::Subscript => Tag::Subscript,
            Tag::Link { target, title } => Tag::Link { target: own(target), title: own(title) },
        }),
    }
}
