//! The first pass over a text: what it says of itself, what looks like a heading, how its lines are set.

use std::collections::VecDeque;

use super::{
    gutenberg::{Header, is_end, is_start},
    headings::{Sort, sort_of},
    paragraphs::Layout,
};
use crate::{
    book::BookError,
    import::{ChapterMark, charset::Lines},
};

/// How many candidates are kept; a text with more has no chapters that could be told.
const MOST_CANDIDATES: usize = 50_000;
/// How many lines in front may belong to a header.
const HEADER_LINES: u64 = 60;

/// A line that looks like a heading.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Its number, from 1.
    pub(super) line: u64,
    /// How many lines it takes, a title below it included.
    pub(super) lines: u64,
    pub(super) sort: Sort,
    /// 0 without one.
    pub(super) number: u32,
    pub(super) title: String,
}

/// What the first pass found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) header: Header,
    /// The book begins after this line and ends before that one.
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Whether a licence was left out with that.
    pub(super) licence: bool,
    pub(super) candidates: Vec<Candidate>,
    lines: u64,
    blank: u64,
    indented: u64,
    widths: Vec<u64>,
}

impl Survey {
    /// How paragraphs are told apart.
    pub(super) fn layout(&self) -> Layout {
        let full = self.lines.max(1);
        let longer = |than: usize| self.widths.iter().skip(than).sum::<u64>();
        // What all but the longest twentieth of the lines keep to.
        let mut width = self.widths.len();
        while width > 0 && longer(width) * 20 < full {
            width -= 1;
        }
        if self.blank * 50 >= full && longer(120) * 4 < full {
            Layout::Blank { width }
        } else if self.blank * 50 < full && self.indented * 20 >= full && self.indented * 10 < full * 9 {
            Layout::Indented
        } else if longer(100) * 8 >= full {
            Layout::Lines
        } else {
            Layout::Blank { width }
        }
    }
}

/// Reads the text through.
pub(super) fn survey(lines: &mut Lines, marks: &[ChapterMark]) -> Result<Survey, BookError> {
    let mut survey = Survey { end: u64::MAX, widths: vec![0; 201], ..Survey::default() };
    let mut window: VecDeque<String> = VecDeque::new();
    let (mut number, mut blank_before, mut header_open) = (0_u64, true, true);
    loop {
        let more = match lines.next()? {
            Some(line) => {
                window.push_back(line.trim_end().to_owned());
                true
            }
            None => false,
        };
        if more && window.len() < 5 {
            continue;
        }
        let Some(line) = window.front() else { break };
        number += 1;
        let in_book = survey.end == u64::MAX;
        if in_book && is_start(line) {
            survey.begin = number;
            survey.licence = true;
            survey.candidates.clear();
            header_open = false;
        } else if in_book && is_end(line) {
            (survey.end, survey.licence) = (number, true);
        }
        if header_open {
            if survey.header.line(line) {
                // Without a mark further down, the header itself is what is left out.
                survey.begin = number;
            } else if number > HEADER_LINES {
                header_open = survey.header != Header::default() && number < 5 * HEADER_LINES;
            }
        }
        survey.measure(line);
        if blank_before && in_book && survey.candidates.len() < MOST_CANDIDATES {
            let window = window.make_contiguous();
            survey.candidates.extend(match marks {
                [] => candidate(number, window),
                marks => said(number, window, marks),
            });
        }
        blank_before = line_is_blank(window.front());
        window.pop_front();
    }
    Ok(survey)
}

fn line_is_blank(line: Option<&String>) -> bool {
    line.is_none_or(|line| line.trim().is_empty())
}

impl Survey {
    fn measure(&mut self, line: &str) {
        if line.trim().is_empty() {
            self.blank += 1;
            return;
        }
        self.lines += 1;
        self.indented += u64::from(line.starts_with([' ', '\t', '\u{3000}']));
        let width = line.chars().take(200).count();
        if let Some(count) = self.widths.get_mut(width) {
            *count += 1;
        }
    }
}

/// The line alone between blank ones at which a chapter is said to begin.
fn said(line: u64, window: &[String], marks: &[ChapterMark]) -> Option<Candidate> {
    let title = window.first()?.trim().trim_matches(['_', '*', '=']).trim().to_owned();
    let is_said = line_is_blank(window.get(1)) && marks.iter().any(|mark| mark.is_line(&title));
    is_said.then_some(Candidate { line, lines: 1, sort: Sort::Said, number: 0, title })
}

/// The heading that begins with the first line of the window, if it looks like one.
fn candidate(line: u64, window: &[String]) -> Option<Candidate> {
    let clean = |text: &str| text.trim().trim_matches(['_', '*', '=']).trim().to_owned();
    let blank = |place: usize| line_is_blank(window.get(place));
    let text = clean(window.first()?);
    let (sort, number) = sort_of(&text)?;
    let alone = Candidate { line, lines: 1, sort, number, title: text.clone() };
    let bare = match sort {
        Sort::Cjk => text.chars().count() <= 6,
        Sort::Number => text.split_whitespace().count() == 1,
        Sort::Chapter | Sort::Part => text.split_whitespace().count() <= 2,
        Sort::Named | Sort::Capitals | Sort::Said => false,
    };
    let short = |place: usize| {
        window
            .get(place)
            .map(|text| clean(text))
            .filter(|text| text.chars().count() <= 70 && sort_of_number(text))
    };
    let join = |title: String, lines| {
        let mark = if text.ends_with(['.', ':']) { " " } else { ": " };
        Candidate { title: format!("{text}{mark}{title}"), lines, ..alone.clone() }
    };
    if blank(1) {
        if bare
            && !blank(2)
            && blank(3)
            && let Some(title) = short(2)
            && title.chars().any(char::is_alphabetic)
            && !title.chars().any(char::is_lowercase)
            && title.chars().any(char::is_uppercase)
        {
            return Some(join(title, 3));
        }
        return Some(alone);
    }
    // A title right below, on one line or two.
    if !bare {
        return None;
    }
    let first = short(1)?;
    if blank(2) {
        return Some(join(first, 2));
    }
    let second = short(2)?;
    blank(3).then(|| join(format!("{first} {second}"), 3))
}

/// Whether a line could be a title, rather than the next entry of a table of contents.
fn sort_of_number(text: &str) -> bool {
    !matches!(sort_of(text), Some((Sort::Chapter | Sort::Part | Sort::Cjk | Sort::Number, _)))
}
