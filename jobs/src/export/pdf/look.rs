//! Sizes, margins and distances: one place decides how the book looks. All lengths are in points.

use super::text::{Align, Face, Family};
use crate::export::page::{PageFont, PageOptions, points};

/// What all pages have in common.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The paper.
    pub(super) paper: (f32, f32),
    /// The text's size on a page.
    pub(super) width: f32,
    /// The text's height on a page.
    pub(super) height: f32,
    /// From the paper's upper edge to the text.
    pub(super) top: f32,
    /// The margin at the spine.
    pub(super) inner: f32,
    /// The margin at the page's edge.
    pub(super) outer: f32,
    /// The family of running text.
    pub(super) family: Family,
    /// The size of running text.
    pub(super) size: f32,
    /// Whether the book is read from right to left.
    pub(super) right_to_left: bool,
}

/// How one kind of text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextLook {
    /// The letters.
    pub(super) face: Face,
    /// Their size.
    pub(super) size: f32,
    /// From base line to base line.
    pub(super) leading: f32,
    /// Where short lines stand.
    pub(super) align: Align,
    /// Before the first line.
    pub(super) first_indent: f32,
    /// Whether words are divided.
    pub(super) hyphenate: bool,
    /// Whether spaces stay.
    pub(super) preformatted: bool,
}

impl Look {
    /// What the options say, and good choices for the rest.
    pub(super) fn new(options: &PageOptions, right_to_left: bool) -> Self {
        let paper = options.size.unwrap_or_default().points();
        let is_large = paper.0 > points(1800);
        let size = options.font_size.map_or(if is_large { 11.0 } else { 10.0 }, |size| size.points());
        let (inner, outer, top, bottom) = match options.margin {
            Some(margin) => {
                let margin = points(u32::from(margin) * 10);
                (margin, margin, margin, margin)
            }
            // A line of some seventy letters reads best: large paper has wide margins.
            None => {
                let wide = ((paper.0 - size * 37.0) / 2.0).clamp(paper.0 * 0.105, paper.0 * 0.2);
                (wide * 1.08, wide * 0.92, paper.1 * 0.095, paper.1 * 0.1)
            }
        };
        let family = match options.font.unwrap_or_default() {
            PageFont::Serif => Family::Serif,
            PageFont::Sans => Family::Sans,
        };
        let (width, height) = (paper.0 - inner - outer, paper.1 - top - bottom);
        Self { paper, width, height, top, inner, outer, family, size, right_to_left }
    }

    /// Running text.
    pub(super) fn body(&self) -> TextLook {
        TextLook {
            face: Face { family: self.family, bold: false, italic: false },
            size: self.size,
            leading: self.size * 1.36,
            align: Align::Justify,
            first_indent: 0.0,
            hyphenate: true,
            preformatted: false,
        }
    }

    /// Running text in another size.
    pub(super) fn scaled(&self, factor: f32) -> TextLook {
        let body = self.body();
        TextLook { size: body.size * factor, leading: body.leading * factor, ..body }
    }

    /// A heading; chapters have level 1.
    pub(super) fn heading(&self, level: u8) -> TextLook {
        let factor = match level {
            1 => 1.9,
            2 => 1.35,
            3 => 1.15,
            _ => 1.0,
        };
        let face = Face { family: self.family, bold: level != 1, italic: level > 4 };
        let size = self.size * factor;
        TextLook { face, size, leading: size * 1.22, align: Align::Start, hyphenate: false, ..self.body() }
    }

    /// Code.
    pub(super) fn code(&self) -> TextLook {
        let size = self.size * 0.8;
        let face = Face { family: Family::Mono, bold: false, italic: false };
        let plain = TextLook { face, size, leading: size * 1.38, align: Align::Start, ..self.body() };
        TextLook { hyphenate: false, preformatted: true, ..plain }
    }

    /// How far lists, quotations and first lines are indented.
    pub(super) fn indent(&self) -> f32 {
        self.size * 1.5
    }

    /// The distance between blocks that are not paragraphs in a row.
    pub(super) fn gap(&self) -> f32 {
        self.size * 0.7
    }

    /// The text's left edge on the page with this number.
    pub(super) fn left(&self, page: i32) -> f32 {
        // Odd pages have the spine at the side where reading begins.
        if (page % 2 == 1) == self.right_to_left { self.outer } else { self.inner }
    }
}
