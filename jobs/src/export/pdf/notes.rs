//! Footnotes: numbered by their first mention in the chapter, kept until its end and written there, with a way back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write,
    sync::Arc,
};

use pdf_writer::Ref;

use super::{
    Pdf,
    blocks::Frame,
    flow::{Ink, Row},
    inline::{Inlines, Mood},
    objects::Objects,
    structure::{Action, Target},
};
use crate::{
    book::{BookError, Event, Tag},
    export::loss,
};

/// The footnotes of the open chapter.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_label: BTreeMap<Box<str>, Note>,
    /// Those that were mentioned and are not written.
    due: VecDeque<Box<str>>,
    /// Those that have a text and that nothing has mentioned.
    unmentioned: BTreeSet<Box<str>>,
    mentioned: usize,
}

/// A footnote of which a mention or the definition was seen.
#[derive(Debug)]
pub(super) struct Note {
    /// From 1; 0 while nothing mentions it.
    pub(super) number: usize,
    /// Where its text stands.
    pub(super) place: Ref,
    /// Where it is mentioned first.
    pub(super) back: Option<Ref>,
    /// Its blocks.
    pub(super) events: Option<Vec<Event<'static>>>,
}

/// A mention.
pub(super) struct Mention {
    pub(super) number: usize,
    pub(super) place: Ref,
    /// The destination to be written here, if it is the first.
    pub(super) back: Option<Ref>,
}

impl Notes {
    fn note(&mut self, objects: &mut Objects, label: &str) -> &mut Note {
        self.by_label.entry(Box::from(label)).or_insert_with(|| Note {
            number: 0,
            place: objects.alloc(),
            back: None,
            events: None,
        })
    }

    /// A mention; the first one that can be led back to gives the way back.
    pub(super) fn mention(&mut self, objects: &mut Objects, label: &str) -> Mention {
        let next = self.mentioned + 1;
        let back = objects.alloc();
        let note = self.note(objects, label);
        let is_new = note.number == 0;
        if is_new {
            note.number = next;
        }
        let first = note.back.is_none().then_some(back);
        note.back = note.back.or(first);
        let mention = Mention { number: note.number, place: note.place, back: first };
        if is_new {
            self.mentioned = next;
            self.unmentioned.remove(label);
            self.due.push_back(Box::from(label));
        }
        mention
    }

    /// Keeps a definition. Where two have the same label, the first one counts.
    pub(super) fn define(&mut self, objects: &mut Objects, label: &str, events: Vec<Event<'static>>) {
        let note = self.note(objects, label);
        note.events.get_or_insert(events);
        if note.number == 0 {
            self.unmentioned.insert(Box::from(label));
        }
    }

    /// The next to be written: those mentioned by number, then the rest. Writing one may bring up others.
    pub(super) fn next(&mut self) -> Option<Note> {
        let label = match self.due.pop_front() {
            Some(label) => label,
            None => self.unmentioned.pop_first()?,
        };
        let next = self.mentioned + 1;
        let note = self.by_label.get_mut(&label)?;
        if note.number == 0 {
            note.number = next;
            self.mentioned = next;
        }
        Some(Note { events: note.events.take(), ..*note })
    }

    /// The chapter has ended.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A definition that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    label: Box<str>,
    events: Vec<Event<'static>>,
    /// Definitions that are open inside.
    depth: usize,
}

impl Reading {
    /// A definition begins.
    pub(super) fn new(label: &str) -> Self {
        Self { label: Box::from(label), events: Vec::new(), depth: 0 }
    }

    /// Takes an event; gives the definition at its end.
    pub(super) fn event(mut self, event: &Event<'_>) -> Result<Self, (Box<str>, Vec<Event<'static>>)> {
        match event {
            Event::Start(Tag::Footnote { .. }) => self.depth += 1,
            Event::End(crate::book::EndTag::Footnote) if self.depth == 0 => {
                return Err((self.label, self.events));
            }
            Event::End(crate::book::EndTag::Footnote) => self.depth -= 1,
            _ => {}
        }
        self.events.push(owned(event));
        Ok(self)
    }
}

impl Pdf {
    /// Writes the chapter's notes.
    pub(super) fn write_notes(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let mut is_first = true;
        while let Some(note) = self.notes.next() {
            self.waiting.push(note.place);
            let Some(events) = note.events else {
                self.losses.add(loss::FOOTNOTE);
                continue;
            };
            let size = self.paper.look.size;
            if std::mem::take(&mut is_first) {
                let width = self.paper.look.width * 0.25;
                let x = if self.paper.look.right_to_left { self.paper.look.width - width } else { 0.0 };
                let ink = Ink::Rule { x, y: 0.0, width, height: 0.4, grey: 0.2 };
                let row = Row { ascent: size, descent: size * 0.3, ink: vec![ink], ..Row::default() };
                self.push_rows(vec![row], size, out)?;
                self.paper.flow.keep_next();
            }
            self.paper.structure.open(&mut self.paper.objects, "Note");
            self.paper.structure.name_note(&mut self.paper.objects, out)?;
            self.frames.push(Frame { start: 0.0, end: 0.0, scale: 0.86 });
            let number = format!("{}.", note.number);
            let target = note.back.map(|back| {
                Arc::new(Target { action: Action::Place(back), contents: number.clone(), shows: false })
            });
            let mut inlines = Inlines::default();
            inlines.push(&number, Mood::default(), target.as_ref());
            self.label(&inlines);
            for event in events {
                self.take(event, out)?;
            }
            self.end_leaf(out)?;
            self.bare_label(out)?;
            self.frames.truncate(self.frames.len().saturating_sub(2));
            self.close_block();
            (self.gap, self.follows) = (size * 0.25, false);
        }
        self.notes.clear();
        Ok(())
    }
}

fn owned(event: &Event<'_>) -> Event<'static> {
    let text = |text: &str| std::borrow::Cow::Owned(text.to_owned());
    match event {
        Event::BookStart => Event::BookStart,
        Event::ChapterStart { index, title } => Event::ChapterStart { index: *index, title: text(title) },
        Event::Start(tag) => Event::Start(match tag {
            Tag::Paragraph => Tag::Paragraph,
            Tag::Heading { level, anchor } => {
                Tag::Heading { level: *level, anchor: anchor.as_deref().map(text) }
            }
            Tag::Quote => Tag::Quote,
            Tag::List { first } => Tag::List { first: *first },
            Tag::Item => Tag::Item,
            Tag::CodeBlock { language } => Tag::CodeBlock { language: text(language) },
            Tag::Table { columns } => Tag::Table { columns: columns.clone() },
            Tag::TableHead => Tag::TableHead,
            Tag::TableRow => Tag::TableRow,
            Tag::TableCell => Tag::TableCell,
            Tag::Footnote { label } => Tag::Footnote { label: text(label) },
            Tag::Emphasis => Tag::Emphasis,
            Tag::Strong => Tag::Strong,
            Tag::Strikethrough => Tag::Strikethrough,
            Tag::Superscript => Tag::Superscript,
            Tag::Subscript => Tag::Subscript,
            Tag::Link { target, title } => Tag::Link { target: text(target), title: text(title) },
        }),
        Event::End(end) => Event::End(*end),
        Event::Text(words) => Event::Text(text(words)),
        Event::Code(code) => Event::Code(text(code)),
        Event::Image { source, alt, title } => {
            Event::Image { source: text(source), alt: text(alt), title: text(title) }
        }
        Event::SoftBreak => Event::SoftBreak,
        Event::HardBreak => Event::HardBreak,
        Event::Rule => Event::Rule,
        Event::FootnoteReference(label) => Event::FootnoteReference(text(label)),
        Event::ChapterEnd => Event::ChapterEnd,
        Event::BookEnd => Event::BookEnd,
    }
}
