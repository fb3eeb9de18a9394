//! A paragraph, window by window: text to atoms, atoms to lines. A window is a few pages at most, so that a paragraph
//! of any length takes the same memory; the last line of a window that isn't the last is set again with the next one.

use unicode_bidi::{BidiClass, BidiDataSource, HardcodedBidiData, Level, ParagraphBidiInfo};
use unicode_linebreak::linebreaks;

use super::{
    Line, Measure, Run, breaks,
    face::FaceId,
    line,
    shape::{Shaper, WordId},
};
use crate::export::language;

/// Bytes of text that are looked at together.
const WINDOW: usize = 16 << 10;
/// Columns from one tab stop to the next.
const TAB: usize = 8;
/// Longer words are shaped in parts, so that none takes more than its share of memory.
pub(super) const LONGEST_WORD: u32 = 256;

/// A piece of text between which and the next one something may change: break, look, direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    /// Its text in [`Window::clean`].
    pub(super) text: (u32, u32),
    /// Where it starts in [`Window::raw`].
    raw: u32,
    /// The run that it came from.
    pub(super) run: u32,
    /// Of bidirectional text: odd ones run from right to left.
    pub(super) level: u8,
    pub(super) kind: Kind,
    pub(super) after: After,
    pub(super) word: WordId,
    /// In points.
    pub(super) width: f32,
}

/// What an atom is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Word,
    /// White space where a line may end; it may stretch, and vanishes at a line's end.
    Space,
    /// A no-break space: it may stretch, and stays.
    Firm,
}

/// What may follow an atom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    /// Nothing but the next atom.
    Nothing,
    /// The line's end.
    Break,
    /// The line's end, with a hyphen.
    Hyphen,
}

/// Where in the runs a window starts.
#[derive(Clone, Copy, Default)]
struct Cursor {
    run: usize,
    byte: usize,
}

/// How a window ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// With a line end of so many bytes.
    Line(usize),
    /// With the paragraph.
    Text,
    /// In the middle of the text.
    Cut,
}

/// The part of a paragraph that is set at once.
pub(super) struct Window<'a> {
    pub(super) runs: &'a [Run<'a>],
    /// As in the runs.
    raw: String,
    /// Where each run starts in it.
    starts: Vec<(usize, u32)>,
    /// What is shaped: without what can't be seen, and with single spaces.
    pub(super) clean: String,
    pub(super) atoms: Vec<Atom>,
    /// Whether the paragraph runs from right to left.
    pub(super) rtl: bool,
}

/// Sets a paragraph and gives `take` its lines.
pub(super) fn set(shaper: &mut Shaper, runs: &[Run<'_>], measure: &Measure, take: &mut dyn FnMut(Line)) {
    let mut cursor = Cursor::default();
    let mut indent = measure.first_indent;
    let mut rtl = None;
    loop {
        shaper.tidy();
        let Some((mut window, end)) = Window::gather(runs, cursor) else { return };
        window.rtl = *rtl.get_or_insert_with(|| runs_from_right(&window.raw, &shaper.tag));
        window.cut(shaper, measure.preformatted);
        let cuts = breaks::find(&window, shaper, measure, indent);
        let kept = if end == End::Cut && cuts.len() > 1 { cuts.len() - 1 } else { cuts.len() };
        let mut from = breaks::Position::default();
        for (number, cut) in cuts[..kept].iter().enumerate() {
            let last = number + 1 == cuts.len();
            take(line::build(&window, shaper, measure, indent, from, cut, last));
            from = cut.end;
            indent = 0.0;
        }
        let consumed = if kept < cuts.len() { window.raw_at(from) } else { window.raw.len() };
        let line_end = if let End::Line(bytes) = end { bytes } else { 0 };
        cursor = cursor.after(runs, consumed + line_end);
    }
}

/// The width of the widest line where only `\n` ends one.
pub(super) fn natural_width(shaper: &mut Shaper, runs: &[Run<'_>]) -> f32 {
    let (mut cursor, mut widest, mut width) = (Cursor::default(), 0.0_f32, 0.0_f32);
    loop {
        shaper.tidy();
        let Some((mut window, end)) = Window::gather(runs, cursor) else { return widest };
        window.cut(shaper, false);
        width += window.atoms.iter().map(|atom| atom.width).sum::<f32>();
        widest = widest.max(width);
        let line_end = if let End::Line(bytes) = end { bytes } else { 0 };
        if end != End::Cut {
            width = 0.0;
        }
        cursor = cursor.after(runs, window.raw.len() + line_end);
    }
}

impl Cursor {
    /// So many bytes further on.
    fn after(mut self, runs: &[Run<'_>], mut bytes: usize) -> Self {
        while let Some(run) = runs.get(self.run) {
            let left = run.text.len() - self.byte;
            if bytes < left {
                self.byte += bytes;
                return self;
            }
            bytes -= left;
            self = Self { run: self.run + 1, byte: 0 };
        }
        self
    }
}

impl<'a> Window<'a> {
    /// The text from `cursor` to the next line end, the end of all or the bound. `None` after the last.
    fn gather(runs: &'a [Run<'a>], cursor: Cursor) -> Option<(Self, End)> {
        let (mut raw, mut starts, mut end) = (String::new(), Vec::new(), End::Text);
        for (index, run) in runs.iter().enumerate().skip(cursor.run) {
            let text = if index == cursor.run { &run.text[cursor.byte..] } else { run.text };
            if text.is_empty() {
                continue;
            }
            starts.push((raw.len(), index as u32));
            let (mut bytes, line_end) = match text.char_indices().find(|(_, c)| ends_line(*c)) {
                Some((at, _)) if text[at..].starts_with("\r\n") => (at, Some(2)),
                Some((at, c)) => (at, Some(c.len_utf8())),
                None => (text.len(), None),
            };
            end = line_end.map_or(End::Text, End::Line);
            if raw.len() + bytes > WINDOW {
                bytes = cut_place(&text[..bytes], WINDOW - raw.len());
                end = End::Cut;
            }
            raw.push_str(&text[..bytes]);
            if end != End::Text {
                break;
            }
        }
        let window = Self { runs, raw, starts, clean: String::new(), atoms: Vec::new(), rtl: false };
        (!window.starts.is_empty()).then_some((window, end))
    }

    /// The run that the window starts with.
    pub(super) fn first_run(&self) -> u32 {
        self.starts.first().map_or(0, |(_, run)| *run)
    }

    /// Where a position is in the runs' text.
    fn raw_at(&self, position: breaks::Position) -> usize {
        match self.atoms.get(position.atom) {
            Some(atom) => atom.raw as usize + position.byte,
            None => self.raw.len(),
        }
    }

    /// An atom's text.
    pub(super) fn text(&self, atom: &Atom) -> &str {
        &self.clean[atom.text.0 as usize..atom.text.1 as usize]
    }

    /// The font that an atom asks for.
    pub(super) fn face(&self, atom: &Atom) -> FaceId {
        FaceId::of(self.runs[atom.run as usize].style.face)
    }

    /// Cuts the text into atoms and shapes them.
    fn cut(&mut self, shaper: &mut Shaper, preformatted: bool) {
        let levels = self.levels();
        let level_at = |place: usize| levels.get(place).map_or(0, Level::number);
        let raw = std::mem::take(&mut self.raw);
        let mut opportunities = linebreaks(&raw).peekable();
        let mut starts = self.starts.clone().into_iter().peekable();
        let (mut run, mut soft, mut column) = (0, false, 0);
        // Whether the last atom goes on.
        let mut open = false;
        for (place, character) in raw.char_indices() {
            while let Some((_, next)) = starts.next_if(|(start, _)| *start <= place) {
                (run, open) = (next, false);
            }
            if opportunities.next_if(|(at, _)| *at <= place).is_some() {
                if let Some(last) = self.atoms.last_mut() {
                    last.after = if soft { After::Hyphen } else { After::Break };
                }
                open = false;
            }
            soft = character == '\u{ad}';
            let kind = match character {
                ' ' | '\t' => Kind::Space,
                '\u{a0}' => Kind::Firm,
                _ if is_unseen(character) => continue,
                _ => Kind::Word,
            };
            let level = level_at(place);
            if kind == Kind::Space && !preformatted {
                if self.atoms.last().is_none_or(|last| last.kind != Kind::Space) {
                    self.push(kind, run, level, place);
                    self.clean.push(' ');
                }
                (open, soft) = (true, false);
                self.close();
                continue;
            }
            let fits = |last: &Atom| {
                let bytes = last.text.1 - last.text.0;
                let room = bytes < LONGEST_WORD || bytes < 2 * LONGEST_WORD && is_mark(character);
                last.kind == kind && last.level == level && room
            };
            if !(open && self.atoms.last().is_some_and(fits)) {
                self.push(kind, run, level, place);
            }
            open = true;
            if character == '\t' {
                let spaces = TAB - column % TAB;
                self.clean.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            } else {
                self.clean.push(character);
                column += usize::from(!is_mark(character));
            }
            self.close();
        }
        drop(opportunities);
        self.raw = raw;
        for at in 0..self.atoms.len() {
            let atom = self.atoms[at];
            let size = self.runs[atom.run as usize].style.size;
            let word = shaper.shape(self.face(&atom), atom.level % 2 == 1, self.text(&atom));
            self.atoms[at].word = word;
            self.atoms[at].width = shaper.word(word).width * size;
        }
    }

    /// Begins an atom.
    fn push(&mut self, kind: Kind, run: u32, level: u8, raw: usize) {
        let at = self.clean.len() as u32;
        let (word, after) = (WordId::default(), After::Nothing);
        self.atoms.push(Atom { text: (at, at), raw: raw as u32, run, level, kind, after, word, width: 0.0 });
    }

    /// Ends the last atom where the text ends so far.
    fn close(&mut self) {
        if let Some(last) = self.atoms.last_mut() {
            last.text.1 = self.clean.len() as u32;
        }
    }

    /// The level of each byte; none where all runs from left to right.
    fn levels(&self) -> Vec<Level> {
        let plain = |character| u32::from(character) < 0x590;
        if !self.rtl && self.raw.chars().all(plain) {
            return Vec::new();
        }
        let base = if self.rtl { Level::rtl() } else { Level::ltr() };
        ParagraphBidiInfo::new(&self.raw, Some(base)).levels
    }
}

/// Whether a paragraph runs from right to left: as most of its letters do, or as its language does if there are none.
fn runs_from_right(text: &str, tag: &str) -> bool {
    let (mut left, mut right) = (0_usize, 0_usize);
    for character in text.chars() {
        // Below Hebrew there is no other direction: no need to look it up.
        if character < '\u{590}' {
            left += usize::from(character.is_alphabetic());
            continue;
        }
        match HardcodedBidiData.bidi_class(character) {
            BidiClass::L => left += 1,
            BidiClass::R | BidiClass::AL => right += 1,
            _ => {}
        }
    }
    match right.cmp(&left) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => language::is_right_to_left(tag),
    }
}

/// The best place to cut a text that is too long: at most `most` bytes in, behind a space if there is one.
fn cut_place(text: &str, most: usize) -> usize {
    let place = text.floor_char_boundary(most);
    text[..place].rfind(' ').map_or(place, |space| space + 1)
}

/// Whether a character ends a line.
fn ends_line(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a character stands on the one before.
fn is_mark(character: char) -> bool {
    character >= '\u{300}' && unicode_normalization::char::is_combining_mark(character)
}

/// Whether a character only tells how to set its neighbours, or is a control character: it has no look of its own.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}
