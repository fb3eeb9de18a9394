//! What of a book goes into a question: the plan, what has happened so far, who is there. Each in some lengths, for models of small
//! windows: 0 is all, higher is shorter.

use super::{
    extract::{cut, tail},
    outline::Planned,
    people::listed,
    templates::Values,
};

/// How many of the latest chapters are remembered in full.
const FRESH: usize = 5;
/// How many characters of an older one.
const OLD: usize = 160;

/// The plan as a list of chapters.
pub(super) fn outline(chapters: &[Planned], level: usize) -> String {
    let room = match level {
        0 if chapters.len() <= 20 => 600,
        0 | 1 => 160,
        2 => 0,
        _ => return String::new(),
    };
    let line = |(index, chapter): (usize, &Planned)| {
        let plan = if room == 0 { String::new() } else { cut(&chapter.plan, room) };
        let parted = if plan.is_empty() { "" } else { ": " };
        format!("{}. {}{parted}{plan}", index + 1, chapter.title)
    };
    chapters.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// What has happened in these chapters, the latest in full.
pub(super) fn so_far(chapters: &[Planned], level: usize) -> String {
    let most = [16_000, 8_000, 3_000, 1_000, 250][level.min(4)];
    let (mut lines, mut left) = (Vec::new(), most);
    for (age, (index, chapter)) in chapters.iter().enumerate().rev().enumerate() {
        let room = if age < FRESH { left } else { left.min(OLD) };
        let summary = cut(&chapter.summary, room);
        if summary.is_empty() {
            continue;
        }
        let line = format!("{}. {summary}", index + 1);
        left = left.saturating_sub(line.chars().count());
        lines.push(line);
        if left < 40 {
            break;
        }
    }
    lines.reverse();
    lines.join("\n")
}

/// What is said of a chapter that stands behind `chapters[..index]`.
pub(super) struct Scene<'a> {
    /// What the brief says.
    pub(super) brief: Values,
    pub(super) chapters: &'a [Planned],
    pub(super) index: usize,
    /// Sheets of those who are there.
    pub(super) sheets: &'a [String],
    /// The chapter before, as far as there is one.
    pub(super) previous: &'a str,
}

impl Scene<'_> {
    /// All that templates of chapters may say, but for what is new in each.
    pub(super) fn values(&self, level: usize) -> Values {
        let planned = self.chapters.get(self.index).cloned().unwrap_or_default();
        let before = &self.chapters[..self.index.min(self.chapters.len())];
        let mut values = self.brief.clone();
        // With all they have, texts of an author are used up to the bounds of a brief.
        let bounds = [usize::MAX, 4_000, 1_500, 500, 150];
        for name in ["premise", "notes", "style"] {
            values.shorten(name, bounds[level.min(4)]);
        }
        values.set("outline", outline(self.chapters, level));
        values.set("so_far", so_far(before, level));
        values.set("characters", listed(self.sheets, [2_000, 1_000, 500, 200, 80][level.min(4)]));
        values.set("previous", tail(self.previous, [900, 900, 500, 250, 120][level.min(4)]).to_owned());
        values.set("number", (self.index + 1).to_string());
        values.set("chapter_title", planned.title);
        values.set("plan", cut(&planned.plan, [1_500, 1_500, 800, 400, 150][level.min(4)]));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_is_told_in_short_and_all_is_bounded_at_each_level() {
        let chapters: Vec<Planned> = (0..200)
            .map(|number| Planned {
                title: format!("T{number}"),
                plan: "plan ".repeat(200),
                summary: "what happened ".repeat(100),
                ..Planned::default()
            })
            .collect();
        let lengths: Vec<usize> = (0..5).map(|level| so_far(&chapters, level).chars().count()).collect();
        assert!(
            lengths.is_sorted_by(|one, next| one >= next) && lengths[0] <= 17_000 && lengths[4] <= 260,
            "{lengths:?}"
        );
        assert!(so_far(&chapters, 0).contains("\n195. what happened what"));
        assert_eq!(so_far(&[], 0), "");
        let scene =
            Scene { brief: Values::default(), chapters: &chapters, index: 3, sheets: &[], previous: "" };
        let text = |level| format!("{:?}", scene.values(level)).len();
        assert!((1..5).all(|level| text(level) <= text(level - 1)));
        assert!(outline(&chapters[..2], 2) == "1. T0\n2. T1" && outline(&chapters, 3).is_empty());
    }
}
