//! Atoms to a line: their order from left to right, the spaces' share of what is left over, glyphs in points.

use super::{
    Align, Glyph, Line, Measure, Piece,
    breaks::{Cut, Position},
    paragraph::{Kind, Window},
    shape::{Shaper, WordId},
};

/// An atom, or a part of one, in a line.
struct Item {
    atom: usize,
    word: WordId,
    /// Its text in [`Window::clean`].
    text: (usize, usize),
    level: u8,
    width: f32,
    /// Whether it hangs out at the line's end.
    hangs: bool,
}

/// Builds the line between two positions. The `last` of a paragraph isn't justified.
pub(super) fn build(
    window: &Window<'_>,
    shaper: &mut Shaper,
    measure: &Measure,
    indent: f32,
    from: Position,
    cut: &Cut,
    last: bool,
) -> Line {
    let mut items = items(window, shaper, from, cut.end, measure.preformatted);
    let seen =
        items.iter().rposition(|item| window.atoms[item.atom].kind != Kind::Space).map_or(0, |last| last + 1);
    for item in &mut items[seen..] {
        item.hangs = true;
        item.level = u8::from(window.rtl);
    }
    let hyphen = items.get(seen.wrapping_sub(1)).filter(|_| cut.hyphen).map(|item| item.atom);
    let hyphen = hyphen.and_then(|atom| {
        let size = window.runs[window.atoms[atom].run as usize].style.size;
        shaper.hyphen(window.face(&window.atoms[atom])).map(|(font, shape)| (font, shape, size, atom))
    });
    let natural: f32 = items[..seen].iter().map(|item| item.width).sum::<f32>()
        + hyphen.map_or(0.0, |(_, shape, size, _)| shape.advance * size);
    let room = measure.width - indent;
    let spaces: f32 =
        items[..seen].iter().filter(|item| stretches(window, item)).map(|item| item.width).sum();
    let justify = measure.align == Align::Justify && !measure.preformatted && spaces > 0.0;
    // The last line is only pressed together, never pulled apart.
    let stretch =
        if justify && (!last || natural > room) { ((room - natural) / spaces).max(-0.4) } else { 0.0 };
    let width = natural + stretch * spaces;
    let short = room - width;
    let lead = match (measure.align, window.rtl) {
        (Align::Centre, _) => short / 2.0,
        (Align::End, false) | (Align::Justify | Align::Start, true) => short,
        (Align::Justify | Align::Start, false) | (Align::End, true) => 0.0,
    };
    let left = lead + if window.rtl { 0.0 } else { indent };

    let (ascent, descent) = extent(window, &items, from);
    let mut line = Line { pieces: Vec::new(), x: left, width, ascent, descent, hyphen: hyphen.is_some() };
    let order = order(&items);
    let hanging: f32 = items[seen..].iter().map(|item| item.width).sum();
    let mut x = if window.rtl { left - hanging } else { left };
    let hyphen_atom = hyphen.map(|hyphen| hyphen.3);
    for at in order {
        let item = &items[at];
        let share = if stretches(window, item) && !item.hangs { 1.0 + stretch } else { 1.0 };
        let at_hyphen = at + 1 == seen && hyphen_atom == Some(item.atom);
        if let Some((font, shape, size, _)) = hyphen.filter(|_| at_hyphen && item.level % 2 == 1) {
            push_hyphen(&mut line, window, item, font, glyph(&shape, size, 1.0), size, &mut x);
        }
        push(&mut line, window, shaper, item, share, &mut x);
        if let Some((font, shape, size, _)) = hyphen.filter(|_| at_hyphen && item.level.is_multiple_of(2)) {
            push_hyphen(&mut line, window, item, font, glyph(&shape, size, 1.0), size, &mut x);
        }
    }
    line
}

/// Whether an item takes its share when the line is justified.
fn stretches(window: &Window<'_>, item: &Item) -> bool {
    window.atoms[item.atom].kind != Kind::Word
}

/// What stands between two positions. Spaces at the start are left out unless they are kept as they are.
fn items(
    window: &Window<'_>,
    shaper: &mut Shaper,
    from: Position,
    to: Position,
    preformatted: bool,
) -> Vec<Item> {
    let mut items = Vec::new();
    for index in from.atom..window.atoms.len().min(to.atom + 1) {
        let atom = &window.atoms[index];
        let text = window.text(atom);
        let start = if index == from.atom { from.byte } else { 0 };
        let end = if index == to.atom { to.byte } else { text.len() };
        if start >= end || atom.kind == Kind::Space && items.is_empty() && !preformatted {
            continue;
        }
        let size = window.runs[atom.run as usize].style.size;
        let (mut word, mut width) = (atom.word, atom.width);
        if end - start < text.len() {
            word = shaper.shape(window.face(atom), atom.level % 2 == 1, &text[start..end]);
            width = shaper.word(word).width * size;
        }
        shaper.missing += u64::from(shaper.word(word).missing);
        let place = atom.text.0 as usize;
        items.push(Item {
            atom: index,
            word,
            text: (place + start, place + end),
            level: atom.level,
            width,
            hangs: false,
        });
    }
    items
}

/// The items' places from left to right: rule L2 of the Unicode bidirectional algorithm.
fn order(items: &[Item]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let highest = items.iter().map(|item| item.level).max().unwrap_or(0);
    for level in (1..=highest).rev() {
        let mut start = 0;
        while start < order.len() {
            let run = order[start..].iter().take_while(|at| items[**at].level >= level).count();
            order[start..start + run].reverse();
            start += run.max(1);
        }
    }
    order
}

/// Height and depth of the styles in a line; of the one where it starts if there is nothing in it.
fn extent(window: &Window<'_>, items: &[Item], from: Position) -> (f32, f32) {
    let first = window.first_run();
    let empty = window.atoms.get(from.atom).map_or(first, |atom| atom.run);
    let empty = items.is_empty().then_some(empty);
    let runs = items.iter().map(|item| window.atoms[item.atom].run).chain(empty);
    let mut before = None;
    // Most items are of the run of the one before.
    let runs = runs.filter(|run| before.replace(*run) != Some(*run));
    runs.fold((0.0_f32, 0.0_f32), |(ascent, descent), run| {
        let style = window.runs[run as usize].style;
        let measures = super::face::FaceId::of(style.face).measures();
        let (up, down) =
            (measures.ascent * style.size + style.rise, measures.descent * style.size - style.rise);
        (ascent.max(up), descent.max(down))
    })
}

/// Adds an item's glyphs.
fn push(line: &mut Line, window: &Window<'_>, shaper: &Shaper, item: &Item, share: f32, x: &mut f32) {
    let run = &window.runs[window.atoms[item.atom].run as usize];
    let rtl = item.level % 2 == 1;
    let parts = shaper.parts(item.word);
    for number in 0..parts.len() {
        let part = &parts[if rtl { parts.len() - 1 - number } else { number }];
        let text = &window.clean[item.text.0 + part.text.0 as usize..item.text.0 + part.text.1 as usize];
        let (size, rise, mark) = (run.style.size, run.style.rise, run.mark);
        let same = |piece: &Piece| {
            piece.font == part.font && piece.size == size && piece.rise == rise && piece.mark == mark
        };
        if !line.pieces.last().is_some_and(same) {
            let (glyphs, text) = (Vec::new(), String::new());
            line.pieces.push(Piece { font: part.font, size, x: *x, rise, mark, glyphs, text, tell: false });
        }
        let Some(piece) = line.pieces.last_mut() else { continue };
        for shape in shaper.glyphs(part) {
            let glyph = glyph(&shape, size, share);
            *x += glyph.advance;
            piece.glyphs.push(glyph);
        }
        piece.tell |= part.tell;
        if rtl {
            piece.text.insert_str(0, text);
        } else {
            piece.text.push_str(text);
        }
    }
}

/// Adds the hyphen of a divided word.
fn push_hyphen(
    line: &mut Line,
    window: &Window<'_>,
    item: &Item,
    font: super::FontIndex,
    glyph: Glyph,
    size: f32,
    x: &mut f32,
) {
    let run = &window.runs[window.atoms[item.atom].run as usize];
    let (rise, mark) = (run.style.rise, run.mark);
    let same =
        |piece: &Piece| piece.font == font && piece.size == size && piece.rise == rise && piece.mark == mark;
    if !line.pieces.last().is_some_and(same) {
        let (glyphs, text) = (Vec::new(), String::new());
        line.pieces.push(Piece { font, size, x: *x, rise, mark, glyphs, text, tell: false });
    }
    *x += glyph.advance;
    if let Some(piece) = line.pieces.last_mut() {
        piece.glyphs.push(glyph);
    }
}

/// A glyph in points.
fn glyph(shape: &super::shape::Shape, size: f32, share: f32) -> Glyph {
    Glyph {
        id: shape.code,
        advance: shape.advance * size * share,
        width: shape.width * size,
        x_offset: shape.x * size,
        y_offset: shape.y * size,
    }
}
