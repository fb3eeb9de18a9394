//! A shaped glyph in the few bytes that it takes to be kept. Must not know: words, or how many are kept.

use super::{paragraph::LONGEST_WORD, shape::Shape};

/// A glyph as it is kept: in the font's units where a shape has ems, as there are very many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) code: u16,
    pub(super) advance: i16,
    /// In thousandths of an em.
    pub(super) width: u16,
    pub(super) x: i16,
    pub(super) y: i16,
    pub(super) cluster: u16,
}

const _: () = assert!(size_of::<Kept>() == 12);
// Combining marks may make a word longer than it should be.
const _: () = assert!(4 * LONGEST_WORD < u16::MAX as u32);

impl Kept {
    /// The glyph, of a font with so many units in an em.
    pub(super) fn shape(self, em: f32) -> Shape {
        let ems = |units: i16| f32::from(units) / em;
        Shape {
            code: self.code,
            advance: ems(self.advance),
            width: f32::from(self.width) / 1000.0,
            x: ems(self.x),
            y: ems(self.y),
            cluster: self.cluster.into(),
        }
    }
}

/// A position as it is kept. Of our fonts, none has a glyph that is as wide as this can say: it is sixteen ems.
pub(super) fn units(position: i32) -> i16 {
    position.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
