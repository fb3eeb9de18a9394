//! Where the lines of a window end.

use super::{
    Measure,
    paragraph::{After, Kind, Window},
    shape::Shaper,
};

/// A place between two characters of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Position {
    pub(super) atom: usize,
    /// In the atom's text.
    pub(super) byte: usize,
}

/// The end of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Where the line ends; white space before it hangs out.
    pub(super) end: Position,
    /// Where the next one starts.
    pub(super) next: Position,
    /// Whether a hyphen is to be set.
    pub(super) hyphen: bool,
}

/// The lines' ends; the last one is the window's.
pub(super) fn find(window: &Window<'_>, shaper: &mut Shaper, measure: &Measure, indent: f32) -> Vec<Cut> {
    let (mut cuts, mut width) = (Vec::new(), measure.width - indent);
    let (mut taken, mut best) = (0.0, None);
    let mut at = Position::default();
    while let Some(atom) = window.atoms.get(at.atom) {
        let from = at.byte;
        let rest = if from == 0 {
            atom.width
        } else {
            width_of(window, shaper, at.atom, from, atom_bytes(window, at.atom))
        };
        if atom.kind == Kind::Space || taken + rest <= width {
            taken += rest;
            at = Position { atom: at.atom + 1, byte: 0 };
            if atom.after != After::Nothing {
                best = Some(Cut { end: at, next: at, hyphen: atom.after == After::Hyphen });
            }
            continue;
        }
        let cut = best.take().unwrap_or_else(|| {
            let byte = fitting(window, shaper, at, width - taken, taken == 0.0);
            let end = Position { atom: at.atom, byte };
            Cut { end, next: end, hyphen: false }
        });
        cuts.push(cut);
        at = cut.next;
        (taken, width) = (0.0, measure.width);
    }
    let end = Position { atom: window.atoms.len(), byte: 0 };
    if cuts.last().is_none_or(|last| last.next != end) {
        cuts.push(Cut { end, next: end, hyphen: false });
    }
    cuts
}

fn atom_bytes(window: &Window<'_>, atom: usize) -> usize {
    window.text(&window.atoms[atom]).len()
}

/// The width of some of an atom's text.
fn width_of(window: &Window<'_>, shaper: &Shaper, atom: usize, from: usize, to: usize) -> f32 {
    let atom = &window.atoms[atom];
    let size = window.runs[atom.run as usize].style.size;
    let glyphs = shaper.parts(atom.word).iter().flat_map(|part| shaper.glyphs(part));
    let within = glyphs.filter(|glyph| (from..to).contains(&(glyph.cluster as usize)));
    within.map(|glyph| glyph.advance).sum::<f32>() * size
}

/// How much of an atom's text fits, as a place in it. At least one cluster if there `must` be some.
fn fitting(window: &Window<'_>, shaper: &Shaper, at: Position, width: f32, must: bool) -> usize {
    let atom = &window.atoms[at.atom];
    let size = window.runs[atom.run as usize].style.size;
    let glyphs = shaper.parts(atom.word).iter().flat_map(|part| shaper.glyphs(part));
    let mut clusters: Vec<(usize, f32)> = glyphs
        .map(|glyph| (glyph.cluster as usize, glyph.advance * size))
        .filter(|(place, _)| *place >= at.byte)
        .collect();
    clusters.sort_by_key(|(place, _)| *place);
    let (mut taken, mut end) = (0.0, at.byte);
    let mut glyphs = clusters.chunk_by(|one, other| one.0 == other.0).peekable();
    while let Some(cluster) = glyphs.next() {
        taken += cluster.iter().map(|(_, advance)| advance).sum::<f32>();
        if taken > width && !(must && end == at.byte) {
            return end;
        }
        end = glyphs.peek().map_or(window.text(atom).len(), |next| next[0].0);
    }
    end
}
