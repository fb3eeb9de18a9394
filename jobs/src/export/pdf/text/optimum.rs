//! The best way to break a paragraph into lines, after Knuth and Plass: each way is weighed by how far its spaces are
//! from their own width, and by hyphens in a row; the lightest of all ways is found without trying each.

use super::{
    breaks::{self, Cut},
    candidates::{Candidate, Candidates, Sum},
};

/// How much of its width a space may grow, at ease, and shrink, at most.
const STRETCH: f64 = 0.5;
const SHRINK: f64 = 0.3;
/// Ragged lines may be this much shorter than the measure, at ease.
const RAGGED: f64 = 0.12;
/// What is added where two lines in a row end with hyphens, and where a loose line follows a tight one.
const HYPHENS: f64 = 5000.0;
const UNLIKE: f64 = 3000.0;

/// What lines shall be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) first_width: f64,
    pub(super) width: f64,
    /// Whether the spaces fill what is left.
    pub(super) justified: bool,
    /// How far spaces may be pulled, as a multiple of their ease.
    pub(super) tolerance: f64,
}

/// A way to come to a candidate: the last line of it, and the ways before.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// `None` for the start.
    candidate: Option<u32>,
    before: u32,
    /// Whether its line is tight (0), normal, loose or very loose (3).
    class: u8,
    weight: f64,
}

/// The lightest way, if there is any within the goal's tolerance.
pub(super) fn find(candidates: &Candidates, goal: &Goal) -> Option<Vec<Cut>> {
    let mut nodes = vec![Node { candidate: None, before: 0, class: 1, weight: 0.0 }];
    let mut active: Vec<u32> = vec![0];
    let end = candidates.all.len() - 1;
    for (number, candidate) in candidates.all.iter().enumerate() {
        let mut best: [Option<(f64, u32)>; 4] = [None; 4];
        active.retain(|index| {
            let node = &nodes[*index as usize];
            let from = node.candidate.map(|from| &candidates.all[from as usize]);
            let Some(ratio) = ratio(candidates.first, from, candidate, goal, number == end) else {
                return false;
            };
            if ratio <= goal.tolerance {
                let class = class(ratio);
                let weight = node.weight + weigh(ratio, from, candidate, node.class.abs_diff(class) > 1);
                let best = &mut best[usize::from(class)];
                if best.is_none_or(|(lightest, _)| weight < lightest) {
                    *best = Some((weight, *index));
                }
            }
            true
        });
        let lightest = best.iter().flatten().map(|(weight, _)| *weight).fold(f64::INFINITY, f64::min);
        for (class, best) in best.into_iter().enumerate() {
            // A way that costs more than to be unlike the next line can't become the lightest.
            if let Some((weight, before)) = best.filter(|(weight, _)| *weight <= lightest + UNLIKE) {
                active.push(nodes.len() as u32);
                nodes.push(Node { candidate: Some(number as u32), before, class: class as u8, weight });
            }
        }
        if active.is_empty() {
            return None;
        }
    }
    let at_end = |node: &&Node| node.candidate == Some(end as u32);
    let mut node = nodes.iter().filter(at_end).min_by(|one, other| one.weight.total_cmp(&other.weight))?;
    let mut cuts = Vec::new();
    while let Some(candidate) = node.candidate {
        cuts.push(breaks::cut(&candidates.all[candidate as usize]));
        node = &nodes[node.before as usize];
    }
    cuts.reverse();
    Some(cuts)
}

/// How far the spaces of a line must be pulled (above 0) or pressed (below), as a multiple of their ease. `None` where
/// it can't be pressed together enough.
fn ratio(first: Sum, from: Option<&Candidate>, to: &Candidate, goal: &Goal, last: bool) -> Option<f64> {
    let start = from.map_or(first, |from| from.next);
    let room = if from.is_none() { goal.first_width } else { goal.width };
    let left = room - (to.sum.width - start.width);
    let spaces = if goal.justified { to.sum.spaces - start.spaces } else { 0.0 };
    if left < 0.0 {
        // Sums are rounded; and a line without spaces that fits by a hair does fit.
        let ratio = left / (spaces * SHRINK).max(0.01);
        return (ratio >= -1.0).then_some(ratio);
    }
    if last {
        return Some(0.0);
    }
    // Even a line without spaces has some ease, or all of its kind were equally bad.
    let ease = if goal.justified { spaces * STRETCH + 0.002 * room } else { RAGGED * room };
    Some(left / ease)
}

/// What a line costs.
fn weigh(ratio: f64, from: Option<&Candidate>, to: &Candidate, unlike: bool) -> f64 {
    let badness = 100.0 * ratio.abs().min(100.0).powi(3);
    let hyphens = to.hyphen && from.is_some_and(|from| from.hyphen);
    (10.0 + badness).powi(2)
        + to.penalty * to.penalty
        + if hyphens { HYPHENS } else { 0.0 }
        + if unlike { UNLIKE } else { 0.0 }
}

/// Of what kind a line is, for those beside it.
fn class(ratio: f64) -> u8 {
    match ratio {
        ..-0.5 => 0,
        -0.5..=0.5 => 1,
        0.5..=1.0 => 2,
        _ => 3,
    }
}
