//! The runs of a paragraph: which marks and links neighbours share.

use std::{borrow::Cow, collections::HashMap};

use super::Desk;
use crate::{
    book::{BookError, EndTag, Event, EventSink, Tag, loss},
    import::docx::{
        styles::{Resolved, Role},
        text::{Content, Paragraph, Piece},
    },
};

/// How far it is looked ahead for the end of a mark.
const MOST_AHEAD: usize = 256;

/// A mark around runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Link(usize),
    Emphasis,
    Strong,
    Strikethrough,
    Superscript,
    Subscript,
}

/// The marks of a piece, outermost first as far as that is known.
fn marks(piece: &Piece, resolved: &Resolved, is_heading: bool) -> Vec<Mark> {
    let look = piece.look;
    // A heading is bold by itself; that its runs are set so by hand means nothing.
    let on = |own: Option<bool>, of_style: Option<bool>| {
        own == Some(true) && (!is_heading || of_style != Some(true) || look.styled)
    };
    let mut marks = Vec::new();
    marks.extend(piece.link.map(Mark::Link));
    if matches!(piece.content, Content::Break) {
        return marks;
    }
    for (is_on, mark) in [
        (on(look.italic, resolved.look.italic), Mark::Emphasis),
        (on(look.bold, resolved.look.bold), Mark::Strong),
        (look.strike == Some(true), Mark::Strikethrough),
        (look.rise == Some(1) && !matches!(piece.content, Content::Note(_)), Mark::Superscript),
        (look.rise == Some(-1), Mark::Subscript),
    ] {
        if is_on {
            marks.push(mark);
        }
    }
    marks
}

/// The runs of a paragraph, with all that they refer to.
pub(super) struct Runs<'a> {
    paragraph: &'a Paragraph,
    /// Where links lead.
    targets: Vec<Option<String>>,
    /// By piece: a picture's name or a note's label.
    names: HashMap<usize, String>,
    marks: Vec<Vec<Mark>>,
}

impl<'a> Runs<'a> {
    /// Looks up what they refer to.
    pub(super) fn new(
        paragraph: &'a Paragraph,
        resolved: &Resolved,
        desk: &mut dyn Desk,
    ) -> Result<Self, BookError> {
        let targets: Vec<Option<String>> = paragraph.links.iter().map(|link| desk.link(link)).collect();
        let mut names = HashMap::new();
        for (at, piece) in paragraph.pieces.iter().enumerate() {
            let (name, lost) = match &piece.content {
                Content::Text(_) | Content::Break => continue,
                Content::Picture(picture) => (desk.picture(picture)?, "image that was not found"),
                Content::Note(Some(note)) => (desk.note(note), loss::FOOTNOTE),
                Content::Note(None) => (None, "reference to a footnote that was not found"),
            };
            match name {
                Some(name) => _ = names.insert(at, name),
                None => desk.losses().add(lost),
            }
        }
        let is_heading = matches!(resolved.role, Role::Heading(_));
        let marks = (paragraph.pieces.iter())
            .map(|piece| {
                let mut marks = marks(piece, resolved, is_heading);
                marks.retain(|mark| !matches!(mark, Mark::Link(link) if targets[*link].is_none()));
                marks
            })
            .collect();
        Ok(Self { paragraph, targets, names, marks })
    }

    /// Sends them. Marks that neighbours share are opened once, and those that reach furthest first; in a line there are
    /// no line ends.
    pub(super) fn send(self, is_line: bool, out: &mut dyn EventSink) -> Result<(), BookError> {
        let Self { paragraph, targets, names, marks: all } = self;
        let mut open: Vec<Mark> = Vec::new();
        let mut code = String::new();
        for (at, piece) in paragraph.pieces.iter().enumerate() {
            let is_break = matches!(piece.content, Content::Break);
            // A line end has no look of its own: marks around it go on if they go on behind it.
            let wanted = if is_break { all.get(at + 1).unwrap_or(&all[at]) } else { &all[at] };
            let kept = open.iter().take_while(|mark| wanted.contains(mark)).count();
            for mark in open.drain(kept..).rev() {
                out.event(Event::End(end(mark)))?;
            }
            if !is_break {
                let mut new: Vec<(usize, Mark)> = Vec::new();
                for mark in wanted.iter().filter(|mark| !open.contains(mark)) {
                    let ahead = all[at..].iter().take(MOST_AHEAD);
                    let reach = ahead.zip(&paragraph.pieces[at..]).take_while(|(marks, piece)| {
                        marks.contains(mark) || matches!(piece.content, Content::Break)
                    });
                    new.push((reach.count(), *mark));
                }
                new.sort_by_key(|(reach, _)| std::cmp::Reverse(*reach));
                for (_, mark) in new {
                    out.event(Event::Start(tag(mark, paragraph, &targets)))?;
                    open.push(mark);
                }
            }
            let is_code = piece.look.code == Some(true);
            match &piece.content {
                Content::Text(text) if is_code => {
                    code.push_str(text);
                    let next = paragraph.pieces.get(at + 1);
                    let goes_on = next.is_some_and(|next| {
                        next.look == piece.look
                            && next.link == piece.link
                            && matches!(next.content, Content::Text(_))
                    });
                    if !goes_on {
                        out.event(Event::Code(std::mem::take(&mut code).into()))?;
                    }
                }
                Content::Text(text) => out.event(Event::Text(Cow::Borrowed(text)))?,
                Content::Break if is_line => out.event(Event::Text(" ".into()))?,
                Content::Break => out.event(Event::HardBreak)?,
                Content::Picture(picture) => match names.get(&at) {
                    Some(source) => out.event(Event::Image {
                        source: Cow::Borrowed(source),
                        alt: Cow::Borrowed(&picture.alt),
                        title: Cow::Borrowed(&picture.title),
                    })?,
                    None => out.event(Event::Text(Cow::Borrowed(&picture.alt)))?,
                },
                Content::Note(_) => {
                    if let Some(label) = names.get(&at) {
                        out.event(Event::FootnoteReference(Cow::Borrowed(label)))?;
                    }
                }
            }
        }
        for mark in open.drain(..).rev() {
            out.event(Event::End(end(mark)))?;
        }
        Ok(())
    }
}

fn tag<'a>(mark: Mark, paragraph: &'a Paragraph, targets: &'a [Option<String>]) -> Tag<'a> {
    match mark {
        Mark::Link(link) => Tag::Link {
            target: Cow::Borrowed(targets[link].as_deref().unwrap_or_default()),
            title: Cow::Borrowed(&paragraph.links[link].title),
        },
        Mark::Emphasis => Tag::Emphasis,
        Mark::Strong => Tag::Strong,
        Mark::Strikethrough => Tag::Strikethrough,
        Mark::Superscript => Tag::Superscript,
        Mark::Subscript => Tag::Subscript,
    }
}

fn end(mark: Mark) -> EndTag {
    match mark {
        Mark::Link(_) => EndTag::Link,
        Mark::Emphasis => EndTag::Emphasis,
        Mark::Strong => EndTag::Strong,
        Mark::Strikethrough => EndTag::Strikethrough,
        Mark::Superscript => EndTag::Superscript,
        Mark::Subscript => EndTag::Subscript,
    }
}
