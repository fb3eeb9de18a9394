//! Where the lines of a window end: the best of all ways, or one line after the other where that would take too long.

use super::{
    Align, Measure,
    candidates::{self, Candidate, Candidates, Sum},
    optimum::{self, Goal},
    paragraph::{Kind, Window},
    shape::Shaper,
};

/// A little more than the measure still fits: sums are rounded.
const SLACK: f64 = 0.01;

/// A place between two characters of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Position {
    pub(super) atom: usize,
    /// In the atom's text.
    pub(super) byte: usize,
}

/// The end of a line, which is where the next one starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) end: Position,
    /// Whether a hyphen is to be set.
    pub(super) hyphen: bool,
}

/// The lines' ends; the last one is the window's.
pub(super) fn find(window: &Window<'_>, shaper: &mut Shaper, measure: &Measure, indent: f32) -> Vec<Cut> {
    let width = f64::from(measure.width);
    let first_width = width - f64::from(indent);
    let whole = candidates::find(window, shaper, false, measure.preformatted);
    let fits = |candidates: &Candidates| candidates.widest <= first_width.min(width);
    if whole.all.last().is_none_or(|last| last.sum.width - whole.first.width <= first_width + SLACK) {
        return whole.all.last().map(cut).into_iter().collect();
    }
    if measure.preformatted {
        return greedy(window, shaper, &whole, first_width, width);
    }
    let justified = measure.align == Align::Justify;
    let goal = |tolerance| Goal { first_width, width, justified, tolerance };
    if fits(&whole) {
        // Words are only divided where the spaces would be too wide otherwise.
        let tolerance = if justified && measure.hyphenate { 1.3 } else { f64::INFINITY };
        if let Some(cuts) = optimum::find(&whole, &goal(tolerance)) {
            return cuts;
        }
    }
    let divided = candidates::find(window, shaper, measure.hyphenate, false);
    if fits(&divided) {
        let cuts =
            optimum::find(&divided, &goal(2.5)).or_else(|| optimum::find(&divided, &goal(f64::INFINITY)));
        if let Some(cuts) = cuts {
            return cuts;
        }
    }
    greedy(window, shaper, &divided, first_width, width)
}

/// The cut at a candidate.
pub(super) fn cut(candidate: &Candidate) -> Cut {
    Cut { end: candidate.end, hyphen: candidate.hyphen }
}

/// Each line takes as much as it can; what is wider than a line is cut where the line is full.
fn greedy(
    window: &Window<'_>,
    shaper: &Shaper,
    candidates: &Candidates,
    first_width: f64,
    width: f64,
) -> Vec<Cut> {
    let (mut cuts, mut room, mut number) = (Vec::new(), first_width, 0);
    let (mut from, mut start) = (Position::default(), candidates.first);
    while let Some(next) = candidates.all.get(number) {
        let fitting = candidates.all[number..]
            .iter()
            .take_while(|candidate| candidate.sum.width - start.width <= room + SLACK)
            .count();
        if fitting > 0 {
            number += fitting;
            let candidate = &candidates.all[number - 1];
            cuts.push(cut(candidate));
            (from, start) = (candidate.end, candidate.next);
        } else {
            (from, start) = full(window, shaper, &candidates.sums, (from, start), next.end, room);
            cuts.push(Cut { end: from, hyphen: false });
            // Candidates up to there are used up, those within a ligature as well.
            number += candidates.all[number..].iter().take_while(|candidate| candidate.end <= from).count();
        }
        room = width;
    }
    cuts
}

/// Where a line is full that starts at `from`, whatever stands there; at the latest at `end`. At least one cluster
/// further on.
fn full(
    window: &Window<'_>,
    shaper: &Shaper,
    sums: &[Sum],
    (from, start): (Position, Sum),
    end: Position,
    room: f64,
) -> (Position, Sum) {
    let mut last = None;
    for index in from.atom..window.atoms.len() {
        let atom = &window.atoms[index];
        let size = f64::from(window.runs[atom.run as usize].style.size);
        if atom.kind == Kind::Space {
            // It hangs out.
            let behind = Position { atom: index + 1, byte: 0 };
            last = Some((behind, sums[index + 1])).filter(|_| behind <= end).or(last);
            continue;
        }
        let text = window.text(atom).len();
        let bounds = shaper.clusters(atom.word).into_iter().chain([(text, shaper.word(atom.word).width)]);
        for (byte, within) in bounds {
            let sum = Sum { width: sums[index].width + f64::from(within) * size, ..sums[index] };
            let position = if byte == text {
                Position { atom: index + 1, byte: 0 }
            } else {
                Position { atom: index, byte }
            };
            if index == from.atom && byte <= from.byte || byte == 0 {
                continue;
            }
            if let Some(last) = last.filter(|_| position > end || sum.width - start.width > room + SLACK) {
                return last;
            }
            last = Some((position, sum));
        }
    }
    last.unwrap_or((end, start))
}
