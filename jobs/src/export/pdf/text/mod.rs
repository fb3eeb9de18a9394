//! Turns runs of styled text into lines of positioned glyphs, and writes the fonts that those glyphs need.
//!
//! Memory stays the same however long the book is: a bounded store of shaped words, and for each font the glyphs in
//! use. It knows fonts and text, nothing of pages, PDF content or the book's model; and no clock and no chance: the
//! same calls give the same glyphs and the same fonts.
//!
//! - `face`: the fonts in the binary, and which of them has a character.
//! - `code`: the numbers by which a page names glyphs, and the text that each stands for.
//! - `shape`: words to glyphs (harfrust), by `segment` in parts of one font, kept for the next time.
//! - `paragraph`: text to atoms. `candidates`: the places between and, by `hyphens`, within them where a line may end.
//! - `breaks`: where lines do end, by `optimum` if it can. `line`: atoms to a line.
//! - `embed`: a font's subset as PDF objects.

mod breaks;
mod candidates;
mod code;
mod embed;
mod face;
mod hyphens;
mod kept;
mod line;
mod optimum;
mod paragraph;
mod segment;
mod shape;
#[cfg(test)]
mod tests;

use std::io;

use pdf_writer::{Chunk, Ref};

use self::shape::Shaper;

/// A group of faces that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::export) enum Family {
    /// For running text.
    Serif,
    /// For headings and tables.
    Sans,
    /// For code: every letter as wide as the next.
    Mono,
}

/// One cut of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::export) struct Face {
    /// Its family.
    pub family: Family,
    /// Heavier.
    pub bold: bool,
    /// Slanted.
    pub italic: bool,
}

/// How a run of text looks. Lengths are in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::export) struct Style {
    /// Its letters.
    pub face: Face,
    /// The em.
    pub size: f32,
    /// How far its baseline is above the line's.
    pub rise: f32,
}

/// Text of one look.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct Run<'a> {
    /// The text; `\n` ends the line.
    pub text: &'a str,
    /// Its look.
    pub style: Style,
    /// The caller's own: a link, a place in the structure. It comes back in [`Piece::mark`].
    pub mark: u32,
}

/// Where lines stand that are shorter than the measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) enum Align {
    /// All but the last line reach both edges.
    Justify,
    /// At the edge where reading starts.
    Start,
    /// In the middle.
    Centre,
    /// At the edge where reading ends.
    End,
}

/// The shape of a paragraph. Lengths are in points.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct Measure {
    /// From edge to edge.
    pub width: f32,
    /// Before the first line's text.
    pub first_indent: f32,
    /// Where short lines stand.
    pub align: Align,
    /// Whether words may be divided where the language lets them.
    pub hyphenate: bool,
    /// Keeps spaces and tabs as they are and does not justify.
    pub preformatted: bool,
}

/// A line of text. Lengths are in points.
#[derive(Clone, Debug)]
pub(in crate::export) struct Line {
    /// From left to right.
    pub pieces: Vec<Piece>,
    /// From the measure's left edge to the first thing that is seen.
    pub x: f32,
    /// From the first thing seen to the end of the last one.
    pub width: f32,
    /// Of its styles, above the baseline.
    pub ascent: f32,
    /// Of its styles, below the baseline; positive.
    pub descent: f32,
    /// Whether it ends with a hyphen that isn't in the text. The glyph is in the last piece, the text isn't.
    #[allow(dead_code, reason = "the page has no use for it yet")]
    pub hyphen: bool,
}

/// Glyphs of one look.
#[derive(Clone, Debug)]
pub(in crate::export) struct Piece {
    /// The font that [`Typesetter::write_font`] will write.
    pub font: FontIndex,
    /// The em, in points.
    pub size: f32,
    /// From the measure's left edge, in points.
    pub x: f32,
    /// The baseline's height above that of the line, in points.
    pub rise: f32,
    /// As in [`Run::mark`].
    pub mark: u32,
    /// From left to right.
    pub glyphs: Vec<Glyph>,
    /// What they mean, in reading order.
    pub text: String,
    /// Whether the font alone doesn't tell a reader this text: the page should say it (ActualText).
    pub tell: bool,
}

/// A glyph in its place. Lengths are in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::export) struct Glyph {
    /// What a page's string says for it: two bytes, the high one first.
    pub id: u16,
    /// To the origin of the next one, justification included.
    pub advance: f32,
    /// What a PDF reader advances by itself, from the font's table of widths.
    pub width: f32,
    /// From its origin to where it is drawn, to the right.
    pub x_offset: f32,
    /// From the baseline to where it is drawn, upwards.
    pub y_offset: f32,
}

/// A font among those that a [`Typesetter`] has used: `0..fonts()`, in order of first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::export) struct FontIndex(pub u16);

/// Sets paragraphs for one book.
pub(in crate::export) struct Typesetter {
    shaper: Shaper,
}

impl Typesetter {
    /// For a book in `language` (BCP 47), whose text is mostly in `main`. Text that says nothing else runs the
    /// language's way and is divided by its rules.
    pub(in crate::export) fn new(language: &str, main: Family) -> Self {
        Self { shaper: Shaper::new(language, main) }
    }

    /// Adds the lines of a paragraph to `lines`.
    pub(in crate::export) fn set(&mut self, runs: &[Run<'_>], measure: &Measure, lines: &mut Vec<Line>) {
        self.set_each(runs, measure, &mut |line| lines.push(line));
    }

    /// Gives `take` the lines of a paragraph, one by one: the way for those that may be very long.
    pub(in crate::export) fn set_each(
        &mut self,
        runs: &[Run<'_>],
        measure: &Measure,
        take: &mut dyn FnMut(Line),
    ) {
        paragraph::set(&mut self.shaper, runs, measure, take);
    }

    /// The width of the text if all of it stood on one line; of the widest where `\n` makes several.
    pub(in crate::export) fn natural_width(&mut self, runs: &[Run<'_>]) -> f32 {
        paragraph::natural_width(&mut self.shaper, runs)
    }

    /// How many fonts were used so far.
    pub(in crate::export) fn fonts(&self) -> usize {
        self.shaper.fonts()
    }

    /// Whether the fonts have all of a text.
    pub(in crate::export) fn has(text: &str) -> bool {
        segment::segments(face::FaceId::HELP, text).iter().all(|segment| segment.face.is_some())
    }

    /// How often a character was set that no font has, and a box stands in its place.
    pub(in crate::export) fn missing(&self) -> u64 {
        self.shaper.missing
    }

    /// Writes a font, as a chunk of one object at a time, with `font_ref` for the Type 0 font itself. To be called
    /// after the last text was set.
    ///
    /// # Errors
    /// What `put` says.
    pub(in crate::export) fn write_font(
        &mut self,
        index: FontIndex,
        font_ref: Ref,
        alloc: &mut dyn FnMut() -> Ref,
        put: &mut dyn FnMut(Ref, &Chunk) -> io::Result<()>,
    ) -> io::Result<()> {
        // A font is cut down in memory: the words make room for it.
        self.shaper.end();
        embed::write(self.shaper.used(index), font_ref, alloc, put)
    }
}
