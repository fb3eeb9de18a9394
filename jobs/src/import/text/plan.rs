//! Decides which of the lines that look like headings begin a chapter: those of a sort that occurs at least twice, in
//! rising order where numbered, without the table of contents in front.

use std::collections::HashMap;

use super::{
    headings::Sort,
    survey::{Candidate, Survey},
};
use crate::import::ChapterMark;

/// Headings nearer than this to the next are entries of a list, where they occur again.
const LIST_LINES: u64 = 4;

/// A line that begins a chapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) line: u64,
    pub(super) lines: u64,
    pub(super) title: String,
}

/// The chapters' beginnings, in order; empty where none could be told.
pub(super) fn plan(survey: &Survey, marks: &[ChapterMark]) -> Vec<Heading> {
    let inside: Vec<&Candidate> = survey
        .candidates
        .iter()
        .filter(|candidate| candidate.line > survey.begin && candidate.line < survey.end)
        .collect();
    if !marks.is_empty() {
        return with_others(without_contents(&inside), &[], Sort::Said);
    }
    for sort in [Sort::Chapter, Sort::Cjk, Sort::Part, Sort::Number, Sort::Capitals] {
        let of: Vec<&Candidate> = inside.iter().copied().filter(|c| c.sort == sort).collect();
        let chosen = rising(without_contents(&of));
        let spread = chosen.last().zip(chosen.first()).map_or(0, |(last, first)| last.line - first.line);
        // A list of short things is no book: what has no keyword must stand well apart.
        let sparse = !matches!(sort, Sort::Number | Sort::Capitals)
            || spread >= 6 * (chosen.len() as u64).saturating_sub(1);
        if chosen.len() >= 2 && sparse {
            return with_others(chosen, &inside, sort);
        }
    }
    Vec::new()
}

/// Leaves out entries of a table of contents: close to the next one, and the same again further down.
fn without_contents<'a>(of: &[&'a Candidate]) -> Vec<&'a Candidate> {
    let key = |candidate: &Candidate| match candidate.number {
        0 => candidate.title.to_lowercase(),
        number => number.to_string(),
    };
    let mut last: HashMap<String, usize> = HashMap::new();
    for (place, candidate) in of.iter().enumerate() {
        last.insert(key(candidate), place);
    }
    let mut in_list = false;
    let mut kept = Vec::new();
    for (place, candidate) in of.iter().enumerate() {
        let near =
            of.get(place + 1).is_some_and(|next| next.line - candidate.line < LIST_LINES + candidate.lines);
        let again = last.get(&key(candidate)).is_some_and(|last| *last > place);
        let drop = again && (near || in_list);
        in_list = drop && near;
        if !drop {
            kept.push(*candidate);
        }
    }
    kept
}

/// Numbers rise, or begin again at 1 (in the next part); what breaks that is no heading.
fn rising(of: Vec<&Candidate>) -> Vec<&Candidate> {
    let mut before = 0;
    of.into_iter()
        .filter(|candidate| {
            let fits = match candidate.number {
                0 => true,
                1 => true,
                number => number > before && number <= before + 20,
            };
            if fits && candidate.number > 0 {
                before = candidate.number;
            }
            fits
        })
        .collect()
}

/// Adds prologues and the like, and parts above chapters; a part right before a chapter goes into its title.
fn with_others(chosen: Vec<&Candidate>, inside: &[&Candidate], sort: Sort) -> Vec<Heading> {
    let named: Vec<&Candidate> = inside.iter().copied().filter(|c| c.sort == Sort::Named).collect();
    let mut all = chosen;
    all.extend(without_contents(&named));
    if sort != Sort::Part {
        let parts: Vec<&Candidate> = inside.iter().copied().filter(|c| c.sort == Sort::Part).collect();
        all.extend(rising(without_contents(&parts)));
    }
    all.sort_by_key(|candidate| candidate.line);
    let mut headings: Vec<Heading> = Vec::new();
    let mut part_before = false;
    for candidate in all {
        let heading =
            Heading { line: candidate.line, lines: candidate.lines, title: candidate.title.clone() };
        match headings.last_mut() {
            // What was taken for a part's second line may be a title of its own.
            Some(last)
                if part_before && candidate.line.saturating_sub(last.line + last.lines) <= LIST_LINES =>
            {
                last.lines = last.lines.max(candidate.line + candidate.lines - last.line);
                last.title = format!("{} – {}", last.title, heading.title);
            }
            _ => headings.push(heading),
        }
        part_before = sort != Sort::Part && candidate.sort == Sort::Part;
    }
    headings
}
