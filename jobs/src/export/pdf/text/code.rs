//! The codes by which a page names a font's glyphs, numbered at first use so that pages can be written at once.
//!
//! A code stands for a glyph *and* the text it means: one glyph may mean several texts (a space and a no-break space,
//! a hyphen and a soft hyphen, the box for all that is missing), and a reader that copies text shall get the right
//! one. The first text of a glyph has the glyph's own number in the subset; each further one has a number from the
//! top downwards, which the font's encoding leads to the glyph.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use super::face::FaceId;

/// Longer texts of a single glyph are not kept.
const LONGEST_TEXT: usize = 64;

/// A font in use: its glyphs and their texts.
pub(super) struct Used {
    /// The font.
    pub(super) face: FaceId,
    /// By number in the subset; `.notdef` is always the first.
    glyphs: Vec<Coded>,
    /// Of code `0xffff - n`.
    further: Vec<Coded>,
    numbers: HashMap<u16, u16>,
    /// Single characters' codes, so that many texts of one glyph are found quickly.
    singles: HashMap<(u16, char), u16>,
    /// The latest further code of each glyph and longer text, by their hash: small keys, as there may be many.
    longer: HashMap<u64, u16>,
    hasher: RandomState,
    /// All texts, one behind the other: no small allocations that live long.
    texts: String,
}

/// What a code stands for.
#[derive(Clone, Copy)]
struct Coded {
    /// In the font as it is on disk for the first ones, in the subset for the further ones.
    glyph: u16,
    start: u32,
    bytes: u8,
}

impl Used {
    /// Nothing used so far.
    pub(super) fn new(face: FaceId) -> Self {
        Self {
            face,
            glyphs: vec![Coded { glyph: 0, start: 0, bytes: 0 }],
            further: Vec::new(),
            numbers: HashMap::from([(0, 0)]),
            singles: HashMap::new(),
            longer: HashMap::new(),
            hasher: RandomState::new(),
            texts: String::new(),
        }
    }

    /// The code for `glyph` meaning `text`; and whether that text will be told.
    pub(super) fn code(&mut self, glyph: u16, text: &str) -> (u16, bool) {
        let single = single(text);
        if let Some(single) = single
            && let Some(code) = self.singles.get(&(glyph, single))
        {
            return (*code, true);
        }
        let text = if text.len() > LONGEST_TEXT { "" } else { text };
        let (code, told) = match self.numbers.get(&glyph) {
            None if self.glyphs.len() + self.further.len() < 0xffff => {
                let number = self.glyphs.len() as u16;
                self.numbers.insert(glyph, number);
                let coded = self.coded(glyph, text);
                self.glyphs.push(coded);
                (number, true)
            }
            None => (0, false),
            Some(number) => self.another(*number, text),
        };
        if let Some(single) = single.filter(|_| told) {
            self.singles.insert((glyph, single), code);
        }
        (code, told && !text.is_empty())
    }

    /// The code for glyph `number` meaning `text`, where the glyph is in use already.
    fn another(&mut self, number: u16, text: &str) -> (u16, bool) {
        if self.text(self.glyphs[usize::from(number)]) == text {
            return (number, true);
        }
        // Single characters were looked up before.
        let hash = self.hasher.hash_one((number, text));
        if let Some(&code) = self.longer.get(&hash) {
            let coded = self.further[usize::from(0xffff - code)];
            if coded.glyph == number && self.text(coded) == text {
                return (code, true);
            }
        }
        if self.glyphs.len() + self.further.len() >= 0xffff {
            return (number, false);
        }
        let coded = self.coded(number, text);
        let code = 0xffff - self.further.len() as u16;
        self.further.push(coded);
        if single(text).is_none() {
            self.longer.insert(hash, code);
        }
        (code, true)
    }

    fn coded(&mut self, glyph: u16, text: &str) -> Coded {
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        Coded { glyph, start, bytes: text.len() as u8 }
    }

    fn text(&self, coded: Coded) -> &str {
        &self.texts[coded.start as usize..][..usize::from(coded.bytes)]
    }

    /// The font's glyphs by their number in the subset.
    pub(super) fn subset(&self) -> Vec<u16> {
        self.glyphs.iter().map(|coded| coded.glyph).collect()
    }

    /// Codes that are not the number of their glyph, with that number; ascending.
    pub(super) fn further(&self) -> impl Iterator<Item = (u16, u16)> {
        self.further.iter().enumerate().rev().map(|(place, coded)| (0xffff - place as u16, coded.glyph))
    }

    /// All codes with their texts, ascending.
    pub(super) fn texts(&self) -> impl Iterator<Item = (u16, &str)> {
        let first = self.glyphs.iter().enumerate().map(|(number, coded)| (number as u16, self.text(*coded)));
        let further = self.further.iter().enumerate().rev();
        first.chain(further.map(|(place, coded)| (0xffff - place as u16, self.text(*coded))))
    }
}

/// The only character of a text.
fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::pdf::text::{Face, Family};

    fn used() -> Used {
        Used::new(FaceId::of(Face { family: Family::Serif, bold: false, italic: false }))
    }

    #[test]
    fn glyphs_are_numbered_at_first_use() {
        let mut used = used();
        assert_eq!(
            [used.code(70, "a"), used.code(9, "b"), used.code(70, "a")],
            [(1, true), (2, true), (1, true)]
        );
        assert_eq!(used.subset(), [0, 70, 9]);
    }

    #[test]
    fn a_glyph_of_two_texts_has_two_codes() {
        let mut used = used();
        assert_eq!(used.code(3, " "), (1, true));
        assert_eq!(used.code(3, "\u{a0}"), (0xffff, true));
        assert_eq!(used.code(3, "ffi"), (0xfffe, true));
        assert_eq!(used.code(3, "ffi"), (0xfffe, true));
        assert_eq!(used.code(3, "\u{a0}"), (0xffff, true));
        assert_eq!(used.further().collect::<Vec<_>>(), [(0xfffe, 1), (0xffff, 1)]);
        let texts: Vec<_> = used.texts().collect();
        assert_eq!(texts, [(0, ""), (1, " "), (0xfffe, "ffi"), (0xffff, "\u{a0}")]);
    }

    #[test]
    fn when_the_numbers_run_out_the_glyph_still_has_one() {
        let mut used = used();
        for number in 0..70_000_u32 {
            let text = char::from_u32(0x20_000 + number).expect("a character");
            used.code(5, &text.to_string());
        }
        assert_eq!(used.code(5, "late"), (1, false));
        assert_eq!(used.code(6, "late"), (0, false));
    }
}
