//! The runs of one block, brought into a form that Markdown can say: no empty, doubled or adjoining marks of a kind, no
//! white space at a mark's edges, no links in links. Each step keeps what the reader of the book sees.

use super::{Image, Naming, loss};
use crate::book::{EndTag, Event, Losses, Tag};

/// A mark around runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Emphasis,
    Strong,
    Strikethrough,
    Superscript,
    Subscript,
}

/// A piece of a block's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Code(String),
    /// Alternative text, how it is shown, caption.
    Image(String, Image<'static>, String),
    Note(String),
    Soft,
    Hard,
    Open(Mark),
    Close(Mark),
    OpenLink,
    /// With its address and title, which Markdown puts behind the text.
    CloseLink(String, String),
}

/// Collects the runs of one block.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pieces: Vec<Piece>,
    /// What is open; an element that is not written is `None`.
    open: Vec<Option<Piece>>,
    /// Marks of notes inside a link: Markdown reads none there, so they follow it.
    notes_behind: Vec<Piece>,
}

impl Runs {
    /// Whether nothing came yet.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.open.is_empty()
    }

    /// Takes an event of a run; false where it is a block's.
    pub(super) fn event(&mut self, event: &Event<'_>, naming: &mut dyn Naming, losses: &mut Losses) -> bool {
        match event {
            Event::Text(text) => self.text(text),
            Event::Code(code) => {
                let code = code.replace("\r\n", "\n").replace(['\r', '\n'], " ");
                if !code.is_empty() {
                    self.pieces.push(Piece::Code(code));
                }
            }
            Event::Image { source, alt, title } => match naming.image(source, title) {
                Image::Missing => {
                    losses.add(loss::MISSING_IMAGE);
                    let words = [alt.trim(), title.trim()];
                    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
                    self.text(&words.join(" "));
                }
                Image::At(address) => {
                    let image = Image::At(address.into_owned().into());
                    self.pieces.push(Piece::Image(alt.to_string(), image, title.to_string()));
                }
                Image::Defined(name, caption) => {
                    let image = Image::Defined(name, caption);
                    self.pieces.push(Piece::Image(alt.to_string(), image, String::new()));
                }
            },
            Event::SoftBreak => self.pieces.push(Piece::Soft),
            Event::HardBreak => self.pieces.push(Piece::Hard),
            Event::FootnoteReference(label) => {
                let label = naming.label(label);
                let note = Piece::Note(super::plain_name(&label).into_owned());
                if self.is_in_link() { self.notes_behind.push(note) } else { self.pieces.push(note) }
            }
            Event::Start(Tag::Link { target, title }) => self.start_link(target, title, naming, losses),
            Event::Start(tag) => match mark(tag.end()) {
                Some(mark) => self.start_mark(mark, losses),
                None => return false,
            },
            Event::End(end) if *end == EndTag::Link || mark(*end).is_some() => {
                if let Some(Some(close)) = self.open.pop() {
                    self.pieces.push(close);
                }
                if !self.is_in_link() {
                    self.pieces.append(&mut self.notes_behind);
                }
            }
            _ => return false,
        }
        true
    }

    /// The runs, in a form that Markdown can say; nothing is left here.
    pub(super) fn take(&mut self, losses: &mut Losses) -> Vec<Piece> {
        self.open.clear();
        let mut pieces = std::mem::take(&mut self.pieces);
        // Each pass can make room for another: a mark that becomes empty lets its neighbours touch.
        while tidy(&mut pieces) {}
        while pieces.first().is_some_and(is_break) {
            pieces.remove(0);
        }
        while pieces.last().is_some_and(is_break) {
            pieces.pop();
        }
        part_tildes(&mut pieces, losses);
        pieces
    }

    fn is_in_link(&self) -> bool {
        self.open.iter().flatten().any(|open| matches!(open, Piece::CloseLink(..)))
    }

    /// Line feeds in text mean nothing more than a soft break; Markdown can't tell them apart.
    fn text(&mut self, text: &str) {
        for (at, line) in text.split(['\n', '\r']).enumerate() {
            if at > 0 {
                self.pieces.push(Piece::Soft);
            }
            if line.is_empty() {
                continue;
            }
            match self.pieces.last_mut() {
                Some(Piece::Text(before)) => before.push_str(line),
                _ => self.pieces.push(Piece::Text(line.to_owned())),
            }
        }
    }

    fn start_link(&mut self, target: &str, title: &str, naming: &mut dyn Naming, losses: &mut Losses) {
        if self.is_in_link() {
            losses.add(loss::NESTED_LINK);
            return self.open.push(None);
        }
        let Some(address) = naming.link(target) else {
            losses.add(loss::LINK);
            return self.open.push(None);
        };
        self.pieces.push(Piece::OpenLink);
        self.open.push(Some(Piece::CloseLink(address.into_owned(), title.to_owned())));
    }

    /// A mark inside one of its own kind says nothing new. Raised in raised could be meant, and tildes can't be nested.
    fn start_mark(&mut self, mark: Mark, losses: &mut Losses) {
        let is_open = |mark: Mark| self.open.iter().flatten().any(|open| *open == Piece::Close(mark));
        let conflict = match mark {
            Mark::Strikethrough => is_open(Mark::Subscript),
            Mark::Subscript => is_open(Mark::Strikethrough) || is_open(mark),
            Mark::Superscript => is_open(mark),
            Mark::Emphasis | Mark::Strong => false,
        };
        if conflict {
            losses.add(loss::MARK);
        }
        if conflict || is_open(mark) {
            return self.open.push(None);
        }
        self.pieces.push(Piece::Open(mark));
        self.open.push(Some(Piece::Close(mark)));
    }
}

fn mark(end: EndTag) -> Option<Mark> {
    Some(match end {
        EndTag::Emphasis => Mark::Emphasis,
        EndTag::Strong => Mark::Strong,
        EndTag::Strikethrough => Mark::Strikethrough,
        EndTag::Superscript => Mark::Superscript,
        EndTag::Subscript => Mark::Subscript,
        _ => return None,
    })
}

fn is_break(piece: &Piece) -> bool {
    match piece {
        Piece::Soft | Piece::Hard => true,
        Piece::Text(text) => text.bytes().all(|b| matches!(b, b' ' | b'\t')),
        _ => false,
    }
}

/// One pass from left to right over neighbours; whether anything changed.
fn tidy(pieces: &mut Vec<Piece>) -> bool {
    let mut changed = false;
    let mut done: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces.drain(..) {
        match (done.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => {
                before.push_str(&text);
                changed = true;
            }
            // Fences that touch would be one.
            (Some(Piece::Code(before)), Piece::Code(code)) => {
                before.push_str(&code);
                changed = true;
            }
            // White space around line breaks, and breaks that would make an empty line.
            (Some(Piece::Soft | Piece::Hard), Piece::Text(text)) if text.starts_with([' ', '\t']) => {
                let text = text.trim_start_matches([' ', '\t']);
                if !text.is_empty() {
                    done.push(Piece::Text(text.to_owned()));
                }
                changed = true;
            }
            (Some(Piece::Text(text)), piece @ (Piece::Soft | Piece::Hard)) if text.ends_with([' ', '\t']) => {
                text.truncate(text.trim_end_matches([' ', '\t']).len());
                if text.is_empty() {
                    done.pop();
                }
                done.push(piece);
                changed = true;
            }
            (Some(Piece::Soft | Piece::Hard), Piece::Soft) => changed = true,
            (Some(before @ Piece::Soft), Piece::Hard) => {
                *before = Piece::Hard;
                changed = true;
            }
            // Empty marks, and two of a kind that touch.
            (Some(Piece::Open(a)), Piece::Close(b)) | (Some(Piece::Close(a)), Piece::Open(b)) if *a == b => {
                done.pop();
                changed = true;
            }
            // A link around nothing can be neither seen nor followed.
            (Some(Piece::OpenLink), Piece::CloseLink(..)) => {
                done.pop();
                changed = true;
            }
            // White space moves out of a mark's beginning…
            (Some(Piece::Open(mark)), piece @ (Piece::Soft | Piece::Hard)) => {
                let mark = *mark;
                done.pop();
                done.extend([piece, Piece::Open(mark)]);
                changed = true;
            }
            (Some(Piece::Open(mark)), Piece::Text(text)) if text.starts_with([' ', '\t']) => {
                let mark = *mark;
                let inner = text.trim_start_matches([' ', '\t']);
                done.pop();
                done.push(Piece::Text(text[..text.len() - inner.len()].to_owned()));
                done.push(Piece::Open(mark));
                if !inner.is_empty() {
                    done.push(Piece::Text(inner.to_owned()));
                }
                changed = true;
            }
            // … and out of its end.
            (Some(Piece::Soft | Piece::Hard), Piece::Close(mark)) => {
                if let Some(space) = done.pop() {
                    done.extend([Piece::Close(mark), space]);
                }
                changed = true;
            }
            (Some(Piece::Text(text)), Piece::Close(mark)) if text.ends_with([' ', '\t']) => {
                let inner = text.trim_end_matches([' ', '\t']).len();
                let space = text.split_off(inner);
                if inner == 0 {
                    done.pop();
                }
                done.extend([Piece::Close(mark), Piece::Text(space)]);
                changed = true;
            }
            (_, piece) => done.push(piece),
        }
    }
    *pieces = done;
    changed
}

/// Struck-through and lowered text that touch would make one run of three tildes: the later one goes without its mark.
fn part_tildes(pieces: &mut Vec<Piece>, losses: &mut Losses) {
    use Mark::{Strikethrough, Subscript};
    let mut at = 1;
    while at < pieces.len() {
        let clash = match (&pieces[at - 1], &pieces[at]) {
            (Piece::Close(a), Piece::Open(b)) if a != b => {
                matches!(a, Strikethrough | Subscript) && matches!(b, Strikethrough | Subscript)
            }
            _ => false,
        };
        if clash {
            losses.add(loss::MARK);
            let Piece::Open(mark) = pieces.remove(at) else { continue };
            if let Some(end) = pieces[at..].iter().position(|piece| *piece == Piece::Close(mark)) {
                pieces.remove(at + end);
            }
        } else {
            at += 1;
        }
    }
}
