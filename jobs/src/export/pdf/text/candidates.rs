//! The places of a window where a line may end, with all that is to be known to weigh them.

use super::{
    breaks::Position,
    hyphens,
    paragraph::{After, Kind, Window},
    shape::Shaper,
};

/// What a divided word costs.
const HYPHEN: f64 = 50.0;

/// The widths from the window's start to some place, in points.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// Of all.
    pub(super) width: f64,
    /// Of the spaces within, which stretch and shrink.
    pub(super) spaces: f64,
}

/// A place where a line may end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Where the line ends; the white space before it hangs out.
    pub(super) end: Position,
    /// Up to the last thing that is seen, the hyphen included.
    pub(super) sum: Sum,
    /// Up to where the next line starts.
    pub(super) next: Sum,
    pub(super) penalty: f64,
    pub(super) hyphen: bool,
}

/// The places of a window, ascending; the last is its end.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Up to where the first line starts.
    pub(super) first: Sum,
    pub(super) all: Vec<Candidate>,
    /// Up to each atom.
    pub(super) sums: Vec<Sum>,
    /// The widest stretch that nothing divides.
    pub(super) widest: f64,
}

/// Finds the places; those within words only if they may be divided.
pub(super) fn find(window: &Window<'_>, shaper: &mut Shaper, divide: bool, preformatted: bool) -> Candidates {
    let language = if divide { hyphens::language(&shaper.tag) } else { None };
    let mut found = Candidates::default();
    found.sums.reserve(window.atoms.len() + 1);
    // Up to here; and up to the last thing that is seen.
    let (mut sum, mut seen) = (Sum::default(), Sum::default());
    let mut start = None;
    for (index, atom) in window.atoms.iter().enumerate() {
        found.sums.push(sum);
        if atom.kind != Kind::Space && start.is_none() {
            start = Some(sum);
        }
        if let Some(language) = language.filter(|_| stands_alone(window, index)) {
            let size = f64::from(window.runs[atom.run as usize].style.size);
            let (before, hyphen) = (sum, hyphen(window, shaper, index));
            hyphens::places(window.text(atom), language, |byte| {
                let within = before.width + f64::from(shaper.width_to(atom.word, byte)) * size;
                let next = Sum { width: within, ..before };
                found.add(Position { atom: index, byte }, next, next, Some(hyphen));
            });
        }
        sum.width += f64::from(atom.width);
        if atom.kind != Kind::Word {
            sum.spaces += f64::from(atom.width);
        }
        if atom.kind != Kind::Space {
            seen = sum;
        }
        let end = Position { atom: index + 1, byte: 0 };
        // Nothing is gained by a line of nothing: spaces at the start belong to the first word.
        let blank = start.is_none() && !preformatted;
        match atom.after {
            After::Nothing => {}
            _ if blank => {}
            After::Break => found.add(end, seen, sum, None),
            After::Hyphen => found.add(end, seen, sum, Some(hyphen(window, shaper, index))),
        }
    }
    found.sums.push(sum);
    found.first = start.filter(|_| !preformatted).unwrap_or_default();
    let end = Position { atom: window.atoms.len(), byte: 0 };
    if found.all.last().is_none_or(|last| last.end != end || last.hyphen) {
        found.all.pop_if(|last| last.end == end);
        found.add(end, seen, sum, None);
    }
    let mut from = found.first;
    for candidate in &found.all {
        found.widest = found.widest.max(candidate.sum.width - from.width);
        from = candidate.next;
    }
    found
}

impl Candidates {
    fn add(&mut self, end: Position, seen: Sum, next: Sum, hyphen: Option<f64>) {
        let sum = Sum { width: seen.width + hyphen.unwrap_or(0.0), ..seen };
        let (penalty, hyphen) = if hyphen.is_some() { (HYPHEN, true) } else { (0.0, false) };
        self.all.push(Candidate { end, sum, next, penalty, hyphen });
    }
}

/// The width of the hyphen behind an atom.
fn hyphen(window: &Window<'_>, shaper: &mut Shaper, atom: usize) -> f64 {
    let atom = &window.atoms[atom];
    let size = window.runs[atom.run as usize].style.size;
    shaper.hyphen(window.face(atom)).map_or(0.0, |(_, shape)| f64::from(shape.advance * size))
}

/// Whether an atom is all of its word, so that the rules for words can be asked.
fn stands_alone(window: &Window<'_>, index: usize) -> bool {
    let glued =
        |index: usize| window.atoms[index].after == After::Nothing && window.atoms[index].kind == Kind::Word;
    let atom = &window.atoms[index];
    let follows = window.atoms.get(index + 1).is_some_and(|next| next.kind == Kind::Word);
    atom.kind == Kind::Word
        && atom.level.is_multiple_of(2)
        && !(index > 0 && glued(index - 1))
        && !(follows && glued(index))
}
